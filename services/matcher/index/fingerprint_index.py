"""Numbered fingerprints that can be searched: PDQ values by distance, all others by equality. Register and history stand on it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from services.matcher.index.array_file import BadIndexFile, StoredIndex, digest_of, read_stored, write_stored
from services.matcher.index.exact_index import ExactTable
from services.matcher.index.merging_parts import Measures
from services.matcher.index.pdq_index import ChunkedPdqIndex
from services.matcher.index.protocol import Hashes, Hits, Numbers
from shared.media.fingerprints import Algorithm, Fingerprint

_KIND = "fingerprints"
_LIST, _OF = "list", "of"
_PIECE = 1_024
"""Fewer than start a merge in the thread that adds: `add` is called where nothing may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """The wanted fingerprint at `row` agrees with the one numbered `number`, `distance` bits apart (0 for exact algorithms)."""

    row: int
    number: int
    distance: int


class FingerprintTable:
    """A number stands for one fingerprint of an algorithm. Any method may be called from any thread, also beside a search.

    What is merged is merged in a thread of its own; `settle` waits for it.
    """

    def __init__(self) -> None:
        self._tables: dict[Algorithm, ChunkedPdqIndex | ExactTable] = {
            algorithm: ExactTable(algorithm.size_bytes) if algorithm.exact else ChunkedPdqIndex()
            for algorithm in Algorithm
        }

    def sizes(self) -> dict[Algorithm, int]:
        """How many fingerprints there are of each algorithm."""
        return {algorithm: len(table) for algorithm, table in self._tables.items()}

    @property
    def nbytes(self) -> int:
        """Bytes of memory, those that are mapped from files among them."""
        return sum(table.nbytes for table in self._tables.values())

    def measures(self) -> dict[Algorithm, Measures]:
        return {algorithm: table.measures() for algorithm, table in self._tables.items()}

    def add(self, numbered: Iterable[tuple[int, Fingerprint]]) -> None:
        """Found by the next search; never waits for a merge or a compiler. Raises AlreadyIndexed."""
        for algorithm, some in _by_algorithm(numbered).items():
            for start in range(0, len(some), _PIECE):
                piece = some[start : start + _PIECE]
                numbers = np.array([number for number, _ in piece], dtype=np.int64)
                self._tables[algorithm].add_many(numbers, _values(algorithm, [one for _, one in piece]))

    def add_values(self, algorithm: Algorithm, numbers: Numbers, values: Hashes) -> None:
        """`numbers` int64[n], `values` uint8[n, size]. Many at once are frozen before it returns, and it may wait for a merge.

        Raises AlreadyIndexed (then nothing is added) and ValueError for a wrong shape.
        """
        self._tables[algorithm].add_many(numbers, values)

    def remove(self, number: int, fingerprint: Fingerprint) -> None:
        """Nothing happens when it is not there."""
        self._tables[fingerprint.algorithm].remove(number)

    def remove_many(self, algorithm: Algorithm, numbers: Numbers) -> int:
        """Those that are there go; how many they were."""
        return self._tables[algorithm].remove_many(numbers)

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        """Everything that agrees; one query for all values of an algorithm."""
        hits: list[Hit] = []
        for algorithm, some in _by_algorithm(enumerate(wanted)).items():
            if not len(self._tables[algorithm]):
                continue
            found = self.search_values(algorithm, _values(algorithm, [fingerprint for _, fingerprint in some]))
            hits.extend(
                Hit(row=some[place][0], number=number, distance=distance)
                for place, number, distance in zip(*(column.tolist() for column in found), strict=True)
            )
        return hits

    def search_values(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """(row int64[m], number int64[m], distance uint8[m]) of everything that agrees with `values`, uint8[n, size]."""
        return self._tables[algorithm].query(values)

    def settle(self) -> None:
        """Wait for merges under way. Raises what one has failed with; nothing is lost by it."""
        for table in self._tables.values():
            table.settle()

    # Files

    def save(self, directory: Path, *, of: str = "") -> None:
        """Write what is there now, and nothing removed, to files in `directory`, which is made where there is none (0700).

        The list of the files comes last: broken off, it leaves what `load` refuses, or what was there before. `of`: what it is the
        table of, which `load` asks for. Raises OSError.
        """
        directory.mkdir(mode=0o700, exist_ok=True)
        words = [f"{_OF}:{of}"] if of else []
        for algorithm, table in self._tables.items():
            path = directory / algorithm.value
            if len(table):
                table.save(path)
                words.append(f"{algorithm}:{digest_of(path).hex()}")
            else:
                path.unlink(missing_ok=True)
        write_stored(directory / _LIST, StoredIndex(kind=_KIND, words=tuple(words), arrays={}))

    @classmethod
    def load(cls, directory: Path, *, of: str = "") -> Self:
        """The table that was saved there, mapped into memory. Raises BadIndexFile (also when it is the table of something else) and
        OSError (FileNotFoundError: nothing was saved)."""
        listed = read_stored(directory / _LIST)
        if listed.kind != _KIND:
            raise BadIndexFile(f"{_LIST} is of kind {listed.kind!r}, not {_KIND!r}")
        words = [word.partition(":") for word in listed.words]
        if [value for name, _, value in words if name == _OF] != ([of] if of else []):
            raise BadIndexFile(f"{_LIST} is of another table")
        table = cls()
        for name, _, digest in words:
            if name == _OF:
                continue
            if name not in set(Algorithm):
                raise BadIndexFile(f"algorithm {name!r} is not known")
            path, algorithm = directory / name, Algorithm(name)
            if not path.exists() or digest_of(path).hex() != digest:
                raise BadIndexFile(f"{name} is not the file that was listed")
            table._tables[algorithm] = (
                ExactTable.load(path, algorithm.size_bytes) if algorithm.exact else ChunkedPdqIndex.load(path)
            )
        return table


def _by_algorithm(numbered: Iterable[tuple[int, Fingerprint]]) -> dict[Algorithm, list[tuple[int, Fingerprint]]]:
    groups: dict[Algorithm, list[tuple[int, Fingerprint]]] = {}
    for number, fingerprint in numbered:
        groups.setdefault(fingerprint.algorithm, []).append((number, fingerprint))
    return groups


def _values(algorithm: Algorithm, fingerprints: Sequence[Fingerprint]) -> Hashes:
    joined = b"".join(fingerprint.value for fingerprint in fingerprints)
    return np.frombuffer(joined, dtype=np.uint8).reshape(-1, algorithm.size_bytes)
