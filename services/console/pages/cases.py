"""The first page, and what became of a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console import apis
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import HOME, AtDesk, SignedIn, form_of_ours
from services.console.words import Line, line_of_report, line_of_takedown, moment, told
from shared.http.api_client import ApiClient, ApiRefused
from shared.http.problems import Invalid
from shared.pasted_urls import pasted_urls
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime
from shared.urls import split_url

MAX_LINKS = 1000
"""Of one form."""

CaseRef = Annotated[str, Form(max_length=64)]

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


@routes.get("")
async def home(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case: str = "") -> Response:
    """The first page; a case that is asked for opens."""
    if case.strip():
        return to_case(case.strip())
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        waiting = (await intake.get("/v1/claims", state="awaiting_confirmation", limit=50))["items"]
    return page(runtime.settings, "home.html", at_desk, waiting=len(waiting))


@routes.get("/case")
async def show_case(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_ref: Annotated[str, Query(alias="ref", max_length=64)],
) -> HTMLResponse:
    """What became of a case: its pictures, its links, and what can be told."""
    claims, lines = await _read(request, runtime, at_desk, case_ref)
    if not claims and not lines:
        return page(runtime.settings, "no_case.html", at_desk, status=404, case_ref=case_ref)
    waiting = sum(claim["state"] == "awaiting_confirmation" for claim in claims)
    return page(
        runtime.settings,
        "case.html",
        at_desk,
        case_ref=case_ref,
        claims=claims,
        waiting=waiting,
        confirmed=sum(claim["state"] == "confirmed" for claim in claims),
        withdrawing=sum(claim["state"] == "withdrawing" for claim in claims),
        sites=[(site, list(of_site)) for site, of_site in groupby(lines, key=lambda line: line.site)],
        count=len(lines),
        told=told(lines, now=runtime.clock(), waiting=waiting),
        now=moment(runtime.clock()),
    )


@routes.post("/case/links", dependencies=[Depends(form_of_ours)])
async def add_links(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_ref: CaseRef, text: Annotated[str, Form()] = ""
) -> Response:
    """Look at the addresses that were pasted."""
    found = pasted_links(text)
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        refused = await report_links(intake, found, case_ref)
    return after_links(runtime, at_desk, case_ref, len(found), refused)


@routes.post("/case/withdrawal", dependencies=[Depends(form_of_ours)])
async def withdraw(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_ref: CaseRef) -> Response:
    """Withdraw all pictures of the case: everything stops at once, and can be taken back for a while."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        for claim in await claims_of(intake, case_ref):
            if claim["state"] in ("awaiting_confirmation", "confirmed"):
                await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": "subject_request"})
    return to_case(case_ref)


@routes.post("/case/withdrawal/undo", dependencies=[Depends(form_of_ours)])
async def undo_withdrawal(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_ref: CaseRef) -> Response:
    """Take a withdrawal back."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        for claim in await claims_of(intake, case_ref):
            if claim["state"] == "withdrawing":
                await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal/undo")
    return to_case(case_ref)


def to_case(case_ref: str) -> RedirectResponse:
    """To the page of a case."""
    return RedirectResponse(f"{HOME}/case?{urlencode({'ref': case_ref})}", status_code=303)


async def claims_of(intake: ApiClient, case_ref: str) -> list[dict[str, Any]]:
    """The case's claims; none for a reference that no case can have."""
    try:
        return [claim async for claim in intake.items("/v1/claims", case_ref=case_ref)]
    except ApiRefused:
        return []


def pasted_links(text: str) -> list[str]:
    """The addresses of a text. Raises Invalid for more than can be taken at once: nothing has been sent then."""
    found = pasted_urls(text)
    if len(found) > MAX_LINKS:
        raise Invalid(f"These are {len(found)} links. Paste at most {MAX_LINKS} at once; nothing has been sent yet.")
    return found


def after_links(runtime: Runtime, at_desk: SignedIn, case_ref: str, count: int, refused: Sequence[str]) -> Response:
    """To the case; or, where some of `count` links were refused, a page that names them first."""
    if not refused:
        return to_case(case_ref)
    return page(runtime.settings, "links.html", at_desk, case_ref=case_ref, taken=count - len(refused), refused=refused)


async def report_links(intake: ApiClient, links: Sequence[str], case_ref: str) -> list[str]:
    """Report each. What was refused, with why: a line each."""
    refused = []
    for link in links:
        try:
            await intake.post("/v1/reports", {"url": link, "case_ref": case_ref})
        except ApiRefused as error:
            refused.append(f"{link}: {error}")
    return refused


async def _read(
    request: Request, runtime: ServiceRuntime, at_desk: SignedIn, case_ref: str
) -> tuple[list[dict[str, Any]], list[Line]]:
    async with (
        apis.intake(request, at_desk, runtime.settings) as intake,
        apis.notifier(request, at_desk, runtime.settings) as notifier,
    ):
        claims = await claims_of(intake, case_ref)
        reports = [one async for one in intake.items("/v1/reports", case_ref=case_ref)] if claims else []
        takedowns = [
            one
            for claim in claims
            if claim["state"] != "withdrawn"
            async for one in notifier.items("/v1/takedowns", claim_id=claim["claim_id"])
        ]
        waits_for = {one["takedown_id"]: one["kind"] async for one in notifier.items("/v1/tasks")} if takedowns else {}
    return claims, _lines(takedowns, reports, waits_for)


def _lines(
    takedowns: Sequence[Mapping[str, Any]], reports: Sequence[Mapping[str, Any]], waits_for: Mapping[str, str]
) -> list[Line]:
    """A line a takedown, and one for each reported link that none came of; by site, what is still up first."""
    shown = {one["takedown_id"]: line_of_takedown(one, waits_for.get(one["takedown_id"])) for one in takedowns}
    reported = {one["url"]: one for one in reports if not set(one["takedown_ids"]) & set(shown)}
    lines = [*shown.values(), *(line_of_report(one, split_url(url).hostname or "") for url, one in reported.items())]
    return sorted(lines, key=lambda line: (line.site, line.tone.value, line.url or ""))
