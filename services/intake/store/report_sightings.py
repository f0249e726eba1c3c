"""The table `report_sightings`: the sightings a report became; settled when the matcher has said match or none."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.contracts.sightings import Sighting
from shared.db.pool import Tx

_DELETE_OF_REPORT = "DELETE FROM intake.report_sightings WHERE report_id = %s"
_INSERT = """
INSERT INTO intake.report_sightings (report_id, sighting_id, url_key, key_version)
SELECT r.report_id, s.sighting_id, s.url_key, s.key_version
FROM intake.reports r, unnest(%s::uuid[], %s::text[], %s::int[]) AS s (sighting_id, url_key, key_version)
WHERE r.report_id = %s AND r.attempts = %s AND r.state = 'queued'
"""
URLS_OF_GONE = """
SELECT DISTINCT coalesce(s.url_key, g.url_key) AS url_key, coalesce(s.key_version, g.key_version) AS key_version
FROM intake.report_sightings s JOIN gone g USING (report_id)
"""
"""The URLs of the sightings that the reports became which a `WITH gone` deletes: of what agreed with nothing, too."""
_ANSWERED = "UPDATE intake.report_sightings SET settled = true WHERE report_id = %s AND sighting_id = %s"


async def plan_sightings(tx: Tx, report_id: UUID, attempt: int, sightings: Collection[Sighting]) -> bool:
    """Record which sightings are about to be published, before the matcher can answer for them. Replaces an earlier attempt's. False: the
    report is another worker's by now, or erased."""
    await tx.execute(_DELETE_OF_REPORT, (report_id,))
    planned_once = {one.sighting_id: one for one in sightings}.values()
    columns = (
        [one.sighting_id for one in planned_once],
        [one.url_key for one in planned_once],
        [one.key_version for one in planned_once],
    )
    planned = await tx.execute(_INSERT, (*columns, report_id, attempt))
    return planned.rowcount > 0


async def sighting_answered(tx: Tx, report_id: UUID, sighting_id: UUID) -> None:
    """Record that the matcher has answered for this sighting."""
    await tx.execute(_ANSWERED, (report_id, sighting_id))
