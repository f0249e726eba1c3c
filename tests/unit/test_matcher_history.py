"""The history of a partition: the last sighting of each (URL, fingerprint), erased and expired as the log says."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.history import History
from services.matcher.seen import Seen
from shared.fingerprints import Algorithm, Fingerprint, Orientation

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = timedelta(days=180)
VALUES = [random.Random(number).randbytes(32) for number in range(3)]
EXACT = random.Random(9).randbytes(16)


def pdq(value: bytes, orientation: Orientation = Orientation.IDENTITY) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.PDQ, value=value, quality=80, orientation=orientation)


MD5 = Fingerprint(algorithm=Algorithm.MD5, value=EXACT)


def seen(offset: int, url: str, *fingerprints: Fingerprint, days: float = 0) -> Seen:
    return Seen(
        partition=0,
        offset=offset,
        appended_at=NOW + timedelta(days=days),
        sighting_id=UUID(int=offset),
        url_key=url,
        key_version=1,
        media_url=url,
        page_url=None,
        source="crawler",
        seen_at=NOW,
        report_id=None,
        fingerprints=fingerprints,
    )


def a_history() -> History:
    return History(log_id="log", position=0, kept=KEPT)


def found(history: History, fingerprint: Fingerprint) -> set[tuple[str, int]]:
    """(url, offset of the last sighting)"""
    entries = [history.entry(hit.number) for hit in history.search([fingerprint])]
    return {(entry.seen.url_key, entry.seen.offset) for entry in entries}


def test_a_repeat_refreshes_when_and_which() -> None:
    history = a_history()
    history.admit([seen(0, "u", pdq(VALUES[0]), MD5), seen(1, "v", pdq(VALUES[0]))])
    history.admit([seen(2, "u", pdq(VALUES[0]), days=100)])
    assert found(history, pdq(VALUES[0])) == {("u", 2), ("v", 1)}
    assert found(history, MD5) == {("u", 0)}
    history.expire(NOW + KEPT + timedelta(seconds=1))
    assert found(history, pdq(VALUES[0])) == {("u", 2)}
    assert found(history, MD5) == set()
    assert len(history) == 1


def test_an_erasure_counts_for_what_stands_below_it() -> None:
    history = a_history()
    history.admit([seen(0, "u", pdq(VALUES[0])), seen(5, "u", pdq(VALUES[1]))])
    history.erase((1, "u"), 3)
    assert found(history, pdq(VALUES[0])) == set()
    assert found(history, pdq(VALUES[1])) == {("u", 5)}
    history.admit([seen(1, "u", pdq(VALUES[2]))])  # read again from below
    assert found(history, pdq(VALUES[2])) == set()
    assert history.erased_after(seen(2, "u"))
    assert not history.erased_after(seen(4, "u"))
    history.drop_marks(4)
    assert not history.erased_after(seen(2, "u"))


def test_of_two_equal_values_in_a_sighting_the_first_stays() -> None:
    history = a_history()
    history.admit([seen(0, "u", pdq(VALUES[0]), pdq(VALUES[0], Orientation.MIRROR))])
    (hit,) = history.search([pdq(VALUES[0])])
    assert history.entry(hit.number).fingerprint.orientation is Orientation.IDENTITY


@given(seed=st.integers(0, 2**32))
@settings(max_examples=80, deadline=None)
def test_reading_again_changes_nothing(seed: int) -> None:
    """A log read once, and one read again from anywhere: the same history, and the one plain Python makes."""
    rng = random.Random(seed)
    log: list[Seen | tuple[int, str]] = []
    for offset in range(25):
        url = rng.choice("uvw")
        log.append((offset, url) if rng.random() < 0.2 else seen(offset, url, pdq(rng.choice(VALUES)), days=offset))
    once, again = a_history(), a_history()
    replay(once, log)
    for _ in range(3):
        upto = rng.randrange(len(log))
        replay(again, log[rng.randrange(upto + 1) :][: upto + 1])
    start = rng.randrange(len(log))
    replay(again, log[:start])
    replay(again, log[rng.randrange(start + 1) :])
    for value in VALUES:
        assert found(once, pdq(value)) == found(again, pdq(value)) == plainly(log, value)


def replay(history: History, log: list[Seen | tuple[int, str]]) -> None:
    for one in log:
        if isinstance(one, Seen):
            history.admit([one])
        else:
            history.erase((1, one[1]), one[0])


def plainly(log: list[Seen | tuple[int, str]], value: bytes) -> set[tuple[str, int]]:
    last: dict[str, int] = {}
    for one in log:
        if isinstance(one, tuple):
            last.pop(one[1], None)
        elif one.fingerprints[0].value == value:
            last[one.url_key] = one.offset
    return set(last.items())
