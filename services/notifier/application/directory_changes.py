"""After a change of the directory, decides again on the takedowns that wait for one. The change is counted in a row (`notifier.directory`),
so that another process goes on if this one dies."""

from __future__ import annotations

import asyncio

import psycopg
import structlog

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.directory import store as directory
from services.notifier.domain.events import DirectoryChanged
from services.notifier.store import takedowns
from shared.errors import Transient

log = structlog.get_logger(__name__)

POLL_SECONDS = 5.0
RETRY_SECONDS = 0.5
_ENDED_POLL_SECONDS = 0.05
_ENDED_SECONDS = 10.0

_ENDED = "SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8 AS ended"


class DirectoryWorker:
    """Decides again on waiting takedowns after the directory has changed. `run` it as a task. Several may run: to decide once more does no
    harm."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        self._units_of_work = units_of_work
        self._database = units_of_work.runtime.database

    async def run(self) -> None:
        with self._units_of_work.runtime.wakeups.subscribe(takedowns.DIRECTORY_WAKEUP) as woken:
            while True:
                try:
                    await self._apply()
                except (Transient, psycopg.OperationalError) as error:
                    log.warning("directory.changes_interrupted", error=type(error).__name__)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    await woken.wait(POLL_SECONDS)

    async def _apply(self) -> None:
        unapplied = await self._database.read_one(directory.CHANGED)
        if unapplied is None:
            return
        await self._decided_before_have_ended(unapplied["begun"])
        async with self._database.transaction() as tx:
            waiting = await takedowns.waiting_for_directory(tx)
        for takedown_id, content_id in waiting:
            async with self._units_of_work.begin(content_id, exclusive=False) as unit:
                takedown = await unit.load(takedown_id)
                if takedown is not None:
                    await unit.apply(takedown, DirectoryChanged())
        async with self._database.transaction() as tx:
            await directory.changes_applied(tx, unapplied["changes"])

    async def _decided_before_have_ended(self, begun: str) -> None:
        """Wait until every transaction that may have read the directory before the change has ended: its takedowns are seen then."""
        for _ in range(int(_ENDED_SECONDS / _ENDED_POLL_SECONDS)):
            row = await self._database.read_one(_ENDED, (begun,))
            if row is not None and row["ended"]:
                return
            await asyncio.sleep(_ENDED_POLL_SECONDS)
        log.warning("directory.changes_applied_early")
