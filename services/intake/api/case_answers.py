"""What intake answers about cases."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from services.intake.domain.cases import Urgent
from shared.contracts.claims import DeclaredAs
from shared.http.answers import Answer, Moment, example
from shared.http.paging import ListAnswer

_MADE: dict[str, Any] = {"case_id": "5b0a2c1e-7d34-4d5e-9f60-1a2b3c4d5e6f", "version": 1}
_SUMMARY = {
    **_MADE,
    "case_ref": "HL-20260001",
    "state": "open",
    "owner": "p-17",
    "urgency": 1,
    "next_contact_at": "2026-03-03T18:00:00.000000Z",
    "review_on": None,
    "confirmed": 3,
    "withdrawing": 0,
    "waiting": 1,
    "waiting_for_you": 1,
    "waiting_since": "2026-03-02T09:15:00.000000Z",
    "created_at": "2026-03-02T09:10:00.000000Z",
    "changed_at": "2026-03-02T09:15:00.000000Z",
}
_DETAILS = {
    "urgent": ["spreading"],
    "threat_at": None,
    "language": "en",
    "safe_contact": "text only, never ring",
    "known_by": "bluebell",
    "how_made": None,
    "agreed_to": "making",
    "not_agreed_since": None,
    "police": "no",
    "police_reference": None,
    "evidence_wanted": False,
    "declared_as": "subject",
    "authority_recorded": True,
    "subject_jurisdictions": ["GB-SCT"],
    "synthetic": None,
    "do_not_contact": ["host.example"],
    "demands_not_before": None,
    "notes": None,
}


class CaseKept(Answer):
    """A case was begun or changed. What is written in it is not repeated: answers are kept for a while, and that is not."""

    model_config = example(_MADE)

    case_id: UUID
    version: int


class CaseSummary(Answer):
    """A case in a list. `state` is `draft` while nothing has been declared; `waiting_for_you`: claims that somebody else declared."""

    model_config = example(_SUMMARY)

    case_id: UUID
    version: int
    case_ref: str | None
    state: Literal["draft", "open", "paused"]
    owner: str
    urgency: Annotated[
        int, Field(description="3: a life is in danger; 2: a threat; 1: it spreads, or an address is shown.")
    ]
    next_contact_at: Moment | None
    review_on: date | None
    confirmed: int
    withdrawing: int
    waiting: int
    waiting_for_you: int
    waiting_since: Moment | None
    created_at: Moment
    changed_at: Moment


class CaseWords(Answer):
    """What is written of the people in a case; null: not asked."""

    model_config = example(_DETAILS)

    urgent: list[Urgent] | None
    threat_at: Moment | None
    language: str | None
    safe_contact: str | None
    known_by: str | None
    how_made: str | None
    agreed_to: Literal["nothing", "making", "sending_to_one_person", "publishing"] | None
    not_agreed_since: date | None
    police: Literal["no", "wanted", "reported"] | None
    police_reference: str | None
    evidence_wanted: bool | None
    declared_as: DeclaredAs | None
    authority_recorded: bool | None
    subject_jurisdictions: list[str] | None
    synthetic: bool | None
    do_not_contact: list[str] | None
    demands_not_before: Moment | None
    notes: str | None


class CaseView(CaseSummary):
    """A case, whole, as its organisation sees it."""

    model_config = example({**_SUMMARY, "paused_for": None, "words": _DETAILS})

    paused_for: Literal["caller", "possible_minor"] | None
    words: Annotated[
        CaseWords | None, Field(description="Null where it was sealed with another root key, and cannot be read.")
    ]


class CaseList(ListAnswer[CaseSummary]):
    """A page of the organisation's cases: the most urgent first, then those that are due first."""

    model_config = example({"items": [_SUMMARY], "next": None})


class EndedCase(Answer):
    """What can be told of a case that has ended."""

    model_config = example({"reason": "subject_request", "ended_at": "2026-03-09T09:15:00.000000Z"})

    reason: Literal["subject_request", "not_ncii", "wrong_content", "unconfirmed"]
    ended_at: Moment
