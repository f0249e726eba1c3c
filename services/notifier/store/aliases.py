"""The table `takedown_aliases`: which takedown a match belongs to whose own id is that of another version of the URL's key."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.matches import MatchFound
from shared.db.pool import Tx
from shared.urls import FILE_KEY_VERSION, canonical

_KNOWN = "SELECT known_as FROM notifier.takedown_aliases WHERE takedown_id = %s"

# Two matches of one file under two versions of its key are on two partitions: whoever comes second waits and finds the first.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"

_NEAR = """
SELECT takedown_id, url FROM notifier.takedowns
WHERE content_id = %(content_id)s AND target_kind = %(target_kind)s AND host = %(host)s AND starts_with(url_key, %(stem)s)
ORDER BY created_at, takedown_id
"""

_ADD = "INSERT INTO notifier.takedown_aliases (takedown_id, known_as) VALUES (%s, %s) ON CONFLICT DO NOTHING"


async def same_thing(tx: Tx, event: MatchFound) -> UUID | None:
    """The takedown of the same content at the same thing, and from now on under this match's id too; None: there is none, and none
    can be begun beside until the transaction ends. The content is locked. Raises BadUrl."""
    key = canonical(event.url)
    if key.key_version < FILE_KEY_VERSION:
        return None  # no version of its key is another
    known = await _known(tx, event.takedown_id)
    if known is not None:
        return known
    await tx.execute(_LOCK, (f"{event.content_id} {event.target_kind} {key.url_key}",))
    values = {
        "content_id": event.content_id,
        "target_kind": event.target_kind,
        "host": key.host,
        "stem": key.url_key.partition("?")[0].partition("#")[0],
    }
    for row in await (await tx.execute(_NEAR, values)).fetchall():
        if canonical(row["url"]) == key:
            found: UUID = row["takedown_id"]
            await tx.execute(_ADD, (event.takedown_id, found))
            return found
    return None


async def takedown_named(tx: Tx, takedown_id: UUID) -> UUID:
    """The takedown that is meant by this id: its own, or one that it is known as."""
    return await _known(tx, takedown_id) or takedown_id


async def _known(tx: Tx, takedown_id: UUID) -> UUID | None:
    row = await (await tx.execute(_KNOWN, (takedown_id,))).fetchone()
    return None if row is None else row["known_as"]
