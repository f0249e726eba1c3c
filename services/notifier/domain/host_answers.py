"""What a recipient's answer does to its takedown. None of them ends it."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.domain.builder import SETTLED, TakedownBuilder
from services.notifier.domain.demands import clock_of, escalate, start_clock
from services.notifier.domain.effects import CancelTimers, EndMessage, PublishDecision
from services.notifier.domain.events import AnswerKind, HostAnswered, RemovalMethod, ResponseReason
from services.notifier.domain.model import (
    Delivery,
    Demand,
    DemandState,
    RemovalReports,
    TakedownState,
    TaskKind,
)
from services.notifier.domain.states import DEMAND
from shared import ids
from shared.contracts.decisions import DecisionKind
from shared.policy import HOUR

DECLINES = frozenset(
    {
        ResponseReason.WRONG_RECIPIENT,
        ResponseReason.NOT_HOSTED_HERE,
        ResponseReason.NOT_AUTHORISED,
        ResponseReason.LEGAL,
    }
)
DISPUTES_CONTENT = frozenset({ResponseReason.CONSENT_CLAIMED, ResponseReason.NOT_NCII})


def answered(builder: TakedownBuilder, event: HostAnswered) -> None:
    """Apply a recipient's answer to its demand. One to a demand that is over is kept, and changes nothing."""
    demand = builder.takedown.demand(event.demand_id)
    if demand is None or builder.state is TakedownState.WITHDRAWN:
        return
    facts: dict[str, str | int | bool] = {"answer_id": str(event.answer_id)}
    if event.reason is not None:
        facts["reason"] = event.reason.value
    if event.method is not None:
        facts["method"] = event.method.value
    if event.settled_before:
        facts["settled_before"] = True
    builder.note_demand(f"host.{event.kind.value}", demand, **facts)
    if demand.state in SETTLED:
        return
    if event.suggests_recipient:
        builder.open_task(TaskKind.SUGGESTED_RECIPIENT, "the_host_names_another", demand_id=event.demand_id)
    if not builder.settled:
        demand = _received(builder, demand)
    if event.reason is ResponseReason.POSSIBLE_MINOR or event.reason in DISPUTES_CONTENT:
        if not event.settled_before:
            _about_the_content(builder, demand, event.reason)
    elif not builder.settled:
        _about_the_demand(builder, demand, event)


def _about_the_demand(builder: TakedownBuilder, demand: Demand, event: HostAnswered) -> None:
    if event.kind is AnswerKind.ACKNOWLEDGEMENT:
        _step(builder, demand, DemandState.ACKNOWLEDGED)
    elif event.kind is AnswerKind.REMOVAL and event.method is RemovalMethod.GEOBLOCKED:
        # Still there for everybody else: an answer, not a removal.
        _step(builder, demand, DemandState.ACKNOWLEDGED)
    elif event.kind is AnswerKind.REMOVAL or event.reason is ResponseReason.ALREADY_REMOVED:
        _reported_removed(builder, demand)
    elif event.reason in DECLINES and event.reason is not None:
        if _step(builder, demand, DemandState.REFUSED):
            refused = builder.change_demand(demand.demand_id, refusal=event.reason.value)
            if event.suggests_recipient:
                return  # a person reads whom it names before anybody else is asked; at the latest the deadline asks
            builder.emit(CancelTimers(demand_id=demand.demand_id))
            escalate(builder, refused, event.reason.value)
    elif event.reason is ResponseReason.INSUFFICIENT_INFORMATION:
        _step(builder, demand, DemandState.DISPUTED)
        builder.open_task(TaskKind.DISPUTE, event.reason.value, demand_id=demand.demand_id)


def _step(builder: TakedownBuilder, demand: Demand, to: DemandState) -> bool:
    """Move the demand if its state allows that; an answer that comes too late, or twice, changes nothing."""
    if to not in DEMAND[demand.state]:
        return False
    builder.move_demand(demand.demand_id, to)
    return True


def _received(builder: TakedownBuilder, demand: Demand) -> Demand:
    """Take an answer as proof that the demand arrived, also where no attempt was seen to succeed: the clock runs from now."""
    if demand.delivery is not None or demand.state not in (DemandState.DUE, DemandState.UNDELIVERABLE):
        return demand
    builder.emit(EndMessage(message_id=ids.message_id(demand.demand_id, demand.kind.value), reason="answered"))
    builder.change_demand(
        demand.demand_id,
        delivery=Delivery(at=builder.now),
        attempted_at=demand.attempted_at or builder.now,
        refusal=None,
    )
    demand = builder.move_demand(demand.demand_id, DemandState.DELIVERED, reason="answered")
    return start_clock(builder, demand, clock_of(demand, builder.policy))


def _reported_removed(builder: TakedownBuilder, demand: Demand) -> None:
    """Look now, since the host says that it is removed. After a wrong report, not more often than an inconclusive look is repeated."""
    known = demand.state is DemandState.REPORTED_REMOVED
    if not known and not _step(builder, demand, DemandState.REPORTED_REMOVED):
        return
    false = 0 if demand.removal_reports is None else demand.removal_reports.false
    if not known:
        builder.change_demand(demand.demand_id, removal_reports=RemovalReports(at=builder.now, false=false))
    wait = builder.policy.scaled(builder.policy.check_inconclusive_retry)
    builder.check(builder.now + wait if false else builder.now, "host_reported")


def _about_the_content(builder: TakedownBuilder, demand: Demand, reason: ResponseReason) -> None:
    """Apply an answer about the content as a whole. No recipient's word ends protection elsewhere: what others were or will be asked goes
    on."""
    if reason is ResponseReason.POSSIBLE_MINOR:
        _possible_minor(builder, demand)
        return
    if not builder.settled:
        _step(builder, demand, DemandState.DISPUTED)
        builder.change_demand(demand.demand_id, waits=True)
    builder.open_task(TaskKind.DISPUTE, reason.value, owner="helpline", scope="content", demand_id=demand.demand_id)


def _possible_minor(builder: TakedownBuilder, demand: Demand) -> None:
    """Rule 2: fetch and show nothing of the content from now on, here and by a decision for all, and call a person. What was asked goes on,
    reminders and climbs too."""
    if not builder.settled:
        _step(builder, demand, DemandState.DISPUTED)
    if not builder.fetching_stopped:
        builder.emit(
            PublishDecision(
                kind=DecisionKind.STOP_FETCHING,
                content_id=builder.takedown.content_id,
                reason="possible_minor",
                demand_id=demand.demand_id,
                recipient=demand.recipient,
            )
        )
    builder.open_task(
        TaskKind.POSSIBLE_MINOR, "possible_minor", within=HOUR, scope="content", demand_id=demand.demand_id
    )
    content = replace(builder.around.content, fetching_stopped=True)
    builder.around = replace(builder.around, content=content)
