"""The audit table: who did what to which object, when. Append-only (a trigger refuses changes), in the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from shared.db.pool import Tx

if TYPE_CHECKING:
    from shared.access.keys import Principal

_RECORD = """
INSERT INTO access.audit (person_id, organisation_id, key_id, action, object_kind, object_id)
VALUES (%s, %s, %s, %s, %s, %s)
"""


# Somebody who looks again and again (a live table) has read it once.
_RECORD_READING = """
INSERT INTO access.audit (person_id, organisation_id, key_id, action, object_kind, object_id)
SELECT %(person)s, %(organisation)s, %(key)s, %(action)s, %(kind)s, read.object_id FROM unnest(%(ids)s::text[]) AS read (object_id)
WHERE NOT EXISTS (
    SELECT 1 FROM access.audit a WHERE a.object_kind = %(kind)s AND a.object_id = read.object_id AND a.action = %(action)s
      AND a.person_id = %(person)s AND a.key_id = %(key)s AND a.at > now() - interval '1 hour')
"""


async def record_reading(
    tx: Tx, principal: Principal, *, action: str, object_kind: str, object_ids: Collection[object]
) -> None:
    """One audit row for each object that was read, at most one an hour, key and action."""
    if not object_ids:
        return
    await tx.execute(
        _RECORD_READING,
        {
            "person": principal.person_id,
            "organisation": principal.organisation_id,
            "key": principal.key_id,
            "action": action,
            "kind": object_kind,
            "ids": sorted({str(one) for one in object_ids}),
        },
    )


async def record(tx: Tx, principal: Principal, *, action: str, object_kind: str, object_id: object) -> None:
    """One audit row. `action` is dotted (`claim.confirmed`, `case.read`); `object_id` is an id, never a case reference or URL."""
    await tx.execute(
        _RECORD,
        (principal.person_id, principal.organisation_id, principal.key_id, action, object_kind, str(object_id)),
    )
