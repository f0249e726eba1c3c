"""`/v1/reports`: URLs to look at. 202; a worker fetches, fingerprints and publishes; the matcher's answer settles it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import SkipValidation, ValidationError

from services.intake.api.answers import ReportList, ReportQueued, ReportState, ReportSummary, ReportView
from services.intake.api.case_refs import check_case_ref
from services.intake.api.idempotency import KEY_OPTIONAL, answer_once
from services.intake.api.report_verdicts import ReportFault, ReportVerdict, ReportVerdicts
from services.intake.cases import case_rows
from services.intake.claims import content_steps
from services.intake.claims.registered_content import claim_facts
from services.intake.domain.claims import SuspensionReason
from services.intake.domain.schemas import ReportRequest
from services.intake.store.cases.cases import paused_for
from services.intake.store.content import row_for_share
from services.intake.store.reports import insert_report, report_of_organisation, report_under_way, reports_page
from shared.access import audit
from shared.access.auth import Helpline
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState
from shared.contracts.json_pointer import pointer_of
from shared.db.pool import Row, Tx
from shared.field_errors import field_errors
from shared.http.json_arrays import JsonArrayRoute
from shared.http.paging import Page, page_of
from shared.http.problems import Conflict, Invalid, NotFound, Problem
from shared.process.event_loop import in_turns
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime
from shared.urls import canonical

_NO_CLAIM = "Your organisation has no claim on content with this id, or has withdrawn it."

routes = APIRouter(prefix="/v1/reports", tags=["reports"], route_class=JsonArrayRoute)


@routes.post(
    "", status_code=202, summary="Report URLs", response_model=ReportQueued | ReportVerdicts, openapi_extra=KEY_OPTIONAL
)
async def make_report(
    principal: Helpline,
    runtime: ServiceRuntime,
    request: Request,
    asked: SkipValidation[ReportRequest | list[ReportRequest]],
) -> JSONResponse:
    """Ask that a URL be looked at; or up to 1,000, each with a verdict: `queued`, `known` (the same one is not done with yet), `refused`.

    `asserted` with a `content_id` is a person's word that it shows that content. An asserted page with several pictures is taken to mean
    the most telling one (`og:image` before `img`); a page that yields no media is itself the target; `fetch: never` takes the URL for the
    media's own. Of a paused case nothing is looked at until it goes on.
    """
    if isinstance(asked, list):
        return await _make_reports(principal, runtime, request, asked)
    try:
        one = ReportRequest.model_validate(asked)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from None
    _check(one, runtime)

    async def change(tx: Tx) -> ReportQueued:
        content_id = await _meant(tx, principal, one)
        await _check_case(tx, principal, one)
        return ReportQueued(report_id=await _queue(tx, principal, runtime, one, content_id))

    return await answer_once(runtime, request, principal, change, status=202)


async def _make_reports(
    principal: Principal, runtime: Runtime, request: Request, items: Sequence[object]
) -> JSONResponse:
    most = runtime.policy.reports_per_request
    if not 1 <= len(items) <= most:
        raise Invalid(f"Send between 1 and {most:,} reports at once.", pointer="#")
    parsed = await in_turns(partial(_parsed, item, runtime) for item in items)

    async def change(tx: Tx) -> ReportVerdicts:
        await _lock_contents(tx, principal, [one for one in parsed if isinstance(one, ReportRequest)])
        return ReportVerdicts(
            items=[await _verdict(tx, principal, runtime, index, one) for index, one in enumerate(parsed)]
        )

    return await answer_once(runtime, request, principal, change, status=202)


async def _verdict(
    tx: Tx, principal: Principal, runtime: Runtime, index: int, asked: ReportRequest | tuple[ReportFault, ...]
) -> ReportVerdict:
    if isinstance(asked, tuple):
        return ReportVerdict(index=index, verdict="refused", errors=list(asked))
    try:
        content_id = await _meant(tx, principal, asked)
        await _check_case(tx, principal, asked)
    except Problem as error:
        return ReportVerdict(index=index, verdict="refused", errors=[_fault_of(error)])
    known = await report_under_way(
        tx,
        principal.organisation_id,
        canonical(asked.url).url_key,
        case_ref=asked.case_ref,
        content_id=content_id,
        asserted=asked.asserted,
    )
    if known is not None:
        return ReportVerdict(index=index, verdict="known", report_id=known)
    report_id = await _queue(tx, principal, runtime, asked, content_id)
    return ReportVerdict(index=index, verdict="queued", report_id=report_id)


async def _lock_contents(tx: Tx, principal: Principal, asked: Sequence[ReportRequest]) -> None:
    """The contents that reports name are locked by their ids, as everywhere, whatever the order of the reports."""
    found = set()
    for shown_id in {one.content_id for one in asked if one.content_id is not None}:
        try:
            found.add(await content_steps.own_content(tx, principal, shown_id))
        except NotFound:
            continue  # its report's verdict says so
    for content_id in sorted(found):
        await row_for_share(tx, content_id)


async def _queue(tx: Tx, principal: Principal, runtime: Runtime, asked: ReportRequest, content_id: UUID | None) -> UUID:
    url = canonical(asked.url)
    report_id = uuid4()
    await insert_report(
        tx,
        report_id=report_id,
        organisation_id=principal.organisation_id,
        person_id=principal.person_id,
        url=asked.url,
        url_key=url.url_key,
        key_version=url.key_version,
        case_ref=asked.case_ref,
        content_id=content_id,
        asserted=asked.asserted,
        fetch=asked.fetch,
        reported_by=runtime.keys.reported_by_of(principal.key_id),
    )
    await audit.record(tx, principal, action="report.made", object_kind="report", object_id=report_id)
    return report_id


def _parsed(item: object, runtime: Runtime) -> ReportRequest | tuple[ReportFault, ...]:
    """One report of many, or what is wrong with it."""
    try:
        asked = ReportRequest.model_validate(item)
        _check(asked, runtime)
    except ValidationError as error:
        return tuple(ReportFault(pointer=pointer_of(one.location), detail=one.text) for one in field_errors(error))
    except Problem as error:
        return (_fault_of(error),)
    return asked


def _check(asked: ReportRequest, runtime: Runtime) -> None:
    if asked.case_ref is not None:
        check_case_ref(asked.case_ref, runtime.settings)


async def _check_case(tx: Tx, principal: Principal, asked: ReportRequest) -> None:
    """Raises Conflict where somebody in the case may be a minor. To be called under the content's lock."""
    if await paused_for(tx, principal.organisation_id, asked.case_ref) == SuspensionReason.POSSIBLE_MINOR:
        raise Conflict(case_rows.NOTHING_ADDED)


def _fault_of(problem: Problem) -> ReportFault:
    return ReportFault(pointer=problem.pointer or "#", detail=problem.detail or problem.title)


@routes.get("", summary="List reports")
async def list_reports(
    principal: Helpline,
    runtime: ServiceRuntime,
    page: Page,
    case_ref: Annotated[str | None, Query(max_length=64)] = None,
    state: ReportState | None = None,
) -> ReportList:
    """The organisation's reports, newest first. With `case_ref` this reads the case, and is audited as that."""
    async with runtime.database.transaction() as tx:
        rows = await reports_page(
            tx, organisation=principal.organisation_id, state=state, case_ref=case_ref, **page.parameters()
        )
        for row in rows[: page.limit] if case_ref is not None else ():
            await audit.record(tx, principal, action="case.read", object_kind="report", object_id=row["report_id"])
    shown = [report_summary(row) if case_ref is None else report_view(row) for row in rows]
    return ReportList(**page_of(rows, shown, page, lambda row: (row["created_at"], row["report_id"])))


@routes.get("/{report_id}", summary="Read a report")
async def read_report(principal: Helpline, runtime: ServiceRuntime, report_id: UUID) -> ReportView:
    """One report: audited, since it shows a case."""
    async with runtime.database.transaction() as tx:
        row = await report_of_organisation(tx, principal.organisation_id, report_id)
        if row is None:
            raise NotFound("Your organisation has no report with this id.")
        await audit.record(tx, principal, action="case.read", object_kind="report", object_id=report_id)
    return report_view(row)


async def _meant(tx: Tx, principal: Principal, asked: ReportRequest) -> UUID | None:
    """The content the report names. Raises Invalid: not one of theirs; Conflict: asserted of what nobody has confirmed."""
    if asked.content_id is None:
        return None
    try:
        content_id = await content_steps.own_content(tx, principal, asked.content_id)
    except NotFound:
        raise Invalid(_NO_CLAIM, pointer="#/content_id") from None
    # A withdrawal under way does not see this report: it is waited for, and its outcome counts.
    await row_for_share(tx, content_id)
    claims = await claim_facts(tx, content_id)
    own = {claim.state for claim in claims if claim.organisation_id == principal.organisation_id}
    if not own - {ClaimState.WITHDRAWN}:
        raise Invalid(_NO_CLAIM, pointer="#/content_id")
    if asked.asserted and ClaimState.CONFIRMED not in own:
        raise Conflict("A report can be asserted only once a claim on the content is confirmed.")
    return content_id


def report_summary(row: Row) -> ReportSummary:
    """A report in a list of its organisation."""
    why = row["why"]
    if row["shown_state"] == "no_match" and row["guards"]:
        why = ", ".join(sorted(set(row["guards"].split(","))))
    return ReportSummary(
        report_id=row["report_id"],
        state=row["shown_state"],
        why=why,
        asserted=row["asserted"],
        content_id=row["alias"],
        takedown_ids=row["takedown_ids"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
    )


def report_view(row: Row) -> ReportView:
    """A report, whole, as its organisation sees it."""
    return ReportView(**dict(report_summary(row)), url=row["url"], case_ref=row["case_ref"])
