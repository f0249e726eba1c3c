"""The table `matched_urls`: where a content was matched, which is what a withdrawal has to erase."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.db.pool import Tx

_INSERT = """
INSERT INTO intake.matched_urls (content_id, url_key, key_version) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_DELETE_OF_CONTENT = "DELETE FROM intake.matched_urls WHERE content_id = %s"
_POSSIBLE_MINOR = """
SELECT m.url_key FROM intake.matched_urls m JOIN intake.content k USING (content_id)
WHERE (k.hold = 'possible_minor' OR k.fetching_stopped
       OR EXISTS (SELECT 1 FROM access.stops s WHERE s.content_id = m.content_id AND s.reason IN ('possible_minor', 'fetching')))
  AND md5(m.url_key) IN (SELECT md5(u) FROM unnest(%(keys)s::text[]) AS u)
  AND m.url_key = ANY (%(keys)s)
"""

NEEDED_BY_ANOTHER = """
EXISTS (SELECT 1 FROM intake.matched_urls o JOIN intake.content k ON k.content_id = o.content_id
        WHERE md5(o.url_key) = md5({url_key}) AND o.url_key = {url_key} AND o.key_version = {key_version}
          AND o.content_id <> {content_id} AND k.state <> 'withdrawn')
"""
"""Whether another live content was matched at a URL: it stays known then. A fragment of other statements."""

NEEDED = """
EXISTS (SELECT 1 FROM intake.matched_urls o JOIN intake.content k ON k.content_id = o.content_id
        WHERE md5(o.url_key) = md5({url_key}) AND o.url_key = {url_key} AND o.key_version = {key_version}
          AND k.state <> 'withdrawn')
"""
"""The same of any live content."""


async def remember_url(tx: Tx, content_id: UUID, url_key: str, key_version: int) -> None:
    await tx.execute(_INSERT, (content_id, url_key, key_version))


async def forget_urls(tx: Tx, content_id: UUID) -> None:
    await tx.execute(_DELETE_OF_CONTENT, (content_id,))


async def possible_minor_urls(tx: Tx, url_keys: Collection[str]) -> frozenset[str]:
    """Those of these URLs where content was matched that may depict a minor: nobody looks at them."""
    rows = await (await tx.execute(_POSSIBLE_MINOR, {"keys": list(url_keys)})).fetchall()
    return frozenset(row["url_key"] for row in rows)
