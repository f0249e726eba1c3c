"""What becomes of a message: attempts, refusals before an attempt, and the timers of a demand."""

from __future__ import annotations

from services.notifier.domain import contact_rules, schedule
from services.notifier.domain.builder import ANSWERABLE, ASKING, ENDED, TakedownBuilder
from services.notifier.domain.demands import (
    clock_of,
    expire_overdue,
    give_up,
    put_off,
    start_clock,
    undeliverable,
    words_still_true,
)
from services.notifier.domain.effects import EndMessage, ScheduleTimer
from services.notifier.domain.endings import take_back, to_be_notified_of_end
from services.notifier.domain.events import (
    AttemptCompleted,
    AttemptEnded,
    OutboundRefused,
    TimerFired,
    TimerKind,
)
from services.notifier.domain.holds import last_present_stands, may_rest_on_a_look, seen_lately
from services.notifier.domain.model import (
    Delivery,
    Demand,
    DemandState,
    MessageKind,
    Refusal,
    TakedownState,
    TaskKind,
)
from shared.contracts.content import ContentState

FIRST = frozenset({MessageKind.ISSUED, MessageKind.REAPPEARED})
LAST = frozenset({MessageKind.RETRACTED, MessageKind.CLOSED})
LATER_ATTEMPTS = 24
"""How many attempts a message gets that is not a demand's first: about 6 h with the default back-off."""


# Before an attempt


def refusal_to_send(builder: TakedownBuilder, demand: Demand | None, kind: MessageKind) -> Refusal | None:
    """Why this message must not be sent at the last moment (rules 1, 5, 7 and 8), or None. See `takedown.may_send`."""
    if demand is None or not _still_wanted(builder, demand, kind):
        return Refusal.ENDED
    content = builder.around.content.state
    if builder.state is TakedownState.SUSPENDED or content is ContentState.SUSPENDED:
        return Refusal.SUSPENDED
    if kind is not MessageKind.RETRACTED and content is not ContentState.ACTIVE:
        return Refusal.ENDED
    matter = contact_rules.matter_of(builder.takedown, builder.around)
    return contact_rules.refusal_of_recipient(demand, matter) or _moment_refusal(builder, demand, kind)


def _still_wanted(builder: TakedownBuilder, demand: Demand, kind: MessageKind) -> bool:
    state = builder.state
    match kind:
        case MessageKind.RETRACTED:
            undone = demand.retraction is not None and demand.retraction.undone
            return demand.state is DemandState.RETRACTED and not undone
        case MessageKind.CLOSED:
            return state not in ENDED and demand.state is DemandState.CLOSED
        case MessageKind.ISSUED | MessageKind.REAPPEARED:
            return state not in ENDED and demand.state is DemandState.DUE and demand.kind is kind
        case MessageKind.REMINDED | MessageKind.STILL_PRESENT:
            return state not in ENDED and state is not TakedownState.REMOVED and demand.state in ANSWERABLE
        case _:
            return False


def _moment_refusal(builder: TakedownBuilder, demand: Demand, kind: MessageKind) -> Refusal | None:
    if kind in LAST:
        return None
    if builder.state not in ASKING:
        return Refusal.STALE_OBSERVATION
    if kind not in FIRST:
        resumed, seen = builder.takedown.resumed_at, builder.takedown.last_seen
        stale = resumed is not None and (seen is None or seen.at < resumed)
        return Refusal.STALE_OBSERVATION if stale else None
    not_before = None if builder.around.terms is None else builder.around.terms.demands_not_before
    if not_before is not None and not_before > builder.now:
        return Refusal.NOT_BEFORE
    if builder.around.content.new_demands_held and demand.attempted_at is None:
        return Refusal.DISPUTED
    if builder.fetching_stopped and demand.attempted_at is None and not last_present_stands(builder, demand):
        return Refusal.FETCHING_STOPPED
    if demand.attempted_at is None and not words_still_true(builder, demand):
        return Refusal.STALE_OBSERVATION  # made anew on what holds now, with the look that follows
    return None if may_rest_on_a_look(builder, demand) else Refusal.STALE_OBSERVATION


def refused(builder: TakedownBuilder, event: OutboundRefused) -> None:
    """Apply that a message was not attempted. A first message waits, or its rung is skipped; any other is not sent."""
    demand = builder.takedown.demand(event.demand_id)
    if demand is None:
        return
    builder.note_demand("message.refused", demand, message=event.kind.value, reason=event.refusal.value)
    if event.kind not in FIRST or demand.state is not DemandState.DUE:
        if event.kind is MessageKind.RETRACTED:
            _retraction_refused(builder, event)
        return
    match event.refusal:
        case Refusal.DO_NOT_CONTACT | Refusal.HOSTILE:
            undeliverable(builder, demand, event.refusal.value)
            return
        case Refusal.UNKNOWN_RECIPIENT | Refusal.NO_CHANNEL:
            builder.open_task(TaskKind.UNDELIVERABLE, event.refusal.value, demand_id=event.demand_id)
            undeliverable(builder, demand, event.refusal.value)
            return
        case _:
            builder.change_demand(event.demand_id, parked=True)
    if event.refusal is Refusal.UNKNOWN_POSTURE:
        builder.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses", demand_id=event.demand_id)
    elif event.refusal is Refusal.STALE_OBSERVATION and builder.state in ASKING:
        builder.check(builder.now, "before_demand")
    elif event.refusal is Refusal.NOT_BEFORE and builder.around.terms is not None:
        builder.check(max(builder.now, builder.around.terms.demands_not_before or builder.now), "not_before")


def _retraction_refused(builder: TakedownBuilder, event: OutboundRefused) -> None:
    """Somebody still believes that we ask for a removal: a person has to choose, or to notify them."""
    if event.refusal is Refusal.UNKNOWN_POSTURE:
        builder.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses", demand_id=event.demand_id)
    elif event.refusal in (Refusal.NO_CHANNEL, Refusal.UNKNOWN_RECIPIENT):
        builder.open_task(TaskKind.UNDELIVERABLE, "retraction", demand_id=event.demand_id)


# After an attempt


def attempted(builder: TakedownBuilder, event: AttemptCompleted) -> None:
    """Apply the end of one attempt. Accepted is delivered, nothing more."""
    demand = builder.takedown.demand(event.demand_id)
    if demand is None:
        return
    facts: dict[str, str | int | bool] = {
        "message": event.kind.value,
        "message_id": str(event.message_id),
        "attempt": event.attempt,
    }
    if event.detail is not None:
        facts["detail"] = event.detail
    builder.note_demand(f"attempt.{event.outcome.value}", demand, **facts)
    builder.close_task(TaskKind.MESSAGE_FAILS, "attempted")
    if event.kind in FIRST:
        _first_message(builder, demand, event)
    else:
        _later_message(builder, demand, event)


def _first_message(builder: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    if demand.attempted_at is None:
        demand = builder.change_demand(demand.demand_id, attempted_at=event.started_at)
    if event.outcome is AttemptEnded.ACCEPTED:
        _delivered(builder, demand, event)
        return
    if demand.state is not DemandState.DUE or builder.state in ENDED:
        builder.emit(EndMessage(message_id=event.message_id, reason="no_longer_wanted"))
        if event.outcome is not AttemptEnded.PERMANENT:  # a time-out, a lost connection: it may have been read
            _settle_late(builder, demand)
        return
    if event.outcome is AttemptEnded.PERMANENT:
        builder.open_task(TaskKind.UNDELIVERABLE, event.detail or "permanent", demand_id=demand.demand_id)
        builder.emit(EndMessage(message_id=event.message_id, reason="permanent"))
        undeliverable(builder, demand, event.detail or "permanent")
    elif event.own_fault:
        _again(builder, put_off(builder, demand), event)
    elif demand.give_up_at is not None and builder.now >= demand.give_up_at:
        builder.emit(EndMessage(message_id=event.message_id, reason="undelivered"))
        give_up(builder, demand)
    else:
        _again(builder, demand, event)


def _delivered(builder: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    if demand.delivery is not None:
        return
    arrived = Delivery(at=builder.now, attempt_id=event.attempt_id)
    demand = builder.change_demand(demand.demand_id, delivery=arrived)
    if builder.settled or demand.state not in (DemandState.DUE, DemandState.UNDELIVERABLE):
        _settle_late(builder, demand)
        return
    demand = builder.move_demand(demand.demand_id, DemandState.DELIVERED, attempt_id=str(event.attempt_id))
    start_clock(builder, demand, clock_of(demand, builder.policy))


def _settle_late(builder: TakedownBuilder, demand: Demand) -> None:
    """It (perhaps) arrived although all was settled or taken back meanwhile: its recipient has to be notified of that too."""
    if builder.state in ENDED or demand.state is DemandState.RETRACTED:
        take_back(builder, demand)
    elif builder.settled or demand.state is DemandState.CLOSED:
        demand = builder.move_demand(demand.demand_id, DemandState.CLOSED)
        if to_be_notified_of_end(builder, demand):
            builder.send(demand, MessageKind.CLOSED)


def _later_message(builder: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    match event.outcome:
        case AttemptEnded.ACCEPTED:
            return
        case AttemptEnded.PERMANENT:
            builder.emit(EndMessage(message_id=event.message_id, reason="permanent"))
            if demand.state in ANSWERABLE:
                builder.open_task(TaskKind.UNDELIVERABLE, event.detail or "permanent", demand_id=demand.demand_id)
                undeliverable(builder, demand, event.detail or "permanent")
        case AttemptEnded.TRANSIENT | AttemptEnded.UNKNOWN if event.attempt < LATER_ATTEMPTS or event.own_fault:
            if refusal_to_send(builder, demand, event.kind) is Refusal.ENDED:
                builder.emit(EndMessage(message_id=event.message_id, reason="no_longer_wanted"))
            else:
                _again(builder, demand, event)
            return
        case _:
            builder.emit(EndMessage(message_id=event.message_id, reason="undelivered"))
    if event.kind is MessageKind.RETRACTED:
        # Somebody still believes that we ask for a removal: a person has to notify them.
        builder.open_task(TaskKind.UNDELIVERABLE, "retraction", demand_id=demand.demand_id)


def _again(builder: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    """Plan the next attempt. While suspended nothing is made due; the look after the resumption does that."""
    if builder.state is TakedownState.SUSPENDED:
        return
    at = schedule.next_attempt(
        attempt=event.attempt,
        now=builder.now,
        give_up_at=demand.give_up_at if event.kind in FIRST else None,
        jitter=builder.around.jitter,
        policy=builder.policy,
        retry_after_seconds=event.retry_after_seconds,
    )
    builder.send(demand, event.kind, event.number, at)


# Timers


def timer_fired(builder: TakedownBuilder, event: TimerFired) -> None:
    """Apply a timer of a demand. It waits while the second look is awaited or all is suspended; both set the timers anew."""
    demand = builder.takedown.demand(event.demand_id)
    if demand is None or builder.state not in ASKING or demand.round != builder.takedown.round or demand.escalated:
        return
    match event.kind:
        case TimerKind.REMINDER:
            _remind(builder, demand, event.number)
        case TimerKind.DEADLINE:
            if demand.deadline is not None and demand.deadline > builder.now:
                builder.emit(
                    ScheduleTimer(kind=TimerKind.DEADLINE, demand_id=demand.demand_id, number=0, at=demand.deadline)
                )
            else:
                expire_overdue(builder)
        case TimerKind.UNDELIVERED:
            # Never attempted (we were down, or outbound is off): attempted once first, then escalated by its outcome.
            # Parked, it waits for a look, and is given up after it; if none may be had, now.
            waits = demand.parked and not builder.fetching_stopped
            if demand.state is DemandState.DUE and demand.attempted_at is not None and not waits:
                give_up(builder, demand)


def _remind(builder: TakedownBuilder, demand: Demand, number: int) -> None:
    """Send a reminder, but not about what is gone: if the last look is old, look first."""
    delivery = demand.delivery
    if delivery is None or delivery.deadline is None or delivery.deadline <= builder.now:
        return
    waiting = demand.state in (DemandState.DELIVERED, DemandState.ACKNOWLEDGED, DemandState.DISPUTED)
    if not waiting or demand.waits or number <= delivery.reminders:
        return
    if seen_lately(builder) or (builder.fetching_stopped and last_present_stands(builder)):
        builder.change_delivery(demand.demand_id, reminders=number)
        builder.note_demand("demand.reminded", demand, number=number)
        builder.send(demand, MessageKind.REMINDED, number)
    else:
        builder.change_delivery(demand.demand_id, reminder_wanted=number)
        builder.check(builder.now, "before_reminder")
