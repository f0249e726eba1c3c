"""The body of a claim that is in order, as a helpline posts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def claim_body(fingerprint: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`changes` replace fields; those of `declaration` are merged."""
    declaration = {
        "intimate": True,
        "non_consensual": True,
        "true_and_good_faith": True,
        "depicts_minor": "no",
        "synthetic": False,
        "declared_as": "subject",
        "authority_recorded": True,
        "declared_at": datetime.now(UTC).isoformat(),
        "text_version": "2026-1",
    } | changes.pop("declaration", {})
    return {
        "case_ref": "HL-20260001",
        "fingerprints": [fingerprint],
        "declaration": declaration,
        "assurance": "viewed",
        "subject_jurisdictions": ["GB"],
        **changes,
    }
