"""The host API: what a recipient asks and answers, with the token of its demand as bearer. Also who we are (RFC 8615).

A wrong token and a wrong id look alike. No answer is cached, and nothing here shows another demand.
"""

# No postponed annotations here: FastAPI evaluates those in the module, and `Owner` is made where the routes are.

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.notifier.application import host_answers as answers
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.notices.message import DemandItem
from services.notifier.store import takedowns
from shared.http.problems import Unauthenticated
from shared.ids import timestamp

HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


class AnswerKept(BaseModel):
    """An answer was received. The same answer again gives the same."""

    answer_id: UUID
    demand_id: UUID
    kind: str
    received_at: str


class DemandShown(BaseModel):
    """A demand as it stands. `deadline`: by law, in real time. `demand` is absent once there is nothing to remove any more."""

    demand_id: UUID
    state: str
    issued_at: str
    delivered_at: str | None = None
    deadline: str | None = None
    demand: dict[str, Any] | None = None
    answers: list[AnswerKept]


def router(applier: UnitOfWorkFactory) -> APIRouter:
    """The routes."""
    routes = APIRouter(tags=["hosts"])
    runtime = applier.runtime

    async def owner_of(request: Request, demand_id: UUID, response: Response) -> takedowns.DemandOwner:
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

    @routes.get("/host/v1/demands/{demand_id}", response_model_exclude_none=True)
    async def show(owner: Owner) -> DemandShown:
        async with runtime.database.transaction() as tx:
            return shown(await answers.show(tx, runtime, owner))

    @routes.post("/host/v1/demands/{demand_id}/acknowledgement")
    async def acknowledge(owner: Owner, body: answers.Acknowledgement | None = None) -> AnswerKept:
        return kept(await answers.receive(applier, owner, body or answers.Acknowledgement(), via="api"))

    @routes.post("/host/v1/demands/{demand_id}/removal")
    async def report_removal(owner: Owner, body: answers.Removal) -> AnswerKept:
        return kept(await answers.receive(applier, owner, body, via="api"))

    @routes.post("/host/v1/demands/{demand_id}/response")
    async def respond(owner: Owner, body: answers.Response) -> AnswerKept:
        return kept(await answers.receive(applier, owner, body, via="api"))

    @routes.get("/.well-known/takedown.json")
    async def who_we_are() -> dict[str, str]:
        settings = runtime.settings
        return {
            "organisation": settings.organisation_name,
            "contact": settings.organisation_contact,
            "complaints": settings.organisation_complaints,
            "host_api": f"{(settings.public_url or '').rstrip('/')}/host/v1/demands/{{demand_id}}",
        }

    return routes


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


def kept(one: answers.Kept) -> AnswerKept:
    return AnswerKept(
        answer_id=one.answer_id, demand_id=one.demand_id, kind=one.kind, received_at=timestamp(one.received_at)
    )


def _without_token(item: DemandItem) -> dict[str, Any]:
    return item.model_dump(mode="json", exclude_none=True, exclude={"token", "demand_id"})
