"""Stops: rows that are read before anything about a content leaves or is fetched, as `outbound off` is.

A service that suspends or withdraws a content writes its stop in the transaction that its answer rests on, and lifts it itself. The
events still carry the state; the row only stops sooner, and outlives any process. Who cannot read it sends nothing: the statement
that claims the work asks for it.
"""

from __future__ import annotations

from uuid import UUID

from shared.db.pool import Tx
from shared.db.wakeups import notify

WAKEUP = "access_stops"
"""Wakes workers that have something under way."""

WITHDRAWN = "withdrawn"
"""A reason with which something may still be sent: whoever was asked is notified that nothing more is asked."""

FETCHING = "fetching"
"""A reason that stops only fetches and looks: it may depict a minor. What was asked for goes on."""

_PUT = """
INSERT INTO access.stops AS s (content_id, stopped_by, reason) VALUES (%s, %s, %s)
ON CONFLICT (content_id, stopped_by) DO UPDATE SET reason = excluded.reason WHERE s.reason <> excluded.reason
"""


_HAND_OVER = """
DELETE FROM access.stops s WHERE content_id = %s AND stopped_by = %s AND EXISTS (
    SELECT 1 FROM access.stops o WHERE o.content_id = s.content_id AND o.stopped_by = %s)
"""


def is_stopped(content_id: str) -> str:
    """An SQL condition: the content of this column is stopped."""
    return f"EXISTS (SELECT 1 FROM access.stops stop WHERE stop.content_id = {content_id})"


async def put(tx: Tx, content_id: UUID, *, by: str, reason: str) -> None:
    """Stop everything about a content (for `FETCHING`: every fetch and look), from the commit on. `by`: the service, each of which has
    one stop a content, or a service's stop of one reason (`notifier.fetching`)."""
    await tx.execute(_PUT, (content_id, by, reason))
    await notify(tx, WAKEUP)


async def lift(tx: Tx, content_id: UUID, *, by: str) -> None:
    """End this service's stop, if there is one; another's stays."""
    await tx.execute("DELETE FROM access.stops WHERE content_id = %s AND stopped_by = %s", (content_id, by))


async def hand_over(tx: Tx, content_id: UUID, *, by: str, to: str) -> None:
    """End this service's stop if the other's is there, so that nothing is let through in between."""
    await tx.execute(_HAND_OVER, (content_id, by, to))


async def reasons_of(tx: Tx, content_id: UUID) -> frozenset[str]:
    """Why this content is stopped; empty: it is not."""
    cursor = await tx.execute("SELECT reason FROM access.stops WHERE content_id = %s", (content_id,))
    return frozenset(row["reason"] for row in await cursor.fetchall())
