"""The table `content_alias`: what an organisation calls a content."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from shared.db.pool import Tx
from shared.ids import content_alias

_INSERT = """
INSERT INTO intake.content_alias (organisation_id, alias, content_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_ALIAS = "SELECT alias FROM intake.content_alias WHERE content_id = %s AND organisation_id = %s"
_CONTENT = "SELECT content_id FROM intake.content_alias WHERE organisation_id = %s AND alias = %s"
_MOVE = "UPDATE intake.content_alias SET content_id = %s WHERE content_id = %s AND organisation_id = ANY (%s)"


async def make_alias(tx: Tx, content_id: UUID, organisation_id: str) -> UUID:
    """The organisation's own id for this content, from its first claim on it."""
    await tx.execute(_INSERT, (organisation_id, content_alias(content_id, organisation_id), content_id))
    return await alias_of(tx, content_id, organisation_id)


async def alias_of(tx: Tx, content_id: UUID, organisation_id: str) -> UUID:
    """What the organisation calls this content."""
    row = await (await tx.execute(_ALIAS, (content_id, organisation_id))).fetchone()
    return content_alias(content_id, organisation_id) if row is None else row["alias"]


async def content_of_alias(tx: Tx, alias: UUID, organisation_id: str) -> UUID | None:
    """The content an organisation calls by this id."""
    row = await (await tx.execute(_CONTENT, (organisation_id, alias))).fetchone()
    return None if row is None else row["content_id"]


async def move_aliases(tx: Tx, content_id: UUID, organisations: Sequence[str], *, to: UUID) -> None:
    """Point the ids by which these organisations know a content to another content."""
    await tx.execute(_MOVE, (to, content_id, organisations))
