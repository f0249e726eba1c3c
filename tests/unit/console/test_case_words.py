"""What is asked of a case, as forms and pages have it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console import case_words
from services.console.case_words import AGREED_TO, POLICE, URGENT, facts_of, urgent_of
from services.console.pages.case_form import CaseForm
from services.console.words import line_of_report, told

# The pages offer what the API takes, and have words for all that it answers.
from services.intake.api.case_answers import CaseWords, EndedCase
from services.intake.domain.cases import CaseChange, CaseRequest, Urgent

CASE = {"case_ref": "EH-1", "owner": "p-1", "next_contact_at": None, "review_on": None, "version": 3}
NOTHING = dict.fromkeys(CaseWords.model_fields)


def test_each_answer_has_words() -> None:
    assert set(URGENT) == set(Urgent)
    for field, words in (("agreed_to", AGREED_TO), ("police", POLICE)):
        (literal, _) = get_args(CaseWords.model_fields[field].annotation)
        assert set(words) == set(get_args(literal)), field
    for reason in get_args(EndedCase.model_fields["reason"].annotation):
        said = case_words.ended(reason, "2026-03-02T10:00:00.000000Z")
        assert said.startswith("It ended on 2 March 2026: ")
        assert "_" not in said


def test_what_was_not_asked_is_not_shown() -> None:
    assert facts_of({**CASE, "words": NOTHING}) == []
    assert facts_of({**CASE, "words": None}) == []
    words = {**NOTHING, "evidence_wanted": False, "urgent": ["spreading", "danger_to_life"], "notes": "x"}
    assert facts_of({**CASE, "words": words}) == [("Evidence wanted", "no"), ("Notes", "x")]
    assert urgent_of({"words": words}) == ["a life is in danger", "it is spreading"]
    assert urgent_of({"words": {"urgent": ["threat"], "threat_at": "2026-03-02T21:40:00.000000Z"}}) == [
        "a threat",
        "threatened for 2 March, 21:40 UTC",
    ]


def test_an_empty_form_asks_nothing_and_takes_nothing_away() -> None:
    fields = CaseForm().fields()
    assert set(fields.values()) == {None}
    assert not fields.keys() & {"case_ref", "owner"}
    assert CaseRequest.model_validate({"depicts_minor": "no", **fields}).details().model_dump(exclude_none=True) == {}


@pytest.mark.parametrize(
    ("form", "urgent"),
    [({}, None), ({"not_urgent": True}, []), ({"urgent": "threat"}, ["threat"]), ({"urgent": ["no such"]}, None)],
    ids=["not asked", "none of these", "one", "unknown"],
)
def test_not_asked_is_not_no(form: dict[str, Any], urgent: object) -> None:
    assert CaseForm.model_validate(form).fields()["urgent"] == urgent


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
_WORDS = st.fixed_dictionaries(
    {},
    optional={
        "urgent": st.lists(st.sampled_from(sorted(URGENT)), unique=True),
        "agreed_to": st.sampled_from(sorted(AGREED_TO)),
        "police": st.sampled_from(sorted(POLICE)),
        "evidence_wanted": st.booleans(),
        "safe_contact": _TEXT,
        "notes": _TEXT,
        "threat_at": st.just("2026-03-02T21:40:00.000000Z"),
        "do_not_contact": st.just(["a.example", "b.example"]),
        "subject_jurisdictions": st.just(["GB-SCT"]),
        "not_agreed_since": st.just("2026-03-02"),
    },
)


@given(words=_WORDS)
def test_a_form_sent_as_it_was_filled_in_changes_nothing(words: dict[str, Any]) -> None:
    shown = {**CASE, "words": {**NOTHING, **words}}
    sent = CaseForm.of(shown).fields()
    before = CaseChange.model_validate({"version": 3, **words}).details()
    assert CaseChange.model_validate({"version": 3, **sent}).details(before) == before
    assert (sent["case_ref"], sent["owner"]) == ("EH-1", "p-1")


def test_of_a_paused_case_nothing_is_promised() -> None:
    now = datetime(2026, 3, 2, 21, 40, tzinfo=UTC)
    waits = line_of_report({"state": "refused", "why": "case_paused", "url": "https://a.example/"}, "a.example")
    assert (waits.now, waits.next) == ("paused", "It is looked at when the case goes on.")
    sentences = told([waits], now=now, waiting=2, paused=True)
    assert sentences[0].startswith("As of 21:40 UTC")
    assert sentences[1:] == ["The case is paused: nothing is looked at and nobody is asked until it goes on."]
