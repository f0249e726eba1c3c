"""`/v1/negative-list`: known harmless hashes. Declared by one person of operations, confirmed by another, removed by any."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.intake.api.answers import NegativeEntryRemoved, NegativeEntryView, NegativeListPage
from services.intake.api.idempotency import KEY_OPTIONAL, answer_once
from services.intake.claims import negative_list
from services.intake.domain.schemas import NegativeEntryRequest
from services.intake.store.negative_list import entries_page
from shared.access import audit
from shared.access.auth import Operations
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState
from shared.db.pool import Database, Row, Tx
from shared.http.paging import Page, page_of
from shared.media.fingerprints import Algorithm, Fingerprint, fingerprint_ref
from shared.service.dependencies import ServiceRuntime

routes = APIRouter(prefix="/v1/negative-list", tags=["negative list"])


@routes.post(
    "",
    status_code=201,
    summary="Declare a harmless hash",
    response_model=NegativeEntryView,
    openapi_extra=KEY_OPTIONAL,
)
async def declare_entry(
    principal: Operations, runtime: ServiceRuntime, request: Request, asked: NegativeEntryRequest
) -> JSONResponse:
    """Declare a hash harmless. Refused (422) when registered content has it, or has a PDQ value within 31 bits of it."""

    async def change(tx: Tx) -> NegativeEntryView:
        entry_id = await negative_list.declare_entry(tx, principal, asked)
        return view_of_entry(await negative_list.lock_entry(tx, entry_id), runtime.keys.fingerprint_ref)

    async with _refusal_audited(runtime.database, principal, uuid4()):
        return await answer_once(runtime, request, principal, change, status=201)


@routes.post(
    "/{entry_id}/confirmation",
    summary="Confirm a harmless hash",
    response_model=NegativeEntryView,
    openapi_extra=KEY_OPTIONAL,
)
async def confirm_entry(
    principal: Operations, runtime: ServiceRuntime, request: Request, entry_id: UUID
) -> JSONResponse:
    """Confirm an entry that another person declared: from here on it counts. It is checked against the register again."""

    async def change(tx: Tx) -> NegativeEntryView:
        await negative_list.confirm_entry(tx, principal, entry_id)
        return view_of_entry(await negative_list.lock_entry(tx, entry_id), runtime.keys.fingerprint_ref)

    async with _refusal_audited(runtime.database, principal, entry_id):
        return await answer_once(runtime, request, principal, change)


@routes.post(
    "/{entry_id}/removal",
    summary="Remove a harmless hash",
    response_model=NegativeEntryRemoved,
    openapi_extra=KEY_OPTIONAL,
)
async def remove_entry(
    principal: Operations, runtime: ServiceRuntime, request: Request, entry_id: UUID
) -> JSONResponse:
    """Take the entry off the list, confirmed or not. It is erased; the audit table keeps who did what, and when."""

    async def change(tx: Tx) -> NegativeEntryRemoved:
        await negative_list.remove_entry(tx, principal, entry_id)
        return NegativeEntryRemoved(entry_id=entry_id)

    return await answer_once(runtime, request, principal, change)


@routes.get("", summary="List harmless hashes")
async def list_entries(principal: Operations, runtime: ServiceRuntime, page: Page) -> NegativeListPage:
    """The entries, newest first: never a value, but the keyed digest that matches carry too."""
    async with runtime.database.transaction() as tx:
        rows = await entries_page(tx, **page.parameters())
    items = [view_of_entry(row, runtime.keys.fingerprint_ref) for row in rows[: page.limit]]
    return NegativeListPage(**page_of(rows, items, page, lambda row: (row["created_at"], row["entry_id"])))


@asynccontextmanager
async def _refusal_audited(database: Database, principal: Principal, entry_id: UUID) -> AsyncIterator[None]:
    try:
        yield
    except negative_list.NearContent:
        # In a transaction of its own: the refused one is undone. Who asks for value after value is seen here.
        async with database.transaction() as tx:
            await audit.record(
                tx,
                principal,
                action="negative_entry.refused",
                object_kind=negative_list.OBJECT_KIND,
                object_id=entry_id,
            )
        raise


def view_of_entry(row: Row, reference_key: bytes) -> NegativeEntryView:
    """An entry as operations staff see it: its keyed digest, as matches carry it, never its value."""
    fingerprint = Fingerprint(algorithm=Algorithm(row["algorithm"]), value=bytes(row["value"]))
    confirmed = row["confirmed_at"] is not None
    shown: dict[str, Any] = {name: row[name] for name in NegativeEntryView.model_fields if name in row}
    return NegativeEntryView(
        **shown,
        state=ClaimState.CONFIRMED.value if confirmed else ClaimState.AWAITING_CONFIRMATION.value,
        fingerprint_ref=fingerprint_ref(reference_key, fingerprint),
    )
