"""The table `distrusted_keys`: keys that were revoked with the content that rests on them."""

from __future__ import annotations

from uuid import UUID

from shared.db.pool import Tx

_INSERT = "INSERT INTO intake.distrusted_keys (key_id) VALUES (%s) ON CONFLICT DO NOTHING"


async def distrust_key(tx: Tx, key_id: UUID) -> None:
    await tx.execute(_INSERT, (key_id,))
