"""The table `untold`: pending changes, that is changes for which a takedown has still to be decided on. A row names the kind of change, not
the event: what has become of it is read when the takedown is decided on."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db.pool import Tx

CONTENT = "content"
"""The content's row has changed."""
TERMS = "terms"
"""What its claims let a demand rest on has changed."""

# What failed before and waits is tried at once again: something has changed.
_PUT = """
INSERT INTO notifier.untold AS u (takedown_id, what) SELECT takedown_id, %(what)s FROM unnest(%(takedown_ids)s::uuid[]) AS takedown_id
ON CONFLICT (takedown_id, what) DO UPDATE SET due_at = excluded.due_at, lease_until = NULL WHERE u.lease_id IS NULL
"""
_TAKE = "DELETE FROM notifier.untold WHERE takedown_id = %s AND what = %s AND lease_id = %s RETURNING what"


def decision(decision_id: UUID) -> str:
    """The `what` of a row for a person's decision."""
    return str(decision_id)


async def put(tx: Tx, takedown_ids: Sequence[UUID], what: str) -> None:
    """Record a change that these takedowns have still to be decided on for. Under the content's exclusive lock."""
    await tx.execute(_PUT, {"takedown_ids": list(takedown_ids), "what": what})


async def take(tx: Tx, takedown_id: UUID, what: str, lease_id: UUID) -> bool:
    """Delete a change that is applied in this transaction. False: another worker has it by now. Under the content's lock, so that
    what changes later is a row of its own again."""
    return await (await tx.execute(_TAKE, (takedown_id, what, lease_id))).fetchone() is not None
