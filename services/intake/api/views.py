"""Rows and facts as answers: what an organisation is shown of its claims and contents."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from services.intake.api.answers import (
    ClaimOfContent,
    ClaimSummary,
    ClaimView,
    FingerprintView,
    OwnContentView,
    VariantsView,
    WithdrawalView,
)
from services.intake.domain.claims import ClaimFacts, SuspensionReason, derive
from services.intake.store.content_aliases import alias_of
from services.intake.store.fingerprints import fingerprints_of_claim
from services.intake.store.variants import variants_of_claim
from shared.db.pool import Row, Tx


async def claim_view(tx: Tx, row: Row) -> ClaimView:
    """One claim, whole, as its own organisation sees it."""
    fingerprints = await fingerprints_of_claim(tx, row["claim_id"])
    variants = await variants_of_claim(tx, row["claim_id"])
    withdrawal = None
    if row["withdrawal_reason"]:
        final_at = row["withdrawn_at"] or row["withdrawal_due"]
        withdrawal = WithdrawalView(reason=row["withdrawal_reason"], final_at=final_at)
    summary = await claim_summary(tx, row)
    return ClaimView(
        **dict(summary),
        case_ref=row["case_ref"],
        subject_jurisdictions=row["subject_jurisdictions"],
        do_not_contact=row["do_not_contact"],
        demands_not_before=row["demands_not_before"],
        declared_as=row["declared_as"],
        authority_recorded=row["authority_recorded"],
        evidence_wanted=row["evidence_wanted"],
        withdrawal=withdrawal,
        fingerprint_count=len(fingerprints),
        fingerprints=[
            FingerprintView(**{name: one[name] for name in FingerprintView.model_fields}) for one in fingerprints
        ],
        variants=[
            VariantsView(
                variant_id=variant["variant_id"],
                state="awaiting_confirmation" if variant["confirmed_at"] is None else "confirmed",
                assurance=variant["assurance"],
                fingerprint_count=sum(one["variant_id"] == variant["variant_id"] for one in fingerprints),
                created_at=variant["created_at"],
            )
            for variant in variants
        ],
    )


async def claim_summary(tx: Tx, row: Row) -> ClaimSummary:
    """One claim in a list: no case reference, so that reading a list is not reading a case."""
    return ClaimSummary(
        claim_id=row["claim_id"],
        content_id=await alias_of(tx, row["content_id"], row["organisation_id"]),
        state=row["state"],
        assurance=row["assurance"],
        created_at=row["created_at"],
        confirmed_at=row["confirmed_at"],
    )


def content_view(
    shown_id: UUID, own_claims: Iterable[ClaimFacts], suspension: SuspensionReason | None
) -> OwnContentView:
    """A content from an organisation's own claims alone, so that another's claim shows in nothing."""
    own_claims = tuple(own_claims)
    facts = derive(own_claims, suspension)
    fingerprints = [one for claim in own_claims for one in claim.fingerprints]
    return OwnContentView(
        content_id=shown_id,
        state=facts.state,
        suspended_for=facts.suspended_for,
        assurance=facts.assurance,
        claims=[ClaimOfContent(claim_id=claim.claim_id, state=claim.state) for claim in own_claims],
        fingerprint_count=len(fingerprints),
        fingerprints=[
            FingerprintView.model_validate(
                {
                    "algorithm": one.algorithm,
                    "quality": one.quality,
                    "origin": one.origin,
                    "max_distance": one.max_distance,
                }
            )
            for one in fingerprints
        ],
    )
