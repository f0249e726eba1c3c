"""The tables `erasures`, what is still to be erased on the log, and `erasure_searches`, withdrawn content that is looked for in what was
seen."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from services.intake.store.matched_urls import NEEDED, NEEDED_BY_ANOTHER
from shared.contracts.topics import MATCHES
from shared.db.pool import Row, Tx
from shared.db.wakeups import notify

ERASURES_WAKEUP = "intake_erasure"

_ORDER_MATCHES = "INSERT INTO intake.erasures (content_id) VALUES (%s)"
_ORDER_URLS = f"""
INSERT INTO intake.erasures (content_id, url_key, key_version)
SELECT m.content_id, m.url_key, m.key_version FROM intake.matched_urls m
WHERE m.content_id = %(content_id)s
  AND NOT {NEEDED_BY_ANOTHER.format(url_key="m.url_key", key_version="m.key_version", content_id="m.content_id")}
"""
_ORDER_URL = f"""
INSERT INTO intake.erasures (content_id, url_key, key_version)
SELECT %(content_id)s, %(url_key)s, %(key_version)s
WHERE NOT {NEEDED_BY_ANOTHER.format(url_key="%(url_key)s", key_version="%(key_version)s", content_id="%(content_id)s")}
"""
# Of reports that are gone: what live content was matched at, or another report is of, stays known.
_ORDER_REPORTED = f"""
INSERT INTO intake.erasures (content_id, url_key, key_version)
SELECT %(content_id)s, u.url_key, u.key_version
FROM unnest(%(url_keys)s::text[], %(key_versions)s::int[]) AS u (url_key, key_version)
WHERE NOT {NEEDED.format(url_key="u.url_key", key_version="u.key_version")}
  AND NOT EXISTS (SELECT 1 FROM intake.reports r WHERE r.url_key = u.url_key AND r.key_version = u.key_version)
  AND NOT EXISTS (SELECT 1 FROM intake.report_sightings s WHERE s.url_key = u.url_key AND s.key_version = u.key_version)
"""
_ORDERED = "SELECT * FROM intake.erasures WHERE told_at IS NULL ORDER BY erasure_id LIMIT %s"
_PUBLISHED = "UPDATE intake.erasures SET told_at = now() WHERE erasure_id = ANY (%s) AND url_key IS NOT NULL"
_DONE = "DELETE FROM intake.erasures WHERE erasure_id = ANY (%s) AND (url_key IS NULL OR told_at IS NOT NULL)"
# Not while the same URL was published again since, or is yet to be: clearing the one event would clear the other, and a matcher
# that was away would never hear of it.
_OVER = """
SELECT * FROM intake.erasures AS e WHERE told_at < statement_timestamp() - %(published_for)s::interval AND NOT EXISTS (
    SELECT 1 FROM intake.erasures AS younger WHERE younger.url_key = e.url_key
    AND (younger.told_at IS NULL OR younger.told_at >= statement_timestamp() - %(published_for)s::interval))
ORDER BY erasure_id LIMIT %(limit)s
"""

_SEARCH_PUBLISHED = """
UPDATE intake.erasure_searches s SET told_at = now()
WHERE told_at IS NULL AND NOT EXISTS (SELECT 1 FROM intake.outbox o WHERE o.key = s.search_id::text)
"""
_SEARCH_OVER = (
    "DELETE FROM intake.erasure_searches WHERE told_at <= statement_timestamp() - %s::interval RETURNING search_id"
)

# A person's match that was not sent, or could not be: it names the URL.
_UNSENT_MATCHES = """
DELETE FROM intake.outbox
WHERE topic = %(topic)s AND data IS NOT NULL AND convert_from(data, 'UTF8')::json ->> 'content_id' = %(content_id)s::text
"""


async def order_urls_and_matches(tx: Tx, content_id: UUID) -> None:
    """Order the erasure of the URLs that only this content was matched at, and of its match records."""
    await tx.execute(_ORDER_URLS, {"content_id": content_id})
    await _order_matches(tx, content_id)


async def order_reported_urls(tx: Tx, content_id: UUID, urls: Sequence[tuple[str, int]]) -> None:
    """Order the erasure of URLs that were seen for reports which are gone, unless something live still rests on them."""
    if urls:
        url_keys, key_versions = zip(*urls, strict=True)
        values = {"content_id": content_id, "url_keys": list(url_keys), "key_versions": list(key_versions)}
        await tx.execute(_ORDER_REPORTED, values)
        await notify(tx, ERASURES_WAKEUP)


async def order_some_urls_and_matches(tx: Tx, content_id: UUID, urls: Collection[tuple[str, int]]) -> None:
    """Order the erasure of these (url_key, key_version), but for those where another content was matched, and of the content's
    match records."""
    for url_key, key_version in urls:
        await tx.execute(_ORDER_URL, {"content_id": content_id, "url_key": url_key, "key_version": key_version})
    await _order_matches(tx, content_id)


async def _order_matches(tx: Tx, content_id: UUID) -> None:
    await tx.execute(_ORDER_MATCHES, (content_id,))
    await notify(tx, ERASURES_WAKEUP)


async def delete_unsent_matches(tx: Tx, content_id: UUID) -> None:
    """Delete matches of the content, made by a person's word, that have not reached the log."""
    await tx.execute(_UNSENT_MATCHES, {"topic": MATCHES.name, "content_id": content_id})


async def erasures_ordered(tx: Tx, limit: int) -> list[Row]:
    """Orders that are not published yet, oldest first."""
    return await (await tx.execute(_ORDERED, (limit,))).fetchall()


async def mark_published(tx: Tx, numbers: Sequence[int]) -> None:
    """Mark orders as published: they stay until that event is cleared; an order without a URL is done."""
    await finish_erasures(tx, numbers)
    await tx.execute(_PUBLISHED, (numbers,))


async def erasures_over(tx: Tx, published_for: timedelta, limit: int) -> list[Row]:
    """Orders published so long ago that every matcher has had time to read it."""
    return await (await tx.execute(_OVER, {"published_for": published_for, "limit": limit})).fetchall()


async def finish_erasures(tx: Tx, numbers: Sequence[int]) -> None:
    await tx.execute(_DONE, (numbers,))


async def begin_search(tx: Tx, search_id: UUID) -> None:
    """Insert a search, which is about to be published."""
    await tx.execute("INSERT INTO intake.erasure_searches (search_id) VALUES (%s)", (search_id,))


async def end_searches(tx: Tx, searched_for: timedelta) -> list[UUID]:
    """Delete the searches that the log has had for so long, and give their ids. Counted from when the log has them, however long it was
    away."""
    await tx.execute(_SEARCH_PUBLISHED)
    return [row["search_id"] for row in await (await tx.execute(_SEARCH_OVER, (searched_for,))).fetchall()]
