"""The brute-force index against plain Python."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.index import brute_force
from services.matcher.index.brute_force import BruteForceIndex
from services.matcher.index.protocol import AlreadyIndexed, as_hashes
from shared.media.fingerprints import hamming


def near(value: bytes, bits: int, rng: random.Random) -> bytes:
    """`value` with exactly `bits` bits changed."""
    number = int.from_bytes(value)
    for bit in rng.sample(range(256), bits):
        number ^= 1 << bit
    return number.to_bytes(32)


def found(index: BruteForceIndex, values: list[bytes]) -> set[tuple[int, int, int]]:
    rows, ids, distances = index.query(as_hashes(values))
    assert [array.dtype.name for array in (rows, ids, distances)] == ["int64", "int64", "uint8"]
    hits = list(zip(rows.tolist(), ids.tolist(), distances.tolist(), strict=True))
    assert len(set(hits)) == len(hits)
    return set(hits)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 120))
@settings(max_examples=60, deadline=None)
def test_finds_what_plain_python_finds(seed: int, steps: int) -> None:
    rng = random.Random(seed)
    centres = [rng.randbytes(32) for _ in range(3)]
    index, oracle = BruteForceIndex(), dict[int, bytes]()
    for _ in range(steps):
        if oracle and rng.random() < 0.3:
            number = rng.choice(list(oracle))
            assert index.remove(number)
            assert not index.remove(number)
            del oracle[number]
        else:
            number = rng.choice([-1, 1]) * rng.randrange(2**62)
            value = near(rng.choice(centres), rng.choice([0, 1, 15, 16, 20]), rng)
            index.add(number, value)
            oracle[number] = value
    asked = [near(rng.choice(centres), rng.choice([0, 10, 16, 31, 32]), rng) for _ in range(10)]
    assert len(index) == len(oracle)
    assert found(index, asked) == {
        (row, number, hamming(value, kept))
        for row, value in enumerate(asked)
        for number, kept in oracle.items()
        if hamming(value, kept) <= 31
    }


@pytest.mark.parametrize(("bits", "agrees"), [(0, True), (31, True), (32, False), (256, False)])
def test_agrees_up_to_31_bits(bits: int, agrees: bool) -> None:
    value = random.Random(7).randbytes(32)
    index = BruteForceIndex()
    index.add(1, value)
    assert found(index, [near(value, bits, random.Random(8))]) == ({(0, 1, bits)} if agrees else set())


def test_a_large_query_is_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    values = [rng.randbytes(32) for _ in range(200)]
    index = BruteForceIndex()
    index.add_many(np.arange(200, dtype=np.int64), as_hashes(values))
    monkeypatch.setattr(brute_force, "_BLOCK", 1000)
    assert found(index, values) == {(n, n, 0) for n in range(200)}


def test_an_id_stands_for_one_value() -> None:
    index = BruteForceIndex()
    index.add(5, bytes(32))
    with pytest.raises(AlreadyIndexed):
        index.add(5, bytes(31) + b"\1")
    with pytest.raises(AlreadyIndexed):
        index.add_many(np.array([6, 5], dtype=np.int64), np.zeros((2, 32), dtype=np.uint8))
    with pytest.raises(AlreadyIndexed):
        index.add_many(np.array([7, 7], dtype=np.int64), np.zeros((2, 32), dtype=np.uint8))
    assert len(index) == 1


def test_wrong_shapes_are_refused() -> None:
    index = BruteForceIndex()
    with pytest.raises(ValueError, match="32 bytes"):
        index.add(1, b"short")
    for wrong in (np.zeros((1, 31), np.uint8), np.zeros(32, np.uint8), np.zeros((1, 32), np.int64)):
        with pytest.raises(ValueError, match="needed"):
            index.query(wrong)  # type: ignore[arg-type]  # the wrong type is the test
    with pytest.raises(ValueError, match="ids for"):
        index.add_many(np.array([1, 2], dtype=np.int64), np.zeros((1, 32), np.uint8))


def test_an_empty_index_and_an_empty_query_find_nothing() -> None:
    index = BruteForceIndex()
    assert found(index, [bytes(32)]) == set()
    index.add(1, bytes(32))
    assert found(index, []) == set()
