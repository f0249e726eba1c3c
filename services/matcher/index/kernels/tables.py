"""The tables of a layout and the arrays of a part, as the loops take them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from services.matcher.index.kernels.intrinsics import Bytes, Keys, Words


class Cut(NamedTuple):
    """A layout's tables; see `index/mih_layout.py`, whose names these are."""

    table: Words
    starts: Words
    widths: Words
    flips: Words
    joint_flips: Words
    word_bounds: Words
    low_places: Words
    chunk_masks: Words
    low_masks: Words
    flip_masks: Keys
    flip_starts: Words
    choose: Words


class Tables(NamedTuple):
    """A part's arrays; see `immutable_pdq.ChunkedValues` and `mih_packing.Packing`."""

    values: Words
    alive: Bytes
    bitmaps: Words
    offsets: Keys
    entries: Keys
    spill: Bytes
    slot_bits: np.uint64
    low_bits: Words
    next_bits: Words
    next_masks: Words
