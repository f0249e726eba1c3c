"""`/v1/cases`: begin, read, change, list, pause. Helpline staff, their own organisation's cases alone."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from services.intake.api.case_answers import CaseKept, CaseList, CaseSummary, CaseView, CaseWords, EndedCase
from services.intake.api.case_refs import check_case_ref
from services.intake.api.idempotency import KEY_OPTIONAL, answer_once
from services.intake.api.minors import refuse_minors
from services.intake.cases import case_rows
from services.intake.claims import whole_case
from services.intake.domain.cases import CaseChange, CaseFields, CaseRequest, PauseRequest
from services.intake.domain.claims import TooLateAStart, check_not_before
from services.intake.store.cases.cases import cases_page, read_case_row
from services.intake.store.cases.ended_cases import ended_case
from shared.access import audit
from shared.access.auth import Helpline
from shared.access.keyring import KeyRing, OtherRootKey
from shared.db.pool import Row, Tx
from shared.http.paging import Page, page_of
from shared.http.problems import Invalid, NotFound
from shared.pasted_urls import pasted_url
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime
from shared.urls import BadUrl, parse_url, url_keys

CaseRef = Annotated[str | None, Query(max_length=64)]

routes = APIRouter(prefix="/v1/cases", tags=["cases"])


@routes.post(
    "",
    status_code=201,
    dependencies=[Depends(refuse_minors)],
    summary="Begin a case",
    response_model=CaseKept,
    openapi_extra=KEY_OPTIONAL,
)
async def begin_case(
    principal: Helpline, runtime: ServiceRuntime, request: Request, asked: CaseRequest
) -> JSONResponse:
    """A new case, from its first field. It is a draft, erased after 7 days without a change, until something is declared under its
    reference. Not to be asked before the age is: of somebody under 18 nothing is kept."""
    _check(asked, runtime)

    async def change(tx: Tx) -> CaseKept:
        case_id = await case_rows.begin_case(tx, principal, asked, keys=runtime.keys)
        return CaseKept(case_id=case_id, version=1)

    return await answer_once(runtime, request, principal, change, status=201)


@routes.patch("/{case_id}", summary="Change a case", response_model=CaseKept, openapi_extra=KEY_OPTIONAL)
async def change_case(
    principal: Helpline, runtime: ServiceRuntime, request: Request, case_id: UUID, asked: CaseChange
) -> JSONResponse:
    """Change what is given, and nothing else. A domain that is added to `do_not_contact` holds for every claim of the case at once."""
    _check(asked, runtime)

    async def change(tx: Tx) -> CaseKept:
        version = await whole_case.change_case(tx, principal, case_id, asked, keys=runtime.keys)
        return CaseKept(case_id=case_id, version=version)

    return await answer_once(runtime, request, principal, change)


@routes.post("/{case_id}/pause", summary="Pause a case", response_model=CaseKept, openapi_extra=KEY_OPTIONAL)
async def pause_case(
    principal: Helpline, runtime: ServiceRuntime, request: Request, case_id: UUID, asked: PauseRequest | None = None
) -> JSONResponse:
    """Everything about the case stops at once; its fingerprints stay. The next contact is set a week ahead, if none is sooner. Reason
    `possible_minor`: operations staff alone decide how it goes on."""

    async def change(tx: Tx) -> CaseKept:
        await whole_case.pause_case(
            tx,
            principal,
            case_id,
            reason=(asked or PauseRequest()).reason,
            asked_after=runtime.policy.scaled(runtime.policy.paused_asked_after),
            now=runtime.clock(),
        )
        return await _kept(tx, principal, case_id)

    return await answer_once(runtime, request, principal, change)


@routes.post("/{case_id}/resumption", summary="Go on with a case", response_model=CaseKept, openapi_extra=KEY_OPTIONAL)
async def resume_case(principal: Helpline, runtime: ServiceRuntime, request: Request, case_id: UUID) -> JSONResponse:
    """End a pause: its pictures are looked for again, and links that were reported meanwhile are looked at."""

    async def change(tx: Tx) -> CaseKept:
        await whole_case.resume_case(tx, principal, case_id, now=runtime.clock())
        return await _kept(tx, principal, case_id)

    return await answer_once(runtime, request, principal, change)


@routes.get("", summary="List cases")
async def list_cases(
    principal: Helpline,
    runtime: ServiceRuntime,
    page: Page,
    mine: bool = False,
    urgent: bool = False,
    to_confirm: bool = False,
    case_ref: CaseRef = None,
    url: Annotated[str | None, Query(max_length=8192)] = None,
    host: Annotated[str | None, Query(max_length=253)] = None,
) -> CaseList:
    """The organisation's cases: the most urgent first, then by their next contact; of those with something to confirm, by how long it
    waits. `url`, `host`: those that reported it, or whose pictures were found there."""
    keys = None if url is None else [one.url_key for one in url_keys(_parsed(url, "url"))]
    asked = {
        "organisation": principal.organisation_id,
        "person": principal.person_id,
        "mine": mine,
        "urgent": urgent,
        "to_confirm": to_confirm,
        "case_ref": case_ref,
        "url_keys": keys,
        "host": None if host is None else parse_url(_parsed(f"https://{host}/", "host")).host,
        **page.parameters(),
    }
    async with runtime.database.transaction() as tx:
        rows = await cases_page(tx, **asked)
        shown = [_summary(row) for row in rows[: page.limit]]
        read = [one.case_id for one in shown]
        await audit.record_reading(tx, principal, action="case.listed", object_kind="case", object_ids=read)
    return CaseList(**page_of(rows, shown, page, lambda row: (row["place_at"], row["case_id"])))


@routes.get("/ended", summary="What can be told of a case that has ended")
async def read_ended_case(
    principal: Helpline, runtime: ServiceRuntime, case_ref: Annotated[str, Query(max_length=64)]
) -> EndedCase:
    """Why and when the last case of this reference ended: all that is kept of it, by a keyed digest, for two years."""
    async with runtime.database.transaction() as tx:
        row = await ended_case(tx, runtime.keys.ended_case_of(principal.organisation_id, case_ref))
    if row is None:
        raise NotFound("No case of this reference has ended.")
    return EndedCase(reason=row["reason"], ended_at=row["ended_at"])


@routes.get("/{case_id}", summary="Read a case")
async def read_case(principal: Helpline, runtime: ServiceRuntime, case_id: UUID) -> CaseView:
    """One case, with all that is written in it: audited."""
    async with runtime.database.transaction() as tx:
        row = await _row(tx, principal, case_id)
        await audit.record(tx, principal, action="case.read", object_kind="case", object_id=case_id)
    return CaseView(**dict(_summary(row)), paused_for=row["paused_for"], words=_words(runtime.keys, row))


def _check(asked: CaseFields, runtime: Runtime) -> None:
    """Raises Invalid for what this installation does not accept."""
    if asked.case_ref is not None:
        check_case_ref(asked.case_ref, runtime.settings)
    try:
        check_not_before(asked.demands_not_before, now=runtime.clock(), longest=runtime.policy.demands_not_before_max)
    except TooLateAStart as error:
        raise Invalid(error.detail, pointer="#/demands_not_before") from None


async def _row(tx: Tx, principal: Helpline, case_id: UUID) -> Row:
    row = await read_case_row(tx, principal.organisation_id, case_id, person_id=principal.person_id)
    if row is None:
        raise NotFound(case_rows.NO_CASE)
    return row


async def _kept(tx: Tx, principal: Helpline, case_id: UUID) -> CaseKept:
    row = await _row(tx, principal, case_id)
    return CaseKept(case_id=case_id, version=row["version"])


def _summary(row: Row) -> CaseSummary:
    """A case in a list."""
    state = "draft" if row["opened_at"] is None else "open" if row["paused_at"] is None else "paused"
    shown = {name: row[name] for name in CaseSummary.model_fields.keys() & row.keys()}
    return CaseSummary(**shown, state=state, waiting_for_you=row["waiting_for_asker"])


def _words(keys: KeyRing, row: Row) -> CaseWords | None:
    try:
        return CaseWords(**case_rows.read_details(keys, row).model_dump())
    except OtherRootKey:
        return None


def _parsed(pasted: str, parameter: str) -> str:
    url = pasted_url(pasted)
    try:
        parse_url(url)
    except BadUrl as error:
        raise Invalid(str(error), parameter=parameter) from None
    return url
