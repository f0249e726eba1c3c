"""What stops a case: a pause, a withdrawal, *we got this wrong*, and what is found out of somebody's age."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.console import apis
from services.console.pages.cases import CaseRef, to_case
from services.console.pages.desk_route import DeskRoute
from services.console.session import HOME, AtDesk, form_of_ours
from shared.http.problems import Invalid
from shared.service.dependencies import ServiceRuntime

Reason = Annotated[Literal["subject_request", "not_ncii", "wrong_content"] | None, Form()]

routes = APIRouter(prefix="/desk/case", include_in_schema=False, route_class=DeskRoute)


@routes.post("/{case_id}/pause", dependencies=[Depends(form_of_ours)])
async def pause(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_id: UUID,
    reason: Annotated[Literal["caller", "possible_minor"], Form()] = "caller",
) -> Response:
    """Everything stops at once, and can go on."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        await intake.post(f"/v1/cases/{case_id}/pause", {"reason": reason})
    return RedirectResponse(f"{HOME}/case/{case_id}", status_code=303)


@routes.post("/{case_id}/resumption", dependencies=[Depends(form_of_ours)])
async def resume(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID) -> Response:
    """Go on with a paused case."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        await intake.post(f"/v1/cases/{case_id}/resumption")
    return RedirectResponse(f"{HOME}/case/{case_id}", status_code=303)


@routes.post("/withdrawal", dependencies=[Depends(form_of_ours)])
async def withdraw(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_ref: CaseRef,
    reason: Reason = None,
    final: Annotated[bool, Form()] = False,
    single: Annotated[bool, Form()] = False,
    picture: Annotated[list[UUID] | None, Form()] = None,
) -> Response:
    """Withdraw all pictures of the case, or (`single`) those that were chosen. It stops at once, and can be taken back for a
    while. `final`: what a colleague began is ended by a second word."""
    if reason is None:  # never taken for another: sites are told other things
        raise Invalid("Say why it is withdrawn. Nothing has been changed yet.")
    chosen = {str(one) for one in picture or ()}
    if single and not chosen:
        raise Invalid("No picture was chosen. Tick those that are to be withdrawn. Nothing has been changed yet.")
    states = ("withdrawing",) if final else ("awaiting_confirmation", "confirmed")
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        for claim in [one async for one in intake.items("/v1/claims", case_ref=case_ref)]:
            if claim["state"] in states and (not single or claim["claim_id"] in chosen):
                await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": reason})
    return to_case(case_ref)


@routes.post("/withdrawal/undo", dependencies=[Depends(form_of_ours)])
async def undo_withdrawal(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_ref: CaseRef) -> Response:
    """Take a withdrawal back."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        for claim in [one async for one in intake.items("/v1/claims", case_ref=case_ref)]:
            if claim["state"] == "withdrawing":
                await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal/undo")
    return to_case(case_ref)
