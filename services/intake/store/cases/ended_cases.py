"""The table `ended_cases`: what is kept of a case that has ended, a keyed digest of its reference, why and when."""

from __future__ import annotations

from datetime import timedelta

from shared.db.pool import Row, Tx

_KEEP = """
INSERT INTO intake.ended_cases (digest, reason) VALUES (%s, %s)
ON CONFLICT (digest) DO UPDATE SET reason = excluded.reason, ended_at = now()
"""
_READ = "SELECT reason, ended_at FROM intake.ended_cases WHERE digest = %s"
_DELETE_OLD = "DELETE FROM intake.ended_cases WHERE ended_at <= statement_timestamp() - %s::interval"


async def keep_ended_case(tx: Tx, digest: bytes, reason: str) -> None:
    """Record that a case ended now, for this reason."""
    await tx.execute(_KEEP, (digest, reason))


async def ended_case(tx: Tx, digest: bytes) -> Row | None:
    """`reason` and `ended_at` of the last case of this reference that ended."""
    return await (await tx.execute(_READ, (digest,))).fetchone()


async def delete_ended_cases(tx: Tx, age: timedelta) -> None:
    await tx.execute(_DELETE_OLD, (age,))
