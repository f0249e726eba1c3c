"""Locks that are no row's, each held to the commit."""

from __future__ import annotations

from shared.db.pool import Tx

_ADDITIONS = "SELECT pg_advisory_xact_lock(hashtextextended('intake claims', 0))"
_ERASURES = "SELECT pg_advisory_xact_lock(hashtextextended('intake erasures', 0))"


async def lock_additions(tx: Tx) -> None:
    """Keep out, until the commit, all who add fingerprints to a claim or to the negative list. Taken before any row's lock.

    Two claims at once would each make a content of the same image; a claim and an entry at once would not see each other.
    """
    await tx.execute(_ADDITIONS)


async def lock_erasures(tx: Tx) -> None:
    """Keep out, until the commit, all who erase: each of two at once would keep what the other still seems to need. Taken after the
    content's row."""
    await tx.execute(_ERASURES)
