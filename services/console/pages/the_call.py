"""What the caller says, before any picture: a case from its first field, and its changes later."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console import apis
from services.console.case_words import AGREED_TO, POLICE, URGENT, YES_NO
from services.console.pages.case_form import CaseForm
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import HOME, AtDesk, SignedIn, form_of_ours
from shared.http.api_client import ApiRefused
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


@routes.get("/new")
async def begin(
    runtime: ServiceRuntime, at_desk: AtDesk, age: Literal["", "adult", "minor"] = "", case_ref: str = ""
) -> HTMLResponse:
    """The first question, before any file or link: how old was the person? Nothing typed is kept where they were under 18."""
    if age == "adult":
        return _form(runtime, at_desk, CaseForm(case_ref=case_ref, sent=str(uuid4())))
    return page(runtime.settings, "age.html" if age == "" else "minor.html", at_desk, case_ref=case_ref)


@routes.post("/new", dependencies=[Depends(form_of_ours)])
async def keep_draft(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, form: Annotated[CaseForm, Form()]
) -> Response:
    """Keep what was asked so far, as a draft; then come the pictures. Sent twice, it is one case."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        try:
            body = {"depicts_minor": "no", **form.fields()}
            made = await intake.post("/v1/cases", body, idempotency_key=f"case {form.sent}")
        except ApiRefused as error:
            return _form(runtime, at_desk, form, wrong=str(error))
    return RedirectResponse(f"{HOME}/new/{made['case_id']}", status_code=303)


@routes.get("/case/{case_id}/edit")
async def edit(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID) -> HTMLResponse:
    """What is written in a case, to be changed."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await intake.get(f"/v1/cases/{case_id}")
    return _form(runtime, at_desk, CaseForm.of(case), case_id=case_id)


@routes.post("/case/{case_id}/edit", dependencies=[Depends(form_of_ours)])
async def keep_change(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID, form: Annotated[CaseForm, Form()]
) -> Response:
    """Keep a change; what a colleague changed meanwhile is not written over."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        try:
            await intake.patch(f"/v1/cases/{case_id}", {"version": form.version, **form.fields()})
        except ApiRefused as error:
            if error.status == 404:
                raise
            return _form(runtime, at_desk, form, case_id=case_id, wrong=str(error))
    return RedirectResponse(f"{HOME}/case/{case_id}", status_code=303)


def _form(
    runtime: Runtime, at_desk: SignedIn, form: CaseForm, *, case_id: UUID | None = None, wrong: str | None = None
) -> HTMLResponse:
    return page(
        runtime.settings,
        "call.html",
        at_desk,
        status=200 if wrong is None else 422,
        case=form,
        case_id=case_id,
        wrong=wrong,
        urgent=URGENT,
        agreed_to=AGREED_TO,
        police=POLICE,
        yes_no=YES_NO,
    )
