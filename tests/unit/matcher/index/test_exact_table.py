"""The table of exact hashes answers as a plain list does, whatever is done to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.index.array_file import BadIndexFile
from services.matcher.index.exact_index import ExactTable
from services.matcher.index.merging_index import Task
from services.matcher.index.protocol import AlreadyIndexed, Hashes


def hashes(*values: bytes) -> Hashes:
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), -1)


def found(table: ExactTable, *values: bytes) -> list[tuple[int, int]]:
    rows, ids, distances = table.query(hashes(*values))
    assert not distances.any()
    return sorted(zip(rows.tolist(), ids.tolist(), strict=True))


VALUES = tuple(bytes([place]) * 20 for place in range(6))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(-20, 20), st.integers(0, 5)),
        st.tuples(st.sampled_from(["remove", "remove many"]), st.integers(-20, 20), st.just(0)),
        st.tuples(st.sampled_from(["merge", "compact", "reload", "bulk"]), st.just(0), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_any_sequence_of_changes_answers_as_a_list_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    waiting: list[Task] = []
    table = ExactTable(20, head_limit=5, run_merge=waiting.append)
    expected: dict[int, bytes] = {}
    path = tmp_path_factory.getbasetemp() / "exact"
    bulk = 100
    for what, id, value in steps:
        if what == "add":
            if id in expected:
                with pytest.raises(AlreadyIndexed):
                    table.add(id, VALUES[value])
            else:
                table.add(id, VALUES[value])
                expected[id] = VALUES[value]
        elif what == "remove":
            assert table.remove(id) == (expected.pop(id, None) is not None)
        elif what == "remove many":
            gone = [there for there in range(id, id + 9) if expected.pop(there, None) is not None]
            assert table.remove_many(np.arange(id, id + 9)) == len(gone)
        else:
            while waiting:
                waiting.pop(0)()
            if what == "compact":
                table.compact()
            elif what == "reload":
                table.save(path)
                table = ExactTable.load(path, 20, head_limit=5, run_merge=waiting.append)
            elif what == "bulk":
                table.add_many(np.arange(bulk, bulk + 7), hashes(*[VALUES[value]] * 7))
                expected.update(dict.fromkeys(range(bulk, bulk + 7), VALUES[value]))
                bulk += 7
        assert len(table) == len(expected)
        assert found(table, *VALUES) == sorted(
            (row, id) for row, value in enumerate(VALUES) for id, one in expected.items() if one == value
        )


@pytest.mark.parametrize("size", [16, 20, 32])
def test_a_hundred_thousand_values_of_each_size(size: int) -> None:
    values = np.random.default_rng(size).integers(0, 256, size=(100_000, size), dtype=np.uint8)
    table = ExactTable(size)
    table.add_many(np.arange(100_000)[::-1].copy(), values)
    rows, ids, _ = table.query(values[::100])
    assert sorted(zip(rows.tolist(), ids.tolist(), strict=True)) == [(row, 99_999 - 100 * row) for row in range(1000)]
    almost = values[::100].copy()
    almost[:, -1] ^= 1
    assert len(table.query(almost)[0]) == 0
    assert table.nbytes / 100_000 < size + 25


def test_a_part_without_its_values_does_not_agree_by_digest_alone() -> None:
    table = ExactTable(16, secret=bytes(32), head_limit=2, run_merge=lambda task: task())  # every digest is 0
    for id in range(10):
        table.add(id, bytes([id]) * 16)
    assert found(table, bytes([4]) * 16, bytes([77]) * 16) == [(0, 4)]


def test_a_removed_value_is_in_no_file_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "exact"
    table = ExactTable(20, head_limit=2, run_merge=lambda task: task())
    for id, value in enumerate(VALUES):
        table.add(id, value)
    table.remove(3)
    table.save(path)
    whole = path.read_bytes()
    assert VALUES[2] in whole
    assert VALUES[3] not in whole
    path.write_bytes(whole.replace(VALUES[2], VALUES[3]))
    with pytest.raises(BadIndexFile):
        ExactTable.load(path, 20)
    path.write_bytes(whole)
    with pytest.raises(BadIndexFile):
        ExactTable.load(path, 16)
