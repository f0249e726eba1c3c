"""The history of a partition: the last sighting of each (URL, fingerprint), erased and expired as the log says."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.history.history import (
    CLEARED_AFTER,
    HEAD_ENTRIES,
    History,
    RunTask,
    Task,
    at_once,
    segment_name,
)
from services.matcher.sightings.sighting import StoredSighting
from shared.media.fingerprints import Algorithm, Fingerprint, Orientation
from tests.matcher_world import as_batch

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEPT = timedelta(days=180)
VALUES = [random.Random(number).randbytes(32) for number in range(3)]
EXACT = random.Random(9).randbytes(16)


def pdq(value: bytes, orientation: Orientation = Orientation.IDENTITY) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.PDQ, value=value, quality=80, orientation=orientation)


MD5 = Fingerprint(algorithm=Algorithm.MD5, value=EXACT)


def seen(offset: int, url: str, *fingerprints: Fingerprint, days: float = 0) -> StoredSighting:
    return StoredSighting(
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


def a_history(folder: Path | None = None, *, head_entries: int = HEAD_ENTRIES, run: RunTask = at_once) -> History:
    return History(
        log_id="log", position=0, kept=KEPT, erasures_known_at=NOW, folder=folder, head_entries=head_entries, run=run
    )


SIZES = pytest.mark.parametrize("head_entries", [1, 3, HEAD_ENTRIES])
"""Of the head: with few entries in it most are in segments."""


def found(history: History, fingerprint: Fingerprint) -> set[tuple[str, int]]:
    """(url, offset of the last sighting)"""
    entries = [history.entry(hit.number) for hit in history.search([fingerprint])]
    return {(entry.seen.url_key, entry.seen.offset) for entry in entries}


@SIZES
def test_a_repeat_refreshes_when_and_which(head_entries: int) -> None:
    history = a_history(head_entries=head_entries)
    history.admit([seen(0, "u", pdq(VALUES[0]), MD5), seen(1, "v", pdq(VALUES[0]))])
    history.admit([seen(2, "u", pdq(VALUES[0]), days=100)])
    assert found(history, pdq(VALUES[0])) == {("u", 2), ("v", 1)}
    assert found(history, MD5) == {("u", 0)}
    history.expire(NOW + KEPT + timedelta(seconds=1))
    assert found(history, pdq(VALUES[0])) == {("u", 2)}
    assert found(history, MD5) == set()
    assert len(history) == 1


@SIZES
def test_an_erasure_counts_for_what_stands_below_it(head_entries: int) -> None:
    history = a_history(head_entries=head_entries)
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


@given(seed=st.integers(0, 2**32), head_entries=st.sampled_from([1, 2, 5, HEAD_ENTRIES]))
@settings(max_examples=100, deadline=None)
def test_reading_again_changes_nothing(seed: int, head_entries: int) -> None:
    """A log read once, and one read again from anywhere: the same history, and the one plain Python makes."""
    rng = random.Random(seed)
    log: list[StoredSighting | tuple[int, str]] = []
    for offset in range(25):
        url = rng.choice("uvw")
        log.append((offset, url) if rng.random() < 0.2 else seen(offset, url, pdq(rng.choice(VALUES)), days=offset))
    once, again = a_history(head_entries=head_entries), a_history(head_entries=head_entries)
    replay(once, log)
    for _ in range(3):
        upto = rng.randrange(len(log))
        replay(again, log[rng.randrange(upto + 1) :][: upto + 1])
    start = rng.randrange(len(log))
    replay(again, log[:start])
    replay(again, log[rng.randrange(start + 1) :])
    for value in VALUES:
        assert found(once, pdq(value)) == found(again, pdq(value)) == plainly(log, value)


def replay(history: History, log: list[StoredSighting | tuple[int, str]]) -> None:
    for one in log:
        if isinstance(one, StoredSighting):
            history.admit([one])
        else:
            history.erase((1, one[1]), one[0])


def plainly(log: list[StoredSighting | tuple[int, str]], value: bytes) -> set[tuple[str, int]]:
    last: dict[str, int] = {}
    for one in log:
        if isinstance(one, tuple):
            last.pop(one[1], None)
        elif one.fingerprints[0].value == value:
            last[one.url_key] = one.offset
    return set(last.items())


def test_everything_of_a_sighting_is_remembered(tmp_path: Path) -> None:
    """From the head, and from a segment's file, also what no URL has in it."""
    plain = seen(4, "https://h.test/a", pdq(VALUES[0], Orientation.MIRROR), MD5)
    odd = replace(
        seen(5, "https://h.test/\u2713\0\ud800", pdq(VALUES[1])),
        key_version=2,
        media_url="\1",
        page_url="https://h.test/page",
        report_id=UUID(int=7),
        traceparent="00-aa-bb-01",
        seen_at=NOW + timedelta(microseconds=1),
    )
    for head_entries in (1, HEAD_ENTRIES):
        history = a_history(tmp_path, head_entries=head_entries)
        history.admit([plain, odd])
        for one in (plain, odd):
            for fingerprint in one.fingerprints:
                (hit,) = history.search([fingerprint])
                remembered = history.entry(hit.number)
                assert remembered.fingerprint == fingerprint
                assert remembered.seen == replace(one, fingerprints=(fingerprint,))
        (hit,) = history.search([MD5])
        assert history.entry(hit.number).given == {Orientation.MIRROR}


def test_a_record_and_its_sightings_one_by_one_are_remembered_alike() -> None:
    sightings = [seen(3, url, pdq(VALUES[number]), pdq(VALUES[0]), MD5) for number, url in enumerate("uvw")]
    whole, single = a_history(), a_history()
    whole.admit(as_batch(*sightings))
    for one in sightings:
        single.admit([one])
    for fingerprint in (*map(pdq, VALUES), MD5):
        assert everything(whole, fingerprint) == everything(single, fingerprint) != []


def everything(history: History, fingerprint: Fingerprint) -> list[object]:
    return sorted((repr(history.entry(hit.number)) for hit in history.search([fingerprint])), key=repr)


def test_an_erased_url_leaves_the_files(tmp_path: Path) -> None:
    """Within half an hour of upkeep, also what a repeat had replaced before."""
    history = a_history(tmp_path, head_entries=2)
    history.admit([seen(offset, f"https://h.test/{offset}", pdq(VALUES[0])) for offset in range(6)])
    history.admit([replace(seen(6, "https://h.test/0", pdq(VALUES[0])), page_url="https://h.test/of-0")])
    history.admit([seen(7, "https://h.test/7", pdq(VALUES[0]))])
    assert files_with(tmp_path, "https://h.test/0", "of-0")
    history.erase((1, "https://h.test/0"), 8)
    history.upkeep(NOW)
    history.upkeep(NOW + CLEARED_AFTER)
    named = {segment_name(number) for number, *_ in history.freeze().segments}
    assert not files_with(tmp_path, "https://h.test/0", "of-0", among=named)
    assert {url for url, _ in found(history, pdq(VALUES[0]))} == {f"https://h.test/{n}" for n in (1, 2, 3, 4, 5, 7)}


def files_with(folder: Path, *texts: str, among: Iterable[str] | None = None) -> list[Path]:
    names = {one.name for one in folder.iterdir()} if among is None else set(among)
    files = [one for name in names for one in (folder / name).rglob("*") if one.is_file()]
    return [one for one in files if any(text.encode() + b"\0" in one.read_bytes() for text in texts)]


def test_what_changes_while_a_segment_is_built_is_not_undone(tmp_path: Path) -> None:
    waiting: list[Task] = []
    history = a_history(tmp_path, head_entries=2, run=waiting.append)
    history.admit([seen(offset, f"u{offset}", pdq(VALUES[0])) for offset in range(4)])
    history.erase((1, "u0"), 4)
    history.admit([seen(5, "u1", pdq(VALUES[0]))])
    assert found(history, pdq(VALUES[0])) == {("u1", 5), ("u2", 2), ("u3", 3)}
    while waiting:
        waiting.pop(0)()
        history.upkeep(NOW)
        assert found(history, pdq(VALUES[0])) == {("u1", 5), ("u2", 2), ("u3", 3)}
    assert len(history) == 3


def test_what_cannot_be_written_stays_as_it_is_and_is_tried_again(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    history = a_history(gone, head_entries=2)
    history.admit([seen(offset, f"u{offset}", pdq(VALUES[0])) for offset in range(3)])
    assert [type(error) for error in history.take_failures()] == [FileNotFoundError]
    assert len(found(history, pdq(VALUES[0]))) == 3
    gone.mkdir()
    history.upkeep(NOW)
    assert history.disk_bytes == 0
    history.upkeep(NOW + timedelta(minutes=1))
    assert history.disk_bytes > 0
    assert len(found(history, pdq(VALUES[0]))) == 3


def test_entries_are_copied_few_times(tmp_path: Path) -> None:
    """Segments of one size are merged eight at a time, so their number grows with the logarithm of the entries'."""
    history = a_history(head_entries=2)
    for offset in range(400):
        history.admit([seen(offset, f"u{offset}", pdq(VALUES[0]))])
    assert len(history) == len(found(history, pdq(VALUES[0]))) == 400
    assert len(history.freeze().recent) <= 3 * 8


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_many_fingerprints_at_one_url(seed: int) -> None:
    """More than are compared in step."""
    rng = random.Random(seed)
    values = [rng.randbytes(32) for _ in range(40)]
    history = a_history(head_entries=8)
    for offset, value in enumerate(values):
        history.admit([seen(offset, "u", pdq(value))])
    for offset, value in enumerate(values, start=100):
        history.admit([seen(offset, "u", pdq(value))])
    assert len(history) == 40
    assert all(found(history, pdq(value)) == {("u", offset)} for offset, value in enumerate(values, start=100))
