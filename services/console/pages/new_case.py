"""The pictures of a case (turned into fingerprints in the browser) and its links, declared in one step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

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
from shared.http.api_client import ApiClient, ApiRefused
from shared.ids import deterministic_id
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime

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
    has_reference: bool = False
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


@routes.get("/new/{case_id}")
async def add_pictures(request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID) -> HTMLResponse:
    """The pictures of a case that was begun; or more of them."""
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        case = await intake.get(f"/v1/cases/{case_id}")
    words = case["words"] or {}
    form = _Case(
        case_ref=case["case_ref"] or "",
        has_reference=case["case_ref"] is not None,
        capacity=words.get("declared_as"),
        synthetic=words.get("synthetic") or False,
        do_not_contact=" ".join(words.get("do_not_contact") or ()),
        sent=str(uuid4()),
        begun=runtime.clock().isoformat(),
    )
    return _form(runtime, at_desk, case_id, form)


@routes.post("/new/{case_id}", dependencies=[Depends(form_of_ours)])
async def declare(
    request: Request, runtime: ServiceRuntime, at_desk: AtDesk, case_id: UUID, case: Annotated[_Case, Form()]
) -> Response:
    """Declare each picture of the case, and look at its links. Sent twice, it is declared once."""
    try:
        pictures = _Pictures.validate_python(json.loads(case.pictures))
    except (ValidationError, ValueError, RecursionError):
        return _form(
            runtime, at_desk, case_id, case, "The pictures could not be read. Remove them, and add them again."
        )
    wrong = _missing(case, len(pictures))
    if wrong is not None:
        return _form(runtime, at_desk, case_id, case, wrong)
    links = pasted_links(case.links) if case.quiet == "no" else []
    async with apis.intake(request, at_desk, runtime.settings) as intake:
        try:
            kept = await _keep_in_case(intake, case_id, case)
            for fingerprints in pictures:
                body = _claim(case, fingerprints, kept)
                # Of what is declared: what was taken before somebody corrected the form is not declared twice.
                key = deterministic_id(("desk", case.sent, json.dumps(body, sort_keys=True)))
                await intake.post("/v1/claims", body, idempotency_key=str(key))
        except ApiRefused as error:
            return _form(runtime, at_desk, case_id, case, str(error))
        refused = await report_links(intake, links, kept["case_ref"])
    return after_links(runtime, at_desk, kept["case_ref"], len(links), refused)


async def _keep_in_case(intake: ApiClient, case_id: UUID, form: _Case) -> dict[str, Any]:
    """What was declared is written in the case, too, which has its reference from here on; the case as it is then. Raises ApiRefused."""
    refused: ApiRefused | None = None
    for _ in range(3):  # a colleague, or this form sent twice, may change it meanwhile
        case: dict[str, Any] = await intake.get(f"/v1/cases/{case_id}")
        before = case["words"] or {}
        domains = list(dict.fromkeys([*(before.get("do_not_contact") or ()), *form.do_not_contact.split()]))
        change: dict[str, Any] = {
            "declared_as": form.capacity,
            "authority_recorded": form.authority,
            "synthetic": form.synthetic,
            "do_not_contact": domains or None,
        }
        reference = {} if case["case_ref"] is not None else {"case_ref": form.case_ref.strip()}
        if not reference and all(before.get(name) == value for name, value in change.items()):
            return case
        try:
            await intake.patch(f"/v1/cases/{case_id}", {"version": case["version"], **change, **reference})
        except ApiRefused as error:
            if error.status != 409:
                raise
            refused = error
    if refused is None:
        return case
    raise refused


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


def _claim(form: _Case, fingerprints: tuple[_Given, ...], case: Mapping[str, Any]) -> dict[str, Any]:
    words = case["words"] or {}
    return {
        "case_ref": case["case_ref"],
        "fingerprints": [one.model_dump(exclude_none=True) for one in fingerprints],
        "declaration": {
            "intimate": True,
            "non_consensual": True,
            "true_and_good_faith": True,
            "depicts_minor": "no",
            "synthetic": form.synthetic,
            "declared_as": form.capacity,
            "authority_recorded": True,
            "declared_at": form.begun,
            "text_version": TEXT_VERSION,
        },
        "assurance": form.assurance.value,
        "do_not_contact": words.get("do_not_contact") or [],
        "subject_jurisdictions": words.get("subject_jurisdictions") or [],
        "demands_not_before": words.get("demands_not_before"),
        "evidence_wanted": words.get("evidence_wanted") or False,
    }


def _form(runtime: Runtime, at_desk: SignedIn, case_id: UUID, case: _Case, wrong: str | None = None) -> HTMLResponse:
    status = 200 if wrong is None else 422
    return page(runtime.settings, "new_case.html", at_desk, status=status, case_id=case_id, case=case, wrong=wrong)
