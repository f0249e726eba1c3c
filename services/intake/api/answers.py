"""What intake answers. A content is shown from an organisation's own claims alone, and no fingerprint's value to anybody."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.contracts.claims import ClaimState, DeclaredAs, WithdrawalReason
from shared.contracts.content import Assurance, ContentState
from shared.http.answers import Answer, Moment, example
from shared.http.paging import ListAnswer

AlgorithmName = Literal["pdq", "md5", "sha1", "sha256"]
ReportState = Literal[
    "queued", "fetched", "matched", "rejected", "no_match", "no_media", "unreachable", "refused", "failed"
]

_DECLARED = {
    "claim_id": "0b8d1f0e-52a3-4b56-8f0a-6f6a3f5f9a01",
    "content_id": "6a1c0f5e-8a53-5b3e-9f5c-7c8d9e0f1a2b",
    "state": "awaiting_confirmation",
}
_FINGERPRINT = {"algorithm": "pdq", "quality": 100, "origin": "original", "max_distance": None}
_CLAIM_SUMMARY = {
    **_DECLARED,
    "state": "confirmed",
    "assurance": "viewed",
    "created_at": "2026-03-02T09:15:00.000000Z",
    "confirmed_at": "2026-03-02T10:40:00.000000Z",
}
_CLAIM = {
    **_CLAIM_SUMMARY,
    "case_ref": "HL-20260001",
    "subject_jurisdictions": ["GB-SCT"],
    "do_not_contact": ["host.example"],
    "demands_not_before": None,
    "declared_as": "subject",
    "authority_recorded": True,
    "evidence_wanted": False,
    "withdrawal": None,
    "fingerprint_count": 1,
    "fingerprints": [_FINGERPRINT],
    "variants": [],
}
_CONTENT = {
    "content_id": _DECLARED["content_id"],
    "state": "active",
    "suspended_for": None,
    "assurance": "viewed",
    "claims": [{"claim_id": _DECLARED["claim_id"], "state": "confirmed"}],
    "fingerprint_count": 1,
    "fingerprints": [_FINGERPRINT],
}
_REPORT_SUMMARY = {
    "report_id": "d2c6f6a0-1f5f-4f6e-9d57-0f4f6c6a7b30",
    "state": "matched",
    "why": None,
    "asserted": False,
    "content_id": None,
    "takedown_ids": ["b9f6a1d2-5c3e-5f7a-8b1d-2e3f4a5b6c7d"],
    "created_at": "2026-03-02T11:00:00.000000Z",
    "changed_at": "2026-03-02T11:00:04.000000Z",
}
_REPORT = {**_REPORT_SUMMARY, "url": "https://host.example/media/1.jpg", "case_ref": "HL-20260001"}
_ENTRY = {
    "entry_id": "3c5b8a52-7f0e-4a9f-9d2c-0a8c1c6d2b10",
    "state": "confirmed",
    "algorithm": "pdq",
    "fingerprint_ref": "5f0e8c1b9a7d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f",
    "reason": "The placeholder that a large photo host shows for a removed picture.",
    "declared_by": "p-17",
    "confirmed_by": "p-22",
    "created_at": "2026-03-02T09:15:00.000000Z",
    "confirmed_at": "2026-03-02T10:40:00.000000Z",
}


class ClaimDeclared(Answer):
    """A new claim, which waits for another person's confirmation."""

    model_config = example(_DECLARED)

    claim_id: UUID
    content_id: Annotated[UUID, Field(description="The organisation's own id for this content.")]
    state: ClaimState


class ClaimErased(Answer):
    """All that is still shown of a claim that was withdrawn since the first answer to this request."""

    model_config = example({"claim_id": _DECLARED["claim_id"], "state": "withdrawn"})

    claim_id: UUID
    state: Literal["withdrawn"]


class FingerprintView(Answer):
    """A fingerprint of a claim, without its value."""

    model_config = example(_FINGERPRINT)

    algorithm: AlgorithmName
    quality: int | None
    origin: Literal["original", "variant"]
    max_distance: int | None


class VariantsView(Answer):
    """Fingerprints that were added to a claim together; they count once another person has confirmed them."""

    variant_id: UUID
    state: Literal["awaiting_confirmation", "confirmed"]
    assurance: Assurance | None
    fingerprint_count: int
    created_at: Moment


class WithdrawalView(Answer):
    """Why a claim is withdrawn, and when that is final."""

    reason: WithdrawalReason
    final_at: Moment | None


class ClaimSummary(Answer):
    """A claim in a list: no case reference, so that reading a list is not reading a case."""

    model_config = example(_CLAIM_SUMMARY)

    claim_id: UUID
    content_id: Annotated[UUID, Field(description="The organisation's own id for this content.")]
    state: ClaimState
    assurance: Assurance | None
    created_at: Moment
    confirmed_at: Moment | None


class ClaimView(ClaimSummary):
    """A claim, whole, as its own organisation sees it."""

    model_config = example(_CLAIM)

    case_ref: str | None
    subject_jurisdictions: list[str]
    do_not_contact: list[str]
    demands_not_before: Moment | None
    declared_as: Annotated[DeclaredAs | None, Field(description="Null once the claim is withdrawn.")]
    authority_recorded: bool
    evidence_wanted: bool
    withdrawal: WithdrawalView | None
    fingerprint_count: int
    fingerprints: list[FingerprintView]
    variants: list[VariantsView]


class ClaimList(ListAnswer[ClaimView | ClaimSummary]):
    """A page of the organisation's claims, newest first: whole ones where a case was asked for, else summaries."""

    model_config = example({"items": [_CLAIM_SUMMARY], "next": None})


class ClaimOfContent(Answer):
    """One of the organisation's claims on a content."""

    claim_id: UUID
    state: ClaimState


class ContentSummary(Answer):
    """A content as operations staff see it."""

    model_config = example({name: _CONTENT[name] for name in ("content_id", "state", "suspended_for")})

    content_id: UUID
    state: ContentState
    suspended_for: str | None


class OwnContentView(ContentSummary):
    """A content as an organisation's own claims make it."""

    model_config = example(_CONTENT)

    assurance: Assurance | None
    claims: list[ClaimOfContent]
    fingerprint_count: int
    fingerprints: list[FingerprintView]


class ContentList(ListAnswer[OwnContentView]):
    """A page of the contents that the organisation has a claim on, newest first."""

    model_config = example({"items": [_CONTENT], "next": None})


class VariantsAdded(Answer):
    """Fingerprints that wait for another person's confirmation."""

    model_config = example(
        {
            "variant_id": "9c0d4b1e-2f3a-4b5c-8d6e-7f8091a2b3c4",
            "claim_id": _DECLARED["claim_id"],
            "state": "awaiting_confirmation",
        }
    )

    variant_id: UUID
    claim_id: UUID
    state: Literal["awaiting_confirmation"] = "awaiting_confirmation"


class ReportQueued(Answer):
    """A report that a worker will follow."""

    model_config = example({"report_id": _REPORT["report_id"], "state": "queued"})

    report_id: UUID
    state: Literal["queued"] = "queued"


class ReportSummary(Answer):
    """A report in a list: neither its URL nor its case."""

    model_config = example(_REPORT_SUMMARY)

    report_id: UUID
    state: Annotated[
        ReportState,
        Field(
            description="`matched`: there is a takedown of content you have a live claim on. `rejected`: a person said that it is another"
            " picture."
        ),
    ]
    why: Annotated[
        str | None,
        Field(description="Of `no_match` the guards for which an agreement with your content is not acted on."),
    ]
    asserted: bool
    content_id: UUID | None
    takedown_ids: list[UUID]
    created_at: Moment
    changed_at: Moment


class ReportView(ReportSummary):
    """A report, whole, as its organisation sees it."""

    model_config = example(_REPORT)

    url: str
    case_ref: str | None


class ReportList(ListAnswer[ReportView | ReportSummary]):
    """A page of the organisation's reports, newest first: whole ones where a case was asked for, else summaries."""

    model_config = example({"items": [_REPORT_SUMMARY], "next": None})


class NegativeEntryView(Answer):
    """An entry of the negative list, as operations staff see it."""

    model_config = example(_ENTRY)

    entry_id: UUID
    state: Literal["awaiting_confirmation", "confirmed"]
    algorithm: AlgorithmName
    fingerprint_ref: Annotated[str, Field(description="The keyed digest of its value, as matches carry it.")]
    reason: str
    declared_by: str
    confirmed_by: str | None
    created_at: Moment
    confirmed_at: Moment | None


class NegativeEntryRemoved(Answer):
    """The entry is off the list, and its row is erased."""

    model_config = example({"entry_id": _ENTRY["entry_id"], "state": "removed"})

    entry_id: UUID
    state: Literal["removed"] = "removed"


class NegativeListPage(ListAnswer[NegativeEntryView]):
    """A page of the negative list, newest first."""

    model_config = example({"items": [_ENTRY], "next": None})
