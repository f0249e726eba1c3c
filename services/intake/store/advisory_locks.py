"""Advisory locks, for what no row stands for. Each is released by the commit."""

from __future__ import annotations

from shared.db.pool import Tx

_ADDITIONS = "SELECT pg_advisory_xact_lock(hashtextextended('intake claims', 0))"
_ERASURES = "SELECT pg_advisory_xact_lock(hashtextextended('intake erasures', 0))"


async def lock_additions(tx: Tx) -> None:
    """Take the lock of all who add fingerprints to a claim or to the negative list, until the commit. Taken before any row's lock.

    Two claims at once would each make a content of the same image; a claim and an entry at once would not see each other.
    """
    await tx.execute(_ADDITIONS)


async def lock_erasures(tx: Tx) -> None:
    """Take the lock of all who erase, until the commit: each of two at once would keep what the other still seems to need. Taken after the
    content's row."""
    await tx.execute(_ERASURES)
