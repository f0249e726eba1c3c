"""The table `variants`: fingerprints added to a claim later, which count once another person has confirmed them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from shared.db.pool import Row, Tx

_INSERT = """
INSERT INTO intake.variants (variant_id, claim_id, added_by, added_key, added_assurance) VALUES (%s, %s, %s, %s, %s)
"""
_OF_CLAIM = """
SELECT variant_id, assurance, confirmed_at, created_at FROM intake.variants WHERE claim_id = %s ORDER BY created_at
"""
_OF_ORGANISATION = """
SELECT v.*, c.state AS claim_state,
    EXISTS (SELECT 1 FROM intake.distrusted_keys k WHERE k.key_id = v.added_key) AS distrusted
FROM intake.variants v JOIN intake.claims c USING (claim_id)
WHERE v.variant_id = %s AND c.content_id = %s AND c.organisation_id = %s
"""
_CONFIRM = """
UPDATE intake.variants SET confirmed_by = %s, confirmed_key = %s, confirmed_assurance = %s, confirmed_at = now(),
    assurance = %s
WHERE variant_id = %s
"""
_DELETE_OF_CLAIM = "DELETE FROM intake.variants WHERE claim_id = %s"
_DELETE_UNCONFIRMED = """
DELETE FROM intake.variants WHERE confirmed_by IS NULL AND created_at <= statement_timestamp() - %s::interval
"""


async def insert_variants(
    tx: Tx, variant_id: UUID, claim_id: UUID, *, person_id: str, key_id: UUID, assurance: str
) -> None:
    await tx.execute(_INSERT, (variant_id, claim_id, person_id, key_id, assurance))


async def variants_of_claim(tx: Tx, claim_id: UUID) -> list[Row]:
    return await (await tx.execute(_OF_CLAIM, (claim_id,))).fetchall()


async def variants_of_organisation(tx: Tx, variant_id: UUID, content_id: UUID, organisation_id: str) -> Row | None:
    """The variants, `claim_state`, and whether they are `distrusted`: added by a key that was revoked with its content."""
    return await (await tx.execute(_OF_ORGANISATION, (variant_id, content_id, organisation_id))).fetchone()


async def confirm_variants_row(
    tx: Tx, variant_id: UUID, *, person_id: str, key_id: UUID, confirmed: str, assurance: str
) -> None:
    """Save a confirmation. `confirmed`: the second person's own assurance; `assurance`: the variants', of both."""
    await tx.execute(_CONFIRM, (person_id, key_id, confirmed, assurance, variant_id))


async def delete_variants_of_claim(tx: Tx, claim_id: UUID) -> None:
    await tx.execute(_DELETE_OF_CLAIM, (claim_id,))


async def delete_unconfirmed_variants(tx: Tx, age: timedelta) -> None:
    await tx.execute(_DELETE_UNCONFIRMED, (age,))
