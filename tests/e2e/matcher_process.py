"""Matchers as processes of their own on Kafka, without the rest of the program: `python -m tests.e2e.matcher_process`.

What it imports takes most of a start, so it imports once and forks a matcher for each line on standard input, a JSON object: `bootstrap`,
`member` and `folder` (of its files). Lines on standard output begin with a matcher's process id: `starting`, `ready`, then `merging`
and `saving` each time the merge of an index or the writing of a snapshot has begun and is not through.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from services.matcher.consumer.partitions import MatcherDependencies, in_background
from services.matcher.consumer.worker import Matcher
from services.matcher.index import merging_index
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.state.files import StateFiles
from shared.log.kafka.log import KafkaLog
from shared.policy import Policy

KEY = b"k" * 32
STRETCHED_SECONDS = 0.02
"""Merges and files are small in a test: they take so much longer, so that a kill can meet one."""


def say(word: str) -> None:
    os.write(1, f"{os.getpid()} {word}\n".encode())  # in one piece: all matchers write to one pipe


def announced(word: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which says before it begins that it is under way, and takes its time."""

    def announcing(*arguments: Any, **named: Any) -> Any:
        say(word)
        time.sleep(STRETCHED_SECONDS)
        return function(*arguments, **named)

    return announcing


def announce() -> None:
    table: Any = merging_index.TieredTable
    table._build = announced("merging", table._build)
    system: Any = os
    system.fsync = announced("saving", os.fsync)


async def run(spec: dict[str, Any]) -> None:
    log = KafkaLog(spec["bootstrap"])
    policy = Policy(snapshot_every=timedelta(seconds=1), snapshot_sightings=100)
    state = StateFiles(folder=Path(spec["folder"]) / spec["member"], kept=policy.history_kept, run=in_background)
    state.lock()
    matcher = Matcher(
        MatcherDependencies(
            log=log,
            policy=policy,
            fingerprint_key=KEY,
            member_id=spec["member"],
            state=state,
            head_entries=300,
        )
    )
    working = asyncio.create_task(matcher.run())
    while matcher.not_ready() and not working.done():  # noqa: ASYNC110 - it tells whoever asks
        await asyncio.sleep(0.02)
    say("ready")
    await working


def merge_often() -> None:
    """Freeze at a few hundred values, not at many thousands; compile what that needs once, before anything is forked."""
    defaults: Any = ChunkedPdqIndex.__init__.__kwdefaults__
    defaults.update(scan_below=1_000, head_limit=300)
    index = ChunkedPdqIndex(scan_below=1)
    index.add_many(np.arange(2), np.eye(2, 32, dtype=np.uint8))
    index.settle()
    index.query(np.eye(2, 32, dtype=np.uint8))


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that were killed
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    merge_often()
    announce()
    for line in sys.stdin:
        if os.fork() == 0:
            spec = json.loads(line)
            say(f"starting {spec['member']}")
            asyncio.run(run(spec))
            os._exit(0)


if __name__ == "__main__":
    main()
