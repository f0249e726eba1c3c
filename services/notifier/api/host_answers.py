"""The host API: what a recipient asks and answers, with the token of its demand as bearer. Also who we are (RFC 8615).

A wrong token and a wrong id look alike. No answer is cached, and nothing here shows another demand.
"""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.notifier.application import host_answers as answers
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.notices.message import DemandItem
from services.notifier.store import takedowns
from services.notifier.store.answers import Kept
from shared.http.answers import Answer, example
from shared.http.problems import Unauthenticated
from shared.ids import timestamp
from shared.service.dependencies import ServiceRuntime, provided

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


_KEPT = {
    "answer_id": "2c9a7f10-5d4e-5b3a-8f6c-1a2b3c4d5e6f",
    "demand_id": "c91be0f4-7a6c-5062-8465-96713a513c40",
    "kind": "acknowledgement",
    "received_at": "2026-03-02T10:15:00.000000Z",
}


class WhoWeAre(Answer):
    """Who sends demands from here."""

    model_config = example(
        {
            "organisation": "Example Helpline",
            "contact": "demands@helpline.example",
            "complaints": "complaints@helpline.example",
            "host_api": "https://takedown.helpline.example/host/v1/demands/{demand_id}",
        }
    )

    organisation: str
    contact: str
    complaints: str
    host_api: str


class AnswerKept(BaseModel):
    """An answer was received. The same answer again gives the same."""

    model_config = example(_KEPT)

    answer_id: UUID
    demand_id: UUID
    kind: str
    received_at: str


class DemandShown(BaseModel):
    """A demand as it stands. `deadline`: by law, in real time. `demand` is absent once there is nothing to remove any more."""

    model_config = example(
        {
            "demand_id": _KEPT["demand_id"],
            "state": "acknowledged",
            "issued_at": "2026-03-02T09:15:00.000000Z",
            "delivered_at": "2026-03-02T09:15:01.000000Z",
            "answers": [_KEPT],
        }
    )

    demand_id: UUID
    state: str
    issued_at: str
    delivered_at: str | None = None
    deadline: str | None = None
    demand: dict[str, str | int | dict[str, str | int | bool | list[str] | None]] | None = None
    answers: list[AnswerKept]


routes = APIRouter(tags=["hosts"])

WorkFactory = Annotated[UnitOfWorkFactory, Depends(provided(UnitOfWorkFactory))]


async def owner_of(
    request: Request, demand_id: UUID, response: Response, runtime: ServiceRuntime
) -> takedowns.DemandOwner:
    """The demand whose token is the bearer. Raises Unauthenticated; a wrong token and a wrong id look alike."""
    response.headers.update(HEADERS)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send the token of the demand in the header `Authorization: Bearer …`.")
    async with runtime.database.transaction() as tx:
        owner = await takedowns.owner_of_token(tx, token.strip())
    if owner is None or owner.demand_id != demand_id:
        raise Unauthenticated(
            "This token does not belong to this demand. Use the token and the demand_id of the same item."
        )
    return owner


Owner = Annotated[takedowns.DemandOwner, Depends(owner_of)]


@routes.get("/host/v1/demands/{demand_id}", summary="Read a demand", response_model_exclude_none=True)
async def read_demand(owner: Owner, runtime: ServiceRuntime) -> DemandShown:
    """The demand as it stands, its state, the deadline where a law sets one, and your answers so far."""
    async with runtime.database.transaction() as tx:
        return shown(await answers.show(tx, runtime, owner))


@routes.post("/host/v1/demands/{demand_id}/acknowledgement", summary="Acknowledge a demand")
async def acknowledge_demand(
    owner: Owner, work: WorkFactory, body: answers.Acknowledgement | None = None
) -> AnswerKept:
    """Say that you have it and are working on it. The clock goes on."""
    return kept(await answers.receive_answer(work, owner, body or answers.Acknowledgement(), via="api"))


@routes.post("/host/v1/demands/{demand_id}/removal", summary="Report a removal")
async def report_removal(owner: Owner, work: WorkFactory, body: answers.Removal) -> AnswerKept:
    """Say that you removed it, and how. We look at once; only our own look ends the demand."""
    return kept(await answers.receive_answer(work, owner, body, via="api"))


@routes.post("/host/v1/demands/{demand_id}/response", summary="Object, or say why not")
async def respond_to_demand(owner: Owner, work: WorkFactory, body: answers.Response) -> AnswerKept:
    """Say why you do not remove it, or what we should know."""
    return kept(await answers.receive_answer(work, owner, body, via="api"))


@routes.get("/.well-known/takedown.json", summary="Who we are")
async def who_we_are(runtime: ServiceRuntime) -> WhoWeAre:
    """Who runs this, whom to ask, where to complain, and where a demand is answered (RFC 8615)."""
    settings = runtime.settings
    return WhoWeAre(
        organisation=settings.organisation_name,
        contact=settings.organisation_contact,
        complaints=settings.organisation_complaints,
        host_api=f"{(settings.public_url or '').rstrip('/')}/host/v1/demands/{{demand_id}}",
    )


def shown(demand: answers.Shown) -> DemandShown:
    return DemandShown(
        demand_id=demand.demand_id,
        state=demand.state,
        issued_at=timestamp(demand.issued_at),
        delivered_at=None if demand.delivered_at is None else timestamp(demand.delivered_at),
        deadline=None if demand.deadline is None else timestamp(demand.deadline),
        demand=None if demand.item is None else _without_token(demand.item),
        answers=[kept(one) for one in demand.answers],
    )


def kept(one: Kept) -> AnswerKept:
    return AnswerKept(
        answer_id=one.answer_id, demand_id=one.demand_id, kind=one.kind, received_at=timestamp(one.received_at)
    )


def _without_token(item: DemandItem) -> dict[str, Any]:
    return item.model_dump(mode="json", exclude_none=True, exclude={"token", "demand_id"})
