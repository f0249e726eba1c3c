"""How many first demands there were for one content at one host, or by the word of one API key, and whether a person has looked at
the rest."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.db.pool import Tx

# One release, of any takedown of the content at the host, lifts it for good.
_REACHED = """
SELECT (SELECT count(*) FROM (
            SELECT 1 FROM notifier.takedowns t JOIN notifier.demands d USING (takedown_id)
            WHERE t.content_id = %(content_id)s AND t.host = %(host)s AND d.round = 1
              AND d.issued_at > statement_timestamp() - %(within)s::interval LIMIT %(most)s) AS lately) >= %(most)s
   AND NOT EXISTS (SELECT 1 FROM notifier.takedowns t WHERE t.content_id = %(content_id)s AND t.host = %(host)s
                   AND 'demand_limit' = ANY(t.holds_released)) AS reached
"""


async def is_reached(tx: Tx, content_id: UUID, host: str, *, most: int, within: timedelta) -> bool:
    """Whether a further first demand has to wait for a person. A few more may go out where several are decided at once."""
    values = {"content_id": content_id, "host": host, "most": most, "within": within}
    row = await (await tx.execute(_REACHED, values)).fetchone()
    return row is not None and bool(row["reached"])


# The same for all takedowns that rest on the word of one API key, whatever their content and host.
_REACHED_BY_KEY = """
SELECT (SELECT count(*) FROM (
            SELECT 1 FROM notifier.demands d JOIN notifier.takedowns t USING (takedown_id)
            WHERE t.reported_by = %(reported_by)s AND d.round = 1
              AND d.issued_at > statement_timestamp() - %(within)s::interval LIMIT %(most)s) AS lately) >= %(most)s
   AND NOT EXISTS (SELECT 1 FROM notifier.takedowns t WHERE t.reported_by = %(reported_by)s
                   AND 'key_limit' = ANY(t.holds_released)) AS reached
"""


async def is_reached_by_key(tx: Tx, reported_by: str, *, most: int, within: timedelta) -> bool:
    """Whether a further first demand that rests on this API key has to wait for a person."""
    values = {"reported_by": reported_by, "most": most, "within": within}
    row = await (await tx.execute(_REACHED_BY_KEY, values)).fetchone()
    return row is not None and bool(row["reached"])
