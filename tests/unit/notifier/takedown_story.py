"""A takedown told step by step, for tests: the events go through `decide`, the effects into a small outbox and timer list."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

from services.notifier.domain.effects import (
    CancelCheck,
    CancelMessages,
    CancelTimers,
    Effect,
    EndMessage,
    Lifecycle,
    PublishDecision,
    ScheduleCheck,
    ScheduleTimer,
    SendMessage,
)
from services.notifier.domain.events import (
    AnswerKind,
    AttemptCompleted,
    AttemptEnded,
    CheckCompleted,
    ContentUpdated,
    ContentView,
    DecisionContext,
    DecisionMade,
    Event,
    HostAnswered,
    MatchReceived,
    OutboundRefused,
    Refusal,
    RemovalMethod,
    Requester,
    ResponseReason,
    Terms,
    TimerFired,
    TimerKind,
)
from services.notifier.domain.ladder import Organisation, Posture, Routes
from services.notifier.domain.model import (
    Demand,
    MatchFacts,
    MessageKind,
    Observed,
    Outcome,
    Takedown,
    TakedownState,
    Target,
)
from services.notifier.domain.takedown import begin, decide, may_send
from shared import ids
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
CONTENT = UUID("6f1d7c1e-0000-4000-8000-000000000001")
TAKEDOWN = ids.takedown_id(CONTENT, "media", "https://img.site.test/a.jpg")

SITE = Organisation(
    key="site", name="Site", domains=("site.test",), channel="webhook", posture=Posture.NORMAL, next_rung="hoster"
)
HOSTER = Organisation(key="hoster", name="Hoster", domains=("hoster.test",), channel="webhook", posture=Posture.NORMAL)
ROUTES = Routes(organisations=(SITE, HOSTER))


def routes_with(**site: Any) -> Routes:
    """The same routes, with the operator of the site changed."""
    return Routes(organisations=(replace(SITE, **site), HOSTER))


TARGET = Target(
    kind="media",
    url="https://img.site.test/a.jpg",
    url_key="https://img.site.test/a.jpg",
    key_version=1,
    host="img.site.test",
)
MATCH = MatchFacts(
    basis="fingerprint",
    seen_at=START,
    observed_by="crawler-1",
    assurance=Assurance.VIEWED,
    algorithm="pdq",
    distance=4,
    orientation="identity",
    quality=90,
    fingerprint_ref="ab" * 32,
)
E = TypeVar("E")


def surroundings(**changes: Any) -> DecisionContext:
    known = DecisionContext(
        content=ContentView(state=ContentState.ACTIVE),
        terms=Terms(authority_recorded=True),
        routes=ROUTES,
        sender=Requester(name="Helpline", contact="desk@helpline.example", reviewed_by="Counsel"),
    )
    return replace(known, **changes)


@dataclass
class Row:
    """A message as the tables would hold it. `due` None: parked."""

    effect: SendMessage
    due: datetime | None
    ended: bool = False
    accepted: bool = False
    attempts: int = 0


@dataclass
class Story:
    """Holds the present; every method is one event and gives its effects."""

    takedown: Takedown
    policy: Policy = field(default_factory=Policy)
    around: DecisionContext = field(default_factory=surroundings)
    now: datetime = START
    rows: dict[UUID, Row] = field(default_factory=dict)
    timers: dict[tuple[TimerKind, UUID, int], datetime] = field(default_factory=dict)
    check_at: datetime | None = None
    log: list[Lifecycle] = field(default_factory=list)
    sent: list[SendMessage] = field(default_factory=list)

    @classmethod
    def matched(cls, *, match: MatchFacts = MATCH, target: Target = TARGET, **fields: Any) -> Story:
        event = MatchReceived(match=match, target=target)
        story = cls(takedown=begin(TAKEDOWN, CONTENT, event, START), **fields)
        story.tell(event)
        return story

    @classmethod
    def opened(cls, **fields: Any) -> Story:
        """Seen by our check: the first demand is due."""
        story = cls.matched(**fields)
        story.look(Outcome.PRESENT)
        assert story.state() is TakedownState.OPEN
        return story

    @classmethod
    def delivered(cls, **fields: Any) -> Story:
        story = cls.opened(**fields)
        story.deliver()
        return story

    def state(self) -> TakedownState:
        """A call, not a property: mypy would believe that it stays what it was."""
        return self.takedown.state

    @property
    def demand(self) -> Demand:
        """The newest demand."""
        return self.takedown.demands[-1]

    def later(self, wait: timedelta) -> Story:
        self.now += wait
        return self

    def tell(self, event: Event) -> tuple[Effect, ...]:
        self.takedown, effects = decide(self.takedown, event, self.now, self.policy, self.around)
        for effect in effects:
            self._apply(effect)
        return effects

    def _apply(self, effect: Effect) -> None:
        match effect:
            case ScheduleCheck():
                self.check_at = effect.at
            case CancelCheck():
                self.check_at = None
            case SendMessage():
                self.sent.append(effect)
                row = self.rows.setdefault(effect.message_id, Row(effect=effect, due=None))
                if not row.accepted and not row.ended:
                    row.due = effect.due
            case EndMessage():
                if effect.message_id in self.rows:
                    self.rows[effect.message_id].ended = True
            case CancelMessages():
                for row in self.rows.values():
                    spared = row.accepted or row.effect.kind is MessageKind.RETRACTED
                    if effect.demand_id in (None, row.effect.demand_id) and not spared:
                        row.ended = True
            case ScheduleTimer():
                self.timers[effect.kind, effect.demand_id, effect.number] = effect.at
            case CancelTimers():
                for key in [one for one in self.timers if effect.demand_id in (None, one[1])]:
                    del self.timers[key]
            case Lifecycle():
                self.log.append(effect)
            case _:
                pass

    # Events

    def look(self, outcome: Outcome, **facts: Any) -> tuple[Effect, ...]:
        fields: dict[str, Any] = {"status": 200 if outcome in (Outcome.PRESENT, Outcome.MISMATCH) else 404}
        if outcome in (Outcome.PRESENT, Outcome.MISMATCH):
            fields["observed"] = Observed(
                at=self.now, ip="203.0.113.7", port=443, status=200, content_type="image/jpeg"
            )
        if outcome is Outcome.PRESENT:
            fields |= {"distance": 4, "algorithm": "pdq", "assurance": Assurance.VIEWED}
        fields |= {"started_at": self.now, "check_id": uuid4(), "vantage": "v", **facts}
        return self.tell(CheckCompleted(outcome=outcome, **fields))

    def due(self) -> list[Row]:
        """The messages whose time has come."""
        return [
            one
            for one in self.rows.values()
            if one.due is not None and one.due <= self.now and not one.ended and not one.accepted
        ]

    def attempt(self, outcome: AttemptEnded = AttemptEnded.ACCEPTED, **facts: Any) -> list[MessageKind]:
        """One attempt of every due message, each asked `may_send` first. Gives the kinds that went out."""
        went = []
        for row in self.due():
            kind, demand_id = row.effect.kind, row.effect.demand_id
            refused = may_send(self.takedown, demand_id, kind, self.now, self.policy, self.around)
            row.due = None
            if refused is not None:
                self.refuse(row, refused)
                continue
            row.attempts += 1
            row.accepted = outcome is AttemptEnded.ACCEPTED
            went.append(kind)
            self.tell(
                AttemptCompleted(
                    attempt_id=uuid4(),
                    message_id=row.effect.message_id,
                    demand_id=demand_id,
                    kind=kind,
                    number=row.effect.number,
                    attempt=row.attempts,
                    started_at=self.now,
                    outcome=outcome,
                    **facts,
                )
            )
        return went

    def refuse(self, row: Row, refusal: Refusal) -> tuple[Effect, ...]:
        effect = row.effect
        return self.tell(
            OutboundRefused(
                message_id=effect.message_id,
                demand_id=effect.demand_id,
                kind=effect.kind,
                number=effect.number,
                refusal=refusal,
            )
        )

    def deliver(self) -> None:
        assert self.attempt() != []

    def answer(
        self,
        kind: AnswerKind,
        reason: ResponseReason | None = None,
        method: RemovalMethod | None = None,
        *,
        demand: Demand | None = None,
        suggests: bool = False,
        settled_before: bool = False,
    ) -> tuple[Effect, ...]:
        return self.tell(
            HostAnswered(
                answer_id=uuid4(),
                demand_id=(demand or self.demand).demand_id,
                kind=kind,
                reason=reason,
                method=method,
                suggests_recipient=suggests,
                settled_before=settled_before,
            )
        )

    def says_removed(self) -> tuple[Effect, ...]:
        return self.answer(AnswerKind.REMOVAL, method=RemovalMethod.DELETED)

    def responds(self, reason: ResponseReason, *, settled_before: bool = False) -> tuple[Effect, ...]:
        """An answer about the content stops fetching in the tables, too: for every takedown, this one included."""
        effects = self.answer(AnswerKind.RESPONSE, reason, settled_before=settled_before)
        if any(isinstance(one, PublishDecision) and one.kind is DecisionKind.STOP_FETCHING for one in effects):
            self.around = replace(self.around, content=replace(self.around.content, fetching_stopped=True))
        return effects

    def decides(self, kind: DecisionKind, *, person: str = "person-2", **fields: Any) -> tuple[Effect, ...]:
        return self.tell(DecisionMade(decision_id=uuid4(), kind=kind, person_id=person, **fields))

    def content(self, **view: Any) -> tuple[Effect, ...]:
        self.around = replace(self.around, content=replace(self.around.content, **view))
        return self.tell(ContentUpdated())

    def withdrawn(self, reason: str = "subject_request") -> tuple[Effect, ...]:
        return self.content(state=ContentState.WITHDRAWN, withdrawn_for=reason)

    def fire_due_timers(self) -> None:
        """Every timer whose time has come."""
        for key, at in sorted(self.timers.items(), key=lambda item: item[1]):
            if at <= self.now and self.timers.pop(key, None) is not None:
                kind, demand_id, number = key
                self.tell(TimerFired(kind=kind, demand_id=demand_id, number=number, due_at=at))

    # What is asserted

    def kinds_sent(self) -> list[MessageKind]:
        return [one.kind for one in self.sent]

    def happened(self, kind: str) -> list[Lifecycle]:
        return [one for one in self.log if one.kind == kind]

    def open_tasks(self) -> set[str]:
        return {one.kind.value for one in self.takedown.tasks}

    def confirm_gone(self, **facts: Any) -> None:
        """Two looks an hour apart."""
        self.look(Outcome.GONE, **facts)
        self.later(HOUR).look(Outcome.GONE, **facts)


def removed_for(story: Story) -> str | None:
    """Why it counts as removed; None: it does not."""
    return None if story.takedown.removal is None else story.takedown.removal.reason


def of_kind(effects: tuple[Effect, ...], kind: type[E]) -> list[E]:
    return [one for one in effects if isinstance(one, kind)]
