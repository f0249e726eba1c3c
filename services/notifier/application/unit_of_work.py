"""One event applied to takedowns: lock, decide, write, all in one transaction. Workers, consumers and routes all come here.

A unit of work is a transaction with the content's row locked. Shared is enough for one takedown; whatever can reach further
(a withdrawal, a host's `possible_minor`, a rejection, the flood guard) asks for the exclusive lock from the start, since a
shared lock that is raised later ends in a deadlock.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg
import structlog

from services.notifier.directory import store as directory
from services.notifier.domain.effects import (
    Effect,
    Lifecycle,
    PublishDecision,
    RecordRejection,
    ScheduleCheck,
    UndoRejection,
)
from services.notifier.domain.events import (
    CheckCompleted,
    ContentUpdated,
    DecisionContext,
    DecisionMade,
    Event,
    HostAnswered,
    MatchReceived,
    Requester,
    Terms,
    TermsChanged,
)
from services.notifier.domain.ladder import Routes
from services.notifier.domain.model import Outcome, Takedown
from services.notifier.domain.takedown import decide
from services.notifier.store import checks, decisions, demand_limit, messages, pending_changes, rejections, takedowns
from services.notifier.store import content as store_content
from services.notifier.store import effects as store_effects
from services.notifier.store.content import KnownContent
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.db.due_rows import soon
from shared.db.pool import Tx, is_passing
from shared.errors import Transient
from shared.ids import deterministic_id
from shared.outbox import outbox
from shared.policy import HOUR
from shared.service.runtime import OutboundRuntime

log = structlog.get_logger(__name__)

APPLIED_AT_ONCE = 25
"""How many takedowns a change is applied to in its own transaction. Further ones have transactions of their own: however many there are,
what stops them is committed at once, and is read before each attempt and each look."""


class UnitOfWorkFactory:
    """Begins units of work. `sender` is what a demand says of us."""

    def __init__(self, runtime: OutboundRuntime) -> None:
        self.runtime = runtime
        settings = runtime.settings
        self.mail = settings.smtp_host is not None
        self.sender = Requester(
            name=settings.organisation_name,
            contact=settings.organisation_contact,
            reviewed_by=settings.reviewed_by,
        )

    @asynccontextmanager
    async def begin(
        self, content_id: UUID, *, exclusive: bool, takedown_id: UUID | None = None
    ) -> AsyncIterator[UnitOfWork]:
        """A transaction with the content locked, and the takedown that will be loaded first (if it is known already). What
        happened in it is logged once it is committed."""
        async with self.runtime.database.transaction() as tx:
            locked = await _lock(tx, content_id, takedown_id, exclusive=exclusive)
            unit = UnitOfWork(self, tx, content_id, locked, exclusive=exclusive)
            yield unit
            await unit.wake()
        for happened_to, entry in unit.happened:
            log.info(entry.kind, takedown_id=str(happened_to), sequence=entry.sequence, state=entry.state)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    """What a unit of work begins with. `now`: the database's clock, read once the locks were held."""

    content: KnownContent
    terms: Terms | None
    now: datetime
    takedown: Takedown | None


async def _lock(tx: Tx, content_id: UUID, takedown_id: UUID | None, *, exclusive: bool) -> _Locked:
    """The locks in their order and what is read under them, in one go to the database and back."""
    async with tx.pipeline():
        content_cursor = await store_content.ask_lock(tx, content_id, exclusive=exclusive)
        takedown_cursor = None if takedown_id is None else await takedowns.ask_load(tx, takedown_id)
        terms_cursor = await store_content.ask_terms(tx, content_id)
    content = await store_content.content_row(content_cursor)
    if content is None:
        await store_content.ensure(tx, content_id)
        return await _lock(tx, content_id, takedown_id, exclusive=exclusive)
    terms, now = await store_content.terms_and_now(terms_cursor)
    takedown = None if takedown_cursor is None else await takedowns.loaded(takedown_cursor)
    return _Locked(content=content, terms=terms, now=now, takedown=takedown)


class UnitOfWork:
    """One transaction on one content. `now` is one moment for all of it."""

    def __init__(
        self, units_of_work: UnitOfWorkFactory, tx: Tx, content_id: UUID, locked: _Locked, *, exclusive: bool
    ) -> None:
        self.tx = tx
        self.content_id = content_id
        self.content = locked.content
        self.terms = locked.terms
        self.now = locked.now
        self.happened: list[tuple[UUID, Lifecycle]] = []
        self._units_of_work = units_of_work
        self._exclusive = exclusive
        self._first = locked.takedown
        self._reached: set[UUID] = set()
        self.refs_decided: dict[str, None] = {}
        """By what a picture agrees that was rejected in this unit, or is so no more: for the event of the decision."""
        self._woken: set[str] = set()

    @property
    def runtime(self) -> OutboundRuntime:
        return self._units_of_work.runtime

    async def reread(self) -> None:
        """Read the content's row and its claims again, after they were changed in this transaction."""
        locked = await _lock(self.tx, self.content_id, None, exclusive=self._exclusive)
        self.content, self.terms = locked.content, locked.terms

    async def reread_terms(self) -> None:
        """Read the terms again, after the content's claims, or which of them count, were changed in this transaction."""
        self.terms, _ = await store_content.terms_and_now(await store_content.ask_terms(self.tx, self.content_id))

    async def load(self, takedown_id: UUID) -> Takedown | None:
        """A takedown of this content as it is now, locked."""
        first, self._first = self._first, None
        if first is not None and first.takedown_id == takedown_id:
            return first
        return await takedowns.load(self.tx, takedown_id)

    async def surroundings(self, takedown: Takedown, event: Event | None = None) -> DecisionContext:
        """What else is true now for a decision on this takedown, as the tables have it."""
        ref = event.match.fingerprint_ref if isinstance(event, MatchReceived) else None
        return DecisionContext(
            content=self.content.view,
            terms=self.terms,
            routes=await self._routes(takedown, event),
            sender=self._units_of_work.sender,
            rejected=ref is not None and await rejections.is_rejected(self.tx, self.content_id, ref),
            demand_limit_reached=await self._demand_limit_reached(takedown, event),
            key_limit_reached=await self._key_limit_reached(takedown, event),
            jitter=random.random(),  # noqa: S311 - spreads load, keeps no secret
            attempt_under_way=isinstance(event, MatchReceived)
            and takedown.target is not None
            and takedown.target.url != event.target.url
            and await messages.attempt_is_under_way(self.tx, takedown.takedown_id),
        )

    async def _demand_limit_reached(self, takedown: Takedown, event: Event | None) -> bool:
        if takedown.target is None or not _may_ask_first(takedown, event):
            return False
        policy = self.runtime.policy
        return await demand_limit.is_reached(
            self.tx,
            self.content_id,
            takedown.target.host,
            most=policy.first_demands_per_host_hour,
            within=policy.scaled(HOUR),
        )

    async def _key_limit_reached(self, takedown: Takedown, event: Event | None) -> bool:
        reported_by, policy = takedown.match.reported_by, self.runtime.policy
        if reported_by is None or not _may_ask_first(takedown, event):
            return False
        return await demand_limit.is_reached_by_key(
            self.tx, reported_by, most=policy.first_demands_per_key_hour, within=policy.scaled(HOUR)
        )

    async def _routes(self, takedown: Takedown, event: Event | None) -> Routes:
        target = event.target if isinstance(event, MatchReceived) else takedown.target
        hosts = [host for host in (target.host, target.page_host) if host] if target else []
        organisations = {demand.recipient for demand in takedown.demands} | set(takedown.climb.postures_cleared)
        if takedown.climb.named is not None:
            organisations.add(takedown.climb.named)
        if isinstance(event, DecisionMade) and event.recipient is not None:
            organisations.add(event.recipient)
        known = await directory.routes_for(self.tx, hosts=hosts, organisations=organisations)
        return Routes(organisations=tuple(one.organisation_view(mail=self._units_of_work.mail) for one in known))

    async def apply(self, takedown: Takedown, event: Event, *, new: bool = False) -> Takedown:
        """Decide, and write state and effects. `takedown` was loaded in this unit of work, or has just begun (`new`)."""
        around = await self.surroundings(takedown, event)
        after, effects = decide(takedown, event, self.now, self.runtime.policy, around)
        # Nothing that is written here is read here: it goes out in one go.
        async with self.tx.pipeline():
            await self._write(takedown, after, effects, new=new)
        for effect in effects:
            await self._reach_further(after, event, effect)
        return after

    async def _write(self, before: Takedown, after: Takedown, effects: Sequence[Effect], *, new: bool) -> None:
        if new or after != before:
            await takedowns.save(self.tx, self.runtime.keys, None if new else before, after)
        due, known = (None if one.next_check is None else one.next_check.at for one in (after, before))
        if new or due != known or after.target != before.target:
            reason = next((one.reason for one in effects if isinstance(one, ScheduleCheck)), None)
            await checks.keep_due_check(self.tx, after, reason)
            if due is None:
                self._woken.add(takedowns.STOPPED_WAKEUP)
            elif soon(due, self.now):
                self._woken.add(takedowns.CHECKS_WAKEUP)
        entries = [effect for effect in effects if isinstance(effect, Lifecycle)]
        if entries:
            await store_effects.write_time_line(self.tx, after, entries)
            self.happened += [(after.takedown_id, entry) for entry in entries]
        await store_effects.write_all(self.tx, after, effects)
        self._woken |= store_effects.wakeups_of(effects, self.now)

    async def wake(self) -> None:
        """Notify, with the commit, every worker that has something to do now."""
        if self._woken:
            await self.tx.execute("SELECT pg_notify(name, '') FROM unnest(%s::text[]) AS name", (list(self._woken),))

    def wake_on_commit(self, name: str) -> None:
        """Have the listeners of this wake-up notified with the commit."""
        self._woken.add(name)

    async def all_or_none(self, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work` in a savepoint of this transaction, so that it can fail by itself. False: it raised, and nothing of it is left. Raises
        Transient, and what ends the connection."""
        happened, woken, reached = list(self.happened), set(self._woken), set(self._reached)
        try:
            async with self.tx.transaction():
                await work()
        except Transient:
            raise
        except Exception as error:
            if isinstance(error, psycopg.OperationalError) and is_passing(error):
                raise
            log.error("content.change_deferred", content_id=str(self.content_id), error=type(error).__name__)
            self.happened, self._woken, self._reached = happened, woken, reached
            return False
        return True

    async def apply_to_all(self, event: ContentUpdated | TermsChanged, *, but: UUID | None = None) -> None:
        """Apply an event to every takedown of the content, in the order in which they are locked: now, if they are few and none of them
        fails; else in transactions of their own, so that what stops them all is committed at once."""
        assert self._exclusive, "several takedowns of a content are reached under its exclusive lock alone"
        all_of_it = [one for one in await takedowns.takedowns_of(self.tx, self.content_id) if one != but]
        few = len(all_of_it) <= APPLIED_AT_ONCE
        if not few or not await self.all_or_none(lambda: self._apply_to(all_of_it, event)):
            await self.apply_later(
                all_of_it, pending_changes.CONTENT if isinstance(event, ContentUpdated) else pending_changes.TERMS
            )

    async def apply_later(self, takedown_ids: Sequence[UUID], what: str) -> None:
        """Apply this change to each of these takedowns, later, a few in each transaction (`pending_changes_worker.py`)."""
        if takedown_ids:
            await pending_changes.put(self.tx, takedown_ids, what)
            self._woken.add(takedowns.CHANGES_WAKEUP)

    async def _apply_to(self, takedown_ids: Sequence[UUID], event: Event) -> None:
        for takedown_id in takedown_ids:
            takedown = await self.load(takedown_id)
            assert takedown is not None
            await self.apply(takedown, event)

    async def content_changed(self, *, but: UUID | None = None) -> None:
        """The content's row was changed in this transaction: read it again and decide on its takedowns."""
        await self.reread()
        await self.apply_content_change(but=but)

    async def apply_content_change(self, *, but: UUID | None = None) -> None:
        """Decide on the takedowns anew, by what the content is now; it was read again after the change."""
        await self.apply_to_all(ContentUpdated(), but=but)

    async def _reach_further(self, takedown: Takedown, event: Event, effect: Effect) -> None:
        match effect:
            case PublishDecision():
                await self._decide_for_host(takedown, event, effect)
            case RecordRejection() | UndoRejection():
                await self._picture_decided(takedown, event, effect)
            case _:
                pass

    async def _decide_for_host(self, takedown: Takedown, event: Event, effect: PublishDecision) -> None:
        """Stop fetching at once because a host says so, here and by a decision for intake, until a person looks."""
        # By the answer: the same word after a resumption is another decision, which intake has to hear of too.
        answer = str(event.answer_id) if isinstance(event, HostAnswered) else ""
        decided = DecisionTaken(
            decision_id=deterministic_id((str(effect.demand_id), "decision", effect.kind, effect.reason, answer)),
            kind=effect.kind,
            content_id=effect.content_id,
            takedown_id=None,
            demand_id=effect.demand_id,
            person_id=f"host:{effect.recipient}",
            organisation_id=effect.recipient,
            reason=effect.reason,
            decided_at=self.now,
        )
        await publish_decision(self.tx, decided)
        if effect.kind is DecisionKind.STOP_FETCHING:
            await store_content.stop_fetching_here(self.tx, effect.content_id, stopped=True)
            await self.content_changed(but=takedown.takedown_id)

    async def _picture_decided(self, takedown: Takedown, event: Event, effect: RecordRejection | UndoRejection) -> None:
        """Apply a rejection, or its undoing, to every takedown of the content that the same picture made."""
        if takedown.takedown_id in self._reached or not isinstance(event, DecisionMade):
            return
        matched = takedown.match.fingerprint_ref
        seen = await checks.refs_seen(self.tx, takedown.takedown_id)
        refs = tuple(dict.fromkeys((*((matched,) if matched is not None else ()), *seen)))
        if isinstance(effect, RecordRejection):
            await rejections.reject(self.tx, self.content_id, takedown.takedown_id, refs, event.person_id)
        else:
            refs = await rejections.undo(self.tx, self.content_id, refs)
        self.refs_decided.update(dict.fromkeys(refs))
        what = pending_changes.decision(event.decision_id)
        # In a later transaction only those are left that nobody has reached yet.
        rejected = None if self._exclusive else isinstance(effect, UndoRejection)
        made = await rejections.made_by(self.tx, self.content_id, refs, pending_change=what, rejected=rejected)
        self._reached |= {takedown.takedown_id, *made}
        others = [one for one in made if one != takedown.takedown_id]
        if self._exclusive:
            await self._apply_to(others[:APPLIED_AT_ONCE], event)
            others = others[APPLIED_AT_ONCE:]
        await self.apply_later(others, what)


def _may_ask_first(takedown: Takedown, event: Event | None) -> bool:
    """Whether a first demand may follow from this event: only then its limits are queried."""
    seen = isinstance(event, CheckCompleted) and Outcome.PRESENT in (event.outcome, event.page_outcome)
    return seen and not takedown.demands


async def publish_decision(tx: Tx, decided: DecisionTaken) -> bool:
    """Keep a decision and queue it for `takedown.decisions`. False: it was taken already."""
    if not await decisions.keep(tx, decided):
        return False
    await queue_decision(tx, decided)
    return True


async def queue_decision(tx: Tx, decided: DecisionTaken) -> None:
    """Queue a decision that is kept for `takedown.decisions`."""
    key = str(decided.takedown_id or decided.content_id)
    await outbox.put(tx, takedowns.SCHEMA.name, DECISIONS, key=key, event=decided, event_id=decided.decision_id)
