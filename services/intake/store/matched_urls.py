"""The table `matched_urls`: where a content was matched, which is what a withdrawal has to erase."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from shared.db.pool import Tx
from shared.urls import FILE_KEY_VERSION, canonical

_INSERT = """
INSERT INTO intake.matched_urls (content_id, url_key, key_version) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""
_DELETE_OF_CONTENT = "DELETE FROM intake.matched_urls WHERE content_id = %s"
_AT_POSSIBLE_MINORS = """
SELECT m.url_key FROM intake.matched_urls m JOIN intake.content k USING (content_id)
WHERE (k.hold = 'possible_minor' OR k.fetching_stopped
       OR EXISTS (SELECT 1 FROM access.stops s WHERE s.content_id = m.content_id AND s.reason IN ('possible_minor', 'fetching')))
"""
_POSSIBLE_MINOR = f"""{_AT_POSSIBLE_MINORS}
  AND md5(m.url_key) IN (SELECT md5(u) FROM unnest(%(keys)s::text[]) AS u)
  AND m.url_key = ANY (%(keys)s)
"""
# What was matched under another signature before signatures were left out of keys.
_POSSIBLE_MINOR_SIGNED = f"""{_AT_POSSIBLE_MINORS}
  AND m.key_version < {FILE_KEY_VERSION}
  AND EXISTS (SELECT 1 FROM unnest(%(stems)s::text[]) AS stem WHERE starts_with(m.url_key, stem))
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


async def remember_urls(tx: Tx, content_id: UUID, urls: Collection[tuple[str, int]]) -> None:
    """Remember where the content was matched: (url_key, key_version) of each."""
    for url_key, key_version in urls:
        await tx.execute(_INSERT, (content_id, url_key, key_version))


async def forget_urls(tx: Tx, content_id: UUID) -> None:
    await tx.execute(_DELETE_OF_CONTENT, (content_id,))


async def possible_minor_urls(tx: Tx, addresses: Collection[str]) -> frozenset[str]:
    """Those of these addresses (`shared.urls.address_key`) where content was matched that may depict a minor, under whichever
    signature: nobody looks at them."""
    things = {address: canonical(address) for address in addresses}
    keys = {*addresses, *(one.url_key for one in things.values())}
    found = {row["url_key"] for row in await (await tx.execute(_POSSIBLE_MINOR, {"keys": list(keys)})).fetchall()}
    stems = [one.url_key.partition("?")[0] for one in things.values() if one.key_version == FILE_KEY_VERSION]
    if stems:
        rows = await (await tx.execute(_POSSIBLE_MINOR_SIGNED, {"stems": stems})).fetchall()
        found |= {canonical(row["url_key"]).url_key for row in rows}
    return frozenset(address for address, thing in things.items() if address in found or thing.url_key in found)
