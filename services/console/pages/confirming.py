"""What waits for a second person, and their word: case by case, the most urgent first, then by how long it waits."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, Response

from services.console import apis, case_words
from services.console.pages.cases import to_case
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import AtDesk, SignedIn, form_of_ours
from services.console.words import moment
from shared.contracts.content import Assurance
from shared.http.api_client import ApiRefused
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime

routes = APIRouter(prefix="/desk/confirm", include_in_schema=False, route_class=DeskRoute)


@routes.get("")
async def waiting(request: Request, runtime: ServiceRuntime, at_desk: AtDesk) -> HTMLResponse:
    """Cases with pictures that nobody has confirmed yet."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        found = (await intake.get("/v1/cases", to_confirm="true", limit=100))["items"]
    shown = [one | {"since": moment(one["waiting_since"])} for one in found]
    return page(runtime.settings, "to_confirm.html", at_desk, waiting=shown)


@routes.get("/{case_id}")
async def look(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID) -> HTMLResponse:
    """The pictures of one case that wait."""
    return await _opened(request, runtime, at_desk, case_id)


@routes.post("/{case_id}", dependencies=[Depends(form_of_ours)])
async def confirm(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_id: UUID,
    assurance: Annotated[Assurance, Form()],
    claim: Annotated[list[UUID] | None, Form()] = None,
) -> Response:
    """The second person's word on the pictures that are ticked: from here on they are in the register."""
    if not claim:
        return await _opened(
            request, runtime, at_desk, case_id, ["No picture was chosen. Tick those that you confirm."]
        )
    wrong: list[str] = []
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await intake.get(f"/v1/cases/{case_id}")
        for claim_id in claim:
            try:
                await intake.post(f"/v1/claims/{claim_id}/confirmation", {"assurance": assurance.value})
            except ApiRefused as error:
                wrong.append(str(error))
    if wrong:
        return await _opened(request, runtime, at_desk, case_id, list(dict.fromkeys(wrong)))
    return to_case(case["case_ref"])


async def _opened(
    request: Request, runtime: Runtime, at_desk: SignedIn, case_id: UUID, wrong: list[str] | None = None
) -> HTMLResponse:
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await intake.get(f"/v1/cases/{case_id}")
        claims: list[dict[str, Any]] = []
        if case["waiting"]:
            claims = [one async for one in intake.items("/v1/claims", case_ref=case["case_ref"])]
    shown = [
        one | {"since": moment(one["created_at"])}
        for one in reversed(claims)
        if one["state"] == "awaiting_confirmation"
    ]
    return page(
        runtime.settings,
        "confirm.html",
        at_desk,
        status=200 if wrong is None else 409,
        case=case,
        claims=shown,
        urgent=case_words.urgent_of(case),
        wrong=wrong,
    )
