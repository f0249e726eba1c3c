"""The table `report_takedowns`: the takedowns a report led to."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.db.pool import Tx

_INSERT = """
INSERT INTO intake.report_takedowns AS known (report_id, takedown_id, content_id, guards, fingerprint_ref)
SELECT report_id, %s, %s, %s, %s FROM intake.reports WHERE report_id = %s
ON CONFLICT (report_id, takedown_id) DO UPDATE SET guards = '{}', fingerprint_ref = excluded.fingerprint_ref
WHERE excluded.guards = '{}'
"""


async def add_takedown(
    tx: Tx,
    report_id: UUID,
    takedown_id: UUID,
    content_id: UUID,
    *,
    guards: Collection[str] = (),
    fingerprint_ref: str | None = None,
) -> None:
    """Record that the report led to this takedown, and by what it agreed; with `guards`, to a match of which none comes. Nothing happens
    for a report that is erased."""
    await tx.execute(_INSERT, (takedown_id, content_id, sorted(guards), fingerprint_ref, report_id))
