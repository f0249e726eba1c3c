"""A case as a helpline works on it. Each of its fields may be *not asked* (None). Pure."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from services.intake.domain.schemas import Domain, Jurisdiction, Request
from shared.contracts.claims import DeclaredAs
from shared.contracts.event import Moment


class Urgent(StrEnum):
    """Why a case is urgent."""

    ADDRESS_SHOWN = "address_shown"
    SPREADING = "spreading"
    THREAT = "threat"
    DANGER_TO_LIFE = "danger_to_life"


_RANKS = {Urgent.ADDRESS_SHOWN: 1, Urgent.SPREADING: 1, Urgent.THREAT: 2, Urgent.DANGER_TO_LIFE: 3}


def urgency(reasons: tuple[Urgent, ...] | None) -> int:
    """How urgent a case is, as a number to sort by: 3 where a life is in danger, 2 under a threat, 1 for what spreads or shows where
    somebody lives."""
    return max((_RANKS[one] for one in reasons or ()), default=0)


def _each_reason_once(values: tuple[Urgent, ...]) -> tuple[Urgent, ...]:
    return tuple(dict.fromkeys(values))


def _text(longest: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


ShortText = Annotated[str, _text(200)]
LongText = Annotated[str, _text(10_000)]


class CaseDetails(BaseModel):
    """What is written of the people in a case. It is sealed as a whole in the case's row.

    What was kept is read as it is: a rule that is stricter today, or a field that a newer version knows, makes no case unreadable.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    urgent: tuple[Urgent, ...] | None = None
    """Empty: asked, and not urgent."""
    threat_at: Moment | None = None
    """When somebody threatens to do it."""
    language: str | None = None
    """BCP 47, such as `en` or `pt-BR`."""
    safe_contact: str | None = None
    """How the caller may be reached, in a few words: "text only, never ring". No number and no address."""
    known_by: str | None = None
    """A word by which the caller is known when they ring again."""
    how_made: str | None = None
    agreed_to: Literal["nothing", "making", "sending_to_one_person", "publishing"] | None = None
    not_agreed_since: date | None = None
    """Since when what was agreed to is not any more."""
    police: Literal["no", "wanted", "reported"] | None = None
    police_reference: str | None = None
    evidence_wanted: bool | None = None
    declared_as: DeclaredAs | None = None
    authority_recorded: bool | None = None
    subject_jurisdictions: tuple[str, ...] | None = None
    synthetic: bool | None = None
    do_not_contact: tuple[str, ...] | None = None
    demands_not_before: Moment | None = None
    notes: str | None = None


class CaseFields(CaseDetails):
    """All that can be written of a case. What lists are made by is not sealed: owner, next contact, review date, and how urgent it is."""

    model_config = Request.model_config

    urgent: Annotated[tuple[Urgent, ...], AfterValidator(_each_reason_once)] | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")] | None = None
    safe_contact: ShortText | None = None
    known_by: ShortText | None = None
    how_made: ShortText | None = None
    police_reference: ShortText | None = None
    subject_jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(max_length=20)] | None = None
    do_not_contact: Annotated[tuple[Domain, ...], Field(max_length=200)] | None = None
    notes: LongText | None = None
    case_ref: Annotated[str, StringConstraints(max_length=64)] | None = None
    owner: Annotated[str, StringConstraints(max_length=64)] | None = None
    """The person who looks after it; whoever began it, where nobody else is named."""
    next_contact_at: Moment | None = None
    review_on: date | None = None

    def details(self, before: CaseDetails | None = None) -> CaseDetails:
        """What is to be sealed: as it was before, but for the fields that were given."""
        given = {name: getattr(self, name) for name in self.model_fields_set & CaseDetails.model_fields.keys()}
        return (before or CaseDetails()).model_copy(update=given)


_EXAMPLE: dict[str, Any] = {
    "depicts_minor": "no",
    "case_ref": "HL-20260001",
    "urgent": ["spreading"],
    "next_contact_at": "2026-03-03T18:00:00Z",
    "safe_contact": "text only, never ring",
    "language": "en",
}


class CaseRequest(CaseFields):
    """`POST /v1/cases`. The first question comes first: of somebody who was under 18, or may have been, nothing is kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    depicts_minor: Literal["no"]


class CaseChange(CaseFields):
    """`PATCH /v1/cases/{case_id}`: the fields that are given are changed; null is *not asked*."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"version": 3, "notes": "Rang, is safe."}]})

    version: Annotated[int, Field(ge=1)]
    """The one that was read: a colleague's change in between is not written over."""

    @model_validator(mode="after")
    def _something_stays(self) -> Self:
        for name in ("case_ref", "owner"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"A case keeps its {name}: it can be changed, and not taken away.")
        return self


class PauseRequest(Request):
    """`POST /v1/cases/{case_id}/pause`. `possible_minor` is the one reason with consequences of its own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "caller"}]})

    reason: Literal["caller", "possible_minor"] = "caller"
