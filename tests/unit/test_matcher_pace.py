"""What is fetched at once follows what the join gets through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.matcher.pace import AIM_SECONDS, MOST_RECORDS, Pace


@given(st.floats(0.0005, 0.5))
def test_it_comes_to_what_is_handled_in_the_time_aimed_at(seconds_each: float) -> None:
    pace = Pace()
    for _ in range(20):
        pace.took(pace.records, pace.records * seconds_each)
    assert 1 <= pace.records <= MOST_RECORDS
    assert pace.records == 1 or pace.records * seconds_each <= AIM_SECONDS + 1e-9
    assert pace.records == MOST_RECORDS or (pace.records + 1) * seconds_each >= AIM_SECONDS - 1e-9


def test_it_falls_at_once_and_grows_step_by_step() -> None:
    pace = Pace()
    for _ in range(10):
        pace.took(pace.records, 0.0)
    assert pace.records == MOST_RECORDS
    pace.took(MOST_RECORDS, 10 * AIM_SECONDS)
    assert pace.records == MOST_RECORDS // 10
    pace.took(pace.records, 0.001)
    assert pace.records == 2 * (MOST_RECORDS // 10)


def test_a_poll_that_brought_little_says_nothing_of_more() -> None:
    pace = Pace()
    before = pace.records
    pace.took(1, 0.0)
    assert pace.records == before


def test_a_small_poll_that_took_long_says_much() -> None:
    pace = Pace()
    pace.took(1, 10.0)
    assert pace.records == 1


def test_the_bounds_are_what_the_matcher_was_measured_with() -> None:
    """Little at first, when nothing is known of the machine; 64 records and 0.15 s at the most."""
    pace = Pace()
    assert pace.records == 8
    for _ in range(20):
        pace.took(pace.records, 0.0)
    assert pace.records == 64
    for _ in range(20):
        pace.took(pace.records, pace.records * 0.01)
    assert pace.records == 15


def test_no_poll_is_for_nothing() -> None:
    pace = Pace()
    for _ in range(3):
        pace.took(pace.records, 1_000.0)
        assert pace.records == 1
    pace.took(1, 0.01)
    assert pace.records == 2
