"""Receives a recipient's answer to a demand, by whichever way it came: keeps it once, and decides on the takedown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.builder import SETTLED
from services.notifier.domain.events import AnswerKind, HostAnswered, RemovalMethod, ResponseReason
from services.notifier.domain.model import Demand, DemandState, Takedown
from services.notifier.notices import message as notice
from services.notifier.notices import render
from services.notifier.store import answers, decisions, takedowns
from services.notifier.store.answers import Kept, NewAnswer
from shared.db.pool import Tx
from shared.http.problems import Conflict
from shared.ids import deterministic_id
from shared.service.runtime import Runtime

Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)]

REACHES_FURTHER = frozenset((ResponseReason.POSSIBLE_MINOR, ResponseReason.CONSENT_CLAIMED, ResponseReason.NOT_NCII))
"""Reasons that concern the content, not this target alone."""


class _Answer(BaseModel):
    """What every answer may carry. `ticket_ref` and `text` are the recipient's own words: shown to operations staff, and erased with the
    target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ticket_ref: Short | None = None
    text: Text | None = None


class Acknowledgement(_Answer):
    """The recipient has received the demand and is looking at it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ticket_ref": "T-123"}]})


class Removal(_Answer):
    """The recipient says that access was disabled, which our check verifies. `geoblocked` is no removal."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"at": "2026-03-02T10:00:00Z", "method": "disabled", "scope": "url", "preserved": True}]
        }
    )

    at: AwareDatetime
    method: RemovalMethod
    scope: Short = "url"
    preserved: bool | None = None
    preserved_until: AwareDatetime | None = None


class Response(_Answer):
    """Why the demand is not (or need not be) acted on."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "not_hosted_here", "suggested_recipient": "Example CDN"}]}
    )

    reason: ResponseReason
    suggested_recipient: Short | None = None


Answer = Acknowledgement | Removal | Response


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A demand as its recipient may see it. `item` None: it is retracted and its target erased."""

    demand_id: UUID
    state: DemandState
    issued_at: datetime
    delivered_at: datetime | None
    deadline: datetime | None
    """By law, from the first accepted delivery; None where no law sets one, or before it was delivered."""
    item: notice.DemandItem | None
    answers: tuple[Kept, ...]


def kind_of(answer: Answer) -> AnswerKind:
    match answer:
        case Acknowledgement():
            return AnswerKind.ACKNOWLEDGEMENT
        case Removal():
            return AnswerKind.REMOVAL
        case Response():
            return AnswerKind.RESPONSE


async def receive_answer(
    units_of_work: UnitOfWorkFactory, owner: takedowns.DemandOwner, answer: Answer, *, via: Literal["api", "page"]
) -> Kept:
    """Keep an answer and hand it to the takedown, in one transaction. The same answer again is the same one: nothing happens."""
    reaches_further = isinstance(answer, Response) and answer.reason in REACHES_FURTHER
    async with units_of_work.begin(owner.content_id, exclusive=reaches_further, takedown_id=owner.takedown_id) as unit:
        takedown = await unit.load(owner.takedown_id)
        assert takedown is not None
        demand = takedown.demand(owner.demand_id)
        assert demand is not None
        answer_id = _id_of(demand, answer, via, resumed=await _resumed(unit.tx, takedown))
        again = await _said_again(unit.tx, owner.demand_id, answer_id)
        if again is not None:
            return again
        await _must_be_taken(unit.tx, demand, most=unit.runtime.policy.answers_per_demand)
        settled_before = reaches_further and await _settled_before(unit.tx, takedown, demand, answer)
        kept = await _keep(unit.tx, takedown, demand, answer_id, answer, via)
        if kept is not None:
            event = HostAnswered(
                answer_id=answer_id,
                demand_id=owner.demand_id,
                kind=kind_of(answer),
                reason=answer.reason if isinstance(answer, Response) else None,
                method=answer.method if isinstance(answer, Removal) else None,
                suggests_recipient=isinstance(answer, Response) and bool(answer.suggested_recipient),
                settled_before=settled_before,
            )
            await unit.apply(takedown, event)
            return kept
        known = await answers.of_demand(unit.tx, owner.demand_id, answer_id)
        return known[0]


async def _said_again(tx: Tx, demand_id: UUID, answer_id: UUID) -> Kept | None:
    """The answer that was kept, if this is the same one again, which is then counted; else None."""
    if not await answers.count_again(tx, answer_id):
        return None
    return (await answers.of_demand(tx, demand_id, answer_id))[0]


async def _must_be_taken(tx: Tx, demand: Demand, *, most: int) -> None:
    """Raises Conflict where the demand takes no further answer."""
    if demand.state in SETTLED:
        raise Conflict("This demand is closed: nothing more is asked, and no answer is needed.", reason="demand_closed")
    if await answers.count(tx, demand.demand_id) >= most:
        raise Conflict(
            "So many answers to this demand have been taken that no further one is. Please write to our contact address.",
            reason="too_many_answers",
        )


async def _settled_before(tx: Tx, takedown: Takedown, demand: Demand, answer: Answer) -> bool:
    if not isinstance(answer, Response):
        return False
    return await answers.settled_since(tx, takedown.content_id, demand.recipient, answer.reason)


async def show(tx: Tx, runtime: Runtime, owner: takedowns.DemandOwner) -> Shown:
    """The demand as it stands. Nothing is changed."""
    takedown = await takedowns.peek(tx, owner.takedown_id)
    assert takedown is not None
    demand = takedown.demand(owner.demand_id)
    assert demand is not None
    return Shown(
        demand_id=demand.demand_id,
        state=demand.state,
        issued_at=demand.printed.issued_at,
        delivered_at=None if demand.delivery is None else demand.delivery.at,
        deadline=deadline_of(demand),
        item=_item(takedown, demand, runtime),
        answers=await answers.of_demand(tx, owner.demand_id, None),
    )


def deadline_of(demand: Demand) -> datetime | None:
    """The deadline that a law sets, in real time: never the scaled one that we wait for."""
    seconds = demand.printed.respond_within_seconds
    return None if demand.delivery is None or seconds is None else demand.delivery.at + timedelta(seconds=seconds)


def _item(takedown: Takedown, demand: Demand, runtime: Runtime) -> notice.DemandItem | None:
    if demand.state is DemandState.RETRACTED:
        return None
    try:
        message = notice.build(
            kind=demand.kind,
            takedown=takedown,
            demand=demand,
            message_id=demand.demand_id,
            at=demand.printed.issued_at,
            token="",
            answer_url=render.answer_url(runtime.settings, demand.demand_id),
            organisation=render.organisation_of(runtime.settings),
            policy=runtime.policy,
        )
    except notice.NothingToSay:
        return None
    item = message.data.items[0]
    return item if isinstance(item, notice.DemandItem) else None


async def _resumed(tx: Tx, takedown: Takedown) -> str:
    """A value that differs after each resumption of the takedown or of its content (of which an ended takedown takes no note)."""
    times = await decisions.resumptions(tx, takedown.content_id)
    return f"{takedown.resumed_at and takedown.resumed_at.isoformat()} {times}"


def _id_of(demand: Demand, answer: Answer, via: str, *, resumed: str) -> UUID:
    """The id of an answer. The same answer has the same id, until a check has called it false or what it stopped was resumed: then it is a
    new answer. The page puts the moment of the click into an answer: clicking twice is one answer.

    The page puts the moment of the click into an answer: clicking twice is one answer.
    """
    if isinstance(answer, Response) and answer.reason in REACHES_FURTHER:
        resumed = ""  # a person's decision makes no news of it
    said = answer.model_dump_json(exclude_none=True, exclude={"at"} if via == "page" else None)
    false = 0 if demand.removal_reports is None else demand.removal_reports.false
    return deterministic_id((str(demand.demand_id), kind_of(answer), str(false), resumed, said))


async def _keep(tx: Tx, takedown: Takedown, demand: Demand, answer_id: UUID, answer: Answer, via: str) -> Kept | None:
    details = answer.model_dump(mode="json", exclude_none=True, exclude={"reason", "method"})
    new = NewAnswer(
        answer_id=answer_id,
        demand_id=demand.demand_id,
        takedown_id=takedown.takedown_id,
        kind=kind_of(answer),
        reason=answer.reason if isinstance(answer, Response) else None,
        method=answer.method if isinstance(answer, Removal) else None,
        details=details if takedown.target is not None and details else None,
        via=via,
    )
    return await answers.keep_answer(tx, new)
