"""What the join asks of an index of PDQ values. `reference.py` is the brute-force one and the oracle of any faster one."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from shared.fingerprints import PDQ_MAX_DISTANCE

VALUE_BYTES = 32
MAX_DISTANCE = PDQ_MAX_DISTANCE
"""Two values agree at this Hamming distance or less, in bits."""

Hashes = npt.NDArray[np.uint8]
"""uint8[n, 32]: n values, in the order they are printed."""
Numbers = npt.NDArray[np.int64]
Hits = tuple[Numbers, Numbers, Hashes]
"""(row int64[m], id int64[m], distance uint8[m]): value `row` of the query agrees with value `id` of the index."""


class AlreadyIndexed(ValueError):
    """The id is present already; an id stands for one value."""


class PdqIndex(Protocol):
    """Exact search: every pair at `MAX_DISTANCE` or less is found, in any order, and no other.

    A query may run in a thread while nothing else is called; callers see to that.
    """

    def add(self, id: int, value: bytes) -> None:
        """Raises AlreadyIndexed, and ValueError unless `value` has 32 bytes."""
        ...

    def add_many(self, ids: Numbers, values: Hashes) -> None:
        """`ids` int64[n], `values` uint8[n, 32]. Raises AlreadyIndexed (then nothing is added) and ValueError for a wrong shape."""
        ...

    def remove(self, id: int) -> bool:
        """False when it was not there."""
        ...

    def query(self, values: Hashes) -> Hits:
        """All agreeing pairs of `values` (uint8[n, 32]) and the index. Raises ValueError for a wrong shape."""
        ...

    def __len__(self) -> int: ...


def as_hashes(values: list[bytes]) -> Hashes:
    """Values of 32 bytes each as uint8[n, 32]."""
    return np.frombuffer(b"".join(values), dtype=np.uint8).reshape(len(values), VALUE_BYTES)
