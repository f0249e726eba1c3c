"""The table `holds`: who suspended a content, and why. The caller holds the content's lock."""

from __future__ import annotations

from uuid import UUID

from shared.db.pool import Tx

OPERATIONS = "operations"
KEY = "key"
"""The revocation of a key, with what rests on it."""

_ADD = "INSERT INTO intake.holds (content_id, held_by, hold) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_COPY = """
INSERT INTO intake.holds (content_id, held_by, hold, since)
SELECT %s, held_by, hold, since FROM intake.holds WHERE content_id = %s ON CONFLICT DO NOTHING
"""


def of_organisation(organisation_id: str) -> str:
    """As whom an organisation's staff hold a content."""
    return f"organisation:{organisation_id}"


async def add_hold(tx: Tx, content_id: UUID, *, by: str, hold: str) -> None:
    await tx.execute(_ADD, (content_id, by, hold))


async def end_holds(tx: Tx, content_id: UUID, *, by: str | None) -> None:
    """End those of one, or (None) all."""
    await tx.execute(
        "DELETE FROM intake.holds WHERE content_id = %s AND held_by = coalesce(%s, held_by)", (content_id, by)
    )


async def holds_of(tx: Tx, content_id: UUID) -> list[tuple[str, str]]:
    """(held_by, hold) of each."""
    rows = await (
        await tx.execute("SELECT held_by, hold FROM intake.holds WHERE content_id = %s", (content_id,))
    ).fetchall()
    return [(row["held_by"], row["hold"]) for row in rows]


async def copy_holds(tx: Tx, content_id: UUID, *, to: UUID) -> None:
    """Another content is held by whoever holds this one."""
    await tx.execute(_COPY, (to, content_id))
