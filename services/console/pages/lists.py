"""Lists of cases: mine, what is urgent, and what was asked for by a reference, a link or a site."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.console import apis
from services.console.pages.cases import to_case
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import HOME, AtDesk, form_of_ours
from services.console.words import moment
from shared.http.api_client import ApiClient, ApiRefused
from shared.service.dependencies import ServiceRuntime

SHOWN = 50

Cursor = Annotated[str | None, Query(max_length=200)]

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


@routes.get("")
async def home(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    cursor: Cursor = None,
) -> HTMLResponse:
    """My cases, and how many pictures wait for my confirmation."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        mine = await intake.get("/v1/cases", mine="true", limit=SHOWN, cursor=cursor)
        waiting = (await intake.get("/v1/cases", to_confirm="true", limit=SHOWN))["items"]
    return page(
        runtime.settings,
        "home.html",
        at_desk,
        cases=rows_of(mine["items"]),
        next=mine["next"],
        waiting=sum(one["waiting_for_you"] for one in waiting),
    )


@routes.post("/find", dependencies=[Depends(form_of_ours)])
async def find(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, what: Annotated[str, Form(max_length=8192)] = ""
) -> Response:
    """Open the case of a reference, or list the cases that know a link or a site. A form, so that no link of a case stands in the address
    of a page, in a browser's history or in a proxy's log."""
    asked = what.strip()
    if not asked:
        return RedirectResponse(HOME, status_code=303)
    if not _is_address(asked):
        return to_case(asked[:64])
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        found, whole = await _at_address(intake, asked)
    return page(runtime.settings, "found.html", at_desk, asked=asked, cases=rows_of(found), whole=whole)


@routes.get("/urgent")
async def urgent(
    request: Request,
    runtime: ServiceRuntime,
    at_desk: AtDesk,
    cursor: Cursor = None,
) -> HTMLResponse:
    """The urgent cases of the organisation, whoever looks after them."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        found = await intake.get("/v1/cases", urgent="true", limit=SHOWN, cursor=cursor)
    return page(runtime.settings, "urgent.html", at_desk, cases=rows_of(found["items"]), next=found["next"])


def rows_of(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cases as rows of a table."""
    return [case | {"now": _now(case), "next_contact": moment(case["next_contact_at"])} for case in cases]


def _now(case: Mapping[str, Any]) -> str:
    if case["state"] != "open":
        return "paused" if case["state"] == "paused" else "nothing declared yet"
    counts = (
        (case["confirmed"], "confirmed"),
        (case["waiting"], "to confirm"),
        (case["withdrawing"], "being withdrawn"),
    )
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "no picture"


def _is_address(text: str) -> bool:
    return any(mark in text for mark in (".", "/", "[dot]", "(dot)"))


async def _at_address(intake: ApiClient, asked: str) -> tuple[list[dict[str, Any]], bool]:
    """The cases that know this link; where none does, or it names a site alone, those that know its site. Whether the link was found."""
    try:
        found = (await intake.get("/v1/cases", url=asked, limit=SHOWN))["items"]
        if found:
            return found, True
        host = asked.partition("://")[2] or asked
        return (await intake.get("/v1/cases", host=host.partition("/")[0], limit=SHOWN))["items"], False
    except ApiRefused as error:
        if error.status == 422:
            return [], False
        raise
