"""Views: where the parts of a picture lie, and what they hash to. Pure, of small planes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from shared.media.fingerprints import Orientation, hamming
from shared.media.pdq import Pixels, pdq_hash
from shared.media.pdq_orientations import turned_hashes
from shared.media.views.finding import MAX_VIEWS, TURNS_DEGREES, views_of
from shared.media.views.hashing import LONGER_SIDE_PLACES, parts_of, small_plane
from shared.media.views.view import MIN_SHARE, Area, ViewName
from tests.integration.shared.media.pictures import picture

SIDES = st.integers(1, 80)


@given(
    st.tuples(SIDES, SIDES).flatmap(
        lambda shape: st.one_of(
            arrays.arrays(np.uint8, shape, elements=st.integers(0, 255), fill=st.integers(0, 255)),
            arrays.arrays(np.uint8, shape, elements=st.sampled_from((0, 255)), fill=st.just(0)),
        )
    )
)
def test_every_view_lies_in_its_picture_and_is_large_enough(plane: Pixels) -> None:
    height, width = plane.shape
    views = views_of(plane)
    assert len(views) <= MAX_VIEWS
    for view in views:
        left, top, right, bottom = view.area
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
        assert view.area.places >= MIN_SHARE * height * width
    searched = [one.area for one in views if not one.fixed]
    assert len(searched) == len(set(searched))
    assert Area(0, 0, width, height) not in searched


@pytest.mark.parametrize(
    ("left", "top", "right", "bottom"), [(40, 40, 40, 40), (0, 30, 0, 0), (0, 0, 0, 90), (5, 5, 5, 5), (120, 0, 120, 0)]
)
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_even_border_is_trimmed_to_the_place(left: int, top: int, right: int, bottom: int, shade: int) -> None:
    inner = np.asarray(picture(320, 240).convert("L"))
    plane = np.pad(inner, ((top, bottom), (left, right)), constant_values=shade)
    trims = [one.area for one in views_of(plane) if one.name is ViewName.TRIM]
    wanted = Area(left, top, left + 320, top + 240)
    assert any(max(abs(a - b) for a, b in zip(area, wanted, strict=True)) <= 1 for area in trims), trims


@pytest.mark.parametrize(
    ("across", "down", "gap"), [(2, 1, 0), (1, 2, 0), (2, 2, 0), (2, 1, 4), (1, 2, 8), (2, 2, 4), (3, 2, 4), (3, 2, 9)]
)
def test_a_collage_falls_into_its_cells(across: int, down: int, gap: int) -> None:
    width, height = 160, 120
    plane = np.full((down * (height + gap) - gap, across * (width + gap) - gap), 255, np.uint8)
    for row in range(down):
        for column in range(across):
            top, left = row * (height + gap), column * (width + gap)
            tile = np.asarray(picture(width, height, 1 + row * across + column).convert("L"))
            plane[top : top + height, left : left + width] = tile
    found = [one.area for one in views_of(plane) if one.name is not ViewName.TURN]
    for row in range(down):
        for column in range(across):
            top, left = row * (height + gap), column * (width + gap)
            wanted = Area(left, top, left + width, top + height)
            assert any(max(abs(a - b) for a, b in zip(area, wanted, strict=True)) <= 2 for area in found), wanted


def test_a_part_hashes_to_what_its_picture_does_in_all_orientations() -> None:
    inner = picture(800, 600)
    framed = ImageOps.expand(inner, (90, 70, 130, 50), "navy")
    (trim,) = [one for one in parts_of(framed) if one.name is ViewName.TRIM]
    for orientation, (value, quality) in turned_hashes(np.asarray(inner.convert("L"))).items():
        assert hamming(trim.hashes[orientation][0], value) <= 16, orientation
        assert abs(trim.hashes[orientation][1] - quality) <= 10
    assert trim.rectangle == pytest.approx((90 / 1020, 70 / 720, 890 / 1020, 670 / 720), abs=0.005)


@pytest.mark.parametrize("degrees", TURNS_DEGREES)
def test_a_picture_turned_by_some_degrees_is_turned_back(degrees: int) -> None:
    straight = picture(640, 480)
    turned = straight.rotate(-degrees, Image.Resampling.BICUBIC)
    value, _ = pdq_hash(straight)
    assert min(hamming(one.hashes[Orientation.IDENTITY][0], value) for one in parts_of(turned)) <= 50
    whole, _ = pdq_hash(turned)
    assert abs(degrees) < 4 or hamming(whole, value) > 50


@pytest.mark.parametrize(
    "hostile",
    [
        Image.new("RGB", (1, 1)),
        Image.new("RGB", (16_000, 1)),
        Image.new("RGB", (16_000, 300), "red"),
        Image.new("1", (3000, 2000), 1),
        Image.new("RGBA", (640, 480), (0, 0, 0, 0)),
        Image.new("I;16", (400, 300), 65_535),
        Image.effect_noise((1600, 1200), 120).convert("RGB"),
        Image.effect_noise((64, 2000), 120),
        Image.fromarray((np.indices((900, 900)).sum(axis=0) % 2 * 255).astype(np.uint8)),
        Image.fromarray((np.indices((900, 900))[0] // 30 % 2 * 255).astype(np.uint8)),
    ],
    ids=lambda image: f"{image.mode} {image.size}",
)
def test_whatever_a_picture_is_it_has_few_parts_of_good_quality(hostile: Image.Image) -> None:
    plane = small_plane(hostile)
    assert max(plane.shape) <= LONGER_SIDE_PLACES
    parts = parts_of(hostile)
    assert len(parts) <= MAX_VIEWS
    for part in parts:
        left, top, right, bottom = part.rectangle
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert set(part.hashes) == set(Orientation)
        assert part.hashes[Orientation.IDENTITY][1] >= 50
        assert all(len(value) == 32 for value, _ in part.hashes.values())


def test_what_is_blank_has_no_parts() -> None:
    assert parts_of(Image.new("RGB", (800, 600), "grey")) == ()
    assert parts_of(Image.new("RGB", (60, 60))) == ()


@pytest.mark.parametrize("kind", ["border", "collage"])
def test_a_picture_that_ends_in_a_sky_keeps_it(kind: str) -> None:
    inner = np.asarray(picture(320, 240).convert("L")).copy()
    inner[:70] = 200
    if kind == "border":
        plane = np.pad(inner, 40, constant_values=20)
        wanted = Area(40, 40, 360, 280)
    else:
        plane = np.concatenate(
            (np.asarray(picture(320, 240, 2).convert("L")), np.full((240, 4), 255, np.uint8), inner), 1
        )
        wanted = Area(324, 0, 644, 240)
    found = [one.area for one in views_of(plane) if not one.fixed]
    assert any(max(abs(a - b) for a, b in zip(area, wanted, strict=True)) <= 2 for area in found), found
