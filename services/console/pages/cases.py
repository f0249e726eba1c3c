"""A case's page: what became of it, what is written in it, and more links for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console import apis, case_words
from services.console.case_facts import facts_of_case, find_case, how_it_ended
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import HOME, AtDesk, SignedIn, form_of_ours
from services.console.words import moment
from shared.http.api_client import ApiClient
from shared.http.problems import Invalid
from shared.pasted_urls import pasted_urls
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime

MAX_LINKS = 1000
"""Of one form."""

_PICTURE = {"confirmed": "confirmed", "awaiting_confirmation": "waiting for a second person"}
"""What a page calls a picture that can be withdrawn."""

CaseRef = Annotated[str, Form(max_length=64)]

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


@routes.get("/case")
async def show_case(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_ref: Annotated[str, Query(alias="ref", max_length=64)],
) -> HTMLResponse:
    """The case of a reference; or, where it has ended, what can be told of it."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await find_case(intake, case_ref)
        ended = None if case is not None else await how_it_ended(intake, case_ref)
    if case is None:
        told = None if ended is None else case_words.ended(ended["reason"], ended["ended_at"])
        return page(runtime.settings, "no_case.html", at_desk, status=404, case_ref=case_ref, told=told)
    return await _shown(request, runtime, at_desk, case)


@routes.get("/case/{case_id}")
async def show_case_by_id(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID) -> HTMLResponse:
    """A case, also one that has no reference yet."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await intake.get(f"/v1/cases/{case_id}")
    return await _shown(request, runtime, at_desk, case)


@routes.post("/case/links", dependencies=[Depends(form_of_ours)])
async def add_links(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    case_ref: CaseRef,
    text: Annotated[str, Form()] = "",
    unnoticed: Annotated[bool, Form()] = False,
) -> Response:
    """Look at the addresses that were pasted, if nobody can notice that, or the caller agrees."""
    found = pasted_links(text)
    if found and not unnoticed:
        raise Invalid(
            "Nothing was opened: say first that nobody can notice a look, or that it is agreed with the caller."
        )
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        refused = await report_links(intake, found, case_ref)
    return after_links(runtime, at_desk, case_ref, len(found), refused)


def to_case(case_ref: str) -> RedirectResponse:
    """To the page of a case."""
    return RedirectResponse(f"{HOME}/case?{urlencode({'ref': case_ref})}", status_code=303)


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
    """Report them all. What was refused, with why: a line each."""
    if not links:
        return []
    answer = await intake.post("/v1/reports", [{"url": link, "case_ref": case_ref} for link in links])
    return [
        f"{links[one['index']]}: {' '.join(fault['detail'] for fault in one['errors'])}"
        for one in answer["items"]
        if one["verdict"] == "refused"
    ]


async def _shown(request: Request, runtime: ServiceRuntime, at_desk: SignedIn, case: Mapping[str, Any]) -> HTMLResponse:
    async with (
        apis.intake(request, at_desk, runtime.settings) as intake,
        apis.notifier(request, at_desk, runtime.settings) as notifier,
    ):
        facts = await facts_of_case(intake, notifier, case)
    now = runtime.clock()
    reasons = {
        one["withdrawal"]["reason"] for one in facts.claims if one["state"] == "withdrawing" and one["withdrawal"]
    }
    return page(
        runtime.settings,
        "case.html",
        at_desk,
        case=case,
        urgent=case_words.urgent_of(case),
        facts=case_words.facts_of(case),
        next_contact=moment(case["next_contact_at"]),
        sites=facts.sites,
        pictures=[
            {"claim_id": one["claim_id"], "now": _PICTURE[one["state"]], "since": moment(one["created_at"])}
            for one in reversed(facts.claims)
            if one["state"] in _PICTURE
        ],
        reported=sorted({one["url"] for one in facts.reports}),
        withdrawn_for=reasons.pop() if len(reasons) == 1 else None,
        count=len(facts.lines),
        told=facts.told(now),
        now=moment(now),
    )
