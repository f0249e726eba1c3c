"""A browser's look under a container's seccomp profile, in a process of its own (`python -m`, and the profile).

Prints the outcome, and how many pictures were drawn.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pyseccomp

from shared.media.browser.look import BrowserLook
from tests.browser.look_world import drawn, open_internet

_COMPARISONS = {"SCMP_CMP_LT": pyseccomp.LT, "SCMP_CMP_EQ": pyseccomp.EQ, "SCMP_CMP_GT": pyseccomp.GT}


def apply(profile: dict[str, Any]) -> None:
    """As runc would: calls that this architecture does not have are left out."""
    calls = pyseccomp.SyscallFilter(defaction=pyseccomp.ERRNO(profile["defaultErrnoRet"]))
    for rule in profile["syscalls"]:
        allowed = rule["action"] == "SCMP_ACT_ALLOW"
        arguments = [pyseccomp.Arg(one["index"], _COMPARISONS[one["op"]], one["value"]) for one in rule.get("args", ())]
        for name in rule["names"]:
            try:
                calls.add_rule(pyseccomp.ALLOW if allowed else pyseccomp.ERRNO(rule["errnoRet"]), name, *arguments)
            except OSError:
                continue
    calls.load()


async def look() -> BrowserLook:
    async with open_internet() as internet:
        return await internet.browser.look(internet.page("/", "<img src=/sought.png>"))


if __name__ == "__main__":
    apply(json.loads(Path(sys.argv[1]).read_text()))
    seen = asyncio.run(look())
    print(json.dumps({"outcome": seen.outcome.value, "drawn": len(drawn(seen))}))
