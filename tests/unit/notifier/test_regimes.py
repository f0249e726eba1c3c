"""Only true law: when a regime is named, and what its file says of itself."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.notifier.regimes import REGIMES, Element, choose, uk_osa_20a, voluntary

TODAY = date(2026, 11, 24)
ALL = frozenset(Element)


def chosen(**changes: object) -> str | None:
    known: dict[str, object] = {
        "bound_by": ("uk_osa_20a",),
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
        {"elements": ALL - {Element.ESTABLISHED}},
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
        assert regime.required


def test_the_unread_law_says_so_and_runs_48_hours() -> None:
    regime = uk_osa_20a.REGIME
    assert regime.enacted_text_read is False
    assert "has not been read by us" in regime.source
    assert "NOT BEEN READ" in (uk_osa_20a.__doc__ or "")
    assert (regime.clock, regime.binding) == (timedelta(hours=48), True)
    assert voluntary.REGIME.binding is False
    assert voluntary.REGIME.printed is None
