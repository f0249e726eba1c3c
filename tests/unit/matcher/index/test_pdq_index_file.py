"""The file of the fast index of PDQ values: private, the same index again, and any damage noticed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.matcher.index.array_file import BadIndexFile
from services.matcher.index.pdq_index import ChunkedPdqIndex
from tests.unit.matcher.index.pdq_values import as_set, filled, random_values, small_index

# Files


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    index = small_index()
    filled(index, random_values(50))
    index.add(99, bytes(32))
    path = tmp_path / "register.index"
    index.save(path)
    return path


def test_a_file_is_private_and_gives_the_same_index(saved: Path) -> None:
    assert saved.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]
    index = ChunkedPdqIndex.load(saved)
    assert len(index) == 51
    assert (0, 17, 0) in as_set(index.query(random_values(50)[17:18]))
    before = saved.read_bytes()
    index.remove(17)
    index.add(17, bytes(32))
    assert saved.read_bytes() == before


def test_any_damage_is_noticed(saved: Path) -> None:
    whole = saved.read_bytes()
    random = np.random.default_rng(11)
    length = 48 + int.from_bytes(whole[8:16], "little")
    start = -(-length // 64) * 64
    places = [
        0,
        9,
        20,
        60,
        *random.integers(start, start + 50 * 8, size=5),
        *random.integers(start, len(whole), size=10),
    ]
    unnoticed = []
    for place in map(int, places):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        try:
            ChunkedPdqIndex.load(saved)
        except BadIndexFile:
            continue
        unnoticed.append(place)
    # Only the filling between arrays means nothing.
    assert all(whole[place] == 0 for place in unnoticed)
    assert len(unnoticed) <= 3
    for length in (0, 10, 47, 100, len(whole) // 2, start):
        saved.write_bytes(whole[:length])
        with pytest.raises(BadIndexFile):
            ChunkedPdqIndex.load(saved)


def test_a_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    with pytest.raises(BadIndexFile):
        ChunkedPdqIndex.load(path)
    with pytest.raises(FileNotFoundError):
        ChunkedPdqIndex.load(tmp_path / "nothing")
