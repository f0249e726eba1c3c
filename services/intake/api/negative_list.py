"""`/v1/negative-list`: known harmless hashes. Declared by one person of operations, confirmed by another, removed by any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.intake.api.idempotency import answer_once, request_key
from services.intake.claims import negative_list
from services.intake.domain.schemas import NegativeEntryRequest
from shared.access import audit
from shared.access.auth import Operations, Principal
from shared.db.pool import Tx
from shared.http.paging import Page, page_of
from shared.service.runtime import Runtime

_LIST = """
SELECT * FROM intake.negative_list
WHERE %(after_at)s::timestamptz IS NULL OR (created_at, entry_id) < (%(after_at)s, %(after_id)s::uuid)
ORDER BY created_at DESC, entry_id DESC LIMIT %(limit)s
"""


def router(runtime: Runtime) -> APIRouter:
    """The routes of the negative list."""
    routes = APIRouter(prefix="/v1/negative-list", tags=["negative list"])
    reference_key = runtime.keys.fingerprint_ref

    async def shown(tx: Tx, entry_id: UUID) -> dict[str, Any]:
        return negative_list.view(await negative_list.locked(tx, entry_id), reference_key)

    @asynccontextmanager
    async def refusal_audited(principal: Principal, entry_id: UUID) -> AsyncIterator[None]:
        try:
            yield
        except negative_list.NearContent:
            # In a transaction of its own: the refused one is undone. Who asks for value after value is seen here.
            async with runtime.database.transaction() as tx:
                await audit.record(
                    tx,
                    principal,
                    action="negative_entry.refused",
                    object_kind=negative_list.OBJECT_KIND,
                    object_id=entry_id,
                )
            raise

    @routes.post("", status_code=201)
    async def declare(principal: Operations, request: Request, asked: NegativeEntryRequest) -> JSONResponse:
        """Declare a hash harmless. Refused (422) when registered content has it, or has a PDQ value within 31 bits of it."""
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            return await shown(tx, await negative_list.declare(tx, principal, asked))

        async with refusal_audited(principal, uuid4()):
            return await answer_once(runtime.database, key, change, status=201)

    @routes.post("/{entry_id}/confirmation")
    async def confirm(principal: Operations, request: Request, entry_id: UUID) -> JSONResponse:
        """Another person's word: from here on the entry counts. Checked against the register again."""
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            await negative_list.confirm(tx, principal, entry_id)
            return await shown(tx, entry_id)

        async with refusal_audited(principal, entry_id):
            return await answer_once(runtime.database, key, change)

    @routes.post("/{entry_id}/removal")
    async def remove(principal: Operations, request: Request, entry_id: UUID) -> JSONResponse:
        """Take the entry off the list, confirmed or not. It is erased; the audit table keeps who did what, and when."""
        key = await request_key(request, principal, runtime.keys, required=False)

        async def change(tx: Tx) -> dict[str, Any]:
            await negative_list.remove(tx, principal, entry_id)
            return {"entry_id": str(entry_id), "state": "removed"}

        return await answer_once(runtime.database, key, change)

    @routes.get("")
    async def list_entries(principal: Operations, page: Page) -> dict[str, Any]:
        """The entries, newest first: never a value, but the keyed digest that matches carry too."""
        async with runtime.database.transaction() as tx:
            rows = await (await tx.execute(_LIST, page.parameters())).fetchall()
        items = [negative_list.view(row, reference_key) for row in rows[: page.limit]]
        return page_of(rows, items, page, lambda row: (row["created_at"], row["entry_id"]))

    return routes
