"""`/v1/claims`: declare, confirm, withdraw, undo, read. Helpline staff, their own organisation's claims alone."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse

from services.intake.api import views
from services.intake.api.answers import ClaimDeclared, ClaimErased, ClaimList, ClaimView
from services.intake.api.case_refs import check_case_ref
from services.intake.api.idempotency import KEY_OPTIONAL, KEY_REQUIRED, answer_once
from services.intake.api.minors import refuse_minors
from services.intake.claims import claim_steps
from services.intake.domain.schemas import ClaimRequest, ConfirmationRequest, WithdrawalRequest
from services.intake.store.claims import claims_page
from shared.access import audit
from shared.access.auth import Helpline
from shared.contracts.claims import ClaimState
from shared.db.pool import Tx
from shared.http.paging import Page, page_of
from shared.http.problems import Invalid
from shared.process.metrics import CLAIMS
from shared.service.dependencies import ServiceRuntime
from shared.service.runtime import Runtime

CLOCKS_DIFFER_SECONDS = 300
"""How far ahead of ours another's clock may be."""

routes = APIRouter(prefix="/v1/claims", tags=["claims"])


def check_claim(asked: ClaimRequest, runtime: Runtime) -> None:
    """Raises Invalid for what this installation does not accept: its form of case references, its limits, its clock."""
    policy = runtime.policy
    check_case_ref(asked.case_ref, runtime.settings)
    if len(asked.fingerprints) > policy.fingerprints_per_claim:
        raise Invalid(
            f"A claim can have at most {policy.fingerprints_per_claim} fingerprints.", pointer="#/fingerprints"
        )
    now = runtime.clock()
    if (asked.declaration.declared_at - now).total_seconds() > CLOCKS_DIFFER_SECONDS:
        raise Invalid("This time is in the future. Check your clock.", pointer="#/declaration/declared_at")
    if asked.demands_not_before and asked.demands_not_before > now + policy.demands_not_before_max:
        hours = policy.demands_not_before_max.total_seconds() / 3600
        raise Invalid(f"This may be at most {hours:g} hours from now.", pointer="#/demands_not_before")


@routes.post(
    "",
    status_code=201,
    dependencies=[Depends(refuse_minors)],
    summary="Declare a claim",
    response_model=ClaimDeclared | ClaimErased,
    openapi_extra=KEY_REQUIRED,
)
async def declare_claim(
    principal: Helpline, runtime: ServiceRuntime, request: Request, asked: ClaimRequest
) -> JSONResponse:
    """Declare, for one case, that a content is NCII. Another person of the organisation has to confirm it."""
    check_claim(asked, runtime)

    async def change(tx: Tx) -> ClaimDeclared:
        declared = await claim_steps.declare_claim(tx, principal, asked, keys=runtime.keys)
        return ClaimDeclared(
            claim_id=declared.claim_id, content_id=declared.content_id, state=ClaimState.AWAITING_CONFIRMATION
        )

    answer = await answer_once(runtime, request, principal, change, status=201, key_required=True)
    CLAIMS.labels("declared").inc()
    return answer


@routes.post(
    "/{claim_id}/confirmation",
    summary="Confirm a claim",
    response_model=ClaimView | ClaimErased,
    openapi_extra=KEY_OPTIONAL,
)
async def confirm_claim(
    principal: Helpline, runtime: ServiceRuntime, request: Request, claim_id: UUID, asked: ConfirmationRequest
) -> JSONResponse:
    """A second person looked: from here on the content is in the register."""

    async def change(tx: Tx) -> ClaimView:
        await claim_steps.confirm_claim(
            tx, principal, claim_id, asked.assurance, now=runtime.clock(), policy=runtime.policy
        )
        return await read_own_claim(tx, principal, claim_id)

    answer = await answer_once(runtime, request, principal, change, shown_again=partial(read_again, principal))
    CLAIMS.labels("confirmed").inc()
    return answer


@routes.post(
    "/{claim_id}/withdrawal",
    summary="Withdraw a claim",
    response_model=ClaimView | ClaimErased,
    openapi_extra=KEY_OPTIONAL,
)
async def withdraw_claim(
    principal: Helpline, runtime: ServiceRuntime, request: Request, claim_id: UUID, asked: WithdrawalRequest
) -> JSONResponse:
    """Withdraw a claim. Its content is suspended at once, and the claim is erased after the time to undo, or at a second
    person's word."""

    async def change(tx: Tx) -> ClaimView:
        undo_within = runtime.policy.scaled(runtime.policy.withdrawal_undo)
        await claim_steps.withdraw_claim(tx, principal, claim_id, asked.reason, undo_within=undo_within)
        return await read_own_claim(tx, principal, claim_id)

    return await answer_once(runtime, request, principal, change, shown_again=partial(read_again, principal))


@routes.post(
    "/{claim_id}/withdrawal/undo",
    summary="Undo a withdrawal",
    response_model=ClaimView | ClaimErased,
    openapi_extra=KEY_OPTIONAL,
)
async def undo_withdrawal(
    principal: Helpline, runtime: ServiceRuntime, request: Request, claim_id: UUID
) -> JSONResponse:
    """Take a withdrawal back while it is not final."""

    async def change(tx: Tx) -> ClaimView:
        await claim_steps.undo_withdrawal(tx, principal, claim_id)
        return await read_own_claim(tx, principal, claim_id)

    return await answer_once(runtime, request, principal, change, shown_again=partial(read_again, principal))


@routes.get("", summary="List claims")
async def list_claims(
    principal: Helpline,
    runtime: ServiceRuntime,
    page: Page,
    case_ref: Annotated[str | None, Query(max_length=64)] = None,
    state: ClaimState | None = None,
) -> ClaimList:
    """The organisation's claims, newest first. With `case_ref` this reads the case, and is audited as that."""
    asked = {
        "organisation": principal.organisation_id,
        "state": state.value if state else None,
        "case_ref": case_ref,
        **page.parameters(),
    }
    async with runtime.database.transaction() as tx:
        rows = await claims_page(tx, **asked)
        shown = rows[: page.limit]
        if case_ref is None:
            items = [await views.claim_summary(tx, row) for row in shown]
        else:
            items = [await views.claim_view(tx, row) for row in shown]
            for row in shown:
                await audit.record(tx, principal, action="case.read", object_kind="claim", object_id=row["claim_id"])
    return ClaimList(**page_of(rows, items, page, lambda row: (row["created_at"], row["claim_id"])))


@routes.get("/{claim_id}", summary="Read a claim")
async def read_claim(principal: Helpline, runtime: ServiceRuntime, claim_id: UUID) -> ClaimView:
    """One claim, with its case reference: audited."""
    async with runtime.database.transaction() as tx:
        found = await read_own_claim(tx, principal, claim_id)
        await audit.record(tx, principal, action="case.read", object_kind="claim", object_id=claim_id)
    return found


async def read_again(principal: Helpline, tx: Tx, answer: dict[str, Any]) -> None:
    """Audit that a stored answer is given again; after a withdrawal it holds no case any more."""
    if "case_ref" in answer:
        await audit.record(tx, principal, action="case.read", object_kind="claim", object_id=answer["claim_id"])


async def read_own_claim(tx: Tx, principal: Helpline, claim_id: UUID) -> ClaimView:
    """The claim as its organisation sees it. Raises NotFound."""
    return await views.claim_view(tx, await claim_steps.read_claim(tx, principal, claim_id))
