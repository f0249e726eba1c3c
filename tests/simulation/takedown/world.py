"""The world around one takedown, in small, and what has to hold in it at all times.

The world around it is the tables' contract in small: a message is sent only after `may_send`, a refused one is parked, an
accepted one is never sent twice, a host's `possible_minor` stops the content's looks at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from services.notifier.domain import schedule
from services.notifier.domain.builder import ANSWERABLE, ASKING, CLOCK_RUNS, ENDED
from services.notifier.domain.check_results import combined
from services.notifier.domain.effects import (
    Effect,
    EraseTarget,
    Lifecycle,
    PublishDecision,
    SendMessage,
)
from services.notifier.domain.events import (
    AnswerKind,
    AttemptCompleted,
    AttemptEnded,
    CheckCompleted,
    ContentUpdated,
    ContentView,
    DecisionMade,
    DirectoryChanged,
    Event,
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
    HoldReason,
    MessageKind,
    Observed,
    Outcome,
    Takedown,
    TakedownState,
    TaskKind,
)
from services.notifier.domain.states import TAKEDOWN as STEPS
from services.notifier.domain.takedown import begin, decide, may_send
from services.notifier.store.takedown_json import from_json, to_json
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from shared.policy import Policy
from tests.unit.notifier.takedown_story import (
    CONTENT,
    HOSTER,
    MATCH,
    SITE,
    START,
    TAKEDOWN,
    TARGET,
    Row,
    Story,
    surroundings,
)

FIRST = (MessageKind.ISSUED, MessageKind.REAPPEARED)
OTHER = Organisation(
    key="other",
    name="Other",
    domains=("other.test",),
    channel="email",
    posture=Posture.UNKNOWN,
    bound_by=("uk_osa_20a",),
)
CHECKED = {
    TakedownState.OPEN,
    TakedownState.VERIFYING,
    TakedownState.REMOVED,
    TakedownState.REAPPEARED,
    TakedownState.UNREMOVED,
}


@dataclass(frozen=True)
class Look:
    """What a check sees."""

    media: Outcome
    page: Outcome
    status: int
    dead: bool
    """The name servers say that there is no such host: of the medium, and of a page that is not clear."""
    nearly: bool
    """What nothing is said of is nearly the content."""
    distance: int | None
    assurance: Assurance | None
    guards: tuple[Guard, ...] = ()


@dataclass
class UnderWay:
    """An attempt whose answer is still to come."""

    row: Row
    started_at: datetime


class World:
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
        self.story = Story(
            takedown=begin(TAKEDOWN, CONTENT, event, START), policy=Policy(clock_scale=scale), around=around
        )
        self.looks: list[datetime] = []
        self.attempts: list[UnderWay] = []
        self.seen_at: datetime | None = None
        """When our last completed look, if it was `present`, was begun. Kept by the test, not read from the takedown."""
        self.seen_in_round: datetime | None = None
        """When this round's looks last saw it, if none has seen it gone since."""
        self.silent_since: datetime | None = None
        """When the first of the looks was begun that have said nothing up to now."""
        self.clear_since: datetime | None = None
        """When the first look was begun that saw it gone, with none since that saw it, or nearly."""
        self.dead_since: datetime | None = None
        """When the first was begun of the looks that found no such host, up to now."""
        self.seen_surely = False
        """Whether rule 4 lets a demand rest on that look. In its own words, apart from the code."""
        self.never_to_be_told: set[str] = set()
        """Recipients that a claim named just before the target was erased."""
        self.tell(event)

    # Every event goes through here, where the steps themselves are judged

    def tell(self, event: Event) -> None:
        story = self.story
        before, now = story.takedown, story.now
        named = {one.recipient for one in before.demands if self._named(one.recipient, one.recipient_domain)}
        again = decide(before, event, now, story.policy, story.around)
        effects = story.tell(event)
        assert (story.takedown, effects) == again, "not deterministic"
        if before.target is not None and story.takedown.target is None:
            self.never_to_be_told = named
        self._judge_step(before, event, effects)
        for effect in effects:
            if isinstance(effect, PublishDecision):
                assert effect.kind is DecisionKind.STOP_FETCHING, "a recipient's word did more than stop our looks"
                story.around = replace(story.around, content=replace(story.around.content, fetching_stopped=True))

    def _judge_step(self, before: Takedown, event: Event, effects: tuple[Effect, ...]) -> None:
        after = self.story.takedown
        entries = [one.sequence for one in effects if isinstance(one, Lifecycle)]
        assert entries == list(range(before.sequence + 1, after.sequence + 1)), "a hole in the sequence"
        if after.state is not before.state and before.state is not TakedownState.SUSPENDED:
            passed = [before.state, *(TakedownState(one.state) for one in effects if isinstance(one, Lifecycle))]
            for state, following in itertools.pairwise(passed):
                assert state is following or following in STEPS[state]
        if after.state is TakedownState.REMOVED and before.state not in (
            TakedownState.REMOVED,
            TakedownState.SUSPENDED,
        ):
            assert isinstance(event, CheckCompleted), "removed by something other than our own check"
            assert event.outcome is not Outcome.PRESENT
            assert event.page_outcome is not Outcome.PRESENT
            assert not self.story.around.content.fetching_stopped, "removed while nothing is looked at"
            self._judge_removal(event)
        if before.state is TakedownState.WITHDRAWN:
            assert after.state is TakedownState.WITHDRAWN
            assert {one.kind for one in effects if isinstance(one, SendMessage)} <= {MessageKind.RETRACTED}
        if after.state is TakedownState.WITHDRAWN and before.state is not TakedownState.WITHDRAWN:
            assert any(isinstance(one, EraseTarget) for one in effects)
        for one in effects:
            if isinstance(one, SendMessage) and one.kind in FIRST and before.demand(one.demand_id) is None:
                self._judge_fresh(one.demand_id)
                self._judge_sure(after.round)

    def _judge_removal(self, event: CheckCompleted) -> None:
        """Seen gone twice, apart, or no such host for 14 days: nothing else confirms, and no status does alone."""
        policy, begun = self.story.policy, event.started_at
        twice = self.clear_since is not None and begun - self.clear_since >= policy.scaled(
            policy.gone_confirmation_after
        )
        dead = self.dead_since is not None and begun - self.dead_since >= policy.scaled(policy.no_such_domain_for)
        assert (twice and self.silent_since is None) or dead, "a removal that no two looks saw"

    def _judge_sure(self, number: int) -> None:
        """Rule 4: the first demand of a round rests on a look that is sure, or on a person's release."""
        takedown = self.story.takedown
        written_to = any(one.attempted_at is not None for one in takedown.demands if one.round == number)
        released = HoldReason.LOW_ASSURANCE in takedown.releases.holds
        assert written_to or released or self.seen_surely, "a demand on a look that is not sure"

    def _sure(self, look: Look) -> bool:
        takedown = self.story.takedown
        if look.distance is None:
            return takedown.releases.reference_adopted
        viewed = (look.assurance or takedown.match.assurance) in (Assurance.VIEWED, Assurance.VIEWED_WITH_SUBJECT)
        return look.distance <= (31 if viewed and not look.guards else 10)

    def _judge_fresh(self, demand_id: UUID) -> None:
        story = self.story
        number = story.takedown.round
        others = [one for one in story.takedown.demands if one.round == number and one.demand_id != demand_id]
        no_look = self.silent_since is not None or story.around.content.fetching_stopped
        if no_look and any(one.may_be_known for one in others):
            assert self.seen_in_round is not None, "a climb past what was seen gone"
            return
        assert self.seen_at is not None, "a demand without our own look"
        assert story.now - self.seen_at <= schedule.observation_valid_for(story.policy), "a demand on an old look"

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

    def _dead(self, look: Look, media: bool, page: bool, *, paged: bool) -> bool:
        clear = (Outcome.GONE, Outcome.MISMATCH)
        all_dead = (media or look.media in clear) and (page or not paged or look.page in clear)
        return all_dead and (media or page)

    def _remember(self, begun: datetime, saw: Outcome, *, nearly: bool, dead: bool) -> None:
        """What the looks have said so far, in the test's own words."""
        silent = saw in (Outcome.BLOCKED, Outcome.INCONCLUSIVE)
        self.silent_since = (self.silent_since or begun) if silent else None
        self.dead_since = (self.dead_since or begun) if dead else None
        if saw is Outcome.PRESENT:
            self.seen_in_round = begun
        if saw is Outcome.PRESENT or nearly:
            self.clear_since = None
        if saw in (Outcome.GONE, Outcome.MISMATCH):
            self.clear_since, self.seen_in_round = self.clear_since or begun, None

    def _judge_silence(self, begun: datetime) -> None:
        """What was asked for and says nothing for too long is a person's."""
        story, policy = self.story, self.story.policy
        if story.state() not in CHECKED - {TakedownState.REMOVED} or self.silent_since is None:
            return
        gone = story.takedown.gone
        if gone is not None and gone.seen_in is TakedownState.DISCOVERED:
            return  # nobody was asked: it is held in its time
        if begun - self.silent_since >= policy.scaled(policy.silent_patience):
            assert story.takedown.task(TaskKind.SILENT) is not None, "silent for days, and nobody knows"

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

    def _judge_attempt(self, effect: SendMessage) -> None:
        story, around = self.story, self.story.around
        demand = story.takedown.demand(effect.demand_id)
        assert demand is not None
        assert story.state() is not TakedownState.SUSPENDED, "sent while suspended"
        assert around.content.state is not ContentState.SUSPENDED, "sent while the content is suspended"
        if story.state() in ENDED or around.content.state is ContentState.WITHDRAWN:
            assert effect.kind is MessageKind.RETRACTED, "sent after the end"
        recipient = around.routes.by_key(demand.recipient)
        assert recipient is not None
        assert recipient.posture is not Posture.HOSTILE, "sent to a hostile recipient"
        terms = around.terms
        assert terms is not None, "sent without a known claim"
        assert demand.recipient not in self.never_to_be_told, "sent to whom a claim named when the target was erased"
        assert not self._named(demand.recipient, demand.recipient_domain), "sent against do_not_contact"
        if effect.kind in FIRST:
            self._judge_fresh(demand.demand_id)
            self._judge_sure(demand.round)
            assert terms.demands_not_before is None or terms.demands_not_before <= story.now
            resumed = story.takedown.resumed_at
            assert resumed is None or (self.seen_at is not None and self.seen_at >= resumed)

    def _named(self, recipient: str, domain: str) -> bool:
        """Whether a claim names this recipient: by a domain of its own, then or now, or by a host of the target that it operates."""
        story = self.story
        entry = story.around.routes.by_key(recipient)
        names = {domain, *(entry.domains if entry else ())}
        target = story.takedown.target
        if target is not None and entry is not None and "site.test" in entry.domains:
            names |= {target.host, target.page_host or target.host}
        return bool(names & set(story.around.terms.do_not_contact if story.around.terms else ()))

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
        if demand.state in (DemandState.CLOSED, DemandState.RETRACTED) and self.told_to_stop():
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

    # What holds at all times

    def at_most_one_demand_for_each_rung_recipient_and_round(self) -> None:
        keys = [(one.rung, one.recipient, one.round) for one in self.story.takedown.demands]
        assert len(keys) == len(set(keys))

    def what_is_checked_has_a_check_to_come_and_what_is_stopped_has_none(self) -> None:
        story = self.story
        coming = story.takedown.next_check
        assert (None if coming is None else coming.at) == story.check_at, "effects and state disagree on the check"
        state = story.state()
        active = story.around.content.state is ContentState.ACTIVE and story.around.terms is not None
        if story.around.content.fetching_stopped:
            assert story.check_at is None or not self.told_to_stop(), "a look is due at what may depict a minor"
        elif state in CHECKED or (state is TakedownState.DISCOVERED and active):
            assert story.check_at is not None
        elif state is TakedownState.HELD:
            assert (story.check_at is not None) == (story.takedown.held_for is HoldReason.ASSERTED)
        elif state in (*ENDED, TakedownState.SUSPENDED):
            assert story.check_at is None
            assert not story.timers

    def told_to_stop(self) -> bool:
        """Whether the content is known and counts: of another nothing is told yet."""
        return self.story.around.content.state is ContentState.ACTIVE

    def what_nobody_was_asked_about_is_held_while_fetching_is_stopped(self) -> None:
        story = self.story
        if story.around.content.fetching_stopped and self.told_to_stop() and story.takedown.sequence:
            assert story.state() is not TakedownState.DISCOVERED
            if story.state() in (TakedownState.OPEN, TakedownState.VERIFYING):
                assert story.takedown.demands, "going on although nobody was asked"

    def what_waits_for_a_person_has_a_task(self) -> None:
        takedown = self.story.takedown
        if takedown.state is TakedownState.HELD and takedown.held_for is not HoldReason.DISPUTE:
            assert takedown.tasks
        if takedown.state is TakedownState.UNREMOVED and not takedown.climb.wanted:
            opened = [one.facts["task"] for one in self.story.happened("task.opened")]
            assert TaskKind.LADDER_EXHAUSTED.value in opened
        assert len({one.kind for one in takedown.tasks}) == len(takedown.tasks)

    def an_open_takedown_is_never_silent(self) -> None:
        """Somebody is being asked, or somebody is to be asked, or a person has a task."""
        story = self.story
        takedown = story.takedown
        if takedown.state not in ASKING - {TakedownState.UNREMOVED} or takedown.climb.wanted:
            return
        rows = {(row.effect.demand_id, row.effect.kind): row for row in story.rows.values()}
        under_way = {one.row.effect.message_id for one in self.attempts}
        timers = {(kind, demand_id) for kind, demand_id, _ in story.timers}
        for demand in takedown.demands:
            if demand.round != takedown.round or demand.escalated:
                continue
            if demand.state is DemandState.DUE:
                row = rows[demand.demand_id, demand.kind]
                if demand.parked or row.effect.message_id in under_way or (row.due is not None and not row.ended):
                    return
            elif demand.state in CLOCK_RUNS and (TimerKind.DEADLINE, demand.demand_id) in timers:
                return
        raise AssertionError("nobody is asked, and nobody knows")

    def withdrawn_holds_no_url_and_no_fingerprint(self) -> None:
        takedown = self.story.takedown
        if takedown.state is TakedownState.WITHDRAWN:
            assert takedown.target is None
            assert takedown.last_seen is None
            assert takedown.match.fingerprint_ref is None
            assert b"site.test/" not in to_json(takedown)

    def a_removed_or_ended_takedown_has_no_open_demand(self) -> None:
        takedown = self.story.takedown
        if takedown.state is TakedownState.REMOVED:
            assert {one.state for one in takedown.demands} <= {DemandState.CLOSED, DemandState.RETRACTED}
        if takedown.state in (TakedownState.REMOVED, *ENDED):
            assert not [
                one for one in takedown.demands if one.state in (*ANSWERABLE, DemandState.DUE, DemandState.EXPIRED)
            ]

    def what_means_something_in_some_states_exists_in_them_alone(self) -> None:
        takedown = self.story.takedown
        lasting = takedown.lasting_state
        assert (takedown.suspension is not None) == (takedown.state is TakedownState.SUSPENDED)
        assert (takedown.held_for is not None) == (lasting is TakedownState.HELD)
        assert (takedown.gone is not None) == (lasting is TakedownState.VERIFYING)
        assert (takedown.removal is not None) == (lasting is TakedownState.REMOVED)
        assert (takedown.retraction is not None) == (lasting in ENDED)
        if takedown.first_look is not None:
            first = takedown.gone is not None and takedown.gone.seen_in is TakedownState.DISCOVERED
            assert first or lasting is TakedownState.DISCOVERED
        for demand in takedown.demands:
            assert (demand.retraction is not None) == (demand.state is DemandState.RETRACTED)

    def it_survives_the_table(self) -> None:
        assert from_json(to_json(self.story.takedown)) == self.story.takedown

    def judge(self) -> None:
        """All that holds at all times."""
        self.at_most_one_demand_for_each_rung_recipient_and_round()
        self.what_is_checked_has_a_check_to_come_and_what_is_stopped_has_none()
        self.what_nobody_was_asked_about_is_held_while_fetching_is_stopped()
        self.what_waits_for_a_person_has_a_task()
        self.an_open_takedown_is_never_silent()
        self.withdrawn_holds_no_url_and_no_fingerprint()
        self.a_removed_or_ended_takedown_has_no_open_demand()
        self.what_means_something_in_some_states_exists_in_them_alone()
        self.it_survives_the_table()
