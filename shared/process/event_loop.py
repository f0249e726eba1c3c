"""Measures how late the event loop is. What blocks it blocks everything else in the process: heartbeats, answers, `outbound off`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from shared.process.metrics import EVENT_LOOP_LAG

log = structlog.get_logger(__name__)

T = TypeVar("T")

EVERY_SECONDS = 0.05
LOGGED_FROM_SECONDS = 1.0
"""From here on a late loop is a line in the log. On a machine that has nothing else to do a loop is late by some milliseconds."""
TURN_SECONDS = 0.01


async def in_turns(jobs: Iterable[Callable[[], T]]) -> list[T]:
    """Do short jobs in order, and give what each returns. Everybody else has a turn after `TURN_SECONDS` and a job at the latest."""
    done: list[T] = []
    began = time.monotonic()
    for job in jobs:
        done.append(job())
        if time.monotonic() - began > TURN_SECONDS:
            await asyncio.sleep(0)
            began = time.monotonic()
    return done


async def watch_event_loop() -> None:
    """Measure, for ever, how much later than asked a task gets its turn."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_SECONDS
        await asyncio.sleep(EVERY_SECONDS)
        late = max(0.0, loop.time() - due)
        EVENT_LOOP_LAG.observe(late)
        if late >= LOGGED_FROM_SECONDS:
            log.warning("event_loop.late", seconds=round(late, 1))
