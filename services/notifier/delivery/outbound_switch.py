"""Whether messages are sent: one switch for all of them, and holds by domain. Both are rows that are read before every attempt; they stop
messages, not checks."""

from __future__ import annotations

from services.notifier.store import takedowns
from shared.db.pool import Tx
from shared.db.wakeups import notify


async def is_on(tx: Tx) -> bool:
    """Whether messages go out."""
    row = await (await tx.execute("SELECT is_on FROM notifier.outbound")).fetchone()
    return row is not None and bool(row["is_on"])


async def switch(tx: Tx, *, on: bool, by: str) -> None:
    """Turn outbound on or off, from the next attempt on."""
    await tx.execute("UPDATE notifier.outbound SET is_on = %s, changed_by = %s, changed_at = now()", (on, by))
    await notify(tx, takedowns.MESSAGES_WAKEUP)


async def holds(tx: Tx) -> list[str]:
    """The domains on hold."""
    rows = await (await tx.execute("SELECT domain FROM notifier.holds ORDER BY domain")).fetchall()
    return [row["domain"] for row in rows]


async def hold(tx: Tx, domain: str, *, by: str) -> None:
    """Put a domain on hold: messages to it wait from now on."""
    await tx.execute(
        "INSERT INTO notifier.holds (domain, held_by) VALUES (%s, %s) ON CONFLICT DO NOTHING", (domain, by)
    )


_KNOWN = """
SELECT EXISTS (SELECT 1 FROM notifier.host_domains WHERE domain = %(name)s OR right(domain, length(%(name)s) + 1) = '.' || %(name)s)
    OR EXISTS (SELECT 1 FROM notifier.takedowns WHERE host = %(name)s OR right(host, length(%(name)s) + 1) = '.' || %(name)s) AS known
"""


async def is_known(tx: Tx, domain: str) -> bool:
    """Whether an organisation of the directory, or a takedown, is at this domain or under it."""
    row = await (await tx.execute(_KNOWN, {"name": domain})).fetchone()
    return row is not None and bool(row["known"])


async def release(tx: Tx, domain: str) -> bool:
    """End the hold of a domain: messages to it go on. False: it was not on hold."""
    cursor = await tx.execute("DELETE FROM notifier.holds WHERE domain = %s RETURNING domain", (domain,))
    await notify(tx, takedowns.MESSAGES_WAKEUP)
    return await cursor.fetchone() is not None
