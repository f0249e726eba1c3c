"""What the join asks of an index of PDQ values. `brute_force.py` is the brute-force one and the oracle of any faster one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from shared.media.fingerprints import PDQ_MAX_DISTANCE

VALUE_BYTES = 32
MAX_DISTANCE = PDQ_MAX_DISTANCE
"""Two values agree at this Hamming distance or less, in bits."""

Hashes = npt.NDArray[np.uint8]
"""uint8[n, 32]: n values, in the order they are printed."""
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Hits = tuple[Numbers, Numbers, Hashes]
"""(row int64[m], id int64[m], distance uint8[m]): value `row` of the query agrees with value `id` of the index."""


class AlreadyIndexed(ValueError):
    """The id is present already; an id stands for one value."""


class PdqIndex(Protocol):
    """Numbered PDQ values, searched exactly: every pair at `max_distance` bits or less is found, once, in any order, and no other.

    A value is 256 bits, 32 bytes in the order in which PDQ prints them, compared by Hamming distance (Meta, "The TMK+PDQF Video-Hashing
    Algorithm and the PDQ Image-Hashing Algorithm", 2019). An id is any int64, given by the caller, and may be given again once removed;
    equal values may have several ids. `pdq_index.py` is the one that is used, by multi-index hashing (Norouzi, Punjani, Fleet, "Fast
    Search in Hamming Space with Multi-Index Hashing", CVPR 2012); `brute_force.py` compares everything and is the oracle of its tests.
    While a query runs in a thread nothing else may be called, unless the kind of index says that it may; callers see to that.
    """

    max_distance: int
    """Bits, 0 to 31."""

    def add(self, id: int, value: bytes) -> None:
        """Found by the next query. Raises AlreadyIndexed, and ValueError unless `value` has 32 bytes."""
        ...

    def add_many(self, ids: Numbers, values: Hashes) -> None:
        """`ids` int64[n], `values` uint8[n, 32]; all are found by the next query.

        Raises AlreadyIndexed for an id that is present or given twice (then nothing is added), and ValueError for a wrong shape or type.
        """
        ...

    def remove(self, id: int) -> bool:
        """Not found by the next query. False when it was not there."""
        ...

    def remove_many(self, ids: Numbers) -> int:
        """Those of `ids` (int64[n], repeats allowed) that are there go at once; how many they were."""
        ...

    def query(self, values: Hashes) -> Hits:
        """All agreeing pairs of `values` (uint8[n, 32]) and the index: (row int64[m], id int64[m], distance in bits uint8[m]).

        Raises ValueError for a wrong shape or type.
        """
        ...

    def __len__(self) -> int:
        """Entries: ids that are present."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the entries take, those mapped from a file among them."""
        ...

    def save(self, path: Path) -> None:
        """Write what is there now, and nothing that was removed, to a file that `load` reads: written beside, fsynced, renamed, 0600.

        Raises OSError; then there is the old file, or none, as before.
        """
        ...

    @classmethod
    def load(cls, path: Path, max_distance: int = MAX_DISTANCE) -> Self:
        """The index that was saved. Raises BadIndexFile (`array_file.py`) for a file that is damaged or of another kind, and OSError."""
        ...


def as_hashes(values: list[bytes]) -> Hashes:
    """Values of 32 bytes each as uint8[n, 32]."""
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), VALUE_BYTES)
