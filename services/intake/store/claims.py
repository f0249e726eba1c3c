"""The table `claims`: one row a claim. The case reference lives here and in reports alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor

from shared.db.pool import Row, Tx

_INSERT = """
INSERT INTO intake.claims (claim_id, content_id, organisation_id, case_ref, declaration, declared_by, declared_key,
    declared_assurance, subject_jurisdictions, do_not_contact, demands_not_before, declared_as, authority_recorded,
    evidence_wanted)
VALUES (%(claim_id)s, %(content_id)s, %(organisation_id)s, %(case_ref)s, %(declaration)s, %(declared_by)s, %(declared_key)s,
    %(declared_assurance)s, %(subject_jurisdictions)s, %(do_not_contact)s, %(demands_not_before)s, %(declared_as)s,
    %(authority_recorded)s, %(evidence_wanted)s)
"""
_OF_ORGANISATION = "SELECT * FROM intake.claims WHERE claim_id = %s AND organisation_id = %s"
_LIST = """
SELECT * FROM intake.claims
WHERE organisation_id = %(organisation)s
  AND (%(state)s::text IS NULL OR state = %(state)s) AND (%(case_ref)s::text IS NULL OR case_ref = %(case_ref)s)
  AND (%(after_at)s::timestamptz IS NULL OR (created_at, claim_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY created_at DESC, claim_id DESC LIMIT %(limit)s
"""
# By the organisation's own first claim: a content's own age or id would reveal that somebody else was there before.
_CONTENT_LIST = """
SELECT content_id, min(created_at) AS created_at, min(claim_id::text)::uuid AS claim_id
FROM intake.claims WHERE organisation_id = %(organisation)s
GROUP BY content_id
HAVING %(after_at)s::timestamptz IS NULL OR (min(created_at), min(claim_id::text)::uuid) < (%(after_at)s, %(after_id)s::uuid)
ORDER BY min(created_at) DESC, min(claim_id::text)::uuid DESC LIMIT %(limit)s
"""
_HAS_CLAIM = """
SELECT 1 FROM intake.claims WHERE content_id = %s AND organisation_id = %s AND state = ANY (%s) LIMIT 1
"""
_FACTS = """
SELECT claim_id, organisation_id, state, assurance, withdrawal_reason,
       EXISTS (SELECT 1 FROM intake.distrusted_keys k WHERE k.key_id IN (c.declared_key, c.confirmed_key)) AS distrusted
FROM intake.claims c WHERE content_id = %s ORDER BY created_at, claim_id
"""
_LIVE_OF_CASE = """
SELECT claim_id, content_id, state, do_not_contact, evidence_wanted, subject_jurisdictions FROM intake.claims
WHERE organisation_id = %s AND case_ref = %s AND state <> 'withdrawn' ORDER BY content_id, claim_id
"""
_CASE_OF = "SELECT organisation_id, case_ref, withdrawal_reason FROM intake.claims WHERE claim_id = %s"
_SET_WISHES = """
UPDATE intake.claims SET do_not_contact = %s, evidence_wanted = %s, subject_jurisdictions = %s
WHERE claim_id = %s AND state <> 'withdrawn'
"""
_PUBLISHED = """
SELECT claim_id, content_id, revision, state, organisation_id, assurance, subject_jurisdictions, do_not_contact,
       demands_not_before, withdrawal_reason, declared_as, authority_recorded, evidence_wanted, changed_at
FROM intake.claims WHERE claim_id = %s FOR SHARE
"""
_REVISION = "SELECT revision FROM intake.claims WHERE claim_id = %s"
_RAISE_REVISION = "UPDATE intake.claims SET revision = revision + 1, changed_at = now() WHERE claim_id = %s"
_CONFIRM = """
UPDATE intake.claims SET state = 'confirmed', confirmed_by = %s, confirmed_key = %s, confirmed_assurance = %s,
    confirmed_at = now(), assurance = %s
WHERE claim_id = %s
"""
_BEGIN_WITHDRAWAL = """
UPDATE intake.claims SET state = 'withdrawing', withdrawal_reason = %s, withdrawn_by = %s,
    withdrawal_due = clock_timestamp() + %s
WHERE claim_id = %s
"""
_UNDO_WITHDRAWAL = """
UPDATE intake.claims SET state = 'confirmed', withdrawal_reason = NULL, withdrawn_by = NULL, withdrawal_due = NULL
WHERE claim_id = %s
"""
# do_not_contact stays until the tombstone: a retraction still to be sent must not reach whom it names.
_FINISH_WITHDRAWAL = """
UPDATE intake.claims SET state = 'withdrawn', withdrawn_at = now(), withdrawal_due = NULL,
    withdrawal_reason = coalesce(withdrawal_reason, %s), withdrawn_by = coalesce(withdrawn_by, %s),
    case_ref = NULL, declaration = NULL, declared_as = NULL, subject_jurisdictions = '{}', demands_not_before = NULL
WHERE claim_id = %s
"""
_MOVE = "UPDATE intake.claims SET content_id = %s WHERE claim_id = ANY (%s) RETURNING organisation_id"
# Content with claims that count (one being withdrawn may be confirmed again in a moment) which this key declared or confirmed, and
# whether there are variants that count which it added or confirmed. In a fixed order: two at once never deadlock.
_TOUCHED_BY_KEY = """
SELECT content_id, bool_or(has_variants) AS has_variants FROM (
    SELECT c.content_id, %(key)s IN (c.declared_key, c.confirmed_key) AS is_of_key, EXISTS (
        SELECT 1 FROM intake.variants v
        WHERE v.claim_id = c.claim_id AND v.confirmed_by IS NOT NULL AND %(key)s IN (v.added_key, v.confirmed_key)
    ) AS has_variants
    FROM intake.claims c WHERE c.state IN ('confirmed', 'withdrawing')
) AS claim
WHERE is_of_key OR has_variants GROUP BY content_id ORDER BY content_id
"""
# The clock as the statement begins: one moment for all rows, which an index can be asked for (`shared/db/due_rows.py`).
_DUE = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'withdrawing' AND withdrawal_due <= statement_timestamp() ORDER BY withdrawal_due LIMIT %s
"""
_STILL_DUE = """
SELECT content_id FROM intake.claims
WHERE claim_id = %s AND state = 'withdrawing' AND withdrawal_due <= statement_timestamp()
"""
_UNCONFIRMED = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'awaiting_confirmation' AND created_at <= statement_timestamp() - %s::interval ORDER BY created_at LIMIT %s
"""
_STILL_UNCONFIRMED = """
SELECT 1 FROM intake.claims WHERE claim_id = %s AND content_id = %s
 AND state = 'awaiting_confirmation' AND created_at <= statement_timestamp() - %s::interval
"""
_WITHDRAWN_BEFORE = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'withdrawn' AND withdrawn_at <= statement_timestamp() - %s::interval ORDER BY withdrawn_at LIMIT %s
"""
_DELETE = "DELETE FROM intake.claims WHERE claim_id = %s"
_DELETE_WITHDRAWN = "DELETE FROM intake.claims WHERE claim_id = %s AND state = 'withdrawn' RETURNING revision"


async def insert_claim(tx: Tx, values: Mapping[str, Any]) -> None:
    """A new claim, which waits for its confirmation."""
    await tx.execute(_INSERT, values)


async def claim_of_organisation(tx: Tx, claim_id: UUID, organisation_id: str) -> Row | None:
    return await (await tx.execute(_OF_ORGANISATION, (claim_id, organisation_id))).fetchone()


async def claims_page(tx: Tx, **asked: object) -> list[Row]:
    """An organisation's claims, newest first: `organisation`, `state`, `case_ref`, and the page's parameters."""
    return await (await tx.execute(_LIST, asked)).fetchall()


async def content_page(tx: Tx, **asked: object) -> list[Row]:
    """The contents an organisation has a claim on, newest first: `organisation`, and the page's parameters."""
    return await (await tx.execute(_CONTENT_LIST, asked)).fetchall()


async def has_claim(tx: Tx, content_id: UUID, organisation_id: str, states: Sequence[str]) -> bool:
    """Whether the organisation has a claim on the content in one of these states."""
    return await (await tx.execute(_HAS_CLAIM, (content_id, organisation_id, states))).fetchone() is not None


async def live_claims_of_case(tx: Tx, organisation_id: str, case_ref: str | None) -> list[Row]:
    """The case's claims that are not withdrawn, by content: `claim_id`, `content_id`, `state`, `do_not_contact`,
    `evidence_wanted`, `subject_jurisdictions`."""
    return await (await tx.execute(_LIVE_OF_CASE, (organisation_id, case_ref))).fetchall()


async def case_of_claim(tx: Tx, claim_id: UUID) -> tuple[str, str | None, str | None]:
    """(organisation, case reference, reason of its withdrawal) of a claim that is there."""
    row = await (await tx.execute(_CASE_OF, (claim_id,))).fetchone()
    assert row is not None
    return row["organisation_id"], row["case_ref"], row["withdrawal_reason"]


async def set_wishes(
    tx: Tx,
    claim_id: UUID,
    *,
    do_not_contact: Sequence[str],
    evidence_wanted: bool,
    subject_jurisdictions: Sequence[str],
) -> bool:
    """What may change while a claim is live. False: it is withdrawn."""
    values = (list(do_not_contact), evidence_wanted, list(subject_jurisdictions), claim_id)
    return (await tx.execute(_SET_WISHES, values)).rowcount > 0


async def ask_facts(tx: Tx, content_id: UUID) -> AsyncCursor[Row]:
    """Query the facts of a content's claims by which its state is decided, oldest first; the result is yet to be fetched."""
    return await tx.execute(_FACTS, (content_id,))


async def published_claim(tx: Tx, claim_id: UUID) -> Row | None:
    """What is published of a claim: no case reference, no person. The row does not change until the commit."""
    return await (await tx.execute(_PUBLISHED, (claim_id,))).fetchone()


async def was_published(tx: Tx, claim_id: UUID) -> bool:
    row = await (await tx.execute(_REVISION, (claim_id,))).fetchone()
    return row is not None and row["revision"] > 0


async def raise_revision(tx: Tx, claim_id: UUID) -> None:
    await tx.execute(_RAISE_REVISION, (claim_id,))


async def save_confirmation(
    tx: Tx, claim_id: UUID, *, person_id: str, key_id: UUID, confirmed: str, assurance: str
) -> None:
    """Save a confirmation. `confirmed`: the second person's own assurance; `assurance`: the claim's, of both."""
    await tx.execute(_CONFIRM, (person_id, key_id, confirmed, assurance, claim_id))


async def begin_withdrawal(tx: Tx, claim_id: UUID, *, reason: str, person_id: str, undo_within: timedelta) -> None:
    await tx.execute(_BEGIN_WITHDRAWAL, (reason, person_id, undo_within, claim_id))


async def take_withdrawal_back(tx: Tx, claim_id: UUID) -> None:
    await tx.execute(_UNDO_WITHDRAWAL, (claim_id,))


async def end_withdrawal(tx: Tx, claim_id: UUID, *, reason: str | None, person_id: str | None) -> None:
    """Make a withdrawal final: case and declaration are erased; reason and person are set where none was kept before."""
    await tx.execute(_FINISH_WITHDRAWAL, (reason, person_id, claim_id))


async def move_claims(tx: Tx, claim_ids: Sequence[UUID], *, to: UUID) -> list[str]:
    """Give these claims another content. Returns their organisations, sorted."""
    moved = await tx.execute(_MOVE, (to, list(claim_ids)))
    return sorted({row["organisation_id"] for row in await moved.fetchall()})


async def content_touched_by_key(tx: Tx, key_id: UUID) -> list[Row]:
    """Contents with a live claim or confirmed variants of this key: `content_id`, `has_variants`."""
    return await (await tx.execute(_TOUCHED_BY_KEY, {"key": key_id})).fetchall()


async def withdrawals_due(tx: Tx, limit: int) -> list[Row]:
    """Claims whose withdrawal nobody has undone in time: `claim_id`, `content_id`."""
    return await (await tx.execute(_DUE, (limit,))).fetchall()


async def content_if_still_due(tx: Tx, claim_id: UUID) -> UUID | None:
    """The content of a claim whose withdrawal is due; None: it is not, or not any more."""
    row = await (await tx.execute(_STILL_DUE, (claim_id,))).fetchone()
    return None if row is None else row["content_id"]


async def unconfirmed_before(tx: Tx, age: timedelta, limit: int) -> list[Row]:
    """Claims nobody confirmed for so long: `claim_id`, `content_id`."""
    return await (await tx.execute(_UNCONFIRMED, (age, limit))).fetchall()


async def is_still_unconfirmed(tx: Tx, claim_id: UUID, content_id: UUID, age: timedelta) -> bool:
    return await (await tx.execute(_STILL_UNCONFIRMED, (claim_id, content_id, age))).fetchone() is not None


async def claims_withdrawn_before(tx: Tx, age: timedelta, limit: int) -> list[Row]:
    """Claims withdrawn so long ago: `claim_id`, `content_id`."""
    return await (await tx.execute(_WITHDRAWN_BEFORE, (age, limit))).fetchall()


async def delete_claim(tx: Tx, claim_id: UUID) -> None:
    await tx.execute(_DELETE, (claim_id,))


async def delete_withdrawn_claim(tx: Tx, claim_id: UUID) -> int | None:
    """The revision it had; None: there is no such withdrawn claim."""
    row = await (await tx.execute(_DELETE_WITHDRAWN, (claim_id,))).fetchone()
    return None if row is None else row["revision"]
