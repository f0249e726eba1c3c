"""The state machine of a takedown: `decide(takedown, event, now, policy, around) -> (takedown, effects)`. Pure and total.

An event that means nothing in a state gives the same takedown and no effects, or a lifecycle note. Nothing a recipient does
can end a takedown: only our own checks confirm a removal. The other files of this room are its parts; which state
may follow which is the table in `states.py`.
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
    builder = TakedownBuilder(takedown, now, policy, around)
    _stop_if_content_stopped(builder)
    match event:
        case MatchReceived():
            _matched(builder, event)
        case ContentUpdated():
            _content_changed(builder)
        case TermsChanged():
            _terms_changed(builder)
        case DirectoryChanged():
            _directory_changed(builder)
        case CheckCompleted():
            check_results.completed(builder, event)
        case AttemptCompleted():
            deliveries.attempted(builder, event)
        case OutboundRefused():
            deliveries.refused(builder, event)
        case HostAnswered():
            host_answers.answered(builder, event)
        case TimerFired():
            deliveries.timer_fired(builder, event)
        case DecisionMade():
            decisions.decided(builder, event)
        case FloodHeld():
            _flood(builder, event)
        case JobFailed():
            builder.open_task(FAILING_TASKS[event.job], "unforeseen")
    if builder.fetching_stopped:
        holds.stop_fetching(builder)
    return builder.finished()


def may_send(
    takedown: Takedown, demand_id: UUID, kind: MessageKind, now: datetime, policy: Policy, around: DecisionContext
) -> Refusal | None:
    """Whether this message may be attempted now; asked before every attempt. A refusal is handed to `decide` as
    `OutboundRefused`, and the message is parked (not due) until an effect names it again."""
    return deliveries.refusal_to_send(TakedownBuilder(takedown, now, policy, around), takedown.demand(demand_id), kind)


def decision_refused(takedown: Takedown, decision: DecisionMade, now: datetime, policy: Policy) -> str | None:
    """Why this decision cannot be taken on this takedown now (a word for the API's answer), or None."""
    return decisions.refusal_to_decide(takedown, decision, now, policy)


def _stop_if_content_stopped(builder: TakedownBuilder) -> None:
    """Suspend or withdraw the takedown as soon as the content's row says so, whichever event comes first."""
    content = builder.around.content
    if content.state is ContentState.WITHDRAWN:
        endings.withdraw(builder, content.withdrawn_for)
    elif content.state is ContentState.SUSPENDED:
        endings.suspend(builder, "content", content.suspended_for or "unknown")


def _content_changed(builder: TakedownBuilder) -> None:
    if builder.around.content.state is not ContentState.ACTIVE:
        return
    disputed = builder.around.content.new_demands_held
    endings.resume(builder, "content")
    if builder.state in (TakedownState.REJECTED, TakedownState.DISMISSED):
        endings.send_retractions_again(builder)
    elif builder.takedown.held_for is HoldReason.DISPUTE and builder.state is TakedownState.HELD and not disputed:
        holds.look_again(builder, "dispute_settled")
    if not builder.fetching_stopped:
        _fetching_allowed(builder)
    holds.start(builder)
    _look_if_waiting(builder, "content_changed")


def _fetching_allowed(builder: TakedownBuilder) -> None:
    """Look again, since a person has decided that the content may be fetched: what was held for that begins."""
    builder.close_task(TaskKind.POSSIBLE_MINOR, "decided")
    takedown = builder.takedown
    if builder.state is TakedownState.HELD and takedown.held_for is HoldReason.FETCHING_STOPPED:
        holds.begin_again(builder, "fetching_resumed")
    elif takedown.next_check is None and (
        builder.state in LOOKED_AT or (takedown.held_for is HoldReason.ASSERTED and builder.state is TakedownState.HELD)
    ):
        builder.check(builder.now, "fetching_resumed")


def _terms_changed(builder: TakedownBuilder) -> None:
    if builder.state in ENDED:
        endings.send_retractions_again(builder)  # of some it was unknown whether they may be written to
    holds.start(builder)
    _look_if_waiting(builder, "terms_changed")


def _directory_changed(builder: TakedownBuilder) -> None:
    if builder.state is TakedownState.UNREMOVED:
        builder.change_climb(wanted=True)
    _look_if_waiting(builder, "directory_changed")


def _look_if_waiting(builder: TakedownBuilder, reason: str) -> None:
    """Look, then ask, since what stood against a demand may be gone."""
    waiting = builder.takedown.climb.wanted or any(one.parked for one in builder.current_demands())
    content = builder.around.content
    if builder.state in ASKING and waiting and content.state is ContentState.ACTIVE and not content.new_demands_held:
        builder.check(builder.now, reason)


# Matches


def _matched(builder: TakedownBuilder, event: MatchReceived) -> None:
    if builder.takedown.target is None or builder.state is TakedownState.WITHDRAWN:
        return
    new = builder.before.sequence == 0
    facts: dict[str, str | int | bool] = {"basis": event.match.basis}
    for name, seen in (("sighting_id", event.match.sighting_id), ("report_id", event.match.report_id)):
        if seen is not None:
            facts[name] = str(seen)
    if event.match.distance is not None:
        facts["distance"] = event.match.distance
    if not acts_on(event):
        builder.note("match.ignored", **facts)
        return
    builder.note("match.received", **facts)
    if new:
        builder.emit(PublishTarget())
    _learn_page(builder, event)
    anew = _learn_url(builder, event)
    if builder.around.rejected:
        # Of another picture at the same place nothing is said.
        same = event.match.fingerprint_ref == builder.takedown.match.fingerprint_ref
        if builder.state is TakedownState.DISCOVERED and same:
            endings.reject_silently(builder)
        return
    _act_on_match(builder, event.match)
    if anew:
        _look_at_new_url(builder)


def _act_on_match(builder: TakedownBuilder, match: MatchFacts) -> None:
    takedown = builder.takedown
    match builder.state:
        case TakedownState.DISCOVERED:
            builder.change(match=_surer(takedown.match, match, builder.policy))
            holds.start(builder)
        case TakedownState.HELD:
            if takedown.held_for is HoldReason.LOW_ASSURANCE and holds.match_is_sure(match, builder.policy):
                builder.change(match=match)
                holds.look_again(builder, "surer_match")
            elif holds.rests_on_another_key(takedown, match, builder.policy):
                builder.change(match=match)
                holds.look_again(builder, "other_key")
        case TakedownState.REMOVED:
            builder.check(builder.now, "match_after_removal")
        case TakedownState.REJECTED:
            if match.fingerprint_ref is None or match.fingerprint_ref != takedown.match.fingerprint_ref:
                builder.change(match=match, releases=replace(takedown.releases, holds=()))
                endings.held_after_rejection(builder)
        case _:
            looked = takedown.last_check
            if looked is None or builder.now - looked.at >= builder.policy.scaled(builder.policy.resighting_after):
                builder.check(builder.now, "seen_again")


def _surer(known: MatchFacts, heard: MatchFacts, policy: Policy) -> MatchFacts:
    """The one of two matches that lets more happen; the known one where they are alike."""
    return heard if holds.match_is_sure(heard, policy) and not holds.match_is_sure(known, policy) else known


def _learn_page(builder: TakedownBuilder, event: MatchReceived) -> None:
    """Keep the first page that is known: it is an attribute of the target."""
    target = builder.takedown.target
    if target is not None and target.page_url is None and event.target.page_url is not None:
        learnt = replace(target, page_url=event.target.page_url, page_host=event.target.page_host)
        builder.change(target=learnt)
        builder.emit(PublishTarget())


def _learn_url(builder: TakedownBuilder, event: MatchReceived) -> bool:
    """Keep the newest URL of one file under ever new signatures, since an older one may have expired. What an open demand quotes stays as
    it is. Returns whether the URL is another now."""
    takedown = builder.takedown
    target, newer = takedown.target, event.target
    if target is None or newer.url == target.url or newer.seen_at is None:
        return False
    if newer.seen_at <= (target.seen_at or takedown.match.seen_at) or _is_quoted(builder):
        return False
    builder.change(target=replace(target, url=newer.url, seen_at=newer.seen_at))
    builder.emit(PublishTarget())
    return True


def _is_quoted(builder: TakedownBuilder) -> bool:
    return builder.around.attempt_under_way or any(
        one.may_be_known and one.state not in SETTLED for one in builder.current_demands()
    )


def _look_at_new_url(builder: TakedownBuilder) -> None:
    """Look at the newer URL where the look at the older one was not conclusive."""
    takedown = builder.takedown
    if builder.state is TakedownState.HELD and takedown.held_for is HoldReason.FIRST_CHECK:
        holds.look_again(builder, "seen_at_new_url")
    elif takedown.last_check is not None and takedown.last_check.outcome in (Outcome.BLOCKED, Outcome.INCONCLUSIVE):
        builder.check(builder.now, "seen_at_new_url")


def _flood(builder: TakedownBuilder, event: FloodHeld) -> None:
    """Hold the takedown, if nobody was asked about it yet."""
    takedown = builder.takedown
    early = builder.state in (TakedownState.DISCOVERED, TakedownState.OPEN) and not takedown.demands
    if early and HoldReason.FLOOD not in takedown.releases.holds:
        holds.hold(builder, HoldReason.FLOOD, hosts=event.hosts)
