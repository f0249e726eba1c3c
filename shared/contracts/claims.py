"""`takedown.claims`: what a demand may rest on. No case reference travels."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from shared.contracts.content import Assurance
from shared.contracts.event import Event, Moment


class ClaimState(StrEnum):
    AWAITING_CONFIRMATION = "awaiting_confirmation"
    CONFIRMED = "confirmed"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"


class WithdrawalReason(StrEnum):
    SUBJECT_REQUEST = "subject_request"
    NOT_NCII = "not_ncii"
    WRONG_CONTENT = "wrong_content"


class ClaimChanged(Event):
    """The whole public state of a claim. Only a higher `revision` is applied."""

    TYPE: ClassVar[str] = "takedown.claim.v1"

    claim_id: UUID
    content_id: UUID
    revision: int
    state: ClaimState
    organisation_id: str
    assurance: Assurance | None = None
    subject_jurisdictions: tuple[str, ...] = ()
    do_not_contact: tuple[str, ...] = ()
    demands_not_before: Moment | None = None
    withdrawal_reason: WithdrawalReason | None = None
    changed_at: Moment


MODELS = {ClaimChanged.TYPE: ClaimChanged}
