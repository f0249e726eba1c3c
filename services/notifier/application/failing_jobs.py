"""Opens a task when a check or a message fails again and again for a reason that no code foresaw. The job goes on being tried."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.events import JobFailed

REPORTED_FROM = 3
"""Failures in a row from which on a person is asked to look."""


async def report_failure(
    units_of_work: UnitOfWorkFactory,
    content_id: UUID,
    takedown_id: UUID,
    job: Literal["check", "message"],
    failures: int,
) -> None:
    """Open a task for a job that has failed `failures` times in a row, from the third time on. Raises Transient: the next failure opens
    it."""
    if failures < REPORTED_FROM:
        return
    async with units_of_work.begin(content_id, exclusive=False, takedown_id=takedown_id) as unit:
        takedown = await unit.load(takedown_id)
        if takedown is not None:
            await unit.apply(takedown, JobFailed(job=job))
