"""The fast index of PDQ values while its parts are merged: nothing is lost, nothing removed comes back, threads see what was added."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from services.matcher.index.merging_index import Task
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import Hashes
from tests.unit.matcher.index.pdq_values import as_set, filled, numbered, random_values, small_index


def test_an_entry_is_found_by_the_next_query_and_gone_after_its_removal() -> None:
    index = small_index()
    values = random_values(100)
    for id, value in enumerate(values):
        index.add(id, value.tobytes())
        assert (0, id, 0) in as_set(index.query(values[id : id + 1]))
    for id in range(100):
        assert index.remove(id)
        assert index.query(values[id : id + 1])[1].tolist() == []
    assert len(index) == 0


def test_a_value_is_gone_from_memory_after_compaction_and_never_in_a_file(tmp_path: Path) -> None:
    index, values = small_index(), random_values(60)
    filled(index, values)
    index.remove(7)
    index.save(tmp_path / "index")
    content = (tmp_path / "index").read_bytes()
    assert values[8].tobytes() in content
    assert values[7].tobytes() not in content
    index.compact()
    index.save(tmp_path / "index")
    assert len(ChunkedPdqIndex.load(tmp_path / "index")) == 59


def test_a_merge_that_fails_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting: list[Task] = []
    index, values = small_index(waiting.append), random_values(30)
    for id in range(8):
        index.add(id, values[id].tobytes())
    (task,) = waiting
    waiting.clear()

    def fail(_values: Hashes) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(index, "_freeze", fail)
        index.remove(3)
        index.add(8, values[8].tobytes())
        task()
    with pytest.raises(MemoryError):
        index.settle()
    assert sorted(index.query(values)[1].tolist()) == [0, 1, 2, 4, 5, 6, 7, 8]
    index.add(9, values[9].tobytes())
    assert waiting, "the next change tries again"
    waiting.pop()()
    assert sorted(index.query(values)[1].tolist()) == [0, 1, 2, 4, 5, 6, 7, 8, 9]


def test_threads_see_what_was_added_before_they_ask() -> None:
    """Two threads ask while one adds and removes and merges go on behind: what is surely there is found, what is surely not is not."""
    index = ChunkedPdqIndex(scan_below=64, head_limit=32)
    values = random_values(3_000)
    added, removed = [0], [0]
    stop = threading.Event()
    wrong: list[str] = []

    def ask() -> None:
        random = np.random.default_rng(threading.get_ident() % 2**32)
        while not stop.is_set():
            low, high = removed[0], added[0]
            sure = np.arange(low, high)
            if not len(sure):
                continue
            some = random.choice(sure, size=min(20, len(sure)))
            found = set(index.query(values[some])[1].tolist())
            still = {int(id) for id in some if id >= removed[0] + 1}
            if not still <= found:
                wrong.append(f"missed {still - found}")
            if any(id < low - 1 for id in found):
                wrong.append("found what was removed")

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for id, value in enumerate(values):
        index.add(id, value.tobytes())
        added[0] = id + 1
        if id % 2:
            index.remove(id // 2)
            removed[0] = id // 2 + 1
    stop.set()
    for thread in threads:
        thread.join()
    index.settle()
    assert wrong == []
    assert len(index) == 1_500
    assert sorted(index.query(values)[1].tolist()) == list(range(1_500, 3_000))


def test_many_removals_at_once_beside_a_merge() -> None:
    """From the head, from what is being merged and from a part that is not, with names that are not there and names given twice."""
    waiting: list[Task] = []
    index, values = small_index(waiting.append), random_values(60)
    index.add_many(numbered(40), values[:40])  # a part
    index.add_many(numbered(3, 40), values[40:43])
    index.add(43, values[43].tobytes())  # starts a merge of 40 to 43 alone: the part is much larger
    assert waiting
    index.add_many(numbered(3, 44), values[44:47])
    assert index.remove_many(np.array([0, 0, 7, 41, 41, 45, 45, 99], dtype=np.int64)) == 4
    left = [id for id in range(47) if id not in {0, 7, 41, 45}]
    assert sorted(index.query(values)[1].tolist()) == left
    waiting.pop()()
    assert sorted(index.query(values)[1].tolist()) == left
    assert len(index) == len(left)
    task = threading.Thread(target=index.compact)
    task.start()
    task.join()
    assert sorted(index.query(values)[1].tolist()) == left


def test_removals_from_a_part_that_is_being_merged_are_kept() -> None:
    waiting: list[Task] = []
    index, values = small_index(waiting.append), random_values(60)
    index.add_many(numbered(8), values[:8])
    index.add_many(numbered(3, 8), values[8:11])
    index.add(11, values[11].tobytes())  # takes in the part, which is no larger than four times this
    assert index.remove_many(np.array([3, 9], dtype=np.int64)) == 2
    index.add(3, values[50].tobytes())
    waiting.pop()()
    assert sorted(index.query(values)[1].tolist()) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert index.query(values[3:4])[1].tolist() == []


def test_what_came_and_went_in_a_small_table_stays_gone_when_it_grows() -> None:
    index, values = ChunkedPdqIndex(scan_below=1_000), random_values(300)
    for id in range(200):
        index.add(id, values[id].tobytes())
        if id % 3 == 0:
            index.remove(id)
    assert sorted(index.query(values)[1].tolist()) == [id for id in range(200) if id % 3]
