"""PDQ against `pdqhash`'s own answers, bit for bit and in quality."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.media.fingerprints import Orientation, derive_orientations, hamming
from shared.media.pdq import hash_orientations, luma_of, pdq_hash, pdq_of_luma, to_rgb

PICTURES = Path(__file__).parents[2] / "data" / "pdq"
TABLE: list[dict[str, Any]] = json.loads((PICTURES / "table.json").read_text())["pictures"]

TURNS = {
    Orientation.MIRROR: Image.Transpose.FLIP_LEFT_RIGHT,
    Orientation.FLIP: Image.Transpose.FLIP_TOP_BOTTOM,
    Orientation.ROTATE90: Image.Transpose.ROTATE_90,
    Orientation.ROTATE180: Image.Transpose.ROTATE_180,
    Orientation.ROTATE270: Image.Transpose.ROTATE_270,
    Orientation.TRANSPOSE: Image.Transpose.TRANSPOSE,
    Orientation.TRANSVERSE: Image.Transpose.TRANSVERSE,
}


def test_the_oracle_is_broad() -> None:
    assert len(TABLE) >= 30
    assert {row["mode"] for row in TABLE} >= {"1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"}
    assert {row["name"] for row in TABLE} == {path.name for path in PICTURES.iterdir()} - {"table.json", "generate.py"}
    assert len({row["quality"] for row in TABLE}) >= 5


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row["name"])
def test_every_bit_and_the_quality_agree_with_the_oracle(row: dict[str, Any]) -> None:
    with Image.open(PICTURES / row["name"]) as picture:
        assert picture.mode == row["mode"]
        pdq, quality = pdq_hash(picture)
        both = hash_orientations(picture)
    assert (pdq.hex(), quality) == (row["pdq"], row["quality"])
    assert both[Orientation.IDENTITY] == (pdq, quality)
    mirrored, mirror_quality = both[Orientation.MIRROR]
    assert (mirrored.hex(), mirror_quality) == (row["mirror_pdq"], row["mirror_quality"])


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    with Image.open(PICTURES / "mode_RGBA.png") as opened:
        return to_rgb(opened)


@pytest.mark.parametrize("orientation", TURNS)
def test_an_orientation_is_the_hash_of_the_turned_pixels(picture: Image.Image, orientation: Orientation) -> None:
    turned = hash_orientations(picture, (Orientation.IDENTITY, orientation))
    assert turned[orientation] == pdq_hash(picture.transpose(TURNS[orientation]))
    assert hash_orientations(picture, (orientation,))[orientation] == turned[orientation]
    assert turned[Orientation.IDENTITY] == pdq_hash(picture)


@pytest.mark.parametrize("orientation", TURNS)
def test_a_derived_value_is_nearest_to_its_own_orientation(picture: Image.Image, orientation: Orientation) -> None:
    true = {name: value for name, (value, _) in hash_orientations(picture, tuple(Orientation)).items()}
    derived = derive_orientations(true[Orientation.IDENTITY])[orientation]
    distances = {name: hamming(derived, value) for name, value in true.items()}
    assert min(distances, key=distances.__getitem__) is orientation
    assert distances[orientation] <= 64  # two unrelated pictures are some 128 apart


def test_derived_orientations_form_a_group(picture: Image.Image) -> None:
    value, _ = pdq_hash(picture)

    def twice(orientation: Orientation) -> bytes:
        return derive_orientations(derive_orientations(value)[orientation])[orientation]

    for own_inverse in (Orientation.MIRROR, Orientation.FLIP, Orientation.ROTATE180, Orientation.TRANSPOSE):
        assert twice(own_inverse) == value
    assert twice(Orientation.ROTATE90) == derive_orientations(value)[Orientation.ROTATE180]


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 300), seed=st.integers(0, 2**32 - 1))
def test_every_size_has_a_hash_and_a_grey_picture_the_same_as_its_rgb(height: int, width: int, seed: int) -> None:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    pdq, quality = pdq_hash(Image.fromarray(grey, "L"))
    assert len(pdq) == 32
    assert 0 <= quality <= 100
    assert pdq_hash(np.repeat(grey[:, :, None], 3, axis=2)) == (pdq, quality)
    if min(height, width) < 5:
        assert (pdq, quality) == (bytes(32), 0)
    else:
        assert int.from_bytes(pdq).bit_count() <= 128


def test_a_hash_survives_reencoding_and_resizing(picture: Image.Image) -> None:
    original, _ = pdq_hash(picture)
    half, _ = pdq_hash(picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS))
    assert hamming(original, half) <= 31
    mirror = hash_orientations(picture)[Orientation.MIRROR][0]
    assert hamming(original, mirror) > 31


def test_pixels_are_not_changed() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    before = pixels.copy()
    hash_orientations(pixels, tuple(Orientation))
    assert (pixels == before).all()


def test_blocks_do_not_change_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (301, 207, 3), dtype=np.uint8)
    whole = pdq_of_luma(luma_of(pixels))
    monkeypatch.setattr("shared.media.pdq._BLOCK_VALUES", 1000)
    assert pdq_of_luma(luma_of(pixels)) == whole
