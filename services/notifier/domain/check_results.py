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
    """The outcomes for media and page as one: seen on either is seen; clear only where both are. A page that answers without agreeing media
    is clear, whatever else it shows.

    A page that answers without agreeing media is clear, whatever else it shows.
    """
    if page is None or media is Outcome.PRESENT:
        return media
    if page is Outcome.PRESENT:
        return Outcome.PRESENT
    if page in CLEAR:
        return media
    return media if media in SILENT else page


def completed(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Apply the result of a check."""
    builder.close_task(TaskKind.CHECK_FAILS, "checked")
    if builder.state in STOPPED or builder.fetching_stopped:
        builder.note("check.ignored", outcome=event.outcome.value)
        return
    outcome = combined(event.outcome, event.page_outcome)
    probably_before = builder.takedown.last_check is not None and builder.takedown.last_check.probably_present
    _record(builder, event, outcome)
    if outcome not in SILENT:
        builder.close_task(TaskKind.SILENT, outcome.value)
    match outcome:
        case Outcome.PRESENT:
            _present(builder, event)
        case Outcome.GONE:
            _gone(builder, event, "gone")
        case Outcome.MISMATCH:
            _mismatch(builder, event)
        case Outcome.BLOCKED | Outcome.INCONCLUSIVE:
            if event.probably_present:
                _nearly_seen(builder, event, known=probably_before)
            _said_nothing(builder, event)


def _record(builder: TakedownBuilder, event: CheckCompleted, outcome: Outcome) -> None:
    takedown = builder.takedown
    # Not one asked for in the future: the clock was set back since, and the check would be due again and again.
    due, last = takedown.next_check, takedown.last_check
    asked_meanwhile = due is not None and event.started_at < due.asked_at <= builder.now
    builder.check_ended = True
    if not asked_meanwhile:
        builder.no_check()
    silent, dead = (None, None) if last is None else (last.silent_since, last.no_such_domain_since)
    latest = LastCheck(
        at=event.started_at,
        outcome=outcome,
        silent_since=(silent or event.started_at) if outcome in SILENT else None,
        no_such_domain_since=(dead or event.started_at) if _nobody_there(event) else None,
        probably_present=event.probably_present,
    )
    builder.change(last_check=latest)
    facts: dict[str, str | int | bool] = {"check_id": str(event.check_id), "vantage": event.vantage}
    said = {"reason": event.reason, "status": event.status, "distance": event.distance, "view": event.view}
    facts |= {name: value for name, value in said.items() if value is not None}
    if event.guards:
        facts["guards"] = " ".join(event.guards)
    if event.probably_present:
        facts |= _distances(builder, event)
    if event.page_outcome is not None:
        facts |= {"media": event.outcome.value, "page": event.page_outcome.value}
        facts |= {} if event.page_reason is None else {"page_reason": event.page_reason}
    if event.browser is not None:
        facts["browser"] = event.browser
    builder.note(f"check.{outcome.value}", **facts)


# Seen


def _present(builder: TakedownBuilder, event: CheckCompleted) -> None:
    gone, seen = builder.takedown.gone, builder.takedown.last_seen
    observed = event.observed or (None if seen is None else seen.observed)
    surely = check_is_sure(builder, event)
    if seen is not None and seen.by_people and event.observed is None:
        observed = None  # what people saw is no fact of ours
    builder.change(
        last_seen=LastSeen(at=event.started_at, surely=surely, observed=observed),
        gone=None,
        gone_by_person_at=None,
        gone_by_person_received_at=None,
    )
    builder.close_task(TaskKind.PROBABLY_PRESENT, "seen")
    match builder.state:
        case TakedownState.DISCOVERED:
            _first_seen(builder, event)
        case TakedownState.HELD:
            _seen_while_held(builder, event)
        case TakedownState.VERIFYING:
            if gone is None or gone.seen_in is TakedownState.DISCOVERED:
                _first_seen(builder, event)
            else:
                builder.move(gone.seen_in, reason="seen_again")
                for demand in builder.current_demands():
                    set_timers(builder, demand)
                _pursue(builder, event)
        case TakedownState.REMOVED:
            _seen_after_removal(builder, event)
        case _:
            _pursue(builder, event)


def _first_seen(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Apply a look that sees the content before the first demand. Rule 4 once more: the match may be surer than what was seen."""
    released = builder.takedown.releases.holds
    if builder.takedown.match.basis == "person" and event.distance is None and HoldReason.ASSERTED not in released:
        hold(builder, HoldReason.ASSERTED)
    elif HoldReason.LOW_ASSURANCE not in released and not check_is_sure(builder, event):
        hold(builder, HoldReason.LOW_ASSURANCE, distance=-1 if event.distance is None else event.distance)
    elif builder.around.content.new_demands_held:
        hold(builder, HoldReason.DISPUTE)
    elif builder.around.demand_limit_reached and HoldReason.DEMAND_LIMIT not in released:
        hold(builder, HoldReason.DEMAND_LIMIT)
    elif builder.around.key_limit_reached and HoldReason.KEY_LIMIT not in released:
        hold(builder, HoldReason.KEY_LIMIT)
    else:
        if builder.state is TakedownState.HELD:
            unhold(builder, "seen")
        builder.change(first_look=None, removal=None)
        builder.change_climb(wanted=True)
        builder.move(TakedownState.OPEN)
        _pursue(builder, event)


def _seen_while_held(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Apply a look that sees the content while the takedown is held: it settles only a hold that waited for a look."""
    reason = builder.takedown.held_for
    settled = reason in (HoldReason.FIRST_CHECK, HoldReason.ASSERTED, HoldReason.LOW_ASSURANCE)
    if settled and event.distance is not None and check_is_sure(builder, event):
        _first_seen(builder, event)
    elif reason is HoldReason.ASSERTED:
        look_later(builder)


def _seen_after_removal(builder: TakedownBuilder, event: CheckCompleted) -> None:
    if not builder.takedown.demands:
        _first_seen(builder, event)
        return
    builder.next_round()
    builder.change(removal=None)
    builder.change_climb(wanted=True)
    builder.move(TakedownState.REAPPEARED)
    _pursue(builder, event)


def _pursue(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Go on after a look that sees the content: who is late, who reported a removal wrongly, who is next."""
    expire_overdue(builder)
    for demand in builder.current_demands():
        if demand.state is DemandState.REPORTED_REMOVED:
            _false_report(builder, demand, event.started_at)
    if needs_release(builder):
        _wait_for_release(builder)
    elif seen_lately(builder):
        builder.close_task(TaskKind.LOW_ASSURANCE, "seen")
        unpark(builder)
        _send_wanted_reminders(builder)
        ask_next(builder)
    elif builder.takedown.climb.wanted or any(one.parked for one in builder.current_demands()):
        builder.check(builder.now, "stale")
    look_later(builder)


def _wait_for_release(builder: TakedownBuilder) -> None:
    if builder.takedown.climb.wanted or any(one.state is DemandState.DUE for one in builder.current_demands()):
        builder.note("demand.waits", reason=HoldReason.LOW_ASSURANCE.value)
        builder.open_task(TaskKind.LOW_ASSURANCE, HoldReason.LOW_ASSURANCE.value)


def _false_report(builder: TakedownBuilder, demand: Demand, looked_at: datetime) -> None:
    """The host says removed, our look (begun after its word) sees it. Its recipient is notified once; at the second time the next rung is
    asked."""
    reports = demand.removal_reports
    if reports is None or reports.at is None or looked_at <= reports.at:
        return
    after = DemandState.EXPIRED if demand.escalated else DemandState.DELIVERED
    builder.move_demand(demand.demand_id, after, reason="still_present")
    demand = builder.change_demand(demand.demand_id, removal_reports=RemovalReports(at=None, false=reports.false + 1))
    if reports.false == 0:
        builder.send(demand, MessageKind.STILL_PRESENT, 1)
    else:
        escalate(builder, demand, "false_report")


def _send_wanted_reminders(builder: TakedownBuilder) -> None:
    for demand in builder.current_demands():
        number = None if demand.delivery is None else demand.delivery.reminder_wanted
        if number is None:
            continue
        builder.change_delivery(demand.demand_id, reminder_wanted=None)
        if demand.state in ANSWERABLE and not demand.escalated and not demand.waits:
            builder.change_delivery(demand.demand_id, reminders=number)
            builder.note_demand("demand.reminded", demand, number=number)
            builder.send(demand, MessageKind.REMINDED, number)


# Not seen


def _mismatch(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Apply a look that sees other media. After our own `present` the content counts as replaced; before it, a person is needed."""
    if builder.state is TakedownState.HELD:
        _still_held(builder)
    elif _before_first_sight(builder) and builder.takedown.last_seen is None:
        hold(builder, HoldReason.FIRST_CHECK, outcome="mismatch")
    elif only_people_saw_it(builder) and builder.state in ASKING:
        _said_nothing(builder, event)  # we never saw what would have been replaced
    else:
        _gone(builder, event, "replaced")


def _before_first_sight(builder: TakedownBuilder) -> bool:
    """Whether the first look is still to come, or is the one under way."""
    gone = builder.takedown.gone
    return builder.state is TakedownState.DISCOVERED or (gone is not None and gone.seen_in is TakedownState.DISCOVERED)


def _still_held(builder: TakedownBuilder) -> None:
    if builder.takedown.held_for is HoldReason.ASSERTED:
        look_later(builder)


def _gone(builder: TakedownBuilder, event: CheckCompleted, reason: str) -> None:
    """Apply a look that sees the content gone. No status confirms that alone: a browser shows a picture that is sent with 404 or 410."""
    wait = builder.policy.scaled(builder.policy.gone_confirmation_after)
    match builder.state:
        case TakedownState.HELD:
            _still_held(builder)
        case TakedownState.REMOVED:
            watch(builder)
        case TakedownState.VERIFYING if builder.takedown.gone is not None:
            since = builder.takedown.gone.since or event.started_at
            if event.started_at - since >= wait:
                _end_if_nobody_sees_it(builder, reason)
            else:
                builder.change(gone=replace(builder.takedown.gone, since=since, reason=reason))
                builder.check(since + wait, "confirmation")
        case _:
            builder.change(gone=GoneObservation(since=event.started_at, reason=reason, seen_in=builder.state))
            builder.move(TakedownState.VERIFYING, reason=reason)
            builder.check(builder.now + wait, "confirmation")


def _end_if_nobody_sees_it(builder: TakedownBuilder, reason: str) -> None:
    """Confirm the removal, seen gone twice, unless people were the last to see the content: then people have to see it gone."""
    if not only_people_saw_it(builder):
        removed(builder, reason)
        return
    builder.open_task(TaskKind.SEEN_BY_PERSON, "gone_for_us_alone")
    look_later(builder)


def _nearly_seen(builder: TakedownBuilder, event: CheckCompleted, *, known: bool) -> None:
    """Apply a look that sees what is nearly the content: neither `replaced` nor gone, a person has to say."""
    if builder.takedown.gone is not None:
        builder.change(gone=replace(builder.takedown.gone, since=None))
    if builder.state is not TakedownState.HELD and not _before_first_sight(builder) and not known:
        builder.open_task(TaskKind.PROBABLY_PRESENT, "nearly_the_content")


def _distances(builder: TakedownBuilder, event: CheckCompleted) -> dict[str, str | int | bool]:
    """Facts for the time line: how near it is now, and how near the match was."""
    found = {"page_distance": event.page_distance, "matched_distance": builder.takedown.match.distance}
    found["whole_distance"] = event.whole_distance
    facts: dict[str, str | int | bool] = {"probably_present": True}
    return facts | {name: bits for name, bits in found.items() if bits is not None}


def _said_nothing(builder: TakedownBuilder, event: CheckCompleted) -> None:
    if builder.state is TakedownState.HELD:
        _still_held(builder)
    elif builder.state is TakedownState.REMOVED:
        watch(builder)
    elif _before_first_sight(builder):
        _nothing_at_first(builder, event)
    elif _site_dead(builder, event) and not only_people_saw_it(builder):
        removed(builder, "site_dead")
    else:
        _report_silence(builder)
        if builder.state in ASKING:
            _pursue_unseen(builder)
        builder.check(
            schedule.routine(
                every=builder.policy.check_inconclusive_retry,
                now=builder.now,
                jitter=builder.around.jitter,
                policy=builder.policy,
            ),
            "said_nothing",
        )


def _nothing_at_first(builder: TakedownBuilder, event: CheckCompleted) -> None:
    """Apply a first look that says nothing: look again with jitter; after the patience, or if it is nearly the content, ask a person."""
    policy, takedown = builder.policy, builder.takedown
    known = takedown.first_look or FirstLook(since=event.started_at)
    since, checks = known.since, known.checks + 1
    builder.change(first_look=FirstLook(since=since, checks=checks))
    if event.probably_present:
        hold(builder, HoldReason.PROBABLY_PRESENT)
        return
    if schedule.out_of_patience(now=builder.now, since=since, policy=policy):
        hold(builder, HoldReason.FIRST_CHECK, outcome=takedown.last_check.outcome.value if takedown.last_check else "")
        return
    builder.check(
        schedule.first_check_retry(
            check=checks, now=builder.now, since=since, jitter=builder.around.jitter, policy=policy
        ),
        "first_look_again",
    )


def _report_silence(builder: TakedownBuilder) -> None:
    """Open a task when looks have said nothing for too long: no takedown waits in silence."""
    last = builder.takedown.last_check
    since = None if last is None else last.silent_since
    if (
        last is not None
        and since is not None
        and last.at - since >= builder.policy.scaled(builder.policy.silent_patience)
    ):
        builder.open_task(TaskKind.SILENT, last.outcome.value)


def _pursue_unseen(builder: TakedownBuilder) -> None:
    """Go on after a look that says nothing: reminders and climbs rest on what this round saw last, and say when that was."""
    expire_overdue(builder)
    give_up_waiting(builder)
    unpark(builder)
    if last_present_stands(builder):
        _send_wanted_reminders(builder)
        ask_next(builder)


def _nobody_there(event: CheckCompleted) -> bool:
    """Whether the name servers say that the host does not exist, of the medium, its page or both, and the other one is clear."""
    media = event.no_such_domain or event.outcome in CLEAR
    page = event.page_outcome is None or event.page_no_such_domain or event.page_outcome in CLEAR
    return media and page and (event.no_such_domain or event.page_no_such_domain)


def _site_dead(builder: TakedownBuilder, event: CheckCompleted) -> bool:
    last = builder.takedown.last_check
    since = None if last is None else last.no_such_domain_since
    return since is not None and event.started_at - since >= builder.policy.scaled(builder.policy.no_such_domain_for)
