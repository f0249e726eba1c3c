"""The table `rejections`: what a person said is another picture than the content, by its `fingerprint_ref`, at whatever URL. It outlives a
rebuild, and is undone by the same hand or another's."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from services.notifier.domain.model import Rejection
from shared.db.pool import Tx

_REJECT = """
INSERT INTO notifier.rejections (content_id, fingerprint_ref, takedown_id, rejected_by)
SELECT %(content_id)s, ref, %(takedown_id)s, %(person_id)s FROM unnest(%(refs)s::text[]) AS ref ON CONFLICT DO NOTHING
"""
# With what was rejected with them: the other fingerprints of the same look.
_UNDO = """
DELETE FROM notifier.rejections r WHERE r.content_id = %(content_id)s AND (r.fingerprint_ref = ANY(%(refs)s) OR r.takedown_id IN (
    SELECT o.takedown_id FROM notifier.rejections o WHERE o.content_id = %(content_id)s AND o.fingerprint_ref = ANY(%(refs)s)))
RETURNING r.fingerprint_ref
"""
_MADE_BY = """
SELECT takedown_id FROM notifier.takedowns t WHERE content_id = %s
  AND (fingerprint_ref = ANY(%s)
       OR EXISTS (SELECT 1 FROM notifier.checks c WHERE c.takedown_id = t.takedown_id AND c.fingerprint_refs && %s::text[]))
  AND NOT EXISTS (SELECT 1 FROM notifier.untold u WHERE u.takedown_id = t.takedown_id AND u.what = %s)
  AND (%s::bool IS NULL OR (t.state = 'rejected') = %s)
ORDER BY takedown_id
"""


async def is_rejected(tx: Tx, content_id: UUID, fingerprint_ref: str) -> bool:
    """True when a person rejected what this fingerprint agrees to, at whatever URL."""
    return await who_rejected(tx, content_id, fingerprint_ref) is not None


async def who_rejected(tx: Tx, content_id: UUID, fingerprint_ref: str) -> Rejection | None:
    """Who rejected it, and when; None: nobody. Of what was rejected before this was kept, nobody is named (`person_id` empty)."""
    cursor = await tx.execute(
        "SELECT coalesce(rejected_by, '') AS person_id, rejected_at FROM notifier.rejections"
        " WHERE content_id = %s AND fingerprint_ref = %s",
        (content_id, fingerprint_ref),
    )
    row = await cursor.fetchone()
    return None if row is None else Rejection(person_id=row["person_id"], at=row["rejected_at"])


async def reject(tx: Tx, content_id: UUID, takedown_id: UUID, refs: Collection[str], person_id: str) -> None:
    """Keep these as rejected, with this takedown."""
    values = {"content_id": content_id, "takedown_id": takedown_id, "refs": list(refs), "person_id": person_id}
    await tx.execute(_REJECT, values)


async def undo(tx: Tx, content_id: UUID, refs: Collection[str]) -> tuple[str, ...]:
    """These are rejected no more, nor what was rejected with them. Gives all of them."""
    cursor = await tx.execute(_UNDO, {"content_id": content_id, "refs": list(refs)})
    gone = [row["fingerprint_ref"] for row in await cursor.fetchall()]
    return tuple(dict.fromkeys((*refs, *gone)))


async def made_by(
    tx: Tx, content_id: UUID, refs: Collection[str], *, pending_change: str, rejected: bool | None
) -> tuple[UUID, ...]:
    """The content's takedowns that were matched, or seen by a look, by one of these, in the order in which they are locked; but those that
    have this `pending_change` already. `rejected`: only those that are, or are not."""
    cursor = await tx.execute(_MADE_BY, (content_id, list(refs), list(refs), pending_change, rejected, rejected))
    return tuple(row["takedown_id"] for row in await cursor.fetchall())
