"""What a recipient's answer means. None of them ends a takedown."""

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


def answered(draft: TakedownBuilder, event: HostAnswered) -> None:
    """A recipient answered by its demand's token. One of a demand that is over is kept, and means nothing."""
    demand = draft.takedown.demand(event.demand_id)
    if demand is None or draft.state is TakedownState.WITHDRAWN:
        return
    facts: dict[str, str | int | bool] = {"answer_id": str(event.answer_id)}
    if event.reason is not None:
        facts["reason"] = event.reason.value
    if event.method is not None:
        facts["method"] = event.method.value
    if event.settled_before:
        facts["settled_before"] = True
    draft.note_demand(f"host.{event.kind.value}", demand, **facts)
    if demand.state in SETTLED:
        return
    if event.suggests_recipient:
        draft.open_task(TaskKind.SUGGESTED_RECIPIENT, "the_host_names_another", demand_id=event.demand_id)
    if not draft.settled:
        demand = _received(draft, demand)
    if event.reason is ResponseReason.POSSIBLE_MINOR or event.reason in DISPUTES_CONTENT:
        if not event.settled_before:
            _about_the_content(draft, demand, event.reason)
    elif not draft.settled:
        _about_the_demand(draft, demand, event)


def _about_the_demand(draft: TakedownBuilder, demand: Demand, event: HostAnswered) -> None:
    if event.kind is AnswerKind.ACKNOWLEDGEMENT:
        _step(draft, demand, DemandState.ACKNOWLEDGED)
    elif event.kind is AnswerKind.REMOVAL and event.method is RemovalMethod.GEOBLOCKED:
        # Still there for everybody else: an answer, not a removal.
        _step(draft, demand, DemandState.ACKNOWLEDGED)
    elif event.kind is AnswerKind.REMOVAL or event.reason is ResponseReason.ALREADY_REMOVED:
        _reported_removed(draft, demand)
    elif event.reason in DECLINES and event.reason is not None:
        if _step(draft, demand, DemandState.REFUSED):
            refused = draft.change_demand(demand.demand_id, refusal=event.reason.value)
            if event.suggests_recipient:
                return  # a person reads whom it names before anybody else is asked; at the latest the deadline asks
            draft.emit(CancelTimers(demand_id=demand.demand_id))
            escalate(draft, refused, event.reason.value)
    elif event.reason is ResponseReason.INSUFFICIENT_INFORMATION:
        _step(draft, demand, DemandState.DISPUTED)
        draft.open_task(TaskKind.DISPUTE, event.reason.value, demand_id=demand.demand_id)


def _step(draft: TakedownBuilder, demand: Demand, to: DemandState) -> bool:
    """Step the demand if its state allows; an answer that comes too late, or twice, changes nothing."""
    if to not in DEMAND[demand.state]:
        return False
    draft.move_demand(demand.demand_id, to)
    return True


def _received(draft: TakedownBuilder, demand: Demand) -> Demand:
    """An answer proves that the demand arrived, also where no attempt was seen to succeed: the clock runs from now."""
    if demand.delivery is not None or demand.state not in (DemandState.DUE, DemandState.UNDELIVERABLE):
        return demand
    draft.emit(EndMessage(message_id=ids.message_id(demand.demand_id, demand.kind.value), reason="answered"))
    draft.change_demand(
        demand.demand_id,
        delivery=Delivery(at=draft.now),
        attempted_at=demand.attempted_at or draft.now,
        refusal=None,
    )
    demand = draft.move_demand(demand.demand_id, DemandState.DELIVERED, reason="answered")
    return start_clock(draft, demand, clock_of(demand, draft.policy))


def _reported_removed(draft: TakedownBuilder, demand: Demand) -> None:
    """The host's word: looked at now. From one that was wrong before, not more often than an inconclusive look is repeated."""
    known = demand.state is DemandState.REPORTED_REMOVED
    if not known and not _step(draft, demand, DemandState.REPORTED_REMOVED):
        return
    false = 0 if demand.removal_reports is None else demand.removal_reports.false
    if not known:
        draft.change_demand(demand.demand_id, removal_reports=RemovalReports(at=draft.now, false=false))
    wait = draft.policy.scaled(draft.policy.check_inconclusive_retry)
    draft.check(draft.now + wait if false else draft.now, "host_reported")


def _about_the_content(draft: TakedownBuilder, demand: Demand, reason: ResponseReason) -> None:
    """No recipient's word ends protection elsewhere: what others were or will be asked goes on."""
    if reason is ResponseReason.POSSIBLE_MINOR:
        _possible_minor(draft, demand)
        return
    if not draft.settled:
        _step(draft, demand, DemandState.DISPUTED)
        draft.change_demand(demand.demand_id, waits=True)
    draft.open_task(TaskKind.DISPUTE, reason.value, owner="helpline", scope="content", demand_id=demand.demand_id)


def _possible_minor(draft: TakedownBuilder, demand: Demand) -> None:
    """Rule 2: nothing of the content is fetched or shown from now on, here and by a decision for all; a person is paged. What was
    asked goes on, reminders and climbs too."""
    if not draft.settled:
        _step(draft, demand, DemandState.DISPUTED)
    if not draft.fetching_stopped:
        draft.emit(
            PublishDecision(
                kind=DecisionKind.STOP_FETCHING,
                content_id=draft.takedown.content_id,
                reason="possible_minor",
                demand_id=demand.demand_id,
                recipient=demand.recipient,
            )
        )
    draft.open_task(TaskKind.POSSIBLE_MINOR, "possible_minor", within=HOUR, scope="content", demand_id=demand.demand_id)
    content = replace(draft.around.content, fetching_stopped=True)
    draft.around = replace(draft.around, content=content)
