"""A table of fingerprints answers as comparing each with each does, also when it comes from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.index.array_file import BadIndexFile
from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.index.protocol import AlreadyIndexed, Hashes
from shared.media.fingerprints import Algorithm, Fingerprint, hamming

SEEDS = {algorithm: bytes(range(1, algorithm.size_bytes + 1)) for algorithm in Algorithm}


def fingerprint(algorithm: Algorithm, changed: int) -> Fingerprint:
    """The algorithm's value with its lowest `changed` bits turned."""
    number = int.from_bytes(SEEDS[algorithm]) ^ ((1 << changed) - 1)
    return Fingerprint(algorithm=algorithm, value=number.to_bytes(algorithm.size_bytes))


def as_array(*fingerprints: Fingerprint) -> Hashes:
    joined = b"".join(one.value for one in fingerprints)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(fingerprints), -1)


ANY = st.builds(fingerprint, st.sampled_from(Algorithm), st.sampled_from([0, 1, 20, 31, 32, 60]))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ANY),
        st.tuples(st.just("add_values"), ANY),
        st.tuples(st.sampled_from(["remove", "remove_many", "reload"]), ANY),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, wanted=st.lists(ANY, min_size=1, max_size=8))
def test_any_sequence_of_changes_answers_as_comparing_does(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Fingerprint]], wanted: list[Fingerprint]
) -> None:
    table, expected, folder = FingerprintTable(), dict[int, Fingerprint](), tmp_path_factory.mktemp("table")
    for number, (what, one) in enumerate(steps):
        alike = [known for known, other in expected.items() if other.algorithm is one.algorithm]
        if what == "add":
            table.add([(number, one), (number + 1000, one)])
            expected.update({number: one, number + 1000: one})
        elif what == "add_values":
            table.add_values(one.algorithm, np.array([number]), as_array(one))
            expected[number] = one
        elif what == "remove":
            for known in alike[:1]:
                table.remove(known, expected.pop(known))
        elif what == "remove_many":
            gone = [*alike[::2], 77_777]
            assert table.remove_many(one.algorithm, np.array(gone)) == len(gone) - 1
            for known in gone[:-1]:
                del expected[known]
        else:
            table.save(folder)
            table = FingerprintTable.load(folder)
    assert table.sizes() == {
        algorithm: sum(one.algorithm is algorithm for one in expected.values()) for algorithm in Algorithm
    }
    found = [(hit.row, hit.number, hit.distance) for hit in table.search(wanted)]
    assert sorted(found) == sorted(
        (row, number, hamming(one.value, other.value))
        for row, one in enumerate(wanted)
        for number, other in expected.items()
        if other.algorithm is one.algorithm and hamming(one.value, other.value) <= one.algorithm.max_distance
    )


def test_one_algorithm_is_searched_by_columns() -> None:
    table = FingerprintTable()
    near, far = fingerprint(Algorithm.PDQ, 9), fingerprint(Algorithm.PDQ, 200)
    table.add([(5, fingerprint(Algorithm.PDQ, 0)), (6, far), (7, fingerprint(Algorithm.SHA256, 0))])
    rows, numbers, distances = table.search_values(Algorithm.PDQ, as_array(far, near))
    assert sorted(zip(rows.tolist(), numbers.tolist(), distances.tolist(), strict=True)) == [(0, 6, 0), (1, 5, 9)]
    assert table.search_values(Algorithm.SHA256, as_array(fingerprint(Algorithm.SHA256, 0)))[1].tolist() == [7]
    assert table.search_values(Algorithm.MD5, as_array(fingerprint(Algorithm.MD5, 0)))[1].tolist() == []


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_number_stands_for_one_value_of_an_algorithm(algorithm: Algorithm) -> None:
    table = FingerprintTable()
    table.add([(1, fingerprint(algorithm, 0))])
    with pytest.raises(AlreadyIndexed):
        table.add([(2, fingerprint(algorithm, 1)), (1, fingerprint(algorithm, 2))])
    assert table.sizes()[algorithm] == 1


def test_more_than_a_merge_takes_go_in_beside_a_search() -> None:
    """Through `add`, which hands everything to merges in the background, and through columns at once."""
    random = np.random.default_rng(1)
    values = random.integers(0, 256, size=(50_000, 32), dtype=np.uint8)
    table, bulk = FingerprintTable(), FingerprintTable()
    table.add(
        (number, Fingerprint(algorithm=Algorithm.PDQ, value=value.tobytes())) for number, value in enumerate(values)
    )
    bulk.add_values(Algorithm.PDQ, np.arange(50_000), values)
    for one in (table, bulk):
        assert sorted(one.search_values(Algorithm.PDQ, values[::1000])[1].tolist()) == list(range(0, 50_000, 1000))
        one.settle()
        assert sorted(one.search_values(Algorithm.PDQ, values[::1000])[1].tolist()) == list(range(0, 50_000, 1000))
        assert 50_000 * 40 < one.nbytes < 50_000 * 400


def filled() -> FingerprintTable:
    table = FingerprintTable()
    table.add(
        [(1, fingerprint(Algorithm.PDQ, 0)), (2, fingerprint(Algorithm.MD5, 0)), (3, fingerprint(Algorithm.MD5, 1))]
    )
    return table


def test_saved_files_are_private_and_hold_nothing_removed(tmp_path: Path) -> None:
    folder = tmp_path / "table"
    table = filled()
    table.save(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    table.remove(1, fingerprint(Algorithm.PDQ, 0))
    table.remove(2, fingerprint(Algorithm.MD5, 0))
    table.save(folder)
    everything = b"".join(path.read_bytes() for path in folder.iterdir())
    assert fingerprint(Algorithm.MD5, 1).value in everything
    assert fingerprint(Algorithm.MD5, 0).value not in everything
    assert fingerprint(Algorithm.PDQ, 0).value not in everything


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    """A save that was broken off, and a file that is gone: never a table with less in it than was saved."""
    old, new, none = tmp_path / "old", tmp_path / "new", tmp_path / "none"
    table = filled()
    table.save(old)
    table.add([(4, fingerprint(Algorithm.MD5, 5))])
    table.save(new)
    assert FingerprintTable.load(new).sizes()[Algorithm.MD5] == 3
    (old / "md5").replace(new / "md5")
    with pytest.raises(BadIndexFile):
        FingerprintTable.load(new)
    with pytest.raises(BadIndexFile):
        FingerprintTable.load(old)
    (new / "list").write_bytes((new / "pdq").read_bytes())
    with pytest.raises(BadIndexFile):
        FingerprintTable.load(new)
    none.mkdir()
    with pytest.raises(FileNotFoundError):
        FingerprintTable.load(none)
