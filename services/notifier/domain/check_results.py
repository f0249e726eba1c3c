"""What our own checks mean: only they confirm a removal, and only they let a demand out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.notifier.domain import contact_rules, schedule
from services.notifier.domain.builder import ANSWERABLE, STOPPED, UNFINISHED, TakedownBuilder
from services.notifier.domain.demands import (
    ask_next,
    escalate,
    expire_overdue,
    needs_release,
    seen_lately,
    set_timers,
    unpark,
)
from services.notifier.domain.effects import CancelMessages, CancelTimers
from services.notifier.domain.events import CheckCompleted
from services.notifier.domain.holds import check_is_sure, hold, look_later, unhold
from services.notifier.domain.model import (
    ConfirmedRemoval,
    Demand,
    DemandState,
    FirstLook,
    GoneObservation,
    HoldReason,
    LastCheck,
    LastSeen,
    MessageKind,
    Outcome,
    RemovalReports,
    TakedownState,
    TaskKind,
)

HTTP_GONE = 410
"""RFC 9110, 15.5.11: likely permanent. The one status that confirms alone."""


def combined(media: Outcome, page: Outcome | None) -> Outcome:
    """Media and page as one: seen on either is seen; clear only where both are.

    A page that answers without agreeing media is clear, whatever else it shows.
    """
    if page is None or media is Outcome.PRESENT:
        return media
    if page is Outcome.PRESENT:
        return Outcome.PRESENT
    if page in (Outcome.GONE, Outcome.MISMATCH):
        return media
    return media if media in (Outcome.BLOCKED, Outcome.INCONCLUSIVE) else page


def completed(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """One look at the target ended."""
    if draft.state in STOPPED:
        draft.note("check.ignored", outcome=event.outcome.value)
        return
    outcome = combined(event.outcome, event.page_outcome)
    _record(draft, event, outcome)
    match outcome:
        case Outcome.PRESENT:
            _present(draft, event)
        case Outcome.GONE:
            _gone(draft, event, "gone")
        case Outcome.MISMATCH:
            _mismatch(draft, event)
        case Outcome.BLOCKED | Outcome.INCONCLUSIVE:
            _said_nothing(draft, event)


def _record(draft: TakedownBuilder, event: CheckCompleted, outcome: Outcome) -> None:
    takedown = draft.takedown
    # Not one asked for in the future: the clock was set back since, and the check would be due again and again.
    due, last = takedown.next_check, takedown.last_check
    asked_meanwhile = due is not None and event.started_at < due.asked_at <= draft.now
    draft.check_ended = True
    if not asked_meanwhile:
        draft.no_check()
    silent_since = event.started_at if last is None or last.unanswered_since is None else last.unanswered_since
    unanswered = None if event.answered else silent_since
    draft.change(last_check=LastCheck(at=event.started_at, outcome=outcome, unanswered_since=unanswered))
    facts: dict[str, str | int | bool] = {"check_id": str(event.check_id), "vantage": event.vantage}
    if event.reason is not None:
        facts["reason"] = event.reason
    if event.status is not None:
        facts["status"] = event.status
    if event.distance is not None:
        facts["distance"] = event.distance
    if event.guards:
        facts["guards"] = " ".join(event.guards)
    if event.page_outcome is not None:
        facts |= {"media": event.outcome.value, "page": event.page_outcome.value}
    draft.note(f"check.{outcome.value}", **facts)


# Seen


def _present(draft: TakedownBuilder, event: CheckCompleted) -> None:
    gone, seen = draft.takedown.gone, draft.takedown.last_seen
    observed = event.observed or (None if seen is None else seen.observed)
    surely = check_is_sure(draft, event)
    draft.change(last_seen=LastSeen(at=event.started_at, surely=surely, observed=observed), gone=None)
    match draft.state:
        case TakedownState.DISCOVERED:
            _first_seen(draft, event)
        case TakedownState.HELD:
            _seen_while_held(draft, event)
        case TakedownState.VERIFYING:
            if gone is None or gone.seen_in is TakedownState.DISCOVERED:
                _first_seen(draft, event)
            else:
                draft.move(gone.seen_in, reason="seen_again")
                for demand in draft.current_demands():
                    set_timers(draft, demand)
                _pursue(draft, event)
        case TakedownState.REMOVED:
            _seen_after_removal(draft, event)
        case _:
            _pursue(draft, event)


def _first_seen(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """Before the first demand. Rule 4 once more, on what our own check saw: a match may be surer than the picture is."""
    released = draft.takedown.releases.holds
    if draft.takedown.match.basis == "person" and event.distance is None and HoldReason.ASSERTED not in released:
        hold(draft, HoldReason.ASSERTED)
    elif HoldReason.LOW_ASSURANCE not in released and not check_is_sure(draft, event):
        hold(draft, HoldReason.LOW_ASSURANCE, distance=-1 if event.distance is None else event.distance)
    elif draft.around.content.new_demands_held:
        hold(draft, HoldReason.DISPUTE)
    else:
        if draft.state is TakedownState.HELD:
            unhold(draft, "seen")
        draft.change(first_look=None, removal=None)
        draft.change_climb(wanted=True)
        draft.move(TakedownState.OPEN)
        _pursue(draft, event)


def _seen_while_held(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """Our own look settles a hold that waited for one; the others wait for a person."""
    reason = draft.takedown.held_for
    settled = reason in (HoldReason.FIRST_CHECK, HoldReason.ASSERTED, HoldReason.LOW_ASSURANCE)
    if settled and event.distance is not None and check_is_sure(draft, event):
        _first_seen(draft, event)
    elif reason is HoldReason.ASSERTED:
        look_later(draft)


def _seen_after_removal(draft: TakedownBuilder, event: CheckCompleted) -> None:
    if not draft.takedown.demands:
        _first_seen(draft, event)
        return
    draft.next_round()
    draft.change(removal=None)
    draft.change_climb(wanted=True)
    draft.move(TakedownState.REAPPEARED)
    _pursue(draft, event)


def _pursue(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """Seen, and demands are made: who is late, who was wrong, who is next."""
    expire_overdue(draft)
    for demand in draft.current_demands():
        if demand.state is DemandState.REPORTED_REMOVED:
            _false_report(draft, demand, event.started_at)
    if needs_release(draft):
        _wait_for_release(draft)
    elif seen_lately(draft):
        draft.close_task(TaskKind.LOW_ASSURANCE, "seen")
        unpark(draft)
        _send_wanted_reminders(draft)
        ask_next(draft)
    elif draft.takedown.climb.wanted or any(one.parked for one in draft.current_demands()):
        draft.check(draft.now, "stale")
    look_later(draft)


def _wait_for_release(draft: TakedownBuilder) -> None:
    if draft.takedown.climb.wanted or any(one.state is DemandState.DUE for one in draft.current_demands()):
        draft.note("demand.waits", reason=HoldReason.LOW_ASSURANCE.value)
        draft.open_task(TaskKind.LOW_ASSURANCE, HoldReason.LOW_ASSURANCE.value)


def _false_report(draft: TakedownBuilder, demand: Demand, looked_at: datetime) -> None:
    """The host says removed, our look (begun after its word) sees it. Told once; at the second time the next rung is asked."""
    reports = demand.removal_reports
    if reports is None or reports.at is None or looked_at <= reports.at:
        return
    after = DemandState.EXPIRED if demand.escalated else DemandState.DELIVERED
    draft.move_demand(demand.demand_id, after, reason="still_present")
    demand = draft.change_demand(demand.demand_id, removal_reports=RemovalReports(at=None, false=reports.false + 1))
    if reports.false == 0:
        draft.send(demand, MessageKind.STILL_PRESENT, 1)
    else:
        escalate(draft, demand, "false_report")


def _send_wanted_reminders(draft: TakedownBuilder) -> None:
    for demand in draft.current_demands():
        number = None if demand.delivery is None else demand.delivery.reminder_wanted
        if number is None:
            continue
        draft.change_delivery(demand.demand_id, reminder_wanted=None)
        if demand.state in ANSWERABLE and not demand.escalated:
            draft.change_delivery(demand.demand_id, reminders=number)
            draft.note_demand("demand.reminded", demand, number=number)
            draft.send(demand, MessageKind.REMINDED, number)


# Not seen


def _mismatch(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """Other media. After our own `present` it counts as replaced; before it, a person is needed."""
    if draft.state is TakedownState.HELD:
        _still_held(draft)
    elif _before_first_sight(draft) and draft.takedown.last_seen is None:
        hold(draft, HoldReason.FIRST_CHECK, outcome="mismatch")
    else:
        _gone(draft, event, "replaced")


def _before_first_sight(draft: TakedownBuilder) -> bool:
    """Whether the first look is still to come, or is the one under way."""
    gone = draft.takedown.gone
    return draft.state is TakedownState.DISCOVERED or (gone is not None and gone.seen_in is TakedownState.DISCOVERED)


def _still_held(draft: TakedownBuilder) -> None:
    if draft.takedown.held_for is HoldReason.ASSERTED:
        look_later(draft)


def _gone(draft: TakedownBuilder, event: CheckCompleted, reason: str) -> None:
    policy = draft.policy
    alone = event.status == HTTP_GONE and event.outcome is Outcome.GONE
    alone = alone and (event.page_outcome is None or event.page_status == HTTP_GONE)
    match draft.state:
        case TakedownState.HELD:
            _still_held(draft)
        case TakedownState.REMOVED:
            _watch(draft)
        case TakedownState.VERIFYING:
            gone = draft.takedown.gone
            since = event.started_at if gone is None else gone.since
            if alone or event.started_at - since >= policy.scaled(policy.gone_confirmation_after):
                _removed(draft, reason)
            else:
                if gone is not None:
                    draft.change(gone=replace(gone, reason=reason))
                draft.check(since + policy.scaled(policy.gone_confirmation_after), "confirmation")
        case _ if alone:
            _removed(draft, reason)
        case _:
            draft.change(gone=GoneObservation(since=event.started_at, reason=reason, seen_in=draft.state))
            draft.move(TakedownState.VERIFYING, reason=reason)
            draft.check(draft.now + policy.scaled(policy.gone_confirmation_after), "confirmation")


def _said_nothing(draft: TakedownBuilder, event: CheckCompleted) -> None:
    policy, takedown = draft.policy, draft.takedown
    if draft.state is TakedownState.HELD:
        _still_held(draft)
    elif draft.state is TakedownState.REMOVED:
        _watch(draft)
    elif _before_first_sight(draft):
        known = takedown.first_look or FirstLook(since=event.started_at)
        since, checks = known.since, known.checks + 1
        draft.change(first_look=FirstLook(since=since, checks=checks))
        if schedule.out_of_patience(now=draft.now, since=since, policy=policy):
            hold(
                draft, HoldReason.FIRST_CHECK, outcome=takedown.last_check.outcome.value if takedown.last_check else ""
            )
            return
        draft.check(
            schedule.first_check_retry(
                check=checks, now=draft.now, since=since, jitter=draft.around.jitter, policy=policy
            ),
            "first_look_again",
        )
    elif _site_dead(draft, event):
        _removed(draft, "site_dead")
    else:
        draft.check(
            schedule.routine(
                every=policy.check_inconclusive_retry, now=draft.now, jitter=draft.around.jitter, policy=policy
            ),
            "said_nothing",
        )


def _site_dead(draft: TakedownBuilder, event: CheckCompleted) -> bool:
    # Of a page that answers without being clear nobody knows what it shows.
    page_answers = event.page_outcome is Outcome.BLOCKED or event.page_status is not None
    if page_answers and event.page_outcome not in (Outcome.GONE, Outcome.MISMATCH):
        return False
    last = draft.takedown.last_check
    since = None if last is None else last.unanswered_since
    return since is not None and event.started_at - since >= draft.policy.scaled(draft.policy.site_dead_after)


# Removed


def _removed(draft: TakedownBuilder, reason: str) -> None:
    """Confirmed by our own looks. Everybody with an open demand hears of it; from now on it is watched."""
    if not draft.takedown.demands:
        reason = "not_found"
    draft.change(removal=ConfirmedRemoval(at=draft.now, reason=reason), first_look=None, gone=None)
    draft.change_climb(wanted=False, named=None)
    draft.emit(CancelTimers())
    draft.emit(CancelMessages())
    draft.move(TakedownState.REMOVED, reason=reason)
    for demand in draft.takedown.demands:
        if demand.state in UNFINISHED:
            close(draft, demand)
    keep = frozenset({TaskKind.DISPUTE}) if draft.around.content.new_demands_held else frozenset()
    draft.close_tasks("removed", keep=keep)
    _watch(draft)


def close(draft: TakedownBuilder, demand: Demand) -> None:
    """The demand is settled; its recipient is told, if it ever heard of the demand and may be written to."""
    demand = draft.move_demand(demand.demand_id, DemandState.CLOSED)
    demand = draft.quieten(demand.demand_id)
    if demand.may_be_known and may_be_written_to(draft, demand):
        draft.send(demand, MessageKind.CLOSED)


def may_be_written_to(draft: TakedownBuilder, demand: Demand) -> bool:
    """Whether this recipient hears of the end. What else stands against it is seen before the attempt, and a person's."""
    refused = contact_rules.refusal_of_recipient(demand, contact_rules.matter_of(draft.takedown, draft.around))
    return refused not in contact_rules.HEARS_NOTHING


def _watch(draft: TakedownBuilder) -> None:
    known = draft.takedown.removal or ConfirmedRemoval(at=draft.now, reason="gone")
    draft.change(removal=replace(known, watches=known.watches + 1))
    draft.check(schedule.next_watch(removed_at=known.at, now=draft.now, policy=draft.policy), "watch")
