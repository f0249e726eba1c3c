"""Applies a change that concerns many takedowns (of a content, its claims, a decision) to a few of them in each transaction; and receives
the matches that waited for their content, one by one.

One that fails is that one's failure: it is counted in its row, tried again later, and from the third in a row on a person's task. What
stops a content is committed before any of this and read before each attempt and each look, so that nothing hangs on who has heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from services.notifier.application.decisions import made_of, of_takedown
from services.notifier.application.failing_jobs import REPORTED_FROM
from services.notifier.application.matches import may_flood, receive_match
from services.notifier.application.unit_of_work import UnitOfWork, UnitOfWorkFactory, publish_decision
from services.notifier.domain.events import ContentUpdated, DecisionMade, Event, TermsChanged
from services.notifier.domain.model import TaskKind
from services.notifier.store import content as store_content
from services.notifier.store import decisions, pending_changes, takedowns, tasks
from shared.contracts.matches import MatchFound
from shared.db.due_rows import DueTable
from shared.db.due_worker import DueWorker
from shared.ids import deterministic_id

log = structlog.get_logger(__name__)

SLOTS = 32
APPLIED_TOGETHER = 16
"""Takedowns in one transaction."""
LONGEST_SECONDS = 30.0
"""A transaction or two, which may wait for the content's lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """A change that one takedown has still to be decided on for, claimed by this worker. `what`: see `store/pending_changes.py`."""

    takedown_id: UUID
    content_id: UUID
    what: str
    lease_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMatch:
    """A match whose content has come meanwhile, claimed by this worker."""

    event_id: str
    match: MatchFound
    lease_id: UUID


PENDING_CHANGES = DueTable(
    "notifier.untold",
    key=("takedown_id", "what"),
    place="d.takedown_id::text",
    beside="notifier.takedowns t",
    on="t.takedown_id = d.takedown_id",
    returning="t.content_id",
    job=lambda row: PendingChange(**row),
)
WAITING_MATCHES = DueTable(
    "notifier.waiting_matches",
    key=("event_id",),
    waiting="d.due_at IS NOT NULL",
    returning="d.data",
    job=lambda row: DueMatch(
        event_id=row["event_id"],
        match=MatchFound.model_validate_json(bytes(row["data"])),
        lease_id=row["lease_id"],
    ),
)


class PendingChangesWorker:
    """Applies pending changes and receives waiting matches. `run` it as a task; several processes may."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        runtime = units_of_work.runtime
        self._units_of_work = units_of_work
        self._database = runtime.database
        self.changes = DueWorker(
            "untold",
            runtime.database,
            runtime.wakeups,
            PENDING_CHANGES,
            member=runtime.settings.member,
            wakeup=takedowns.CHANGES_WAKEUP,
            slots=SLOTS,
            per_place=1,
            longest_seconds=LONGEST_SECONDS,
            set_of=APPLIED_TOGETHER,
            do=self.apply_all,
            failed=self._failed,
        )
        self.matches = DueWorker(
            "waiting_matches",
            runtime.database,
            runtime.wakeups,
            WAITING_MATCHES,
            member=runtime.settings.member,
            wakeup=takedowns.CHANGES_WAKEUP,
            slots=8,
            longest_seconds=LONGEST_SECONDS,
            do=self._receive_all,
        )

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.changes.run())
            group.create_task(self.matches.run())

    async def apply_all(self, due: Sequence[PendingChange]) -> None:
        """Apply these changes: those to takedowns of one content in one transaction, in the order in which they are locked. If
        one of them fails, each is done alone."""
        for content_id in dict.fromkeys(one.content_id for one in due):
            of_it = sorted((one for one in due if one.content_id == content_id), key=lambda one: one.takedown_id)
            async with self._units_of_work.begin(content_id, exclusive=False) as unit:
                for one in of_it:
                    await self._apply(unit, one)

    async def _apply(self, unit: UnitOfWork, due: PendingChange) -> None:
        if not await pending_changes.take(unit.tx, due.takedown_id, due.what, due.lease_id):
            return
        takedown = await unit.load(due.takedown_id)
        event = await _event_of(unit, due.what)
        if takedown is not None and event is not None:
            if isinstance(event, DecisionMade):
                event = await of_takedown(unit, takedown, event)
            await unit.apply(takedown, event)
        if unit.refs_decided:
            await _publish_pictures(unit, due)
        await tasks.close_open(unit.tx, due.takedown_id, TaskKind.TELLING_FAILS, "told")

    async def _failed(self, due: PendingChange, failures: int) -> None:
        """Open a task for a change that failed again and again, beside the takedown, which may be what cannot be read."""
        if failures < REPORTED_FROM:
            return
        async with self._units_of_work.begin(due.content_id, exclusive=False) as unit:
            await tasks.open_beside(
                unit.tx,
                takedown_id=due.takedown_id,
                content_id=due.content_id,
                kind=TaskKind.TELLING_FAILS,
                reason=due.what if due.what in (pending_changes.CONTENT, pending_changes.TERMS) else "decision",
                due_at=unit.now + unit.runtime.policy.scaled(unit.runtime.policy.dispute_due),
            )

    async def _receive_all(self, due: Sequence[DueMatch]) -> None:
        for one in due:
            await self.receive(one)

    async def receive(self, due: DueMatch) -> None:
        """Receive a match that waited, as if it came now."""
        match = due.match
        exclusive = may_flood(match, self._units_of_work.runtime.policy)
        async with self._units_of_work.begin(
            match.content_id, exclusive=exclusive, takedown_id=match.takedown_id
        ) as unit:
            taken = await store_content.take_due_match(unit.tx, due.event_id, due.lease_id)
            if taken is not None:
                await receive_match(unit, due.event_id, taken)


async def _publish_pictures(unit: UnitOfWork, due: PendingChange) -> None:
    """Publish for intake which pictures a decision on many takedowns was about, as far as they were not known when it was taken."""
    decided = await decisions.read(unit.tx, UUID(due.what))
    if decided is not None:
        part = {
            "decision_id": deterministic_id((due.what, "of", str(due.takedown_id))),
            "content_id": due.content_id,
            "takedown_id": due.takedown_id,
            "task_id": None,
            "fingerprint_refs": tuple(unit.refs_decided),
        }
        await publish_decision(unit.tx, decided.model_copy(update=part))
    unit.refs_decided.clear()


async def _event_of(unit: UnitOfWork, what: str) -> Event | None:
    if what == pending_changes.CONTENT:
        return ContentUpdated()
    if what == pending_changes.TERMS:
        return TermsChanged()
    decided = await decisions.read(unit.tx, UUID(what))
    if decided is None:
        return None
    task = None if decided.task_id is None else await tasks.task_of(unit.tx, decided.task_id)
    return made_of(decided, task)
