"""The table `report_sightings`: the sightings a report became; settled when the matcher has said match or none."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.db.pool import Tx

_DELETE_OF_REPORT = "DELETE FROM intake.report_sightings WHERE report_id = %s"
_INSERT = """
INSERT INTO intake.report_sightings (report_id, sighting_id)
SELECT r.report_id, s FROM intake.reports r, unnest(%s::uuid[]) AS s
WHERE r.report_id = %s AND r.attempts = %s AND r.state = 'queued'
"""
_ANSWERED = "UPDATE intake.report_sightings SET settled = true WHERE report_id = %s AND sighting_id = %s"


async def plan_sightings(tx: Tx, report_id: UUID, attempt: int, sighting_ids: Collection[UUID]) -> bool:
    """Say which sightings are about to be published, before the matcher can answer for them. Replaces an earlier attempt's. False:
    the report is another worker's by now, or erased."""
    await tx.execute(_DELETE_OF_REPORT, (report_id,))
    planned = await tx.execute(_INSERT, (list(set(sighting_ids)), report_id, attempt))
    return planned.rowcount > 0


async def sighting_answered(tx: Tx, report_id: UUID, sighting_id: UUID) -> None:
    """The matcher has answered for this sighting."""
    await tx.execute(_ANSWERED, (report_id, sighting_id))
