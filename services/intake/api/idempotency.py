"""`Idempotency-Key`: the same key and body get the same answer; another body is refused. Only keyed digests are kept.

The row is written in the transaction of the change itself: either both stand, or neither. A second request that comes while
the first is under way waits on the row and then gets its answer.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from services.intake.store import idempotency
from shared.access.keyring import KeyRing
from shared.access.keys import Principal
from shared.db.pool import Tx
from shared.http.answers import Answer
from shared.http.problems import Invalid, KeyReused
from shared.service.runtime import Runtime

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255


def _described(*, required: bool) -> dict[str, Any]:
    header = {
        "name": HEADER,
        "in": "header",
        "required": required,
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS},
        "example": "7a1c2f0e-3f1e-4d0b-9a86-2d7c5f0b6a11",
        "description": "The same key and body get the same answer for 7 days; another body is refused (422).",
    }
    return {"parameters": [header]}


KEY_OPTIONAL = _described(required=False)
KEY_REQUIRED = _described(required=True)
"""The `openapi_extra` of a route that reads the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """Digests of (organisation, person, key) and of (method, path, body), under the `idempotency` key."""

    key_digest: bytes
    body_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """What was answered, and when. `answer` None: only that the request was done is kept."""

    status: int | None
    answer: Any
    created_at: datetime


async def request_key(request: Request, principal: Principal, keys: KeyRing, *, required: bool) -> RequestKey | None:
    """The digests of this request; None where no key was given. Raises Invalid where one is required, or it is too long."""
    key = request.headers.get(HEADER)
    if key is None:
        if required:
            raise Invalid(
                f"The header {HEADER} is required here: a value of your own, the same when you send the request again."
            )
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS:
        raise Invalid(f"The header {HEADER} must have 1 to {MAX_KEY_CHARACTERS} characters.")
    # Of the person: a second person's word is another request, whatever key and body it comes with.
    whose = f"{principal.organisation_id}\n{principal.person_id}"
    asked = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return RequestKey(
        key_digest=_digest(keys, "key", whose.encode() + b"\n" + key.encode()),
        body_digest=_digest(keys, "body", asked),
    )


async def answer_once(
    runtime: Runtime,
    request: Request,
    principal: Principal,
    change: Callable[[Tx], Awaitable[Answer]],
    *,
    status: int = 200,
    key_required: bool = False,
    shown_again: Callable[[Tx, dict[str, Any]], Awaitable[None]] | None = None,
) -> JSONResponse:
    """Do `change` in one transaction and answer with what it returns; for a known key give the stored answer instead, after
    `shown_again` with it: what a person reads of a case is audited, also where nothing changes.

    Raises Invalid where a key is required and missing, KeyReused when the key came with another body. A change that raises
    leaves nothing, the key neither.
    """
    key = await request_key(request, principal, runtime.keys, required=key_required)
    async with runtime.database.transaction() as tx:
        if key is not None:
            stored = await claim_key(tx, key)
            if stored is not None:
                if shown_again is not None:
                    await shown_again(tx, stored.answer)
                return JSONResponse(stored.answer, status_code=stored.status or status)
        answer = (await change(tx)).model_dump(mode="json")
        if key is not None:
            await idempotency.save_answer(tx, key.key_digest, status, answer)
    return JSONResponse(answer, status_code=status)


async def claim_key(tx: Tx, key: RequestKey) -> StoredAnswer | None:
    """Take an idempotency key for this transaction: None when it is new, else the stored answer. Raises KeyReused."""
    if await idempotency.insert_key(tx, key.key_digest, key.body_digest):
        return None
    return await stored_answer(tx, key)


async def stored_answer(tx: Tx, key: RequestKey) -> StoredAnswer | None:
    """What is stored for this key. Raises KeyReused when it came with another body."""
    row = await idempotency.row_of_key(tx, key.key_digest)
    if row is None:
        return None
    if not hmac.compare_digest(bytes(row["body_digest"]), key.body_digest):
        raise KeyReused("Send the same body again, or use a new key.")
    return StoredAnswer(status=row["status"], answer=row["answer"], created_at=row["created_at"])


def _digest(keys: KeyRing, purpose: str, text: bytes) -> bytes:
    return hmac.new(keys.idempotency, purpose.encode() + b"\n" + text, hashlib.sha256).digest()
