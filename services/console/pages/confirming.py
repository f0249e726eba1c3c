"""What waits for a second person, and their word."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, Response

from services.console import apis
from services.console.pages.cases import to_case
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import AtDesk, form_of_ours
from services.console.words import moment
from shared.contracts.content import Assurance
from shared.http.api_client import ApiRefused
from shared.service.dependencies import ServiceRuntime

routes = APIRouter(prefix="/desk/confirm", include_in_schema=False, route_class=DeskRoute)


@routes.get("")
async def waiting(request: Request, runtime: ServiceRuntime, at_desk: AtDesk) -> HTMLResponse:
    """Pictures that nobody has confirmed yet, the oldest last."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        found = (await intake.get("/v1/claims", state="awaiting_confirmation", limit=100))["items"]
    shown = [{"claim_id": one["claim_id"], "since": moment(one["created_at"])} for one in reversed(found)]
    return page(runtime.settings, "to_confirm.html", at_desk, waiting=shown)


@routes.get("/{claim_id}")
async def look(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, claim_id: UUID) -> HTMLResponse:
    """One of them, opened: this reads its case, and is audited as that."""
    return await _opened(request, runtime, at_desk, claim_id, None)


@routes.post("/{claim_id}", dependencies=[Depends(form_of_ours)])
async def confirm(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, claim_id: UUID, assurance: Annotated[Assurance, Form()]
) -> Response:
    """The second person's word: from here on the picture is in the register."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        try:
            claim = await intake.post(f"/v1/claims/{claim_id}/confirmation", {"assurance": assurance.value})
        except ApiRefused as error:
            return await _opened(request, runtime, at_desk, claim_id, str(error))
    return to_case(claim["case_ref"])


async def _opened(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, claim_id: UUID, wrong: str | None
) -> HTMLResponse:
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        claim = await intake.get(f"/v1/claims/{claim_id}")
    return page(
        runtime.settings,
        "confirm.html",
        at_desk,
        status=200 if wrong is None else 409,
        claim=claim,
        wrong=wrong,
        since=moment(claim["created_at"]),
    )
