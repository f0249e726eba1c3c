"""What the notifier keeps for a time only: marks of events it has handled, and who must not be contacted about withdrawn content."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import structlog

from services.notifier.store import content
from services.notifier.store.takedowns import SCHEMA
from shared.db.pool import Database
from shared.db.vacuum import vacuum
from shared.errors import Transient
from shared.policy import Policy

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=15)
_LEAST_SECONDS = 1.0
INBOX_KEPT = timedelta(days=62)
"""Twice the time the log keeps what it marks: an older event cannot come again."""
ATTEMPT_ENDS_WITHIN = timedelta(hours=1)
"""An attempt that has no outcome after so long has died with its process and was not made again."""
MARKS_AT_ONCE = 10_000
"""In one transaction, so that none takes long."""

_FORGET_MARKS = """
DELETE FROM notifier.inbox WHERE (group_name, event_id) IN (
    SELECT group_name, event_id FROM notifier.inbox WHERE handled_at < now() - %s::interval ORDER BY handled_at LIMIT %s)
"""


class Retention:
    """Erases what the notifier keeps for a time only. `run` it as a task. Several processes may."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._wait_seconds = max(_LEAST_SECONDS, policy.scaled(EVERY).total_seconds())

    async def run(self) -> None:
        """Tidy up until cancelled."""
        while True:
            try:
                await self.tidy_up()
            except (Transient, psycopg.OperationalError) as error:  # the next turn does it
                log.warning("retention.interrupted", error=type(error).__name__)
            await asyncio.sleep(self._wait_seconds)

    async def tidy_up(self) -> None:
        """Delete what is past its time, and vacuum after a withdrawal."""
        async with self._database.transaction() as tx:
            await content.forget_terms(tx, attempts_end_within=ATTEMPT_ENDS_WITHIN)
        forgotten = MARKS_AT_ONCE
        while forgotten >= MARKS_AT_ONCE:
            async with self._database.transaction() as tx:
                forgotten = (await tx.execute(_FORGET_MARKS, (INBOX_KEPT, MARKS_AT_ONCE))).rowcount
        row = await self._database.read_one(content.WITHDRAWN_LATELY, (timedelta(seconds=2 * self._wait_seconds),))
        if row is not None and row["lately"]:
            await vacuum(self._database, SCHEMA.name)
