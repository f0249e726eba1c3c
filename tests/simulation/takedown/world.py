"""The world around one takedown, in small, and what has to hold in it at all times.

The world around it is the tables' contract in small: a message is sent only after `may_send`, a refused one is parked, an
accepted one is never sent twice, a host's `possible_minor` stops the content's looks at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from services.notifier.domain.builder import ENDED
from services.notifier.domain.check_results import combined
from services.notifier.domain.events import (
    AnswerKind,
    AttemptCompleted,
    AttemptEnded,
    CheckCompleted,
    ContentUpdated,
    ContentView,
    DecisionMade,
    DirectoryChanged,
    FloodHeld,
    HostAnswered,
    MatchReceived,
    OutboundRefused,
    Refusal,
    RemovalMethod,
    ResponseReason,
    Terms,
    TermsChanged,
    TimerFired,
    TimerKind,
)
from services.notifier.domain.ladder import Organisation, Posture, Routes
from services.notifier.domain.model import (
    DemandState,
    MessageKind,
    Observed,
    Outcome,
    TakedownState,
    TaskKind,
)
from services.notifier.domain.takedown import begin, may_send
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from shared.policy import Policy
from tests.simulation.takedown.invariants import judge, known_and_active
from tests.simulation.takedown.judge import Judge, Look, UnderWay
from tests.unit.notifier.takedown_story import (
    CONTENT,
    HOSTER,
    MATCH,
    SITE,
    START,
    TAKEDOWN,
    TARGET,
    Story,
    surroundings,
)

OTHER = Organisation(
    key="other",
    name="Other",
    domains=("other.test",),
    channel="email",
    posture=Posture.UNKNOWN,
    bound_by=("uk_osa_20a",),
)


class World(Judge):
    """One takedown and the world around it. Every public method is something that can happen."""

    def __init__(
        self, person: bool, distance: int, assurance: Assurance, known: bool, scale: float, page: bool
    ) -> None:
        match = replace(MATCH, distance=distance, assurance=assurance)
        if person:
            match = replace(match, basis="person", distance=None, algorithm=None, asserted_by="person-1")
        target = replace(TARGET, page_url="https://page.site.test/p", page_host="page.site.test") if page else TARGET
        event = MatchReceived(match=match, target=target)
        around = surroundings() if known else surroundings(content=ContentView(), terms=None)
        super().__init__(
            Story(takedown=begin(TAKEDOWN, CONTENT, event, START), policy=Policy(clock_scale=scale), around=around)
        )
        self.looks: list[datetime] = []
        self.tell(event)

    # Time, and what the world knows

    def time_passes(self, wait: timedelta) -> None:
        self.story.now += wait

    def dice(self, jitter: float) -> None:
        self.story.around = replace(self.story.around, jitter=jitter)

    def content_changes(self, state: ContentState, held: bool, told: bool) -> None:
        view = self.story.around.content
        if view.state is ContentState.WITHDRAWN:
            return
        if view.state is not None and state is ContentState.AWAITING_CONFIRMATION:
            return
        self.story.around = replace(self.story.around, content=replace(view, state=state, new_demands_held=held))
        if told or state is ContentState.ACTIVE:
            self.tell(ContentUpdated())

    def fetching_changes(self, stopped: bool) -> None:
        """By a person, or by what a host said of another copy."""
        view = self.story.around.content
        if view.state is ContentState.ACTIVE:
            self.story.around = replace(self.story.around, content=replace(view, fetching_stopped=stopped))
            self.tell(ContentUpdated())

    def withdrawal(self, reason: str | None, sure: bool) -> None:
        if sure:
            view = ContentView(state=ContentState.WITHDRAWN, withdrawn_for=reason)
            self.story.around = replace(self.story.around, content=view)
            self.tell(ContentUpdated())

    def claims_are_gone(self) -> None:
        self.story.around = replace(self.story.around, terms=None)
        self.tell(TermsChanged())

    def terms_change(self, domains: list[str], wait: timedelta | None) -> None:
        not_before = None if wait is None else self.story.now + wait
        self.story.around = replace(
            self.story.around, terms=Terms(do_not_contact=tuple(domains), demands_not_before=not_before)
        )
        self.tell(TermsChanged())

    def directory_changes(self, postures: list[Posture], present: list[bool], reachable: bool, moved: bool) -> None:
        listed = [
            replace(
                one,
                posture=posture,
                channel=one.channel if reachable else None,
                domains=(f"{one.key}.example",) if moved else one.domains,
            )
            for one, posture, there in zip((SITE, HOSTER), postures, present, strict=True)
            if there
        ]
        self.story.around = replace(self.story.around, routes=Routes(organisations=(*listed, OTHER)))
        self.tell(DirectoryChanged())

    def match(self, distance: int, guards: list[Guard], rejected: bool, ref: str) -> None:
        known = self.story.around
        self.story.around = replace(known, rejected=rejected)
        found = replace(MATCH, distance=distance, guards=tuple(guards), fingerprint_ref=ref)
        self.tell(MatchReceived(match=found, target=TARGET))
        self.story.around = replace(self.story.around, rejected=False)

    def flood(self, hosts: int, sure: bool) -> None:
        if sure:
            self.tell(FloodHeld(hosts=hosts))

    # Checks

    def look_begins(self, early: bool) -> None:
        due = self.story.check_at
        if due is None or self.looks:
            return
        if not early:
            self.story.now = max(self.story.now, due)
        self.looks.append(self.story.now)

    def look_ends(self, look: Look) -> None:
        if not self.looks:
            return
        begun = self.looks.pop()
        target = self.story.takedown.target
        paged = target is not None and target.page_url is not None
        facts: dict[str, Any] = {"page_outcome": look.page, "page_status": look.status} if paged else {}
        seen = Outcome.PRESENT in (look.media, look.page if paged else look.media)
        if seen:
            facts |= {"distance": look.distance, "guards": look.guards, "observed": Observed(at=begun, status=200)}
        in_force = self.story.state() not in (*ENDED, TakedownState.SUSPENDED)
        content = self.story.around.content
        stopped = content.state in (ContentState.SUSPENDED, ContentState.WITHDRAWN) or content.fetching_stopped
        whole = combined(look.media, look.page if paged else None)
        silent = whole in (Outcome.BLOCKED, Outcome.INCONCLUSIVE)
        nearly = look.nearly and silent
        dead_page = look.dead and paged and look.page is Outcome.INCONCLUSIVE
        dead_media = look.dead and look.media is Outcome.INCONCLUSIVE
        if in_force and not stopped:
            self.seen_at = begun if seen else None
            self.seen_surely = (seen and self._sure(look)) or (silent and self.seen_surely)
            self._remember(begun, whole, nearly=nearly, dead=self._dead(look, dead_media, dead_page, paged=paged))
        self.tell(
            CheckCompleted(
                check_id=uuid4(),
                started_at=begun,
                outcome=look.media,
                vantage="v",
                status=look.status,
                no_such_domain=dead_media,
                page_no_such_domain=dead_page,
                probably_present=nearly,
                assurance=look.assurance,
                **facts,
            )
        )
        if in_force and not stopped:
            self._judge_silence(begun)

    # Messages

    def attempts_begin(self) -> None:
        story = self.story
        for row in story.due():
            effect = row.effect
            refusal = may_send(story.takedown, effect.demand_id, effect.kind, story.now, story.policy, story.around)
            row.due = None
            if refusal is not None:
                self.tell(
                    OutboundRefused(
                        message_id=effect.message_id,
                        demand_id=effect.demand_id,
                        kind=effect.kind,
                        number=effect.number,
                        refusal=refusal,
                    )
                )
                continue
            self._judge_attempt(effect)
            row.attempts += 1
            self.attempts.append(UnderWay(row=row, started_at=story.now))

    def attempt_ends(self, outcome: AttemptEnded, which: int) -> None:
        if self.attempts:
            self._attempt_ends(self.attempts[which % len(self.attempts)], outcome)

    def _attempt_ends(self, under_way: UnderWay, outcome: AttemptEnded) -> None:
        self.attempts.remove(under_way)
        row, effect = under_way.row, under_way.row.effect
        row.accepted = row.accepted or outcome is AttemptEnded.ACCEPTED
        self.tell(
            AttemptCompleted(
                attempt_id=uuid4(),
                message_id=effect.message_id,
                demand_id=effect.demand_id,
                kind=effect.kind,
                number=effect.number,
                attempt=row.attempts,
                started_at=under_way.started_at,
                outcome=outcome,
                detail="410" if outcome is AttemptEnded.PERMANENT else None,
            )
        )

    def timers_fire(self) -> None:
        story = self.story
        for key, at in sorted(story.timers.items(), key=lambda item: item[1]):
            if at <= story.now and story.timers.pop(key, None) is not None:
                kind, demand_id, number = key
                self.tell(TimerFired(kind=kind, demand_id=demand_id, number=number, due_at=at))

    def things_take_their_course(self, plan: list[tuple[Look, AttemptEnded]]) -> None:
        """What is due next happens, one after the other: looks, attempts, timers. Without it few histories get far."""
        story = self.story
        for look, delivery in plan:
            coming = [one for one in (story.check_at, *story.timers.values()) if one is not None]
            coming += [one.due for one in story.rows.values() if one.due is not None and not one.ended]
            if not coming:
                return
            story.now = max(story.now, min(coming))
            self.attempts_begin()
            for under_way in list(self.attempts):
                self._attempt_ends(under_way, delivery)
            if story.check_at is not None and story.check_at <= story.now:
                self.looks = self.looks or [story.now]
                self.look_ends(look)
            self.timers_fire()

    # Hosts and people

    def host_answers(
        self,
        kind: AnswerKind,
        reason: ResponseReason,
        minor: bool,
        method: RemovalMethod,
        suggests: bool,
        settled: bool,
        which: int,
    ) -> None:
        demands = self.story.takedown.demands
        if not demands:
            return
        demand = demands[which % len(demands)]
        before = self.story.takedown
        self.tell(
            HostAnswered(
                answer_id=uuid4(),
                demand_id=demand.demand_id,
                kind=kind,
                reason=(ResponseReason.POSSIBLE_MINOR if minor else reason) if kind is AnswerKind.RESPONSE else None,
                method=method if kind is AnswerKind.REMOVAL else None,
                suggests_recipient=suggests,
                settled_before=settled,
            )
        )
        after = self.story.takedown
        if demand.state in (DemandState.CLOSED, DemandState.RETRACTED) and known_and_active(self.story):
            assert (after.demands, after.tasks) == (before.demands, before.tasks), "a closed demand's token reads only"
        others = [(one, after.demand(one.demand_id)) for one in before.demands if one.demand_id != demand.demand_id]
        assert all(one == now for one, now in others), "a recipient's word reached another's demand"

    def person_decides(
        self,
        gentle: DecisionKind,
        harsh: DecisionKind,
        sure: bool,
        own_task: bool,
        task: TaskKind | None,
        recipient: str | None,
        person: str,
    ) -> None:
        kind = harsh if sure else gentle
        if own_task and self.story.takedown.tasks:
            task = self.story.takedown.tasks[-1].kind
        if kind is DecisionKind.RELEASE and task is TaskKind.SILENT:
            self.silent_since = None
        demands = self.story.takedown.demands
        self.tell(
            DecisionMade(
                decision_id=uuid4(),
                kind=kind,
                person_id=person,
                task_kind=task,
                recipient=recipient,
                demand_id=demands[-1].demand_id if demands else None,
            )
        )

    def garbage(self, message: MessageKind, refusal: Refusal, outcome: AttemptEnded, timer: TimerKind) -> None:
        """Events of a demand nobody knows change nothing but what the content's state demands anyway."""
        before = self.story.takedown
        nobody: dict[str, Any] = {"message_id": uuid4(), "demand_id": uuid4(), "kind": message, "number": 0}
        self.tell(OutboundRefused(**nobody, refusal=refusal))
        self.tell(AttemptCompleted(**nobody, attempt_id=uuid4(), attempt=1, started_at=self.story.now, outcome=outcome))
        self.tell(TimerFired(kind=timer, demand_id=uuid4(), number=1, due_at=self.story.now))
        self.tell(HostAnswered(answer_id=uuid4(), demand_id=uuid4(), kind=AnswerKind.REMOVAL))
        if self.story.around.content.state is ContentState.ACTIVE:
            assert self.story.takedown == before

    def judge(self) -> None:
        """All that holds at all times."""
        judge(self.story, {one.row.effect.message_id for one in self.attempts})
