"""The table `rejections`: what people rejected of a content, so that a report can say so. By what it agrees by, or by its takedown."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.db.pool import Tx

IS_REJECTED = """
EXISTS (SELECT 1 FROM intake.rejections x WHERE x.content_id = t.content_id AND x.what IN (t.fingerprint_ref, t.takedown_id::text))
"""
"""Whether what the row `t` of `report_takedowns` led to was rejected. A fragment of other statements."""


async def keep_rejection(tx: Tx, content_id: UUID, what: Collection[str]) -> None:
    """Record that these were rejected. Nothing happens for a content that is not known, or is withdrawn."""
    await tx.execute(
        "INSERT INTO intake.rejections (content_id, what) SELECT k.content_id, w FROM intake.content k, unnest(%s::text[]) AS w"
        " WHERE k.content_id = %s AND k.state <> 'withdrawn' ON CONFLICT DO NOTHING",
        (list(what), content_id),
    )


async def undo_rejection(tx: Tx, content_id: UUID, what: Collection[str]) -> None:
    """Delete the rejection of these."""
    await tx.execute("DELETE FROM intake.rejections WHERE content_id = %s AND what = ANY(%s)", (content_id, list(what)))


async def forget_rejections(tx: Tx, content_id: UUID) -> None:
    """Delete the rejections of a content."""
    await tx.execute("DELETE FROM intake.rejections WHERE content_id = %s", (content_id,))
