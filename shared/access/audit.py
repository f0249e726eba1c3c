"""The audit table: who did what to which object, when. Append-only (a trigger refuses changes), in the caller's transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.db.pool import Tx

if TYPE_CHECKING:
    from shared.access.keys import Principal

_RECORD = """
INSERT INTO access.audit (person_id, organisation_id, key_id, action, object_kind, object_id)
VALUES (%s, %s, %s, %s, %s, %s)
"""


async def record(tx: Tx, principal: Principal, *, action: str, object_kind: str, object_id: object) -> None:
    """One audit row. `action` is dotted (`claim.confirmed`, `case.read`); `object_id` is an id, never a case reference or URL."""
    await tx.execute(
        _RECORD,
        (principal.person_id, principal.organisation_id, principal.key_id, action, object_kind, str(object_id)),
    )
