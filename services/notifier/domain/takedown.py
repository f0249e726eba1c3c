"""The state machine of a takedown: `decide(takedown, event, now, policy, around) -> (takedown, effects)`. Pure and total.

An event that means nothing in a state gives the same takedown and no effects, or a lifecycle note. Nothing a recipient does
can end a takedown: only our own checks confirm a removal. The parts are in `machine/`; which state may follow which is the
table in `states.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from services.notifier.domain import check_results, decisions, deliveries, endings, holds, host_answers
from services.notifier.domain.builder import ASKING, ENDED, LOOKED_AT, SETTLED, TakedownBuilder
from services.notifier.domain.effects import Effect, PublishTarget
from services.notifier.domain.events import (
    AttemptCompleted,
    CheckCompleted,
    ContentUpdated,
    DecisionContext,
    DecisionMade,
    DirectoryChanged,
    Event,
    FloodHeld,
    HostAnswered,
    JobFailed,
    MatchReceived,
    OutboundRefused,
    Refusal,
    TermsChanged,
    TimerFired,
)
from services.notifier.domain.model import (
    HoldReason,
    MatchFacts,
    MessageKind,
    Outcome,
    Takedown,
    TakedownState,
    TaskKind,
)
from shared.contracts.content import ContentState
from shared.contracts.matches import NEVER_ACTED_ON
from shared.policy import Policy

FAILING_TASKS = {"check": TaskKind.CHECK_FAILS, "message": TaskKind.MESSAGE_FAILS}


def begin(takedown_id: UUID, content_id: UUID, event: MatchReceived, now: datetime) -> Takedown:
    """The takedown of a match heard for the first time, to be handed to `decide` with that match. Not for a match of withdrawn
    content, or one that must not be acted on (`acts_on`): those create nothing."""
    return Takedown(
        takedown_id=takedown_id,
        content_id=content_id,
        target_kind=event.target.kind,
        target=event.target,
        match=event.match,
        created_at=now,
        changed_at=now,
    )


def acts_on(event: MatchReceived) -> bool:
    """False for a match whose guards say that it is never acted on."""
    return NEVER_ACTED_ON.isdisjoint(event.match.guards)


def decide(
    takedown: Takedown, event: Event, now: datetime, policy: Policy, around: DecisionContext
) -> tuple[Takedown, tuple[Effect, ...]]:
    """The takedown after this event, and what follows from it."""
    draft = TakedownBuilder(takedown, now, policy, around)
    _stop_if_content_stopped(draft)
    match event:
        case MatchReceived():
            _matched(draft, event)
        case ContentUpdated():
            _content_changed(draft)
        case TermsChanged():
            _terms_changed(draft)
        case DirectoryChanged():
            _directory_changed(draft)
        case CheckCompleted():
            check_results.completed(draft, event)
        case AttemptCompleted():
            deliveries.attempted(draft, event)
        case OutboundRefused():
            deliveries.refused(draft, event)
        case HostAnswered():
            host_answers.answered(draft, event)
        case TimerFired():
            deliveries.timer_fired(draft, event)
        case DecisionMade():
            decisions.decided(draft, event)
        case FloodHeld():
            _flood(draft, event)
        case JobFailed():
            draft.open_task(FAILING_TASKS[event.job], "unforeseen")
    if draft.fetching_stopped:
        holds.stop_fetching(draft)
    return draft.finished()


def may_send(
    takedown: Takedown, demand_id: UUID, kind: MessageKind, now: datetime, policy: Policy, around: DecisionContext
) -> Refusal | None:
    """Whether this message may be attempted now; asked before every attempt. A refusal is handed to `decide` as
    `OutboundRefused`, and the message is parked (not due) until an effect names it again."""
    return deliveries.refusal_to_send(TakedownBuilder(takedown, now, policy, around), takedown.demand(demand_id), kind)


def decision_refused(takedown: Takedown, decision: DecisionMade, now: datetime, policy: Policy) -> str | None:
    """Why this decision cannot be taken on this takedown now (a word for the API's answer), or None."""
    return decisions.refusal_to_decide(takedown, decision, now, policy)


def _stop_if_content_stopped(draft: TakedownBuilder) -> None:
    """A suspension or a withdrawal counts from the moment its row says so, whichever event is heard first."""
    content = draft.around.content
    if content.state is ContentState.WITHDRAWN:
        endings.withdraw(draft, content.withdrawn_for)
    elif content.state is ContentState.SUSPENDED:
        endings.suspend(draft, "content", content.suspended_for or "unknown")


def _content_changed(draft: TakedownBuilder) -> None:
    if draft.around.content.state is not ContentState.ACTIVE:
        return
    disputed = draft.around.content.new_demands_held
    endings.resume(draft, "content")
    if draft.state in (TakedownState.REJECTED, TakedownState.DISMISSED):
        endings.tell_again(draft)
    elif draft.takedown.held_for is HoldReason.DISPUTE and draft.state is TakedownState.HELD and not disputed:
        holds.look_again(draft, "dispute_settled")
    if not draft.fetching_stopped:
        _fetching_allowed(draft)
    holds.start(draft)
    _look_if_waiting(draft, "content_changed")


def _fetching_allowed(draft: TakedownBuilder) -> None:
    """A person has decided: what was looked at before is looked at again, and what was held for it begins."""
    draft.close_task(TaskKind.POSSIBLE_MINOR, "decided")
    takedown = draft.takedown
    if draft.state is TakedownState.HELD and takedown.held_for is HoldReason.FETCHING_STOPPED:
        holds.begin_again(draft, "fetching_resumed")
    elif takedown.next_check is None and (
        draft.state in LOOKED_AT or (takedown.held_for is HoldReason.ASSERTED and draft.state is TakedownState.HELD)
    ):
        draft.check(draft.now, "fetching_resumed")


def _terms_changed(draft: TakedownBuilder) -> None:
    if draft.state in ENDED:
        endings.tell_again(draft)  # of some nobody knew whether they may hear it
    holds.start(draft)
    _look_if_waiting(draft, "terms_changed")


def _directory_changed(draft: TakedownBuilder) -> None:
    if draft.state is TakedownState.UNREMOVED:
        draft.change_climb(wanted=True)
    _look_if_waiting(draft, "directory_changed")


def _look_if_waiting(draft: TakedownBuilder, reason: str) -> None:
    """What stood against a demand may be gone: look, then ask."""
    waiting = draft.takedown.climb.wanted or any(one.parked for one in draft.current_demands())
    content = draft.around.content
    if draft.state in ASKING and waiting and content.state is ContentState.ACTIVE and not content.new_demands_held:
        draft.check(draft.now, reason)


# Matches


def _matched(draft: TakedownBuilder, event: MatchReceived) -> None:
    if draft.takedown.target is None or draft.state is TakedownState.WITHDRAWN:
        return
    new = draft.before.sequence == 0
    facts: dict[str, str | int | bool] = {"basis": event.match.basis}
    for name, seen in (("sighting_id", event.match.sighting_id), ("report_id", event.match.report_id)):
        if seen is not None:
            facts[name] = str(seen)
    if event.match.distance is not None:
        facts["distance"] = event.match.distance
    if not acts_on(event):
        draft.note("match.ignored", **facts)
        return
    draft.note("match.received", **facts)
    if new:
        draft.emit(PublishTarget())
    _learn_page(draft, event)
    anew = _learn_url(draft, event)
    if draft.around.rejected:
        # Of another picture at the same place nothing is said.
        same = event.match.fingerprint_ref == draft.takedown.match.fingerprint_ref
        if draft.state is TakedownState.DISCOVERED and same:
            endings.reject_silently(draft)
        return
    _act_on_match(draft, event.match)
    if anew:
        _look_at_new_url(draft)


def _act_on_match(draft: TakedownBuilder, match: MatchFacts) -> None:
    takedown = draft.takedown
    match draft.state:
        case TakedownState.DISCOVERED:
            draft.change(match=_surer(takedown.match, match, draft.policy))
            holds.start(draft)
        case TakedownState.HELD:
            if takedown.held_for is HoldReason.LOW_ASSURANCE and holds.match_is_sure(match, draft.policy):
                draft.change(match=match)
                holds.look_again(draft, "surer_match")
        case TakedownState.REMOVED:
            draft.check(draft.now, "match_after_removal")
        case TakedownState.REJECTED:
            if match.fingerprint_ref is None or match.fingerprint_ref != takedown.match.fingerprint_ref:
                draft.change(match=match, releases=replace(takedown.releases, holds=()))
                endings.held_after_rejection(draft)
        case _:
            looked = takedown.last_check
            if looked is None or draft.now - looked.at >= draft.policy.scaled(draft.policy.resighting_after):
                draft.check(draft.now, "seen_again")


def _surer(known: MatchFacts, heard: MatchFacts, policy: Policy) -> MatchFacts:
    """The one of two matches that lets more happen; the known one where they are alike."""
    return heard if holds.match_is_sure(heard, policy) and not holds.match_is_sure(known, policy) else known


def _learn_page(draft: TakedownBuilder, event: MatchReceived) -> None:
    """The page is an attribute of the target: the first one known is kept."""
    target = draft.takedown.target
    if target is not None and target.page_url is None and event.target.page_url is not None:
        learnt = replace(target, page_url=event.target.page_url, page_host=event.target.page_host)
        draft.change(target=learnt)
        draft.emit(PublishTarget())


def _learn_url(draft: TakedownBuilder, event: MatchReceived) -> bool:
    """Of one file under ever new signatures the newest URL is looked at, and quoted: an older one may have expired. What an open
    demand quotes stays as it is. Whether the URL is another now."""
    takedown = draft.takedown
    target, newer = takedown.target, event.target
    if target is None or newer.url == target.url or newer.seen_at is None:
        return False
    if newer.seen_at <= (target.seen_at or takedown.match.seen_at) or _is_quoted(draft):
        return False
    draft.change(target=replace(target, url=newer.url, seen_at=newer.seen_at))
    draft.emit(PublishTarget())
    return True


def _is_quoted(draft: TakedownBuilder) -> bool:
    return draft.around.attempt_under_way or any(
        one.may_be_known and one.state not in SETTLED for one in draft.current_demands()
    )


def _look_at_new_url(draft: TakedownBuilder) -> None:
    """Where the older URL told nothing, the newer one may."""
    takedown = draft.takedown
    if draft.state is TakedownState.HELD and takedown.held_for is HoldReason.FIRST_CHECK:
        holds.look_again(draft, "seen_at_new_url")
    elif takedown.last_check is not None and takedown.last_check.outcome in (Outcome.BLOCKED, Outcome.INCONCLUSIVE):
        draft.check(draft.now, "seen_at_new_url")


def _flood(draft: TakedownBuilder, event: FloodHeld) -> None:
    """Only what nobody was asked about yet is held."""
    takedown = draft.takedown
    early = draft.state in (TakedownState.DISCOVERED, TakedownState.OPEN) and not takedown.demands
    if early and HoldReason.FLOOD not in takedown.releases.holds:
        holds.hold(draft, HoldReason.FLOOD, hosts=event.hosts)
