"""The table `erasure_searches`: withdrawn content that is looked for in what was seen."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.db.pool import Tx

_TOLD = """
UPDATE intake.erasure_searches s SET told_at = now()
WHERE told_at IS NULL AND NOT EXISTS (SELECT 1 FROM intake.outbox o WHERE o.key = s.search_id::text)
"""
_OVER = "DELETE FROM intake.erasure_searches WHERE told_at <= statement_timestamp() - %s::interval RETURNING search_id"


async def begin_search(tx: Tx, search_id: UUID) -> None:
    """It is about to be told."""
    await tx.execute("INSERT INTO intake.erasure_searches (search_id) VALUES (%s)", (search_id,))


async def end_searches(tx: Tx, searched_for: timedelta) -> list[UUID]:
    """Those that the log has had for so long; they are over. Counted from when the log has them, however long it was away."""
    await tx.execute(_TOLD)
    return [row["search_id"] for row in await (await tx.execute(_OVER, (searched_for,))).fetchall()]
