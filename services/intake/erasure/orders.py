"""Erasure: what a withdrawal ends. Ordered in the withdrawal's transaction, done on the log by a worker until acknowledged."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.topics import MATCHES
from shared.db.pool import Tx
from shared.db.wakeups import notify

CHANNEL = "intake_erasure"

# Reports of a claim: of its case, where no other live claim of the organisation is of that case.
_REPORTS_OF_CLAIM = """
DELETE FROM intake.reports r USING intake.claims c
WHERE c.claim_id = %(claim_id)s AND r.organisation_id = c.organisation_id AND r.case_ref = c.case_ref
  AND NOT EXISTS (SELECT 1 FROM intake.claims o WHERE o.organisation_id = c.organisation_id
                  AND o.case_ref = c.case_ref AND o.claim_id <> c.claim_id AND o.state <> 'withdrawn')
"""

_REPORTS_OF_CONTENT = """
DELETE FROM intake.reports r WHERE r.content_id = %(content_id)s
   OR (EXISTS (SELECT 1 FROM intake.report_takedowns t WHERE t.report_id = r.report_id AND t.content_id = %(content_id)s)
       AND NOT EXISTS (SELECT 1 FROM intake.report_takedowns t JOIN intake.content k USING (content_id)
                       WHERE t.report_id = r.report_id AND t.content_id <> %(content_id)s AND k.state <> 'withdrawn'))
"""

# A URL that another live content was matched at stays known.
_ORDER_URLS = """
INSERT INTO intake.erasures (content_id, url_key, key_version)
SELECT m.content_id, m.url_key, m.key_version FROM intake.matched_urls m
WHERE m.content_id = %(content_id)s
  AND NOT EXISTS (SELECT 1 FROM intake.matched_urls o JOIN intake.content k ON k.content_id = o.content_id
                  WHERE md5(o.url_key) = md5(m.url_key) AND o.url_key = m.url_key AND o.key_version = m.key_version
                    AND o.content_id <> m.content_id AND k.state <> 'withdrawn')
"""

# What was found out of a report of such a URL is kept no longer than the URL itself. One that is still followed goes on: it may
# be of another content.
_REPORTS_OF_URLS = """
DELETE FROM intake.reports r USING intake.matched_urls m
WHERE m.content_id = %(content_id)s AND r.url_key = m.url_key AND r.key_version = m.key_version
  AND r.state NOT IN ('queued', 'fetched')
  AND NOT EXISTS (SELECT 1 FROM intake.content k WHERE k.content_id = r.content_id AND k.content_id <> m.content_id
                    AND k.state <> 'withdrawn')
  AND NOT EXISTS (SELECT 1 FROM intake.matched_urls o JOIN intake.content k ON k.content_id = o.content_id
                  WHERE md5(o.url_key) = md5(m.url_key) AND o.url_key = m.url_key AND o.key_version = m.key_version
                    AND o.content_id <> m.content_id AND k.state <> 'withdrawn')
"""

# A person's match that was not sent, or could not be: it names the URL.
_UNSENT_MATCHES = """
DELETE FROM intake.outbox
WHERE topic = %(topic)s AND data IS NOT NULL AND convert_from(data, 'UTF8')::json ->> 'content_id' = %(content_id)s::text
"""

# Each of two at once would keep what the other still seems to need: they come one after the other, each to its commit. Taken after
# the content's row.
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('intake erasures', 0))"

_LATE_REPORT = "DELETE FROM intake.reports WHERE report_id = %s AND state = 'no_match'"

_ORDER_LATE = """
INSERT INTO intake.erasures (content_id, url_key, key_version)
SELECT %(content_id)s, %(url_key)s, %(key_version)s
WHERE NOT EXISTS (SELECT 1 FROM intake.matched_urls o JOIN intake.content k ON k.content_id = o.content_id
                  WHERE md5(o.url_key) = md5(%(url_key)s) AND o.url_key = %(url_key)s AND o.key_version = %(key_version)s
                    AND o.content_id <> %(content_id)s AND k.state <> 'withdrawn')
"""


async def erase_reports_of_claim(tx: Tx, claim_id: UUID) -> None:
    """Erase the reports of the claim's case. To be called while the claim still has its case reference."""
    await tx.execute(_ONE_AT_A_TIME)
    await tx.execute(_REPORTS_OF_CLAIM, {"claim_id": claim_id})


async def order(tx: Tx, content_id: UUID) -> None:
    """Erase the content's reports here, and order the erasure of its URLs and match records on the log."""
    await tx.execute(_ONE_AT_A_TIME)
    await tx.execute(_REPORTS_OF_CONTENT, {"content_id": content_id})
    await tx.execute(_REPORTS_OF_URLS, {"content_id": content_id})
    await tx.execute(_UNSENT_MATCHES, {"topic": MATCHES.name, "content_id": content_id})
    await tx.execute(_ORDER_URLS, {"content_id": content_id})
    await tx.execute("DELETE FROM intake.matched_urls WHERE content_id = %s", (content_id,))
    await tx.execute("INSERT INTO intake.erasures (content_id) VALUES (%s)", (content_id,))
    await notify(tx, CHANNEL)


async def order_late(tx: Tx, content_id: UUID, url_key: str, key_version: int) -> None:
    """Erase what a match carries that came after its content was withdrawn."""
    values = {"content_id": content_id, "url_key": url_key, "key_version": key_version}
    await tx.execute(_ORDER_LATE, values)
    await tx.execute("INSERT INTO intake.erasures (content_id) VALUES (%s)", (content_id,))
    await notify(tx, CHANNEL)


async def erase_late_report(tx: Tx, report_id: UUID) -> None:
    """Erase a report that came to nothing but content withdrawn meanwhile: its URL is that content's."""
    await tx.execute(_LATE_REPORT, (report_id,))
