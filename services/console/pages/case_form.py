"""What is asked of a case, as a form has it: every field may stay empty, which is *not asked*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator

from services.console.case_words import URGENT

_TEXTS = ("language", "safe_contact", "known_by", "how_made", "agreed_to", "not_agreed_since", "police", "notes")
_MOMENTS = ("next_contact_at", "threat_at")


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


class CaseForm(BaseModel):
    """The form, as it comes. Times are UTC, as a browser's field has them (`2026-03-02T21:40`)."""

    case_ref: str = ""
    owner: str = ""
    next_contact_at: str = ""
    review_on: str = ""
    urgent: Annotated[list[str], BeforeValidator(_several)] = []
    not_urgent: bool = False
    """Asked, and none of the reasons is so."""
    threat_at: str = ""
    language: str = ""
    safe_contact: str = ""
    known_by: str = ""
    how_made: str = ""
    agreed_to: str = ""
    not_agreed_since: str = ""
    police: str = ""
    police_reference: str = ""
    evidence_wanted: str = ""
    do_not_contact: str = ""
    subject_jurisdictions: str = ""
    notes: str = ""
    version: int = 0
    sent: str = ""

    def fields(self) -> dict[str, Any]:
        """For intake's API. The reference and the owner are left out where they are empty: a case keeps those."""
        given: dict[str, Any] = {name: getattr(self, name).strip() or None for name in (*_TEXTS, "police_reference")}
        given |= {name: _utc(getattr(self, name)) for name in _MOMENTS}
        given["review_on"] = self.review_on or None
        given["urgent"] = [one for one in self.urgent if one in URGENT] or ([] if self.not_urgent else None)
        given["evidence_wanted"] = {"yes": True, "no": False}.get(self.evidence_wanted)
        given["do_not_contact"] = self.do_not_contact.replace(",", " ").split() or None
        given["subject_jurisdictions"] = self.subject_jurisdictions.replace(",", " ").split() or None
        kept = {"case_ref": self.case_ref.strip(), "owner": self.owner.strip()}
        return given | {name: text for name, text in kept.items() if text}

    @classmethod
    def of(cls, case: Mapping[str, Any]) -> Self:
        """The form filled in with what the API shows."""
        words = case["words"] or {}
        texts = {name: words.get(name) or "" for name in (*_TEXTS, "police_reference")}
        urgent = words.get("urgent")
        wanted = words.get("evidence_wanted")
        return cls(
            **texts,
            case_ref=case["case_ref"] or "",
            owner=case["owner"],
            next_contact_at=(case["next_contact_at"] or "")[:16],
            review_on=case["review_on"] or "",
            urgent=list(urgent or ()),
            not_urgent=urgent == [],
            threat_at=(words.get("threat_at") or "")[:16],
            evidence_wanted="" if wanted is None else "yes" if wanted else "no",
            do_not_contact=" ".join(words.get("do_not_contact") or ()),
            subject_jurisdictions=" ".join(words.get("subject_jurisdictions") or ()),
            version=case["version"],
        )


def _utc(text: str) -> str | None:
    """What a field for a time holds, which names no zone; the page says that it is UTC."""
    if not text:
        return None
    return text if text.endswith("Z") else f"{text}:00Z" if len(text) == 16 else f"{text}Z"
