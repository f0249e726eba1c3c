"""One event applied to takedowns: lock, decide, write, all in one transaction. Workers, consumers and routes all come here.

A `Scope` is a transaction with the content's row locked. Shared is enough for one takedown; whatever can reach further
(a withdrawal, a host's `possible_minor`, a rejection, the flood guard) asks for the exclusive lock from the start, since a
shared lock that is raised later ends in a deadlock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from services.notifier import directory, store, store_content, store_effects
from services.notifier.effects import (
    Effect,
    HoldNewDemands,
    Lifecycle,
    PublishDecision,
    RecordRejection,
    ScheduleCheck,
)
from services.notifier.events import (
    ContentChanged,
    DecisionMade,
    Event,
    MatchReceived,
    Sender,
    Surroundings,
    Terms,
)
from services.notifier.ladder import Routes
from services.notifier.states import Takedown
from services.notifier.store_content import ContentRow
from services.notifier.takedown import decide
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.db import outbox
from shared.db.pool import Tx
from shared.db.wake import notify
from shared.ids import deterministic_id
from shared.runtime import Runtime

log = structlog.get_logger(__name__)


class Applier:
    """Opens scopes. `sender` is what a demand says of us."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        settings = runtime.settings
        self.mail = settings.smtp_host is not None
        self.sender = Sender(
            name=settings.organisation_name,
            contact=settings.organisation_contact,
            reviewed_by=settings.reviewed_by,
        )

    @asynccontextmanager
    async def scope(self, content_id: UUID, *, exclusive: bool) -> AsyncIterator[Scope]:
        """A transaction with the content locked; what happened in it is logged once it is committed."""
        async with self.runtime.database.transaction() as tx:
            content = await store_content.lock(tx, content_id, exclusive=exclusive)
            scope = Scope(self, tx, content_id, content, exclusive=exclusive)
            yield scope
        for takedown_id, entry in scope.happened:
            log.info(entry.kind, takedown_id=str(takedown_id), sequence=entry.sequence, state=entry.state)


class Scope:
    """One transaction on one content."""

    def __init__(self, applier: Applier, tx: Tx, content_id: UUID, content: ContentRow, *, exclusive: bool) -> None:
        self.tx = tx
        self.content_id = content_id
        self.content = content
        self.happened: list[tuple[UUID, Lifecycle]] = []
        self._applier = applier
        self._exclusive = exclusive
        self._terms: Terms | None = None
        self._terms_known = False
        self._rejections: set[str] = set()

    @property
    def runtime(self) -> Runtime:
        return self._applier.runtime

    async def reread(self) -> None:
        """After the content's row or its claims were changed in this transaction."""
        self.content = await store_content.lock(self.tx, self.content_id, exclusive=self._exclusive)
        self._terms_known = False

    async def terms(self) -> Terms | None:
        if not self._terms_known:
            withdrawn = self.content.state is ContentState.WITHDRAWN
            self._terms = await store_content.terms_of(self.tx, self.content_id, withdrawn=withdrawn)
            self._terms_known = True
        return self._terms

    async def load(self, takedown_id: UUID) -> Takedown | None:
        """A takedown of this content, locked."""
        return await store.load(self.tx, takedown_id)

    async def surroundings(self, takedown: Takedown, event: Event | None = None) -> Surroundings:
        """What else is true now, as the tables hold it."""
        ref = event.match.fingerprint_ref if isinstance(event, MatchReceived) else None
        return Surroundings(
            content=self.content.view,
            terms=await self.terms(),
            routes=await self._routes(takedown, event),
            sender=self._applier.sender,
            rejected=await store_content.is_rejected(self.tx, self.content_id, ref),
            jitter=random.random(),  # noqa: S311 - spreads load, keeps no secret
        )

    async def _routes(self, takedown: Takedown, event: Event | None) -> Routes:
        target = event.target if isinstance(event, MatchReceived) else takedown.target
        hosts = [host for host in (target.host, target.page_host) if host] if target else []
        organisations = {demand.recipient for demand in takedown.demands} | set(takedown.postures_cleared)
        if takedown.reroute_to is not None:
            organisations.add(takedown.reroute_to)
        if isinstance(event, DecisionMade) and event.recipient is not None:
            organisations.add(event.recipient)
        known = await directory.routes_for(self.tx, hosts=hosts, organisations=organisations)
        return Routes(organisations=tuple(one.organisation_view(mail=self._applier.mail) for one in known))

    async def apply(self, takedown: Takedown, event: Event, *, new: bool = False) -> Takedown:
        """Decide, and write state and effects. `takedown` was loaded in this scope, or has just begun (`new`)."""
        now = await store.database_now(self.tx)
        around = await self.surroundings(takedown, event)
        after, effects = decide(takedown, event, now, self.runtime.policy, around)
        if new or after != takedown:
            await store.save(self.tx, self.runtime.keys, None if new else takedown, after)
        if new or after.check_due_at != takedown.check_due_at or after.target != takedown.target:
            reason = next((one.reason for one in effects if isinstance(one, ScheduleCheck)), None)
            await store.keep_due_check(self.tx, after, reason)
            await notify(self.tx, store.CHECKS_CHANNEL)
        for effect in effects:
            if isinstance(effect, Lifecycle):
                self.happened.append((after.takedown_id, effect))
            await store_effects.write(self.tx, after, effect)
        for effect in effects:
            await self._reach_further(after, event, effect)
        return after

    async def apply_to_all(self, event: Event, *, but: UUID | None = None) -> None:
        """Apply an event to every takedown of the content, in the order in which they are locked."""
        assert self._exclusive, "several takedowns of a content are reached under its exclusive lock alone"
        for takedown_id in await store.takedowns_of(self.tx, self.content_id):
            if takedown_id != but:
                takedown = await self.load(takedown_id)
                assert takedown is not None
                await self.apply(takedown, event)

    async def content_changed(self, *, but: UUID | None = None) -> None:
        """The content's row was changed in this transaction: tell its takedowns."""
        await self.reread()
        await self.apply_to_all(ContentChanged(), but=but)

    async def _reach_further(self, takedown: Takedown, event: Event, effect: Effect) -> None:
        match effect:
            case PublishDecision():
                await self._decide_for_host(takedown, effect)
            case HoldNewDemands():
                await store_content.hold_new_demands(self.tx, effect.content_id, effect.reason)
                await self.reread()
            case RecordRejection():
                await self._reject(takedown, event, effect)
            case _:
                pass

    async def _decide_for_host(self, takedown: Takedown, effect: PublishDecision) -> None:
        """A host's word suspends at once, here and by a decision for intake, until a person looks."""
        decided = DecisionTaken(
            decision_id=deterministic_id((str(effect.demand_id), "decision", effect.kind, effect.reason)),
            kind=effect.kind,
            content_id=effect.content_id,
            takedown_id=None,
            demand_id=effect.demand_id,
            person_id=f"host:{effect.recipient}",
            organisation_id=effect.recipient,
            reason=effect.reason,
            decided_at=await store.database_now(self.tx),
        )
        await publish_decision(self.tx, decided)
        if effect.kind is DecisionKind.SUSPEND:
            await store_content.suspend_here(self.tx, effect.content_id, effect.reason)
            await self.content_changed(but=takedown.takedown_id)

    async def _reject(self, takedown: Takedown, event: Event, effect: RecordRejection) -> None:
        if effect.fingerprint_ref in self._rejections or not isinstance(event, DecisionMade):
            return
        self._rejections.add(effect.fingerprint_ref)
        for takedown_id in await store_content.reject(self.tx, effect.content_id, effect.fingerprint_ref):
            other = await self.load(takedown_id) if takedown_id != takedown.takedown_id else None
            if other is not None:
                await self.apply(other, event)


async def publish_decision(tx: Tx, decided: DecisionTaken) -> bool:
    """Keep a decision and queue it for `takedown.decisions`. False: it was taken already."""
    if not await keep_decision(tx, decided):
        return False
    key = str(decided.takedown_id or decided.content_id)
    await outbox.put(tx, store.SCHEMA.name, DECISIONS, key=key, event=decided, event_id=decided.decision_id)
    return True


async def keep_decision(tx: Tx, decided: DecisionTaken) -> bool:
    """The row by which a decision that comes back over the log is known. False: it is known."""
    cursor = await tx.execute(
        "INSERT INTO notifier.decisions (decision_id, kind, content_id, takedown_id, demand_id, task_id, person_id,"
        " organisation_id, reason, decided_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING decision_id",
        (
            decided.decision_id,
            decided.kind,
            decided.content_id,
            decided.takedown_id,
            decided.demand_id,
            decided.task_id,
            decided.person_id,
            decided.organisation_id,
            decided.reason,
            decided.decided_at,
        ),
    )
    return await cursor.fetchone() is not None
