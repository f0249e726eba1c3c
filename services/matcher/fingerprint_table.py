"""Numbered fingerprints that can be searched: PDQ values by distance, all others by equality. Register and history stand on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from services.matcher.index import Hashes, Hits, PdqIndex, as_hashes
from services.matcher.reference import BruteForceIndex
from shared.fingerprints import Algorithm, Fingerprint

MakeIndex = Callable[[], PdqIndex]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """The wanted fingerprint at `row` agrees with the one numbered `number`, `distance` bits apart (0 for exact algorithms)."""

    row: int
    number: int
    distance: int


class FingerprintTable:
    """`search` changes nothing, so it may run in a thread while nobody adds or removes."""

    def __init__(self, make_index: MakeIndex = BruteForceIndex) -> None:
        self._index = make_index()
        self._exact: dict[tuple[Algorithm, bytes], set[int]] = {}
        self._sizes = dict.fromkeys(Algorithm, 0)

    def sizes(self) -> dict[Algorithm, int]:
        """How many fingerprints there are of each algorithm."""
        return dict(self._sizes)

    def add(self, numbered: Iterable[tuple[int, Fingerprint]]) -> None:
        """Raises AlreadyIndexed for a PDQ number that is there already."""
        perceptual: list[tuple[int, bytes]] = []
        for number, fingerprint in numbered:
            self._sizes[fingerprint.algorithm] += 1
            if fingerprint.algorithm.exact:
                self._exact.setdefault((fingerprint.algorithm, fingerprint.value), set()).add(number)
            else:
                perceptual.append((number, fingerprint.value))
        if perceptual:
            numbers = np.array([number for number, _ in perceptual], dtype=np.int64)
            self._index.add_many(numbers, as_hashes([value for _, value in perceptual]))

    def remove(self, number: int, fingerprint: Fingerprint) -> None:
        self._sizes[fingerprint.algorithm] -= 1
        if not fingerprint.algorithm.exact:
            self._index.remove(number)
            return
        key = (fingerprint.algorithm, fingerprint.value)
        left = self._exact[key]
        left.discard(number)
        if not left:
            del self._exact[key]

    def search_values(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """(row int64[m], number int64[m], distance uint8[m]) of all that agree with `values`, uint8[n, size of the algorithm]."""
        if not algorithm.exact:
            return self._index.query(values)
        found = [
            (row, number)
            for row, value in enumerate(values)
            for number in self._exact.get((algorithm, value.tobytes()), ())
        ]
        pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
        return pairs[:, 0], pairs[:, 1], np.zeros(len(pairs), dtype=np.uint8)

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        """Everything that agrees; one query of the index for all PDQ values."""
        hits = [
            Hit(row=row, number=number, distance=0)
            for row, fingerprint in enumerate(wanted)
            if fingerprint.algorithm.exact
            for number in self._exact.get((fingerprint.algorithm, fingerprint.value), ())
        ]
        rows = [row for row, fingerprint in enumerate(wanted) if not fingerprint.algorithm.exact]
        if rows and len(self._index):
            found, numbers, distances = self._index.query(as_hashes([wanted[row].value for row in rows]))
            hits.extend(
                Hit(row=rows[position], number=number, distance=distance)
                for position, number, distance in zip(found.tolist(), numbers.tolist(), distances.tolist(), strict=True)
            )
        return hits
