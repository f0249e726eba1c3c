"""What became of a message: attempts, refusals before an attempt, and the timers of a demand."""

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
    words_hold,
)
from services.notifier.domain.effects import EndMessage, ScheduleTimer
from services.notifier.domain.endings import take_back, told_at_the_end
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
"""Attempts of a message that is not a demand's first: about 6 h with the default back-off."""


# Before an attempt


def refusal_to_send(draft: TakedownBuilder, demand: Demand | None, kind: MessageKind) -> Refusal | None:
    """Rules 1, 5, 7 and 8 at the last moment. See `takedown.may_send`."""
    if demand is None or not _still_wanted(draft, demand, kind):
        return Refusal.ENDED
    content = draft.around.content.state
    if draft.state is TakedownState.SUSPENDED or content is ContentState.SUSPENDED:
        return Refusal.SUSPENDED
    if kind is not MessageKind.RETRACTED and content is not ContentState.ACTIVE:
        return Refusal.ENDED
    matter = contact_rules.matter_of(draft.takedown, draft.around)
    return contact_rules.refusal_of_recipient(demand, matter) or _moment_refusal(draft, demand, kind)


def _still_wanted(draft: TakedownBuilder, demand: Demand, kind: MessageKind) -> bool:
    state = draft.state
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


def _moment_refusal(draft: TakedownBuilder, demand: Demand, kind: MessageKind) -> Refusal | None:
    if kind in LAST:
        return None
    if draft.state not in ASKING:
        return Refusal.STALE_OBSERVATION
    if kind not in FIRST:
        resumed, seen = draft.takedown.resumed_at, draft.takedown.last_seen
        stale = resumed is not None and (seen is None or seen.at < resumed)
        return Refusal.STALE_OBSERVATION if stale else None
    not_before = None if draft.around.terms is None else draft.around.terms.demands_not_before
    if not_before is not None and not_before > draft.now:
        return Refusal.NOT_BEFORE
    if draft.around.content.new_demands_held and demand.attempted_at is None:
        return Refusal.DISPUTED
    if draft.fetching_stopped and demand.attempted_at is None and not last_present_stands(draft, demand):
        return Refusal.FETCHING_STOPPED
    if demand.attempted_at is None and not words_hold(draft, demand):
        return Refusal.STALE_OBSERVATION  # made anew on what holds now, with the look that follows
    return None if may_rest_on_a_look(draft, demand) else Refusal.STALE_OBSERVATION


def refused(draft: TakedownBuilder, event: OutboundRefused) -> None:
    """A message was not attempted. A first message waits, or its rung is skipped; any other is just not sent."""
    demand = draft.takedown.demand(event.demand_id)
    if demand is None:
        return
    draft.note_demand("message.refused", demand, message=event.kind.value, reason=event.refusal.value)
    if event.kind not in FIRST or demand.state is not DemandState.DUE:
        if event.kind is MessageKind.RETRACTED:
            _retraction_refused(draft, event)
        return
    match event.refusal:
        case Refusal.DO_NOT_CONTACT | Refusal.HOSTILE:
            undeliverable(draft, demand, event.refusal.value)
            return
        case Refusal.UNKNOWN_RECIPIENT | Refusal.NO_CHANNEL:
            draft.open_task(TaskKind.UNDELIVERABLE, event.refusal.value, demand_id=event.demand_id)
            undeliverable(draft, demand, event.refusal.value)
            return
        case _:
            draft.change_demand(event.demand_id, parked=True)
    if event.refusal is Refusal.UNKNOWN_POSTURE:
        draft.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses", demand_id=event.demand_id)
    elif event.refusal is Refusal.STALE_OBSERVATION and draft.state in ASKING:
        draft.check(draft.now, "before_demand")
    elif event.refusal is Refusal.NOT_BEFORE and draft.around.terms is not None:
        draft.check(max(draft.now, draft.around.terms.demands_not_before or draft.now), "not_before")


def _retraction_refused(draft: TakedownBuilder, event: OutboundRefused) -> None:
    """Somebody still believes that we ask for a removal: a person has to choose, or to tell them."""
    if event.refusal is Refusal.UNKNOWN_POSTURE:
        draft.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses", demand_id=event.demand_id)
    elif event.refusal in (Refusal.NO_CHANNEL, Refusal.UNKNOWN_RECIPIENT):
        draft.open_task(TaskKind.UNDELIVERABLE, "retraction", demand_id=event.demand_id)


# After an attempt


def attempted(draft: TakedownBuilder, event: AttemptCompleted) -> None:
    """One delivery of a message ended. Accepted is delivered, nothing more."""
    demand = draft.takedown.demand(event.demand_id)
    if demand is None:
        return
    facts: dict[str, str | int | bool] = {
        "message": event.kind.value,
        "message_id": str(event.message_id),
        "attempt": event.attempt,
    }
    if event.detail is not None:
        facts["detail"] = event.detail
    draft.note_demand(f"attempt.{event.outcome.value}", demand, **facts)
    draft.close_task(TaskKind.MESSAGE_FAILS, "attempted")
    if event.kind in FIRST:
        _first_message(draft, demand, event)
    else:
        _later_message(draft, demand, event)


def _first_message(draft: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    if demand.attempted_at is None:
        demand = draft.change_demand(demand.demand_id, attempted_at=event.started_at)
    if event.outcome is AttemptEnded.ACCEPTED:
        _delivered(draft, demand, event)
        return
    if demand.state is not DemandState.DUE or draft.state in ENDED:
        draft.emit(EndMessage(message_id=event.message_id, reason="no_longer_wanted"))
        if event.outcome is not AttemptEnded.PERMANENT:  # a time-out, a lost connection: it may have been read
            _settle_late(draft, demand)
        return
    if event.outcome is AttemptEnded.PERMANENT:
        draft.open_task(TaskKind.UNDELIVERABLE, event.detail or "permanent", demand_id=demand.demand_id)
        draft.emit(EndMessage(message_id=event.message_id, reason="permanent"))
        undeliverable(draft, demand, event.detail or "permanent")
    elif event.own_fault:
        _again(draft, put_off(draft, demand), event)
    elif demand.give_up_at is not None and draft.now >= demand.give_up_at:
        draft.emit(EndMessage(message_id=event.message_id, reason="undelivered"))
        give_up(draft, demand)
    else:
        _again(draft, demand, event)


def _delivered(draft: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    if demand.delivery is not None:
        return
    arrived = Delivery(at=draft.now, attempt_id=event.attempt_id)
    demand = draft.change_demand(demand.demand_id, delivery=arrived)
    if draft.settled or demand.state not in (DemandState.DUE, DemandState.UNDELIVERABLE):
        _settle_late(draft, demand)
        return
    demand = draft.move_demand(demand.demand_id, DemandState.DELIVERED, attempt_id=str(event.attempt_id))
    start_clock(draft, demand, clock_of(demand, draft.policy))


def _settle_late(draft: TakedownBuilder, demand: Demand) -> None:
    """It (perhaps) arrived although all was settled or taken back meanwhile: its recipient has to hear that too."""
    if draft.state in ENDED or demand.state is DemandState.RETRACTED:
        take_back(draft, demand)
    elif draft.settled or demand.state is DemandState.CLOSED:
        demand = draft.move_demand(demand.demand_id, DemandState.CLOSED)
        if told_at_the_end(draft, demand):
            draft.send(demand, MessageKind.CLOSED)


def _later_message(draft: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    match event.outcome:
        case AttemptEnded.ACCEPTED:
            return
        case AttemptEnded.PERMANENT:
            draft.emit(EndMessage(message_id=event.message_id, reason="permanent"))
            if demand.state in ANSWERABLE:
                draft.open_task(TaskKind.UNDELIVERABLE, event.detail or "permanent", demand_id=demand.demand_id)
                undeliverable(draft, demand, event.detail or "permanent")
        case AttemptEnded.TRANSIENT | AttemptEnded.UNKNOWN if event.attempt < LATER_ATTEMPTS or event.own_fault:
            if refusal_to_send(draft, demand, event.kind) is Refusal.ENDED:
                draft.emit(EndMessage(message_id=event.message_id, reason="no_longer_wanted"))
            else:
                _again(draft, demand, event)
            return
        case _:
            draft.emit(EndMessage(message_id=event.message_id, reason="undelivered"))
    if event.kind is MessageKind.RETRACTED:
        # Somebody still believes that we ask for a removal: a person has to tell them.
        draft.open_task(TaskKind.UNDELIVERABLE, "retraction", demand_id=demand.demand_id)


def _again(draft: TakedownBuilder, demand: Demand, event: AttemptCompleted) -> None:
    """Try again later. Suspended: nothing is made due; the look after the resumption does that."""
    if draft.state is TakedownState.SUSPENDED:
        return
    at = schedule.next_attempt(
        attempt=event.attempt,
        now=draft.now,
        give_up_at=demand.give_up_at if event.kind in FIRST else None,
        jitter=draft.around.jitter,
        policy=draft.policy,
        retry_after_seconds=event.retry_after_seconds,
    )
    draft.send(demand, event.kind, event.number, at)


# Timers


def timer_fired(draft: TakedownBuilder, event: TimerFired) -> None:
    """A timer of a demand. While the second look is awaited or all is suspended it waits; both set the timers anew."""
    demand = draft.takedown.demand(event.demand_id)
    if demand is None or draft.state not in ASKING or demand.round != draft.takedown.round or demand.escalated:
        return
    match event.kind:
        case TimerKind.REMINDER:
            _remind(draft, demand, event.number)
        case TimerKind.DEADLINE:
            if demand.deadline is not None and demand.deadline > draft.now:
                draft.emit(
                    ScheduleTimer(kind=TimerKind.DEADLINE, demand_id=demand.demand_id, number=0, at=demand.deadline)
                )
            else:
                expire_overdue(draft)
        case TimerKind.UNDELIVERED:
            # Never attempted (we were down, or outbound is off): attempted once first, then escalated by its outcome.
            # Parked, it waits for a look, and is given up after it; if none may be had, now.
            waits = demand.parked and not draft.fetching_stopped
            if demand.state is DemandState.DUE and demand.attempted_at is not None and not waits:
                give_up(draft, demand)


def _remind(draft: TakedownBuilder, demand: Demand, number: int) -> None:
    """Not for what is gone: with an old look, look first."""
    delivery = demand.delivery
    if delivery is None or delivery.deadline is None or delivery.deadline <= draft.now:
        return
    waiting = demand.state in (DemandState.DELIVERED, DemandState.ACKNOWLEDGED, DemandState.DISPUTED)
    if not waiting or demand.waits or number <= delivery.reminders:
        return
    if seen_lately(draft) or (draft.fetching_stopped and last_present_stands(draft)):
        draft.change_delivery(demand.demand_id, reminders=number)
        draft.note_demand("demand.reminded", demand, number=number)
        draft.send(demand, MessageKind.REMINDED, number)
    else:
        draft.change_delivery(demand.demand_id, reminder_wanted=number)
        draft.check(draft.now, "before_reminder")
