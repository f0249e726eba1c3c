"""Only true law: when a regime is named, and what its file says of itself."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.notifier.domain.model import Rung
from services.notifier.regimes import REGIMES, Element, choose, uk_osa_20a, voluntary

TODAY = date(2026, 11, 24)
ALL = frozenset(Element)


def chosen(**changes: object) -> str | None:
    known: dict[str, object] = {
        "bound_by": ("uk_osa_20a",),
        "rung": "site_operator",
        "reviewed_by": "Counsel",
        "today": TODAY,
        "elements": ALL,
    }
    regime = choose(**(known | changes))  # type: ignore[arg-type]  # fields given by name
    return regime.id if regime else None


def test_the_law_applies_where_all_of_it_is_true() -> None:
    assert chosen() == "uk_osa_20a"


@pytest.mark.parametrize(
    "changes",
    [
        {"bound_by": ()},
        {"bound_by": ("another_law",)},
        {"reviewed_by": None},
        {"reviewed_by": ""},
        {"today": uk_osa_20a.REGIME.valid_from - timedelta(days=1)},
        {"today": date(2026, 6, 28)},
        {"elements": ALL - {Element.AUTHORITY}},
        *({"rung": rung.value} for rung in Rung if rung is not Rung.SITE_OPERATOR),
    ],
)
def test_otherwise_voluntary(changes: dict[str, object]) -> None:
    assert chosen(**changes) == "voluntary"


@pytest.mark.parametrize("missing", sorted(voluntary.REGIME.required))
def test_nothing_is_sent_without_its_elements(missing: Element) -> None:
    assert chosen(elements=ALL - {missing}) is None


def test_every_file_says_where_it_comes_from() -> None:
    for key, regime in REGIMES.items():
        assert regime.id == key
        assert all((regime.version, regime.section, regime.source, regime.statement))
        assert "good faith" in regime.statement
        assert "acting for a person depicted, with recorded authority" in regime.capacity
        assert regime.words(authority=False) == regime.statement
        assert regime.words(authority=True) == f"{regime.statement} {regime.capacity}"
        assert regime.required


def test_the_act_says_when_to_whom_and_in_which_words() -> None:
    regime = uk_osa_20a.REGIME
    assert regime.valid_from == date(2026, 6, 29)
    assert regime.rungs == frozenset({"site_operator"})
    assert (regime.clock, regime.binding) == (timedelta(hours=48), True)
    for words in (
        "intimate image content",
        "made in good faith",
        "to the best of our knowledge and belief, is true",
        "the same, or substantially the same",
        "as soon as reasonably practicable, and no later than 48 hours after you receive",
    ):
        assert words in regime.statement
    assert "a person acting on that person's behalf" in regime.capacity


def test_no_word_of_a_regime_says_that_the_person_shown_made_it() -> None:
    for regime in REGIMES.values():
        assert "subject" not in regime.words(authority=True).lower()


def test_what_was_read_and_what_not_is_said() -> None:
    regime = uk_osa_20a.REGIME
    assert regime.enacted_text_read is True
    assert "stored copy" in regime.source
    assert "What was not read" in (uk_osa_20a.__doc__ or "")
    assert voluntary.REGIME.binding is False
    assert voluntary.REGIME.printed is None
