"""A new case: the age first, then pictures (turned into fingerprints in the browser) and links, declared in one step."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal
from uuid import uuid4

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from services.console import apis
from services.console.pages.cases import after_links, pasted_links, report_links
from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import AtDesk, SignedIn, form_of_ours
from shared.contracts.claims import DeclaredAs
from shared.contracts.content import Assurance
from shared.http.api_client import ApiRefused
from shared.ids import deterministic_id
from shared.service.dependencies import ServiceRuntime

TEXT_VERSION = "desk-2026-1"
"""The wording of the declaration on the page."""
MAX_PICTURES = 100

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Literal["pdq", "sha1", "sha256"]
    value: Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
    quality: int | None = None


class _Case(BaseModel):
    """The form, as it comes."""

    case_ref: str = ""
    capacity: DeclaredAs | None = None
    authority: bool = False
    intimate: bool = False
    without_consent: bool = False
    in_good_faith: bool = False
    synthetic: bool = False
    assurance: Assurance = Assurance.UNSEEN
    do_not_contact: str = ""
    quiet: Literal["", "no", "yes"] = ""
    links: str = ""
    pictures: str = "[]"
    sent: str = ""
    begun: str = ""
    """When the form was opened: the time of the declaration, the same however often it is sent."""


_Pictures = TypeAdapter(Annotated[tuple[tuple[_Given, ...], ...], Field(max_length=MAX_PICTURES)])


@routes.get("/new")
async def begin(runtime: ServiceRuntime, at_desk: AtDesk, age: Literal["", "adult", "minor"] = "") -> HTMLResponse:
    """The first question, before any file or link: how old was the person? Nothing typed is kept where they were under 18."""
    if age == "adult":
        return _form(runtime, at_desk, _Case(sent=str(uuid4()), begun=runtime.clock().isoformat()))
    return page(runtime.settings, "age.html" if age == "" else "minor.html", at_desk)


@routes.post("/new", dependencies=[Depends(form_of_ours)])
async def declare(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case: Annotated[_Case, Form()]
) -> Response:
    """Declare each picture of the case, and look at its links. Sent twice, it is one case."""
    try:
        pictures = _Pictures.validate_python(json.loads(case.pictures))
    except (ValidationError, ValueError, RecursionError):
        return _form(runtime, at_desk, case, "The pictures could not be read. Remove them, and add them again.")
    wrong = _missing(case, len(pictures))
    if wrong is not None:
        return _form(runtime, at_desk, case, wrong)
    links = pasted_links(case.links) if case.quiet == "no" else []
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        try:
            for fingerprints in pictures:
                body = _claim(case, fingerprints)
                # Of what is declared: what was taken before somebody corrected the form is not declared twice.
                key = deterministic_id(("desk", case.sent, json.dumps(body, sort_keys=True)))
                await intake.post("/v1/claims", body, idempotency_key=str(key))
        except ApiRefused as error:
            return _form(runtime, at_desk, case, str(error))
        refused = await report_links(intake, links, case.case_ref)
    return after_links(runtime, at_desk, case.case_ref, len(links), refused)


def _missing(case: _Case, pictures: int) -> str | None:
    """The first thing that is missing, said to the person at the form."""
    if not pictures:
        return "Add at least one picture. It is turned into a fingerprint here and goes nowhere."
    if not case.case_ref:
        return "Give the case a reference, as your helpline writes it."
    if case.capacity is None:
        return "Say for whom the caller speaks."
    if not (case.authority and case.intimate and case.without_consent and case.in_good_faith):
        return "Each statement of the declaration has to be true. Tick them, or do not declare this."
    if case.links.strip() and not case.quiet:
        return "Say whether the person who did this could notice a look, before we look at the links."
    return None


def _claim(case: _Case, fingerprints: tuple[_Given, ...]) -> dict[str, Any]:
    return {
        "case_ref": case.case_ref,
        "fingerprints": [one.model_dump(exclude_none=True) for one in fingerprints],
        "declaration": {
            "intimate": True,
            "non_consensual": True,
            "true_and_good_faith": True,
            "depicts_minor": "no",
            "synthetic": case.synthetic,
            "declared_as": case.capacity,
            "authority_recorded": True,
            "declared_at": case.begun,
            "text_version": TEXT_VERSION,
        },
        "assurance": case.assurance.value,
        "do_not_contact": case.do_not_contact.split(),
    }


def _form(runtime: ServiceRuntime, at_desk: SignedIn, case: _Case, wrong: str | None = None) -> HTMLResponse:
    status = 200 if wrong is None else 422
    return page(runtime.settings, "new_case.html", at_desk, status=status, case=case, wrong=wrong)
