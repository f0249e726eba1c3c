"""What staff read of a takedown, and what they may tell the caller."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from services.console.words import Line, Tone, line_of_report, line_of_takedown, told

# What the pages say is checked against what the services can answer: a state without words would be an error page.
from services.intake.api.answers import ReportState
from services.notifier.domain.model import DemandState, TakedownState

NOW = datetime(2026, 3, 2, 21, 40, tzinfo=UTC)


def takedown(state: str, **fields: Any) -> dict[str, Any]:
    return {"takedown_id": "1", "state": state, "host": "a.example", "url": "https://a.example/1", **fields}


def demand(state: str, issued_at: str = "2026-03-01T10:00:00.000000Z") -> dict[str, Any]:
    return {"state": state, "issued_at": issued_at, "delivered_at": issued_at, "deadline": None}


@pytest.mark.parametrize("state", list(TakedownState))
def test_each_state_has_words_and_says_what_happens_next(state: TakedownState) -> None:
    line = line_of_takedown(takedown(state.value), None)
    assert line.now
    assert line.next.endswith(".")
    assert "_" not in line.now + line.next


@pytest.mark.parametrize("state", list(DemandState))
def test_each_answer_of_a_site_has_words(state: DemandState) -> None:
    assert line_of_takedown(takedown("open", demands=[demand(state.value)]), None).next.endswith(".")


@pytest.mark.parametrize("state", get_args(ReportState))
def test_each_reported_link_has_words(state: str) -> None:
    line = line_of_report({"state": state, "url": "https://a.example/1"}, "a.example")
    assert line.now
    assert line.next


def test_nobody_asked_is_not_said_to_be_asked() -> None:
    line = line_of_takedown(takedown("open", demands=[]), "unknown_host")
    assert (line.now, line.tone) == ("online, nobody asked yet", Tone.UP)
    assert "Nobody is listed" in line.next


def test_the_latest_request_speaks() -> None:
    demands = [demand("acknowledged", "2026-03-02T10:00:00.000000Z"), demand("expired")]
    assert "working on it" in line_of_takedown(takedown("open", demands=demands), None).next


@pytest.mark.parametrize("state", ["due", "undeliverable"])
def test_a_request_that_did_not_arrive_asked_nobody(state: str) -> None:
    line = line_of_takedown(takedown("open", demands=[{**demand(state), "delivered_at": None}]), None)
    assert not line.asked
    assert line.now == "online, nobody asked yet"
    assert "asked" not in " ".join(told([line], now=NOW, waiting=0))


@pytest.mark.parametrize(
    ("reason", "said"), [("seen_gone", "Two people"), ("site_dead", "no address"), ("gone", "We saw")]
)
def test_a_removal_says_what_it_rests_on(reason: str, said: str) -> None:
    assert said in line_of_takedown(takedown("removed", removed_for=reason), None).next


@pytest.mark.parametrize("kind", ["seen_by_person", "probably_present"])
def test_what_somebody_still_sees_is_not_offline(kind: str) -> None:
    line = line_of_takedown(takedown("removed", removed_for="gone"), kind)
    assert line.now == "we could not tell"
    assert "not offline yet" in told([line], now=NOW, waiting=0)[0]


def lines(*tones: Tone) -> list[Line]:
    return [
        Line(site="a.example", url=None, now="offline" if tone is Tone.GONE else "x", tone=tone, next="")
        for tone in tones
    ]


def test_what_is_told_begins_with_its_time_and_promises_nothing() -> None:
    for shown in (lines(), lines(Tone.GONE), lines(Tone.GONE, Tone.UP), lines(Tone.ASKED, Tone.ASKED, Tone.WAIT)):
        sentences = told(shown, now=NOW, waiting=1)
        assert sentences[0].startswith("As of 21:40 UTC on 2 March, ")
        assert "gone from the internet" not in " ".join(sentences)
    assert "1 of 2 links are offline" in told(lines(Tone.GONE, Tone.UP), now=NOW, waiting=0)[0]
    assert "asked" not in " ".join(told(lines(Tone.ASKED, Tone.UP), now=NOW, waiting=0)), "nobody was"
    assert told(lines(Tone.UP), now=NOW, waiting=0)[1] == "One link is still online."
    assert told(lines(), now=NOW, waiting=2)[-1].startswith("2 pictures wait for a second colleague")
