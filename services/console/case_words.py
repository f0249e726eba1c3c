"""The words of a case: what each question can be answered with, and what a page shows of what was asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from services.console.words import moment

URGENT = {
    "danger_to_life": "a life is in danger",
    "threat": "a threat",
    "spreading": "it is spreading",
    "address_shown": "an address is shown",
}
AGREED_TO = {
    "nothing": "nothing",
    "making": "making it, not sharing it",
    "sending_to_one_person": "sending it to one person",
    "publishing": "publishing it",
}
POLICE = {"no": "not told", "wanted": "shall be told", "reported": "told"}
YES_NO = {"yes": "yes", "no": "no"}
_CAPACITY = {
    "subject": "themselves",
    "authorised_representative": "somebody who authorised them",
    "legal_guardian": "somebody whose guardian they are",
}
_ENDED = {
    "subject_request": "it was withdrawn, as the person in the picture asked",
    "not_ncii": "it was withdrawn, because the picture was not what it was taken for",
    "wrong_content": "it was withdrawn, because it was about the wrong picture",
    "unconfirmed": "no second person confirmed it in time",
}


def day(at: str | date | None) -> str:
    """A date as staff read it."""
    if at is None:
        return ""
    parsed = date.fromisoformat(at[:10]) if isinstance(at, str) else at
    return f"{parsed:%-d %B %Y}"


def urgent_of(case: Mapping[str, Any]) -> list[str]:
    """Why a case is urgent, in words; the time of a threat with it."""
    words = case.get("words") or {}
    reasons = [URGENT[one] for one in URGENT if one in (words.get("urgent") or ())]
    if words.get("threat_at"):
        reasons.append(f"threatened for {moment(words['threat_at'])}")
    return reasons


def facts_of(case: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(question, answer) for each that was asked, those that one needs on the telephone first."""
    words = case.get("words") or {}
    shown = [
        ("Safe contact", words.get("safe_contact")),
        ("Known by", words.get("known_by")),
        ("Language", words.get("language")),
        ("Where the person lives", ", ".join(words.get("subject_jurisdictions") or ())),
        ("How it was made", words.get("how_made")),
        ("Agreed to", AGREED_TO.get(words.get("agreed_to") or "")),
        ("Not any more since", day(words.get("not_agreed_since"))),
        ("Police", POLICE.get(words.get("police") or "")),
        ("Their reference", words.get("police_reference")),
        ("Evidence wanted", _yes_no(words.get("evidence_wanted"))),
        ("The caller speaks for", _CAPACITY.get(words.get("declared_as") or "")),
        ("Made or altered by a computer", _yes_no(words.get("synthetic"))),
        ("Do not write to", ", ".join(words.get("do_not_contact") or ())),
        ("Review on", day(case.get("review_on"))),
        ("Notes", words.get("notes")),
    ]
    return [(question, answer) for question, answer in shown if answer]


def ended(reason: str, at: str) -> str:
    """What can be told of a case that has ended."""
    return f"It ended on {day(at)}: {_ENDED[reason]}. Everything about it was erased here, and cannot be shown."


def _yes_no(value: bool | None) -> str | None:
    return None if value is None else "yes" if value else "no"
