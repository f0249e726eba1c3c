"""The table `idempotency`: answers already given, by a keyed digest; kept for 7 days."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg.types.json import Json

from shared.db.pool import Row, Tx

_INSERT = """
INSERT INTO intake.idempotency (key_digest, body_digest) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1 AS fresh
"""
_READ = "SELECT body_digest, status, answer, created_at FROM intake.idempotency WHERE key_digest = %s"
_SAVE = "UPDATE intake.idempotency SET status = %s, answer = %s WHERE key_digest = %s"
# An answer kept for an Idempotency-Key holds the case reference; what is left is what a repeated request has to be answered.
_ERASE_OF_CLAIM = """
UPDATE intake.idempotency SET answer = json_build_object('claim_id', answer ->> 'claim_id', 'state', 'withdrawn')
WHERE answer ->> 'claim_id' = %s
"""
_DELETE_OLD = "DELETE FROM intake.idempotency WHERE created_at <= statement_timestamp() - %s::interval"


async def insert_key(tx: Tx, key_digest: bytes, body_digest: bytes) -> bool:
    """Insert an idempotency key. False: it is taken. Waits for a request under way with the same key."""
    return await (await tx.execute(_INSERT, (key_digest, body_digest))).fetchone() is not None


async def row_of_key(tx: Tx, key_digest: bytes) -> Row | None:
    return await (await tx.execute(_READ, (key_digest,))).fetchone()


async def save_answer(tx: Tx, key_digest: bytes, status: int, answer: Any) -> None:
    await tx.execute(_SAVE, (status, Json(answer), key_digest))


async def erase_answers_of_claim(tx: Tx, claim_id: UUID) -> None:
    """Erase everything from the stored answers about a claim but that it is withdrawn."""
    await tx.execute(_ERASE_OF_CLAIM, (str(claim_id),))


async def delete_old_keys(tx: Tx, age: timedelta) -> None:
    await tx.execute(_DELETE_OLD, (age,))
