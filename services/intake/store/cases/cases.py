"""The table `cases`: a row a case. Claims and reports belong to it by organisation and case reference."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from shared.db.pool import Row, Tx

_INSERT = """
INSERT INTO intake.cases (case_id, organisation_id, case_ref, digest, owner, urgency, next_contact_at, review_on, sealed)
VALUES (%(case_id)s, %(organisation_id)s, %(case_ref)s, %(digest)s, %(owner)s, %(urgency)s, %(next_contact_at)s, %(review_on)s,
    %(sealed)s)
ON CONFLICT (organisation_id, case_ref) DO NOTHING RETURNING 1 AS made
"""
# A claim of it is declared: no draft any more. The row is locked by that, so that a case which ends meanwhile is made anew.
_OPEN = """
INSERT INTO intake.cases AS k (case_id, organisation_id, case_ref, digest, owner, opened_at)
VALUES (%(case_id)s, %(organisation_id)s, %(case_ref)s, %(digest)s, %(owner)s, now())
ON CONFLICT (organisation_id, case_ref)
DO UPDATE SET opened_at = coalesce(k.opened_at, now()), digest = excluded.digest RETURNING paused_for
"""
_SAVE = """
UPDATE intake.cases SET case_ref = %(case_ref)s, digest = %(digest)s, owner = %(owner)s, urgency = %(urgency)s,
    next_contact_at = %(next_contact_at)s, review_on = %(review_on)s, sealed = %(sealed)s, version = version + 1,
    changed_at = now()
WHERE case_id = %(case_id)s
"""
_ONE = """
SELECT * FROM intake.cases WHERE organisation_id = %(organisation)s AND case_id = %(case_id)s
"""
_PAUSED = """
SELECT paused_for FROM intake.cases WHERE organisation_id = %s AND case_ref = %s FOR SHARE
"""
_PAUSE = """
UPDATE intake.cases SET paused_at = now(), paused_for = %s, version = version + 1, changed_at = now(),
    next_contact_at = least(coalesce(next_contact_at, 'infinity'), now() + %s::interval)
WHERE case_id = %s
"""
_RESUME = "UPDATE intake.cases SET paused_at = NULL, paused_for = NULL, version = version + 1, changed_at = now() WHERE case_id = %s"
_IN_ANOTHER_PAUSED = """
SELECT 1 FROM intake.cases k WHERE k.organisation_id = %(organisation)s AND k.paused_at IS NOT NULL AND k.case_id <> %(case_id)s
  AND EXISTS (SELECT 1 FROM intake.claims c WHERE c.content_id = %(content_id)s AND c.organisation_id = k.organisation_id
              AND c.case_ref = k.case_ref AND c.state <> 'withdrawn')
LIMIT 1
"""
_LOCK_BY_REF = "SELECT * FROM intake.cases WHERE organisation_id = %s AND case_ref = %s FOR UPDATE"
_DELETE_WITHOUT_CLAIMS = """
DELETE FROM intake.cases k WHERE k.case_id = %s
  AND NOT EXISTS (SELECT 1 FROM intake.claims c WHERE c.organisation_id = k.organisation_id AND c.case_ref = k.case_ref
                  AND c.state <> 'withdrawn')
RETURNING digest
"""
_DRAFTS_BEFORE = """
SELECT case_id, organisation_id, case_ref FROM intake.cases
WHERE opened_at IS NULL AND changed_at <= statement_timestamp() - %s::interval ORDER BY changed_at LIMIT %s
"""
_DELETE_DRAFT = """
DELETE FROM intake.cases WHERE case_id = %s AND opened_at IS NULL AND changed_at <= statement_timestamp() - %s::interval
RETURNING 1 AS gone
"""

# `place_at` is what a list is sorted by: the most urgent first, then what was due first. A degree of urgency is worth a hundred
# years, so that one moment says both.
_SHOWN = """
SELECT * FROM (
    SELECT k.*, c.confirmed, c.withdrawing, c.waiting, c.waiting_for_asker, c.waiting_since,
        CASE WHEN %(to_confirm)s THEN c.waiting_since ELSE coalesce(k.next_contact_at, k.created_at) END
            - k.urgency * interval '100 years' AS place_at
    FROM intake.cases k CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE c.state = 'confirmed') AS confirmed,
            count(*) FILTER (WHERE c.state = 'withdrawing') AS withdrawing,
            count(*) FILTER (WHERE c.state = 'awaiting_confirmation') AS waiting,
            count(*) FILTER (WHERE c.state = 'awaiting_confirmation' AND c.declared_by <> %(person)s) AS waiting_for_asker,
            min(c.created_at) FILTER (WHERE c.state = 'awaiting_confirmation') AS waiting_since
        FROM intake.claims c WHERE c.organisation_id = k.organisation_id AND c.case_ref = k.case_ref) c
    WHERE k.organisation_id = %(organisation)s
) AS k
"""
_READ = _SHOWN + " WHERE k.case_id = %(case_id)s"
_REPORTED_AT = """
k.case_ref IN (SELECT r.case_ref FROM intake.reports r WHERE r.organisation_id = %(organisation)s AND {reported}
               UNION ALL SELECT c.case_ref FROM intake.claims c JOIN intake.matched_urls m USING (content_id)
               WHERE c.organisation_id = %(organisation)s AND c.state IN ('confirmed', 'withdrawing') AND {matched})
"""
_AT_URL = (
    "md5({of}.url_key) IN (SELECT md5(u) FROM unnest(%(url_keys)s::text[]) AS u) AND {of}.url_key = ANY (%(url_keys)s)"
)
_AT_HOST = "right('.' || substring({of}.url_key from '^[a-z]+://([^/:?#]+)'), length(%(host)s) + 1) = '.' || %(host)s"
_LIST = f"""{_SHOWN}
WHERE (NOT %(mine)s OR k.owner = %(person)s) AND (NOT %(urgent)s OR k.urgency > 0) AND (NOT %(to_confirm)s OR k.waiting > 0)
  AND (NOT %(to_confirm)s OR k.case_ref IN (
      SELECT w.case_ref FROM intake.claims w WHERE w.organisation_id = %(organisation)s AND w.state = 'awaiting_confirmation'))
  AND (%(case_ref)s::text IS NULL OR k.case_ref = %(case_ref)s)
  AND (%(url_keys)s::text[] IS NULL OR {_REPORTED_AT.format(reported=_AT_URL.format(of="r"), matched=_AT_URL.format(of="m"))})
  AND (%(host)s::text IS NULL OR {_REPORTED_AT.format(reported=_AT_HOST.format(of="r"), matched=_AT_HOST.format(of="m"))})
  AND (%(after_at)s::timestamptz IS NULL OR (k.place_at, k.case_id) > (%(after_at)s, %(after_id)s::uuid))
ORDER BY k.place_at, k.case_id LIMIT %(limit)s
"""


async def insert_case(tx: Tx, **values: object) -> bool:
    """Insert a new case, a draft. False: the organisation has a case with this reference."""
    return await (await tx.execute(_INSERT, values)).fetchone() is not None


async def open_case(tx: Tx, **values: object) -> str | None:
    """End the draft state of a case, which is made where it is not there: a claim of it is declared. Gives why it is paused, if it is."""
    row = await (await tx.execute(_OPEN, values)).fetchone()
    return None if row is None else row["paused_for"]


async def save_case(tx: Tx, values: Mapping[str, Any]) -> None:
    """Keep a change of a locked case. Raises UniqueViolation: another case of the organisation has the reference."""
    await tx.execute(_SAVE, values)


async def lock_case(tx: Tx, organisation_id: str, case_id: UUID) -> Row | None:
    """The case's row, which nobody changes until the commit. Taken after its contents' rows."""
    found = await tx.execute(_ONE + " FOR UPDATE", {"organisation": organisation_id, "case_id": case_id})
    return await found.fetchone()


async def case_of_organisation(tx: Tx, organisation_id: str, case_id: UUID) -> Row | None:
    """The case's row as it is now."""
    return await (await tx.execute(_ONE, {"organisation": organisation_id, "case_id": case_id})).fetchone()


async def paused_for(tx: Tx, organisation_id: str, case_ref: str | None) -> str | None:
    """Why the case of this reference is paused; None: it is not, or there is none. That does not change until the commit."""
    row = await (await tx.execute(_PAUSED, (organisation_id, case_ref))).fetchone()
    return None if row is None else row["paused_for"]


async def pause_case_row(tx: Tx, case_id: UUID, *, reason: str, asked_after: timedelta) -> None:
    """Mark the case as paused from now on; its caller is to be asked again `asked_after`, or sooner where that was agreed."""
    await tx.execute(_PAUSE, (reason, asked_after, case_id))


async def resume_case_row(tx: Tx, case_id: UUID) -> None:
    await tx.execute(_RESUME, (case_id,))


async def is_in_another_paused_case(tx: Tx, organisation_id: str, content_id: UUID, case_id: UUID) -> bool:
    """Whether another case of the organisation that is paused has a live claim on the content."""
    asked = {"organisation": organisation_id, "content_id": content_id, "case_id": case_id}
    return await (await tx.execute(_IN_ANOTHER_PAUSED, asked)).fetchone() is not None


async def delete_without_claims(tx: Tx, organisation_id: str, case_ref: str) -> Row | None:
    """Delete the case of this reference, unless a claim of it is live. Gives its `digest`; None: nothing was deleted."""
    row = await (await tx.execute(_LOCK_BY_REF, (organisation_id, case_ref))).fetchone()
    if row is None:
        return None
    # A statement of its own: it sees the claim of whoever held the row before.
    return await (await tx.execute(_DELETE_WITHOUT_CLAIMS, (row["case_id"],))).fetchone()


async def drafts_before(tx: Tx, age: timedelta, limit: int) -> list[Row]:
    """Drafts in which nobody wrote for so long: `case_id`, `organisation_id`, `case_ref`."""
    return await (await tx.execute(_DRAFTS_BEFORE, (age, limit))).fetchall()


async def delete_draft(tx: Tx, case_id: UUID, age: timedelta) -> bool:
    """Delete a draft. False: somebody wrote in it meanwhile, or it is no draft any more."""
    return await (await tx.execute(_DELETE_DRAFT, (case_id, age))).fetchone() is not None


async def read_case_row(tx: Tx, organisation_id: str, case_id: UUID, *, person_id: str) -> Row | None:
    """The case with the number of its claims by state."""
    asked = {"organisation": organisation_id, "case_id": case_id, "person": person_id, "to_confirm": False}
    return await (await tx.execute(_READ, asked)).fetchone()


async def cases_page(tx: Tx, **asked: object) -> list[Row]:
    """The organisation's cases, the most urgent first, then by what is due. `asked`: `organisation`, `person`, `mine`, `urgent`,
    `to_confirm`, `case_ref`, `url_keys`, `host`, and the page's parameters."""
    return await (await tx.execute(_LIST, asked)).fetchall()
