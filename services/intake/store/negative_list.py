"""The table `negative_list`: known harmless hashes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from services.intake.store.fingerprints import NEAR
from shared.db.pool import Row, Tx
from shared.media.fingerprints import Fingerprint

_LIST = """
SELECT * FROM intake.negative_list
WHERE %(after_at)s::timestamptz IS NULL OR (created_at, entry_id) < (%(after_at)s, %(after_id)s::uuid)
ORDER BY created_at DESC, entry_id DESC LIMIT %(limit)s
"""
_NEAR_ONE_OF = f"""
SELECT asked.place FROM unnest(%s::text[], %s::bytea[]) WITH ORDINALITY AS asked (algorithm, value, place)
JOIN intake.negative_list n ON n.confirmed_at IS NOT NULL AND {NEAR.format(one="n", other="asked")}
ORDER BY asked.place LIMIT 1
"""
_INSERT = """
INSERT INTO intake.negative_list (entry_id, algorithm, value, reason, declared_by, declared_key)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (algorithm, value) DO NOTHING RETURNING entry_id
"""
_FOR_UPDATE = "SELECT * FROM intake.negative_list WHERE entry_id = %s FOR UPDATE"
_CONFIRM = """
UPDATE intake.negative_list SET confirmed_by = %s, confirmed_key = %s, confirmed_at = now() WHERE entry_id = %s
"""
_OF_KEY = """
SELECT entry_id, confirmed_at FROM intake.negative_list WHERE %(key)s IN (declared_key, confirmed_key)
ORDER BY entry_id FOR UPDATE
"""
_DELETE = "DELETE FROM intake.negative_list WHERE entry_id = %s"
_DELETE_UNCONFIRMED = """
DELETE FROM intake.negative_list
WHERE confirmed_at IS NULL AND created_at <= statement_timestamp() - %s::interval RETURNING entry_id
"""
_PUBLISHED = """
SELECT entry_id, algorithm, value, confirmed_at FROM intake.negative_list
WHERE entry_id = %s AND confirmed_at IS NOT NULL FOR SHARE
"""


async def entries_page(tx: Tx, **asked: object) -> list[Row]:
    """The entries, newest first, by the page's parameters."""
    return await (await tx.execute(_LIST, asked)).fetchall()


async def first_near_entry(tx: Tx, fingerprints: Sequence[Fingerprint]) -> int | None:
    """The place, from 0, of the first of these that is near a confirmed entry; None: none is."""
    values = ([f.algorithm.value for f in fingerprints], [f.value for f in fingerprints])
    row = await (await tx.execute(_NEAR_ONE_OF, values)).fetchone()
    return None if row is None else row["place"] - 1


async def insert_entry(
    tx: Tx, entry_id: UUID, fingerprint: Fingerprint, *, reason: str, person_id: str, key_id: UUID
) -> bool:
    """Insert an entry. False: the value is on the list already."""
    values = (entry_id, fingerprint.algorithm.value, fingerprint.value, reason, person_id, key_id)
    return await (await tx.execute(_INSERT, values)).fetchone() is not None


async def entry_for_update(tx: Tx, entry_id: UUID) -> Row | None:
    """The entry's row under its lock."""
    return await (await tx.execute(_FOR_UPDATE, (entry_id,))).fetchone()


async def save_entry_confirmation(tx: Tx, entry_id: UUID, *, person_id: str, key_id: UUID) -> None:
    await tx.execute(_CONFIRM, (person_id, key_id, entry_id))


async def entries_of_key(tx: Tx, key_id: UUID) -> list[Row]:
    """What this key declared or confirmed, locked: `entry_id`, `confirmed_at`."""
    return await (await tx.execute(_OF_KEY, {"key": key_id})).fetchall()


async def delete_entry(tx: Tx, entry_id: UUID) -> None:
    await tx.execute(_DELETE, (entry_id,))


async def delete_unconfirmed_entries(tx: Tx, age: timedelta) -> list[UUID]:
    """Delete what nobody confirmed for so long; their ids."""
    return [row["entry_id"] for row in await (await tx.execute(_DELETE_UNCONFIRMED, (age,))).fetchall()]


async def published_entry(tx: Tx, entry_id: UUID) -> Row | None:
    """A confirmed entry, which does not change until the commit."""
    return await (await tx.execute(_PUBLISHED, (entry_id,))).fetchone()
