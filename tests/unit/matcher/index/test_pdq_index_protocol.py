"""Every kind of index of PDQ values keeps to the interface that the join asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.matcher.index.array_file import BadIndexFile
from services.matcher.index.brute_force import BruteForceIndex
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import AlreadyIndexed, Hashes, Hits, PdqIndex

KINDS: list[type[PdqIndex]] = [ChunkedPdqIndex, BruteForceIndex]
OTHER: dict[type[PdqIndex], type[PdqIndex]] = {ChunkedPdqIndex: BruteForceIndex, BruteForceIndex: ChunkedPdqIndex}


def some_values() -> Hashes:
    return np.random.default_rng(1).integers(0, 256, size=(20, 32), dtype=np.uint8)


def filled(kind: type[PdqIndex]) -> PdqIndex:
    index = kind()
    index.add_many(np.arange(20, dtype=np.int64), some_values())
    return index


def pairs(hits: Hits) -> list[tuple[int, int, int]]:
    return sorted(zip(*(column.tolist() for column in hits), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_added_is_found_until_it_is_removed(kind: type[PdqIndex]) -> None:
    index, values = filled(kind), some_values()
    index.add(-5, values[3].tobytes())
    assert len(index) == 21
    assert pairs(index.query(values[2:5])) == [(0, 2, 0), (1, -5, 0), (1, 3, 0), (2, 4, 0)]
    assert index.remove(3)
    assert not index.remove(3)
    assert index.remove_many(np.array([2, 2, 3, 99], dtype=np.int64)) == 1
    assert pairs(index.query(values[2:5])) == [(1, -5, 0), (2, 4, 0)]
    assert len(index) == 19
    index.add(3, values[2].tobytes())
    assert pairs(index.query(values[2:3])) == [(0, 3, 0)]


@pytest.mark.parametrize("kind", KINDS)
def test_its_bytes_are_those_of_its_entries_at_least(kind: type[PdqIndex]) -> None:
    assert filled(kind).nbytes >= 20 * (32 + 8)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_present_is_refused_whole(kind: type[PdqIndex]) -> None:
    index = filled(kind)
    with pytest.raises(AlreadyIndexed):
        index.add_many(np.array([30, 4], dtype=np.int64), some_values()[:2])
    assert len(index) == 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_gives_what_was_there_and_another_kind_refuses_it(kind: type[PdqIndex], tmp_path: Path) -> None:
    index, values = filled(kind), some_values()
    index.remove(7)
    index.save(tmp_path / "index")
    loaded = kind.load(tmp_path / "index")
    assert loaded.max_distance == 31
    assert pairs(loaded.query(values)) == [(row, row, 0) for row in range(20) if row != 7]
    with pytest.raises(BadIndexFile):
        OTHER[kind].load(tmp_path / "index")
    with pytest.raises(FileNotFoundError):
        kind.load(tmp_path / "nothing")


@pytest.mark.parametrize("kind", KINDS)
def test_the_distance_asked_for_is_kept_to(kind: type[PdqIndex], tmp_path: Path) -> None:
    filled(kind).save(tmp_path / "index")
    index = kind.load(tmp_path / "index", 2)
    near = some_values()[:2]
    near[0, 0] ^= 0b011
    near[1, 0] ^= 0b111
    assert pairs(index.query(near)) == [(0, 0, 2)]
