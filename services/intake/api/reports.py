"""`/v1/reports`: URLs to look at. 202; a worker fetches, fingerprints and publishes; the matcher's word settles it."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from services.intake.api.case_refs import check_case_ref
from services.intake.api.idempotency import answer_once, request_key
from services.intake.claims import content_steps, store
from services.intake.domain.schemas import ReportRequest
from services.intake.reports import store as report_store
from shared.access import audit
from shared.access.auth import Helpline, Principal
from shared.contracts.claims import ClaimState
from shared.db.pool import Row, Tx
from shared.http.paging import Page, page_of
from shared.http.problems import Conflict, Invalid, NotFound
from shared.ids import timestamp
from shared.service.runtime import Runtime
from shared.urls import canonical

_NO_CLAIM = "Your organisation has no claim on content with this id, or has withdrawn it."

ReportState = Literal["queued", "fetched", "matched", "no_match", "no_media", "unreachable", "refused"]


def router(runtime: Runtime) -> APIRouter:
    """The routes of reports."""
    routes = APIRouter(prefix="/v1/reports", tags=["reports"])

    @routes.post("", status_code=202)
    async def report(principal: Helpline, request: Request, asked: ReportRequest) -> JSONResponse:
        """Ask that a URL be looked at. `asserted` with a `content_id` is a person's word that it shows that content.

        An asserted page with several pictures is taken to mean the most telling one (`og:image` before `img`); a page that
        yields no media is itself the target; `fetch: never` takes the URL for the media's own.
        """
        if asked.case_ref is not None:
            check_case_ref(asked.case_ref, runtime.settings)
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            content_id = await _meant(tx, principal, asked)
            url = canonical(asked.url)
            report_id = uuid4()
            await report_store.insert(
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
            )
            await audit.record(tx, principal, action="report.made", object_kind="report", object_id=report_id)
            return {"report_id": str(report_id), "state": "queued"}

        return await answer_once(runtime.database, key, change, status=202)

    @routes.get("")
    async def list_reports(
        principal: Helpline,
        page: Page,
        case_ref: Annotated[str | None, Query(max_length=64)] = None,
        state: ReportState | None = None,
    ) -> dict[str, Any]:
        """The organisation's reports, newest first."""
        async with runtime.database.transaction() as tx:
            rows = await report_store.list_shown(
                tx,
                organisation=principal.organisation_id,
                state=state,
                case_ref=case_ref,
                **page.parameters(),
            )
            for row in rows[: page.limit] if case_ref is not None else ():
                await audit.record(tx, principal, action="case.read", object_kind="report", object_id=row["report_id"])
        shown = [view(row, with_case=case_ref is not None) for row in rows]
        return page_of(rows, shown, page, lambda row: (row["created_at"], row["report_id"]))

    @routes.get("/{report_id}")
    async def read(principal: Helpline, report_id: UUID) -> dict[str, Any]:
        """One report: audited, since it shows a case."""
        async with runtime.database.transaction() as tx:
            row = await report_store.shown(tx, principal.organisation_id, report_id)
            if row is None:
                raise NotFound("Your organisation has no report with this id.")
            await audit.record(tx, principal, action="case.read", object_kind="report", object_id=report_id)
        return view(row, with_case=True)

    return routes


async def _meant(tx: Tx, principal: Principal, asked: ReportRequest) -> UUID | None:
    """The content the report names. Raises Invalid: not one of theirs; Conflict: asserted of what nobody has confirmed."""
    if asked.content_id is None:
        return None
    try:
        content_id = await content_steps.own_content(tx, principal, asked.content_id)
    except NotFound:
        raise Invalid(_NO_CLAIM, pointer="#/content_id") from None
    # A withdrawal under way does not see this report: it is waited for, and its outcome counts.
    await tx.execute("SELECT 1 FROM intake.content WHERE content_id = %s FOR SHARE", (content_id,))
    claims = await store.claim_facts(tx, content_id)
    own = {claim.state for claim in claims if claim.organisation_id == principal.organisation_id}
    if not own - {ClaimState.WITHDRAWN}:
        raise Invalid(_NO_CLAIM, pointer="#/content_id")
    if asked.asserted and ClaimState.CONFIRMED not in own:
        raise Conflict("A report can be asserted only once a claim on the content is confirmed.")
    return content_id


def view(row: Row, *, with_case: bool) -> dict[str, Any]:
    """A report as its organisation sees it: `matched` means a takedown of content it has a live claim on. `no_match` with a `why` names
    the guards for which an agreement with such content is not acted on."""
    why = row["why"]
    if row["shown_state"] == "no_match" and row["guards"]:
        why = ", ".join(sorted(set(row["guards"].split(","))))
    shown = {
        "report_id": str(row["report_id"]),
        "state": row["shown_state"],
        "why": why,
        "asserted": row["asserted"],
        "content_id": str(row["alias"]) if row["alias"] else None,
        "takedown_ids": [str(one) for one in row["takedown_ids"]],
        "created_at": timestamp(row["created_at"]),
        "changed_at": timestamp(row["changed_at"]),
    }
    return {**shown, "url": row["url"], "case_ref": row["case_ref"]} if with_case else shown
