"""What is written in a case: kept whole, changed by what is given, and readable whatever the rules are by then."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from services.intake.domain.cases import CaseChange, CaseDetails, CaseRequest, Urgent, urgency


def test_how_urgent_is_the_gravest_reason() -> None:
    assert [urgency(one) for one in (None, (), (Urgent.SPREADING,), (Urgent.ADDRESS_SHOWN,))] == [0, 0, 1, 1]
    assert urgency((Urgent.SPREADING, Urgent.THREAT)) == 2
    assert urgency((Urgent.DANGER_TO_LIFE, Urgent.THREAT)) == 3


def test_a_change_leaves_what_it_does_not_name_and_null_is_not_asked() -> None:
    before = CaseRequest(depicts_minor="no", notes="a", police="wanted", evidence_wanted=False).details()
    after = CaseChange(version=1, notes=None, urgent=()).details(before)
    assert after == CaseDetails(police="wanted", evidence_wanted=False, urgent=())
    assert after.notes is None


def test_what_was_kept_is_read_whatever_is_allowed_today() -> None:
    kept = {
        "do_not_contact": ["co.uk"],
        "subject_jurisdictions": ["XX"],
        "language": "?",
        "notes": "x" * 20_000,
        "new": 1,
    }
    read = CaseDetails.model_validate_json(json.dumps(kept))
    assert read.do_not_contact == ("co.uk",)
    assert read.subject_jurisdictions == ("XX",)
    assert CaseDetails.model_validate_json(read.model_dump_json(exclude_none=True)) == read


@pytest.mark.parametrize(
    "field",
    [
        {"do_not_contact": ["co.uk"]},
        {"subject_jurisdictions": ["XX"]},
        {"language": "?"},
        {"notes": "x" * 10_001},
        {"safe_contact": " "},
        {"urgent": ["very"]},
        {"unknown": 1},
        {"case_ref": None},
        {"owner": None},
    ],
    ids=lambda field: next(iter(field)),
)
def test_what_is_given_is_checked(field: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CaseChange.model_validate({"version": 1, **field})
