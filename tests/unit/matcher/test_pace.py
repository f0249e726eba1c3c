"""What is fetched at once follows what the join gets through, and what is handled at once fits into memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.consumer.batch_size import AIM_SECONDS, MOST_BYTES, MOST_RECORDS, BatchSize, in_parts
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.port import Commit, EventLog, Record, TopicPartition
from tests.matcher_world import NOW, running_matcher, seen_value, sighting, sightings_record, until
from tests.memory_log import MemoryLog


def records(*sizes: int) -> list[Record]:
    return [
        Record(
            topic=SIGHTINGS.name, partition=0, offset=offset, append_time=NOW, key=None, value=bytes(size), headers=()
        )
        for offset, size in enumerate(sizes)
    ]


def some(count: int, size: int = 1) -> list[Record]:
    return records(*[size] * count)


@given(st.floats(0.0005, 0.5))
def test_it_comes_to_what_is_handled_in_the_time_aimed_at(seconds_each: float) -> None:
    pace = BatchSize()
    for _ in range(20):
        pace.took(some(pace.records), pace.records * seconds_each)
    assert 1 <= pace.records <= MOST_RECORDS
    assert pace.records == 1 or pace.records * seconds_each <= AIM_SECONDS + 1e-9
    assert pace.records == MOST_RECORDS or (pace.records + 1) * seconds_each >= AIM_SECONDS - 1e-9


def test_it_falls_at_once_and_grows_step_by_step() -> None:
    pace = BatchSize()
    for _ in range(10):
        pace.took(some(pace.records), 0.0)
    assert pace.records == MOST_RECORDS
    pace.took(some(MOST_RECORDS), 10 * AIM_SECONDS)
    assert pace.records == MOST_RECORDS // 10
    pace.took(some(pace.records), 0.001)
    assert pace.records == 2 * (MOST_RECORDS // 10)


def test_a_poll_that_brought_little_says_nothing_of_more() -> None:
    pace = BatchSize()
    before = pace.records
    pace.took(some(1), 0.0)
    assert pace.records == before


def test_a_small_poll_that_took_long_says_much() -> None:
    pace = BatchSize()
    pace.took(some(1), 10.0)
    assert pace.records == 1


def test_the_bounds_are_what_the_matcher_was_measured_with() -> None:
    """Little at first, when nothing is known of the machine; 64 records and 0.15 s at the most."""
    pace = BatchSize()
    assert pace.records == 8
    for _ in range(20):
        pace.took(some(pace.records), 0.0)
    assert pace.records == 64
    for _ in range(20):
        pace.took(some(pace.records), pace.records * 0.01)
    assert pace.records == 15


def test_no_poll_is_for_nothing() -> None:
    pace = BatchSize()
    for _ in range(3):
        pace.took(some(pace.records), 1_000.0)
        assert pace.records == 1
    pace.took(some(1), 0.01)
    assert pace.records == 2


@settings(deadline=None)
@given(st.integers(0, 1_000_000))
def test_it_comes_to_what_fits_into_memory(size: int) -> None:
    pace = BatchSize()
    for _ in range(20):
        pace.took(some(pace.records, size), 0.0)
    assert pace.records == 1 or pace.records * size <= MOST_BYTES
    assert pace.records == MOST_RECORDS or (pace.records + 1) * size > MOST_BYTES


@settings(deadline=None)
@given(st.lists(st.integers(0, 5_000_000), max_size=20))
def test_parts_are_all_there_is_in_order_and_none_is_larger_than_it_has_to_be(sizes: list[int]) -> None:
    read = records(*sizes)
    parts = list(in_parts(read))
    assert [one for part in parts for one in part] == read
    assert len(parts) == 1 or all(parts)
    for part in parts:
        assert len(part) <= 1 or sum(len(one.value or b"") for one in part) <= MOST_BYTES


class Committed(dict[TopicPartition, Commit]):
    """Of one partition, and what was committed before."""

    def __init__(self) -> None:
        self.offsets: list[int] = []

    def update(self, commits: Mapping[TopicPartition, Commit]) -> None:  # type: ignore[override]  # as the log calls it
        self.offsets.extend(one.offset for one in commits.values())
        super().update(commits)


async def test_however_large_records_are_few_bytes_are_handled_before_they_are_committed() -> None:
    committed = Committed()
    log = MemoryLog(partitions={one.name: 1 for one in (CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS)}, commits=committed)
    sizes = [1_000] * 40 + [900_000] * 40
    for number, size in enumerate(sizes):
        record = sightings_record(sighting(f"https://a.test/{number}", seen_value(random.randbytes(32))))
        log.append(replace(record, partition=0, value=(record.value or b"").ljust(size)))
    async with running_matcher(cast(EventLog, log)):
        await until(lambda: committed.offsets[-1:] == [len(sizes)], what="all to be committed")
    for before, after in pairwise(committed.offsets):
        assert sum(sizes[before:after]) <= MOST_BYTES
