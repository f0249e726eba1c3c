"""What an organisation is shown of its claims and contents. Never a fingerprint's value, never another's claim."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from services.intake.claims import store
from services.intake.domain.claims import ClaimFacts, Hold, derive
from shared.db.pool import Row, Tx
from shared.ids import timestamp

_FINGERPRINTS = """
SELECT algorithm, quality, origin, max_distance, variant_id FROM intake.fingerprints WHERE claim_id = %s ORDER BY fingerprint_id
"""
_VARIANTS = """
SELECT variant_id, assurance, confirmed_at, created_at FROM intake.variants WHERE claim_id = %s ORDER BY created_at
"""


async def claim_view(tx: Tx, row: Row) -> dict[str, Any]:
    """One claim, whole, as its own organisation sees it."""
    fingerprints = await (await tx.execute(_FINGERPRINTS, (row["claim_id"],))).fetchall()
    variants = await (await tx.execute(_VARIANTS, (row["claim_id"],))).fetchall()
    withdrawal = None
    if row["withdrawal_reason"]:
        withdrawal = {
            "reason": row["withdrawal_reason"],
            "final_at": _moment(row["withdrawn_at"] or row["withdrawal_due"]),
        }
    return {
        **await claim_summary(tx, row),
        "case_ref": row["case_ref"],
        "subject_jurisdictions": row["subject_jurisdictions"],
        "do_not_contact": row["do_not_contact"],
        "demands_not_before": _moment(row["demands_not_before"]),
        "withdrawal": withdrawal,
        "fingerprint_count": len(fingerprints),
        "fingerprints": [_fingerprint(one) for one in fingerprints],
        "variants": [
            {
                "variant_id": str(variant["variant_id"]),
                "state": "awaiting_confirmation" if variant["confirmed_at"] is None else "confirmed",
                "assurance": variant["assurance"],
                "fingerprint_count": sum(one["variant_id"] == variant["variant_id"] for one in fingerprints),
                "created_at": _moment(variant["created_at"]),
            }
            for variant in variants
        ],
    }


async def claim_summary(tx: Tx, row: Row) -> dict[str, Any]:
    """One claim in a list: no case reference, so that reading a list is not reading a case."""
    return {
        "claim_id": str(row["claim_id"]),
        "content_id": str(await store.alias_of(tx, row["content_id"], row["organisation_id"])),
        "state": row["state"],
        "assurance": row["assurance"],
        "created_at": _moment(row["created_at"]),
        "confirmed_at": _moment(row["confirmed_at"]),
    }


def content_view(shown_id: UUID, own_claims: Iterable[ClaimFacts], hold: Hold | None) -> dict[str, Any]:
    """A content from an organisation's own claims alone, so that another's claim shows in nothing."""
    own_claims = tuple(own_claims)
    facts = derive(own_claims, hold)
    fingerprints = [one for claim in own_claims for one in claim.fingerprints]
    return {
        "content_id": str(shown_id),
        "state": facts.state.value,
        "suspended_for": facts.suspended_for,
        "assurance": facts.assurance.value if facts.assurance else None,
        "claims": [{"claim_id": str(claim.claim_id), "state": claim.state.value} for claim in own_claims],
        "fingerprint_count": len(fingerprints),
        "fingerprints": [
            {
                "algorithm": one.algorithm,
                "quality": one.quality,
                "origin": one.origin,
                "max_distance": one.max_distance,
            }
            for one in fingerprints
        ],
    }


def _fingerprint(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in ("algorithm", "quality", "origin", "max_distance")}


def _moment(moment: Any) -> str | None:
    return None if moment is None else timestamp(moment)
