"""Values compared one by one, by compiled loops: as comparing everything says, wherever the bits that differ are."""

from __future__ import annotations

import numpy as np
import pytest

from services.matcher.index.compile import kernels
from services.matcher.index.linear_scan import scan
from services.matcher.index.protocol import MAX_DISTANCE

BLOCK = 512
"""Of values that the loops take together."""


def changed(value: np.ndarray, bits: range) -> np.ndarray:
    as_bits = np.unpackbits(value)
    as_bits[list(bits)] ^= 1
    return np.packbits(as_bits)


@pytest.mark.parametrize("count", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7])
@pytest.mark.parametrize("wanted_count", [1, 3, 200])
def test_what_agrees_is_found_and_nothing_else(count: int, wanted_count: int) -> None:
    kernels()
    rng = np.random.default_rng(count)
    values = rng.integers(0, 256, size=(count, 32), dtype=np.uint8)
    wanted = rng.integers(0, 256, size=(wanted_count, 32), dtype=np.uint8)
    skipped = rng.random(count) < 0.1
    ranges = [range(0), range(31), range(32), range(112, 143), range(112, 144), range(225, 256), range(224, 256)]
    for slot in {0, 1, BLOCK - 1, BLOCK, BLOCK + 1, count - 1} | set(range(0, count, 61)):
        if 0 <= slot < count:
            values[slot] = changed(wanted[slot % wanted_count], ranges[slot % len(ranges)])
    distances = np.bitwise_count(wanted[:, None, :] ^ values[None, :, :]).sum(axis=2)
    rows, slots = np.nonzero((distances <= MAX_DISTANCE) & ~skipped[None, :])
    expected = sorted((int(row), int(slot), int(distances[row, slot])) for row, slot in zip(rows, slots, strict=True))
    found = scan(wanted, values, skipped)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == expected
