"""The table `content`: one row a content, whose lock guards all that belongs to the content; and `holds`: who suspended it, and why."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

from psycopg import AsyncCursor

from shared.db.pool import Row, Tx

_FOR_UPDATE = "SELECT * FROM intake.content WHERE content_id = %s FOR UPDATE"
_FOR_SHARE = "SELECT * FROM intake.content WHERE content_id = %s FOR SHARE"
_READ = "SELECT * FROM intake.content WHERE content_id = %s"
_INSERT = "INSERT INTO intake.content (content_id) VALUES (%s)"
_SET_SUSPENSION = "UPDATE intake.content SET hold = %s WHERE content_id = %s"
_STOP_FETCHING = "UPDATE intake.content SET fetching_stopped = %s WHERE content_id = %s"
_COPY_STOPS = """
UPDATE intake.content SET (hold, fetching_stopped) =
    (SELECT hold, fetching_stopped FROM intake.content WHERE content_id = %s) WHERE content_id = %s
"""
_SAVE = """
UPDATE intake.content
SET revision = revision + %(published)s::int, state = %(state)s, suspended_for = %(suspended_for)s,
    withdrawn_for = %(withdrawn_for)s, changed_at = now(),
    withdrawn_at = CASE WHEN %(state)s = 'withdrawn' THEN coalesce(withdrawn_at, now()) END
WHERE content_id = %(content_id)s
"""
_DELETE = "DELETE FROM intake.content WHERE content_id = %s"
_WITHDRAWN_BEFORE = """
SELECT content_id, revision FROM intake.content k
WHERE withdrawn_at <= statement_timestamp() - %s::interval
  AND NOT EXISTS (SELECT 1 FROM intake.claims c WHERE c.content_id = k.content_id)
ORDER BY withdrawn_at LIMIT %s FOR UPDATE
"""

OPERATIONS = "operations"
REVOKED_KEY = "key"
"""Who suspended a content (`held_by`): operations staff, or the revocation of a key with what rests on it. For an organisation see
`of_organisation`."""

_ADD_SUSPENSION = "INSERT INTO intake.holds (content_id, held_by, hold) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_COPY_SUSPENSIONS = """
INSERT INTO intake.holds (content_id, held_by, hold, since)
SELECT %s, held_by, hold, since FROM intake.holds WHERE content_id = %s ON CONFLICT DO NOTHING
"""


async def ask_for_update(tx: Tx, content_id: UUID) -> AsyncCursor[Row]:
    """Query the content's row under its lock; the result is yet to be fetched, so that others can be asked in the same pipeline."""
    return await tx.execute(_FOR_UPDATE, (content_id,))


async def row_for_share(tx: Tx, content_id: UUID) -> Row | None:
    """The content's row, which nobody changes until the commit."""
    return await (await tx.execute(_FOR_SHARE, (content_id,))).fetchone()


async def row_of_content(tx: Tx, content_id: UUID) -> Row | None:
    """The content's row as it is now."""
    return await (await tx.execute(_READ, (content_id,))).fetchone()


async def insert_content(tx: Tx) -> UUID:
    """A new content, unpublished."""
    content_id = uuid4()
    await tx.execute(_INSERT, (content_id,))
    return content_id


async def set_suspension(tx: Tx, content_id: UUID, reason: str | None) -> None:
    """Set the reason for which a locked content is suspended; None: it is not."""
    await tx.execute(_SET_SUSPENSION, (reason, content_id))


async def stop_fetching(tx: Tx, content_id: UUID, *, stopped: bool) -> None:
    """Stop (or resume) fetching and showing anything of a locked content."""
    await tx.execute(_STOP_FETCHING, (stopped, content_id))


async def copy_stops(tx: Tx, content_id: UUID, *, to: UUID) -> None:
    """Give another content this one's suspension, and stop its fetching where this one's is stopped."""
    await tx.execute(_COPY_STOPS, (content_id, to))


def of_organisation(organisation_id: str) -> str:
    """The suspender that stands for an organisation's staff."""
    return f"organisation:{organisation_id}"


async def add_suspension(tx: Tx, content_id: UUID, *, by: str, reason: str) -> None:
    await tx.execute(_ADD_SUSPENSION, (content_id, by, reason))


async def end_suspensions(tx: Tx, content_id: UUID, *, by: str | None) -> None:
    """Delete the suspensions by this suspender, or (None) all."""
    await tx.execute(
        "DELETE FROM intake.holds WHERE content_id = %s AND held_by = coalesce(%s, held_by)", (content_id, by)
    )


async def suspensions_of(tx: Tx, content_id: UUID) -> list[tuple[str, str]]:
    """(who suspended it, for which reason) of each suspension."""
    rows = await (
        await tx.execute("SELECT held_by, hold FROM intake.holds WHERE content_id = %s", (content_id,))
    ).fetchall()
    return [(row["held_by"], row["hold"]) for row in rows]


async def copy_suspensions(tx: Tx, content_id: UUID, *, to: UUID) -> None:
    """Give another content the suspensions of this one, beside its own."""
    await tx.execute(_COPY_SUSPENSIONS, (to, content_id))


async def save_content(
    tx: Tx, content_id: UUID, *, published: bool, state: str, suspended_for: str | None, withdrawn_for: str | None
) -> None:
    """Save the state of a locked content, under the next revision where it is published."""
    values = {
        "published": published,
        "state": state,
        "suspended_for": suspended_for,
        "withdrawn_for": withdrawn_for,
        "content_id": content_id,
    }
    await tx.execute(_SAVE, values)


async def delete_content(tx: Tx, content_id: UUID) -> None:
    await tx.execute(_DELETE, (content_id,))


async def withdrawn_before(tx: Tx, age: timedelta, limit: int) -> list[Row]:
    """Contents without claims that were withdrawn so long ago, locked: id and revision."""
    return await (await tx.execute(_WITHDRAWN_BEFORE, (age, limit))).fetchall()
