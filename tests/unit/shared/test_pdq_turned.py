"""All orientations at once, beside the reference's arithmetic on turned pixels; and at a smaller scale."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.media.fingerprints import Orientation, hamming
from shared.media.pdq import hash_orientations, luma_of, to_rgb
from shared.media.pdq_orientations import turned_hashes

PICTURES = Path(__file__).parents[2] / "data" / "pdq"
TABLE: list[dict[str, Any]] = json.loads((PICTURES / "table.json").read_text())["pictures"]
TELLING = [row for row in TABLE if row["quality"] >= 50]


def test_there_are_telling_pictures() -> None:
    assert len(TELLING) >= 25


@pytest.mark.parametrize("row", TELLING, ids=lambda row: row["name"])
def test_every_orientation_agrees_with_the_hash_of_the_turned_pixels(row: dict[str, Any]) -> None:
    with Image.open(PICTURES / row["name"]) as picture:
        rgb = np.asarray(to_rgb(picture))
    at_once = turned_hashes(luma_of(rgb))
    assert list(at_once) == list(Orientation)
    for orientation, (value, quality) in hash_orientations(rgb, tuple(Orientation)).items():
        # Two bits change places where two coefficients at the median do.
        assert hamming(at_once[orientation][0], value) <= 2, orientation
        assert at_once[orientation][1] == quality
    assert hamming(at_once[Orientation.MIRROR][0], bytes.fromhex(row["mirror_pdq"])) <= 2


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 400), width=st.integers(1, 400), seed=st.integers(0, 2**32 - 1))
def test_every_size_has_all_orientations(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    at_once = turned_hashes(luma_of(pixels))
    if min(height, width) < 5:
        assert set(at_once.values()) == {(bytes(32), 0)}
        return
    # Thinner ones have coefficients that are zero but for rounding, and those lie at the median.
    if min(height, width) >= 64:
        for orientation, (value, quality) in hash_orientations(
            pixels, (Orientation.IDENTITY, Orientation.ROTATE90)
        ).items():
            assert hamming(at_once[orientation][0], value) <= 4
            assert abs(at_once[orientation][1] - quality) <= 1


def test_whole_numbers_are_taken_as_they_are() -> None:
    grey = np.random.default_rng(1).integers(0, 256, (90, 130), dtype=np.uint8)
    before = grey.copy()
    assert turned_hashes(grey) == turned_hashes(grey.astype(np.float32))
    assert (grey == before).all()


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(2048, 2111), (3001, 2053)])
def test_a_picture_decoded_smaller_is_sampled_where_it_was(size: tuple[int, int], scale: int) -> None:
    rng = np.random.default_rng(scale)
    coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    buffer = io.BytesIO()
    coarse.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    with Image.open(buffer) as whole:
        true = hash_orientations(whole, (Orientation.IDENTITY, Orientation.ROTATE180))
    with Image.open(buffer) as smaller:
        smaller.draft("L", (size[0] // scale, size[1] // scale))
        hashes = turned_hashes(np.asarray(smaller), of=(size[1], size[0]))
        assert smaller.size == (-(-size[0] // scale), -(-size[1] // scale))
    for orientation, (value, quality) in true.items():
        assert hamming(hashes[orientation][0], value) <= 4
        assert hashes[orientation][1] == quality


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_luma_is_the_reference_s(red: int, green: int, blue: int) -> None:
    expected = np.float32((red * 0.299 + green * 0.587) + blue * 0.114)
    assert luma_of(np.array([[[red, green, blue]]], dtype=np.uint8))[0, 0] == expected
