"""The fast index of PDQ values finds what comparing everything finds, whatever is done to it and whatever the values are."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from services.matcher.index.brute_force import BruteForceIndex
from services.matcher.index.immutable_pdq import freeze
from services.matcher.index.merging_index import Task
from services.matcher.index.merging_parts import all_alive
from services.matcher.index.mih_layout import BIT_ORDER, LAYOUTS, MANY, Layout
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import AlreadyIndexed, Hashes
from tests.unit.matcher.index.pdq_values import as_set, at_once, filled, numbered, random_values, small_index


def flipped(values: Hashes, most: int, seed: int = 1) -> Hashes:
    """Each value with 0 to `most` of its bits changed."""
    random = np.random.default_rng(seed)
    bits = np.unpackbits(values, axis=1)
    for row in bits:
        row[random.choice(256, size=random.integers(0, most + 1), replace=False)] ^= 1
    return np.packbits(bits, axis=1)


@pytest.mark.parametrize("count", [0, 1, 7, 40])
def test_nothing_asked_is_nothing_found(count: int) -> None:
    assert as_set(filled(small_index(), random_values(count)).query(random_values(0))) == set()


# The layouts


@pytest.mark.parametrize("layout", list(LAYOUTS.values()), ids=lambda layout: layout.name)
def test_no_layout_misses_a_pair_within_31(layout: Layout) -> None:
    assert sum(most + 1 for most in layout.flips) > 31
    assert sorted(BIT_ORDER) == list(range(256))


@pytest.mark.parametrize("layout", list(LAYOUTS.values()), ids=lambda layout: layout.name)
def test_a_pair_that_only_one_chunk_admits_is_found(layout: Layout) -> None:
    """The worst case of the pigeonhole principle: one more flip than admitted in every chunk but one, and 31 in all."""
    random = np.random.default_rng(5)
    starts = [int(start) for start in layout.starts]
    wanted, near, only = random_values(1, 2), [], []
    for kept in range(len(layout.widths)):
        places: list[int] = []
        for chunk, (start, width, most) in enumerate(zip(starts, layout.widths, layout.flips, strict=True)):
            flips = most if chunk == kept else most + 1
            places.extend(start + random.choice(width, size=flips, replace=False))
        if len(places) > 31:
            continue
        bits = np.unpackbits(wanted, axis=1, bitorder="little")
        bits[0, [BIT_ORDER[place] for place in places]] ^= 1
        near.append(np.packbits(bits, axis=1, bitorder="little"))
        only.append(kept)
    assert len(only) == len(layout.widths)
    values = np.concatenate(near)
    content = freeze(values.view(np.uint64), layout)
    hits, candidates, scans = content.search(wanted.view(np.uint64), all_alive(len(values)), 31)
    assert sorted(hits[1].tolist()) == list(range(len(values)))
    assert set(hits[2].tolist()) == {31}
    assert candidates == len(values)
    assert scans == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 300), layout=st.sampled_from(list(LAYOUTS.values())))
def test_a_frozen_part_finds_what_comparing_everything_finds(seed: int, count: int, layout: Layout) -> None:
    values = random_values(count, seed)
    values = np.concatenate([values, flipped(values[: count // 2], 40, seed)])
    wanted = np.concatenate([flipped(values, 40, seed + 1), values[:3]])
    content = freeze(values.view(np.uint64), layout)
    hits, _, _ = content.search(wanted.view(np.uint64), all_alive(len(values)), 31)
    expected = as_set(filled(BruteForceIndex(), values).query(wanted))
    assert as_set((hits[0], hits[1], hits[2].astype(np.uint8))) == expected


def test_a_part_with_a_fifth_byte_an_entry_finds_what_comparing_everything_finds(tmp_path: Path) -> None:
    count = (1 << 20) + 1_000
    values = random_values(count, 12)
    wanted = np.concatenate([flipped(values[:: count // 60], 36, 13), values[-2:]])
    index = ChunkedPdqIndex()
    index.add_many(numbered(count), values)
    index.save(tmp_path / "index")
    expected = as_set(filled(BruteForceIndex(), values).query(wanted))
    assert len(expected) > 40
    assert as_set(index.query(wanted)) == expected
    assert as_set(ChunkedPdqIndex.load(tmp_path / "index").query(wanted)) == expected
    assert index.counts.candidates < 100 * index.counts.queries


def test_a_large_batch_and_single_queries_find_the_same() -> None:
    """A batch goes from region to region of the tables; one query asks all at once."""
    values = random_values(40_000, 14)
    wanted = np.concatenate([flipped(values[:3_000], 34, 15), values[:50], random_values(2_000, 16)])
    for layout in LAYOUTS.values():
        content = freeze(values.view(np.uint64), layout)
        alive = all_alive(len(values))
        hits, _, _ = content.search(wanted.view(np.uint64), alive, 31)
        some = range(0, len(wanted), 40)
        alone = [content.search(wanted[row : row + 1].view(np.uint64), alive, 31)[0] for row in some]
        expected = {(row, *pair) for row, found in zip(some, alone, strict=True) for pair in found[1:].T.tolist()}
        assert {pair for pair in map(tuple, hits.T.tolist()) if pair[0] % 40 == 0} == expected
        assert len(set(map(tuple, hits.T.tolist()))) == hits.shape[1]
        assert set(range(3_000, 3_050)) <= set(hits[0].tolist())


# The index


class SameAsReference(RuleBasedStateMachine):
    """Any sequence of add, remove, query, merge, save and load, with merges held back at will."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Task] = []
        self.index = small_index(self.waiting.append)
        self.reference = BruteForceIndex()
        self.values = random_values(4, 7)
        self.next = 0

    def near(self, seed: int) -> Hashes:
        return flipped(self.values[seed % 4 : seed % 4 + 1], 36, seed)

    @rule(target=ids, seed=st.integers(0, 10_000), step=st.sampled_from([1, -3]))
    def add(self, seed: int, step: int) -> int:
        self.next += 1
        id, value = self.next * step * 1_000_003, self.near(seed).tobytes()
        self.index.add(id, value)
        self.reference.add(id, value)
        return id

    @rule(seed=st.integers(0, 10_000), count=st.integers(0, 12))
    def add_many(self, seed: int, count: int) -> None:
        if self.waiting and count >= 4:
            self.merge()  # a large addition waits for the merge, which nobody else runs here
        values = np.concatenate([self.near(seed + place) for place in range(count)] or [np.empty((0, 32), np.uint8)])
        ids = numbered(count, 1 << 40) + self.next * 100
        self.next += 1
        self.index.add_many(ids, values)
        self.reference.add_many(ids, values)

    @rule(id=consumes(ids))
    def remove(self, id: int) -> None:
        assert self.index.remove(id)
        assert self.reference.remove(id)
        assert not self.index.remove(id)

    @rule(some=st.lists(consumes(ids), max_size=8, unique=True))
    def remove_many(self, some: list[int]) -> None:
        gone = sum(self.reference.remove(id) for id in some)
        assert self.index.remove_many(np.array([*some, *some[:2], 5], dtype=np.int64)) == gone == len(some)

    @rule(id=ids, seed=st.integers(0, 10_000))
    def move(self, id: int, seed: int) -> None:
        value = self.near(seed).tobytes()
        for index in (self.index, self.reference):
            index.remove(id)
            index.add(id, value)

    @rule(id=ids)
    def add_again(self, id: int) -> None:
        with pytest.raises(AlreadyIndexed):
            self.index.add(id, bytes(32))

    @rule()
    def merge(self) -> None:
        while self.waiting:
            self.waiting.pop(0)()

    @rule()
    def compact(self) -> None:
        self.merge()
        self.index.compact()

    @rule(seed=st.integers(0, 10_000))
    def copied(self, seed: int) -> None:
        """What becomes of a table is nothing to one that was copied from it, nor the other way round."""
        before, self.index = self.index, deepcopy(self.index)
        self.waiting.clear()
        before.add(-1, self.values[0].tobytes())
        before.remove_many(np.array(before.query(self.values[1:])[1]))
        self.same()

    @rule()
    def save_and_load(self) -> None:
        path = self.folder / "index"
        self.index.save(path)
        self.merge()
        self.index = ChunkedPdqIndex.load(path, scan_below=8, head_limit=4, run_merge=self.waiting.append)

    @rule(seed=st.integers(0, 10_000), count=st.integers(0, 5))
    def query(self, seed: int, count: int) -> None:
        wanted = np.concatenate([self.values, *(self.near(seed + place) for place in range(count))])
        assert as_set(self.index.query(wanted)) == as_set(self.reference.query(wanted))

    @invariant()
    def same(self) -> None:
        assert len(self.index) == len(self.reference)
        assert as_set(self.index.query(self.values)) == as_set(self.reference.query(self.values))

    folder: Path


def test_any_sequence_of_changes_finds_what_the_reference_finds(tmp_path: Path) -> None:
    SameAsReference.folder = tmp_path
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        SameAsReference,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.parametrize("name", ["equal", "within 31", "one chunk equal", "no bits", "all but one chunk equal"])
def test_crowded_buckets_stay_correct_and_bounded(name: str) -> None:
    count = 3_000
    values = random_values(count, 3)
    bits = np.unpackbits(values, axis=1, bitorder="little")
    start, width = int(MANY.starts[2]), MANY.widths[2]
    chunk = list(BIT_ORDER[start : start + width])
    if name == "equal":
        bits[:] = bits[0]
    elif name == "within 31":
        bits = np.unpackbits(flipped(np.repeat(values[:1], count, axis=0), 15, 4), axis=1, bitorder="little")
    elif name == "one chunk equal":
        bits[:, chunk] = bits[0, chunk]
    elif name == "all but one chunk equal":
        others = [bit for bit in range(256) if bit not in chunk]
        bits[:, others] = bits[0, others]
    else:
        bits[:] = 0
    values = np.packbits(bits, axis=1, bitorder="little")
    wanted = np.concatenate([values[:5], flipped(values[:5], 33, 9)])
    reference = as_set(filled(BruteForceIndex(), values).query(wanted))
    for layout in LAYOUTS.values():
        content = freeze(values.view(np.uint64), layout)
        hits, candidates, scans = content.search(wanted.view(np.uint64), all_alive(count), 31)
        assert as_set((hits[0], hits[1], hits[2].astype(np.uint8))) == reference
        assert candidates <= len(wanted) * (2 * count + 5_000)
        assert scans or layout is not MANY  # MANY meets the crowd in each of these


def test_counts_tell_of_candidates_and_scans() -> None:
    index = small_index()
    index.add_many(numbered(500), np.repeat(random_values(1), 500, axis=0))
    index.query(random_values(1))
    assert index.counts.queries == 1
    assert index.counts.candidates >= 500
    assert index.counts.scans == 1


def test_bad_shapes_and_distances_are_refused() -> None:
    index = small_index()
    with pytest.raises(ValueError, match="32 bytes"):
        index.add(1, b"short")
    with pytest.raises(ValueError, match="uint8"):
        index.query(np.zeros((1, 31), dtype=np.uint8))
    with pytest.raises(ValueError, match="ids for"):
        index.add_many(numbered(2), random_values(3))
    with pytest.raises(AlreadyIndexed):
        index.add_many(np.array([1, 1], dtype=np.int64), random_values(2))
    with pytest.raises(ValueError, match="32"):
        ChunkedPdqIndex(32)
    assert len(index) == 0
    assert index.query(np.empty((0, 32), dtype=np.uint8))[0].tolist() == []


def test_a_shorter_distance_is_kept_to() -> None:
    index = ChunkedPdqIndex(10, scan_below=8, head_limit=4, run_merge=at_once)
    values = random_values(40)
    filled(index, values)
    wanted = flipped(values, 20)
    expected = {hit for hit in as_set(filled(BruteForceIndex(), values).query(wanted)) if hit[2] <= 10}
    assert as_set(index.query(wanted)) == expected
