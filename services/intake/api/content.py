"""`/v1/content`: suspension, resumption, variants, reads. A content's id is the asking organisation's alias of it.

Operations staff may use the `content_id` that takedowns carry; they see a content's state and no claim.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.intake.api import views
from services.intake.api.answers import ContentList, ContentSummary, OwnContentView, VariantsAdded
from services.intake.api.idempotency import KEY_OPTIONAL, answer_once
from services.intake.claims import content_steps, registered_content
from services.intake.domain.schemas import ConfirmationRequest, SuspensionRequest, VariantsRequest
from services.intake.store.claims import content_page
from services.intake.store.content_aliases import alias_of
from shared.access import audit
from shared.access.auth import Helpline, HelplineOrOperations
from shared.access.keys import Principal, Role
from shared.db.pool import Tx
from shared.http.paging import Page, page_of
from shared.http.problems import NotFound
from shared.service.dependencies import ServiceRuntime

routes = APIRouter(prefix="/v1/content", tags=["content"])


@routes.post(
    "/{content_id}/suspension",
    summary="Suspend a content",
    response_model=OwnContentView | ContentSummary,
    openapi_extra=KEY_OPTIONAL,
)
async def suspend_content(
    principal: HelplineOrOperations,
    runtime: ServiceRuntime,
    request: Request,
    content_id: UUID,
    asked: SuspensionRequest | None = None,
) -> JSONResponse:
    """Stop everything for this content at once, reversibly. Reason `possible_minor` stops fetches too."""
    reason = (asked or SuspensionRequest()).reason

    async def change(tx: Tx) -> ContentSummary:
        found = await content_steps.own_content(tx, principal, content_id, to_decide=True)
        await content_steps.suspend_content(tx, principal, found, reason=reason, now=runtime.clock())
        return await shown_content(tx, principal, content_id, found)

    return await answer_once(runtime, request, principal, change)


@routes.post(
    "/{content_id}/resumption",
    summary="Resume a content",
    response_model=OwnContentView | ContentSummary,
    openapi_extra=KEY_OPTIONAL,
)
async def resume_content(
    principal: HelplineOrOperations,
    runtime: ServiceRuntime,
    request: Request,
    content_id: UUID,
    asked: SuspensionRequest | None = None,
) -> JSONResponse:
    """End a suspension. One for `possible_minor` or a revoked key is ended by operations staff alone."""
    reason = (asked or SuspensionRequest()).reason

    async def change(tx: Tx) -> ContentSummary:
        found = await content_steps.own_content(tx, principal, content_id, to_decide=True)
        await content_steps.resume_content(tx, principal, found, reason=reason, now=runtime.clock())
        return await shown_content(tx, principal, content_id, found)

    return await answer_once(runtime, request, principal, change)


@routes.post(
    "/{content_id}/fingerprints",
    status_code=201,
    summary="Add variants",
    response_model=VariantsAdded,
    openapi_extra=KEY_OPTIONAL,
)
async def add_variants(
    principal: Helpline, runtime: ServiceRuntime, request: Request, content_id: UUID, asked: VariantsRequest
) -> JSONResponse:
    """More fingerprints of the same content. They count once another person has confirmed them."""

    async def change(tx: Tx) -> VariantsAdded:
        found = await content_steps.own_content(tx, principal, content_id)
        variant_id, claim_id = await content_steps.add_variants(tx, principal, found, asked, policy=runtime.policy)
        return VariantsAdded(variant_id=variant_id, claim_id=claim_id)

    return await answer_once(runtime, request, principal, change, status=201)


@routes.post(
    "/{content_id}/fingerprints/{variant_id}/confirmation",
    summary="Confirm variants",
    response_model=OwnContentView,
    openapi_extra=KEY_OPTIONAL,
)
async def confirm_variants(
    principal: Helpline,
    runtime: ServiceRuntime,
    request: Request,
    content_id: UUID,
    variant_id: UUID,
    asked: ConfirmationRequest,
) -> JSONResponse:
    """A second person looked at the variants: from here on they are in the register."""

    async def change(tx: Tx) -> ContentSummary:
        found = await content_steps.own_content(tx, principal, content_id)
        await content_steps.confirm_variants(tx, principal, found, variant_id, asked.assurance)
        return await shown_content(tx, principal, content_id, found)

    return await answer_once(runtime, request, principal, change)


@routes.get("", summary="List contents")
async def list_content(principal: Helpline, runtime: ServiceRuntime, page: Page) -> ContentList:
    """The contents the organisation has a claim on, newest first."""
    async with runtime.database.transaction() as tx:
        asked = {"organisation": principal.organisation_id, **page.parameters()}
        rows = await content_page(tx, **asked)
        items = []
        for row in rows[: page.limit]:
            alias = await alias_of(tx, row["content_id"], principal.organisation_id)
            items.append(await shown_content(tx, principal, alias, row["content_id"]))
    return ContentList(**page_of(rows, items, page, lambda row: (row["created_at"], row["claim_id"])))


@routes.get("/{content_id}", summary="Read a content")
async def read_content(
    principal: HelplineOrOperations, runtime: ServiceRuntime, content_id: UUID
) -> OwnContentView | ContentSummary:
    """One content, as the organisation's own claims make it; operations staff see its state alone."""
    async with runtime.database.transaction() as tx:
        found = await content_steps.own_content(tx, principal, content_id)
        shown = await shown_content(tx, principal, content_id, found)
        await audit.record(tx, principal, action="content.read", object_kind="content", object_id=found)
    return shown


async def shown_content(
    tx: Tx, principal: Principal, shown_id: UUID, content_id: UUID
) -> OwnContentView | ContentSummary:
    """The content as its asker may see it. Raises NotFound."""
    content = await registered_content.read_content(tx, content_id)
    if content is None:
        raise NotFound()
    if principal.role is Role.OPERATIONS:
        facts = content.facts
        return ContentSummary(content_id=shown_id, state=facts.state, suspended_for=facts.suspended_for)
    own = [claim for claim in content.claims if claim.organisation_id == principal.organisation_id]
    return views.content_view(shown_id, own, content.suspension)
