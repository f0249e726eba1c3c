"""`takedown.claims`: the claims on a content, and what a demand may say because of them. No case reference is published."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.content import Assurance
from shared.contracts.event import Count, Event, Moment, Name


class ClaimState(StrEnum):
    """The states of a claim."""

    AWAITING_CONFIRMATION = "awaiting_confirmation"
    CONFIRMED = "confirmed"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"


class WithdrawalReason(StrEnum):
    """Why a claim is withdrawn."""

    SUBJECT_REQUEST = "subject_request"
    NOT_NCII = "not_ncii"
    WRONG_CONTENT = "wrong_content"


DeclaredAs = Literal["subject", "authorised_representative", "legal_guardian"]


class ClaimChanged(Event):
    """The whole public state of a claim. Only a higher `revision` is applied."""

    TYPE: ClassVar[str] = "takedown.claim.v1"

    claim_id: UUID
    content_id: UUID
    revision: Count
    state: ClaimState
    organisation_id: Name
    assurance: Assurance | None = None
    subject_jurisdictions: tuple[Name, ...] = ()
    do_not_contact: tuple[Name, ...] = ()
    demands_not_before: Moment | None = None
    withdrawal_reason: WithdrawalReason | None = None
    declared_as: DeclaredAs | None = None
    """In which capacity it was declared; None: from before this was published, or withdrawn. Never printed in a demand."""
    authority_recorded: bool = False
    """Whether the authority to act for a person depicted is on record."""
    evidence_wanted: bool = False
    """Whether hosts are asked to preserve what they disable, and the records about it."""
    changed_at: Moment


MODELS = {ClaimChanged.TYPE: ClaimChanged}
