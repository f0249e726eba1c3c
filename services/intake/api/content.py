"""`/v1/content`: suspension, resumption, variants, reads. A content's id is the asking organisation's alias of it.

Operations staff may use the `content_id` that takedowns carry; they see a content's state and no claim.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.intake.api import views
from services.intake.api.idempotency import answer_once, request_key
from services.intake.claims import content_steps, store
from services.intake.domain.schemas import ConfirmationRequest, SuspensionRequest, VariantsRequest
from shared.access import audit
from shared.access.auth import Helpline, HelplineOrOperations, Principal, Role
from shared.db.pool import Tx
from shared.http.paging import Page, page_of
from shared.http.problems import NotFound
from shared.service.runtime import Runtime

# By the organisation's own first claim: a content's own age or id would tell that somebody else was there before.
_LIST = """
SELECT content_id, min(created_at) AS created_at, min(claim_id::text)::uuid AS claim_id
FROM intake.claims WHERE organisation_id = %(organisation)s
GROUP BY content_id
HAVING %(after_at)s::timestamptz IS NULL OR (min(created_at), min(claim_id::text)::uuid) < (%(after_at)s, %(after_id)s::uuid)
ORDER BY min(created_at) DESC, min(claim_id::text)::uuid DESC LIMIT %(limit)s
"""


def router(runtime: Runtime) -> APIRouter:
    """The routes of contents."""
    routes = APIRouter(prefix="/v1/content", tags=["content"])
    policy = runtime.policy

    @routes.post("/{content_id}/suspension")
    async def suspend(
        principal: HelplineOrOperations, request: Request, content_id: UUID, asked: SuspensionRequest | None = None
    ) -> JSONResponse:
        """Stop everything for this content at once, reversibly. Reason `possible_minor` stops fetches too."""
        key = await request_key(request, principal, runtime.keys, required=False)
        reason = (asked or SuspensionRequest()).reason

        async def change(tx: Tx) -> dict[str, Any]:
            found = await content_steps.own_content(tx, principal, content_id, to_decide=True)
            await content_steps.suspend(tx, principal, found, reason=reason, now=runtime.clock())
            return await view(tx, principal, content_id, found)

        return await answer_once(runtime.database, key, change)

    @routes.post("/{content_id}/resumption")
    async def resume(
        principal: HelplineOrOperations, request: Request, content_id: UUID, asked: SuspensionRequest | None = None
    ) -> JSONResponse:
        """End a suspension. One for `possible_minor` or a revoked key is ended by operations staff alone."""
        key = await request_key(request, principal, runtime.keys, required=False)
        reason = (asked or SuspensionRequest()).reason

        async def change(tx: Tx) -> dict[str, Any]:
            found = await content_steps.own_content(tx, principal, content_id, to_decide=True)
            await content_steps.resume(tx, principal, found, reason=reason, now=runtime.clock())
            return await view(tx, principal, content_id, found)

        return await answer_once(runtime.database, key, change)

    @routes.post("/{content_id}/fingerprints", status_code=201)
    async def add_variants(
        principal: Helpline, request: Request, content_id: UUID, asked: VariantsRequest
    ) -> JSONResponse:
        """More fingerprints of the same content. They count once another person has confirmed them."""
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            found = await content_steps.own_content(tx, principal, content_id)
            variant_id, claim_id = await content_steps.add_variants(tx, principal, found, asked, policy=policy)
            return {"variant_id": str(variant_id), "claim_id": str(claim_id), "state": "awaiting_confirmation"}

        return await answer_once(runtime.database, key, change, status=201)

    @routes.post("/{content_id}/fingerprints/{variant_id}/confirmation")
    async def confirm_variants(
        principal: Helpline, request: Request, content_id: UUID, variant_id: UUID, asked: ConfirmationRequest
    ) -> JSONResponse:
        """A second person looked at the variants."""
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            found = await content_steps.own_content(tx, principal, content_id)
            await content_steps.confirm_variants(tx, principal, found, variant_id, asked.assurance)
            return await view(tx, principal, content_id, found)

        return await answer_once(runtime.database, key, change)

    @routes.get("")
    async def list_content(principal: Helpline, page: Page) -> dict[str, Any]:
        """The contents the organisation has a claim on, newest first."""
        async with runtime.database.transaction() as tx:
            cursor = await tx.execute(
                _LIST,
                {"organisation": principal.organisation_id, **page.parameters()},
            )
            rows = await cursor.fetchall()
            items = []
            for row in rows[: page.limit]:
                alias = await store.alias_of(tx, row["content_id"], principal.organisation_id)
                items.append(await view(tx, principal, alias, row["content_id"]))
        return page_of(rows, items, page, lambda row: (row["created_at"], row["claim_id"]))

    @routes.get("/{content_id}")
    async def read(principal: HelplineOrOperations, content_id: UUID) -> dict[str, Any]:
        """One content, as the organisation's own claims make it."""
        async with runtime.database.transaction() as tx:
            found = await content_steps.own_content(tx, principal, content_id)
            shown = await view(tx, principal, content_id, found)
            await audit.record(tx, principal, action="content.read", object_kind="content", object_id=found)
        return shown

    return routes


async def view(tx: Tx, principal: Principal, shown_id: UUID, content_id: UUID) -> dict[str, Any]:
    """The content as its asker may see it."""
    content = await store.read_content(tx, content_id)
    if content is None:
        raise NotFound()
    if principal.role is Role.OPERATIONS:
        facts = content.facts
        return {"content_id": str(shown_id), "state": facts.state.value, "suspended_for": facts.suspended_for}
    own = [claim for claim in content.claims if claim.organisation_id == principal.organisation_id]
    return views.content_view(shown_id, own, content.hold)
