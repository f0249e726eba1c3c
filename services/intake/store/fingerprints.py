"""The table `fingerprints`: the fingerprints of claims, erased with the claim's withdrawal."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from psycopg import AsyncCursor

from shared.db.pool import Row, Tx
from shared.media.fingerprints import PDQ_MAX_DISTANCE, Algorithm, Fingerprint

# A variant's fingerprints have the assurance of its own two steps; unconfirmed ones have none, and are in no union.
_FACTS = """
SELECT f.claim_id, f.algorithm, f.value, f.quality, f.origin, f.orientation, f.max_distance,
       CASE WHEN f.variant_id IS NULL THEN c.assurance ELSE v.assurance END AS assurance
FROM intake.fingerprints f
JOIN intake.claims c USING (claim_id)
LEFT JOIN intake.variants v ON v.variant_id = f.variant_id
WHERE c.content_id = %s
"""
_OF_CLAIM = """
SELECT algorithm, quality, origin, max_distance, variant_id FROM intake.fingerprints WHERE claim_id = %s ORDER BY fingerprint_id
"""
_INSERT = """
INSERT INTO intake.fingerprints (claim_id, variant_id, algorithm, value, quality, origin, orientation, max_distance)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_DELETE_OF_CLAIM = "DELETE FROM intake.fingerprints WHERE claim_id = %s"
# The oldest content that is not withdrawn and has one of these fingerprints. A variant nobody confirmed makes nothing known: one
# person alone would tie another's claim to a content they have a say over.
_KNOWN = """
SELECT k.content_id FROM unnest(%s::text[], %s::bytea[]) AS asked (algorithm, value)
JOIN intake.fingerprints f ON f.algorithm = asked.algorithm AND f.value = asked.value
JOIN intake.claims c ON c.claim_id = f.claim_id
JOIN intake.content k ON k.content_id = c.content_id
LEFT JOIN intake.variants v ON v.variant_id = f.variant_id
WHERE k.state <> 'withdrawn' AND (f.variant_id IS NULL OR v.confirmed_by IS NOT NULL)
ORDER BY k.created_at, k.content_id LIMIT 1
"""
NEAR = f"""
({{one}}.algorithm = {{other}}.algorithm AND CASE WHEN {{one}}.algorithm = '{Algorithm.PDQ}'
 THEN bit_count(('x' || encode({{one}}.value, 'hex'))::bit(256) # ('x' || encode({{other}}.value, 'hex'))::bit(256))
      <= {PDQ_MAX_DISTANCE}
 ELSE {{one}}.value = {{other}}.value END)
"""
"""Two PDQ values agree within 31 bits, any others when they are equal. A scan of the register: rare, about a second a million."""

_NEAR_VALUE = f"""
SELECT 1 FROM (VALUES (%s::text, %s::bytea)) AS asked (algorithm, value)
JOIN intake.fingerprints f ON {NEAR.format(one="f", other="asked")} LIMIT 1
"""


async def ask_fingerprint_facts(tx: Tx, content_id: UUID) -> AsyncCursor[Row]:
    """Query the fingerprints of a content's claims; the result is yet to be fetched."""
    return await tx.execute(_FACTS, (content_id,))


async def fingerprints_of_claim(tx: Tx, claim_id: UUID) -> list[Row]:
    """The fingerprints of a claim, without their values."""
    return await (await tx.execute(_OF_CLAIM, (claim_id,))).fetchall()


async def insert_fingerprint(
    tx: Tx, claim_id: UUID, one: Fingerprint, *, variant_id: UUID | None, max_distance: int | None
) -> bool:
    """Insert a fingerprint of a claim. False: the claim has this value already, and it is left as it is."""
    values = (one.algorithm.value, one.value, one.quality, one.origin.value, one.orientation.value, max_distance)
    return (await tx.execute(_INSERT, (claim_id, variant_id, *values))).rowcount > 0


async def delete_fingerprints_of_claim(tx: Tx, claim_id: UUID) -> None:
    await tx.execute(_DELETE_OF_CLAIM, (claim_id,))


async def content_with_one_of(tx: Tx, fingerprints: Sequence[Fingerprint]) -> UUID | None:
    """The oldest content that is not withdrawn and has one of these values."""
    values = ([f.algorithm.value for f in fingerprints], [f.value for f in fingerprints])
    row = await (await tx.execute(_KNOWN, values)).fetchone()
    return None if row is None else row["content_id"]


async def is_near_content(tx: Tx, algorithm: str, value: bytes) -> bool:
    """Whether a claim has this value, or a PDQ value within 31 bits of it."""
    return await (await tx.execute(_NEAR_VALUE, (algorithm, value))).fetchone() is not None
