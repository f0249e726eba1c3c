"""Judges every step of a takedown by what the looks have said so far, in its own words, apart from the code."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from services.notifier.domain import schedule
from services.notifier.domain.builder import ENDED
from services.notifier.domain.effects import (
    Effect,
    EraseTarget,
    Lifecycle,
    PublishDecision,
    SendMessage,
)
from services.notifier.domain.events import (
    CheckCompleted,
    Event,
)
from services.notifier.domain.ladder import Posture
from services.notifier.domain.model import (
    HoldReason,
    MessageKind,
    Outcome,
    Takedown,
    TakedownState,
    TaskKind,
)
from services.notifier.domain.states import TAKEDOWN as STEPS
from services.notifier.domain.takedown import decide
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from tests.simulation.takedown.invariants import CHECKED
from tests.unit.notifier.takedown_story import (
    Row,
    Story,
)

FIRST = (MessageKind.ISSUED, MessageKind.REAPPEARED)


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


class Judge:
    """Tells events to a takedown and judges what follows; what it remembers is not read from the takedown."""

    def __init__(self, story: Story) -> None:
        self.story = story
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
