"""The container's seccomp profile: Chromium's own sandbox starts under it, and does not without its calls."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.browser.look_world import needs_chromium

ROOT = Path(__file__).resolve().parents[3]
PROFILE = ROOT / "deploy" / "seccomp" / "notifier.json"
OF_THE_SANDBOX = {"clone", "chroot"}


def profile() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PROFILE.read_text())
    return found


def look_under(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.container.contained_look", str(path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_sandbox_starts_under_it() -> None:
    needs_chromium()
    assert look_under(PROFILE) == {"outcome": "drawn", "drawn": 1}


def test_without_its_calls_it_does_not(tmp_path: Path) -> None:
    needs_chromium()
    less = profile()
    less["syscalls"][0]["names"] = [name for name in less["syscalls"][0]["names"] if name != "chroot"]
    path = tmp_path / "less.json"
    path.write_text(json.dumps(less))
    assert look_under(path)["outcome"] == "unavailable"


def test_it_is_what_its_maker_writes_and_gives_nothing_of_the_kernel() -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "deploy" / "seccomp" / "make_profile.py"], capture_output=True, text=True, check=True
    )
    refused = runpy.run_path(str(ROOT / "deploy" / "seccomp" / "make_profile.py"))["REFUSED"]
    ours, theirs = profile(), json.loads(made.stdout)
    allowed = {name for rule in ours["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    known = {name for rule in theirs["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]}
    assert known <= allowed | refused, "an older library knows fewer calls, and a newer one is to be written down"
    assert allowed >= OF_THE_SANDBOX
    assert not allowed & refused
    assert {name: ours[name] for name in ours if name != "syscalls"} == {
        name: theirs[name] for name in theirs if name != "syscalls"
    }
