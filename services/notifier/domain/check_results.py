"""What our own checks mean: only they confirm a removal, and only they let a demand out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.notifier.domain import schedule
from services.notifier.domain.builder import ANSWERABLE, ASKING, STOPPED, TakedownBuilder
from services.notifier.domain.demands import (
    ask_next,
    escalate,
    expire_overdue,
    give_up_waiting,
    set_timers,
    unpark,
)
from services.notifier.domain.endings import removed, watch
from services.notifier.domain.events import CheckCompleted
from services.notifier.domain.holds import (
    SILENT,
    check_is_sure,
    hold,
    last_present_stands,
    look_later,
    needs_release,
    only_people_saw_it,
    seen_lately,
    unhold,
)
from services.notifier.domain.model import (
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

CLEAR = frozenset({Outcome.GONE, Outcome.MISMATCH})


def combined(media: Outcome, page: Outcome | None) -> Outcome:
    """Media and page as one: seen on either is seen; clear only where both are.

    A page that answers without agreeing media is clear, whatever else it shows.
    """
    if page is None or media is Outcome.PRESENT:
        return media
    if page is Outcome.PRESENT:
        return Outcome.PRESENT
    if page in CLEAR:
        return media
    return media if media in SILENT else page


def completed(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """One look at the target ended."""
    draft.close_task(TaskKind.CHECK_FAILS, "checked")
    if draft.state in STOPPED or draft.fetching_stopped:
        draft.note("check.ignored", outcome=event.outcome.value)
        return
    outcome = combined(event.outcome, event.page_outcome)
    probably_before = draft.takedown.last_check is not None and draft.takedown.last_check.probably_present
    _record(draft, event, outcome)
    if outcome not in SILENT:
        draft.close_task(TaskKind.SILENT, outcome.value)
    match outcome:
        case Outcome.PRESENT:
            _present(draft, event)
        case Outcome.GONE:
            _gone(draft, event, "gone")
        case Outcome.MISMATCH:
            _mismatch(draft, event)
        case Outcome.BLOCKED | Outcome.INCONCLUSIVE:
            if event.probably_present:
                _nearly_seen(draft, event, known=probably_before)
            _said_nothing(draft, event)


def _record(draft: TakedownBuilder, event: CheckCompleted, outcome: Outcome) -> None:
    takedown = draft.takedown
    # Not one asked for in the future: the clock was set back since, and the check would be due again and again.
    due, last = takedown.next_check, takedown.last_check
    asked_meanwhile = due is not None and event.started_at < due.asked_at <= draft.now
    draft.check_ended = True
    if not asked_meanwhile:
        draft.no_check()
    silent, dead = (None, None) if last is None else (last.silent_since, last.no_such_domain_since)
    latest = LastCheck(
        at=event.started_at,
        outcome=outcome,
        silent_since=(silent or event.started_at) if outcome in SILENT else None,
        no_such_domain_since=(dead or event.started_at) if _nobody_there(event) else None,
        probably_present=event.probably_present,
    )
    draft.change(last_check=latest)
    facts: dict[str, str | int | bool] = {"check_id": str(event.check_id), "vantage": event.vantage}
    if event.reason is not None:
        facts["reason"] = event.reason
    if event.status is not None:
        facts["status"] = event.status
    if event.distance is not None:
        facts["distance"] = event.distance
    if event.guards:
        facts["guards"] = " ".join(event.guards)
    if event.probably_present:
        facts |= _distances(draft, event)
    if event.page_outcome is not None:
        facts |= {"media": event.outcome.value, "page": event.page_outcome.value}
        facts |= {} if event.page_reason is None else {"page_reason": event.page_reason}
    draft.note(f"check.{outcome.value}", **facts)


# Seen


def _present(draft: TakedownBuilder, event: CheckCompleted) -> None:
    gone, seen = draft.takedown.gone, draft.takedown.last_seen
    observed = event.observed or (None if seen is None else seen.observed)
    surely = check_is_sure(draft, event)
    if seen is not None and seen.by_people and event.observed is None:
        observed = None  # what people saw is no fact of ours
    draft.change(
        last_seen=LastSeen(at=event.started_at, surely=surely, observed=observed), gone=None, gone_by_person_at=None
    )
    draft.close_task(TaskKind.PROBABLY_PRESENT, "seen")
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
    elif draft.around.demand_limit_reached and HoldReason.DEMAND_LIMIT not in released:
        hold(draft, HoldReason.DEMAND_LIMIT)
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
        if demand.state in ANSWERABLE and not demand.escalated and not demand.waits:
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
    elif only_people_saw_it(draft) and draft.state in ASKING:
        _said_nothing(draft, event)  # we never saw what would have been replaced
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
    """No status confirms alone: a browser shows a picture that is sent with 404 or 410."""
    wait = draft.policy.scaled(draft.policy.gone_confirmation_after)
    match draft.state:
        case TakedownState.HELD:
            _still_held(draft)
        case TakedownState.REMOVED:
            watch(draft)
        case TakedownState.VERIFYING if draft.takedown.gone is not None:
            since = draft.takedown.gone.since or event.started_at
            if event.started_at - since >= wait:
                _end_if_nobody_sees_it(draft, reason)
            else:
                draft.change(gone=replace(draft.takedown.gone, since=since, reason=reason))
                draft.check(since + wait, "confirmation")
        case _:
            draft.change(gone=GoneObservation(since=event.started_at, reason=reason, seen_in=draft.state))
            draft.move(TakedownState.VERIFYING, reason=reason)
            draft.check(draft.now + wait, "confirmation")


def _end_if_nobody_sees_it(draft: TakedownBuilder, reason: str) -> None:
    """Seen gone twice: removed, unless people were the last to see it. Then people have to see it gone, too."""
    if not only_people_saw_it(draft):
        removed(draft, reason)
        return
    draft.open_task(TaskKind.SEEN_BY_PERSON, "gone_for_us_alone")
    look_later(draft)


def _nearly_seen(draft: TakedownBuilder, event: CheckCompleted, *, known: bool) -> None:
    """Probably there still: a person's to say. It is neither `replaced` nor gone, whatever was seen before."""
    if draft.takedown.gone is not None:
        draft.change(gone=replace(draft.takedown.gone, since=None))
    if draft.state is not TakedownState.HELD and not _before_first_sight(draft) and not known:
        draft.open_task(TaskKind.PROBABLY_PRESENT, "nearly_the_content")


def _distances(draft: TakedownBuilder, event: CheckCompleted) -> dict[str, str | int | bool]:
    """How near it is now, and how near what was matched was."""
    found = {"page_distance": event.page_distance, "matched_distance": draft.takedown.match.distance}
    facts: dict[str, str | int | bool] = {"probably_present": True}
    return facts | {name: bits for name, bits in found.items() if bits is not None}


def _said_nothing(draft: TakedownBuilder, event: CheckCompleted) -> None:
    if draft.state is TakedownState.HELD:
        _still_held(draft)
    elif draft.state is TakedownState.REMOVED:
        watch(draft)
    elif _before_first_sight(draft):
        _nothing_at_first(draft, event)
    elif _site_dead(draft, event) and not only_people_saw_it(draft):
        removed(draft, "site_dead")
    else:
        _tell_of_silence(draft)
        if draft.state in ASKING:
            _pursue_unseen(draft)
        draft.check(
            schedule.routine(
                every=draft.policy.check_inconclusive_retry,
                now=draft.now,
                jitter=draft.around.jitter,
                policy=draft.policy,
            ),
            "said_nothing",
        )


def _nothing_at_first(draft: TakedownBuilder, event: CheckCompleted) -> None:
    """No look has seen it yet: again with jitter, and after the patience a person's. What is nearly the content is at once."""
    policy, takedown = draft.policy, draft.takedown
    known = takedown.first_look or FirstLook(since=event.started_at)
    since, checks = known.since, known.checks + 1
    draft.change(first_look=FirstLook(since=since, checks=checks))
    if event.probably_present:
        hold(draft, HoldReason.PROBABLY_PRESENT)
        return
    if schedule.out_of_patience(now=draft.now, since=since, policy=policy):
        hold(draft, HoldReason.FIRST_CHECK, outcome=takedown.last_check.outcome.value if takedown.last_check else "")
        return
    draft.check(
        schedule.first_check_retry(check=checks, now=draft.now, since=since, jitter=draft.around.jitter, policy=policy),
        "first_look_again",
    )


def _tell_of_silence(draft: TakedownBuilder) -> None:
    """What says nothing for too long is a person's: it never waits in silence."""
    last = draft.takedown.last_check
    since = None if last is None else last.silent_since
    if last is not None and since is not None and last.at - since >= draft.policy.scaled(draft.policy.silent_patience):
        draft.open_task(TaskKind.SILENT, last.outcome.value)


def _pursue_unseen(draft: TakedownBuilder) -> None:
    """The look says nothing, and clocks go on: reminders and climbs rest on what this round saw last, and say when that was."""
    expire_overdue(draft)
    give_up_waiting(draft)
    unpark(draft)
    if last_present_stands(draft):
        _send_wanted_reminders(draft)
        ask_next(draft)


def _nobody_there(event: CheckCompleted) -> bool:
    """Whether the name servers say that the host does not exist, of the medium, its page or both, and the other one is clear."""
    media = event.no_such_domain or event.outcome in CLEAR
    page = event.page_outcome is None or event.page_no_such_domain or event.page_outcome in CLEAR
    return media and page and (event.no_such_domain or event.page_no_such_domain)


def _site_dead(draft: TakedownBuilder, event: CheckCompleted) -> bool:
    last = draft.takedown.last_check
    since = None if last is None else last.no_such_domain_since
    return since is not None and event.started_at - since >= draft.policy.scaled(draft.policy.no_such_domain_for)
