"""Rule 10, no image is kept: fingerprints are made in confined child processes, of the true pixels and bytes."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from shared.media.fingerprinter import (
    Fingerprinter,
)
from shared.media.fingerprints import Algorithm, Orientation, hamming
from shared.media.pdq import hash_orientations, pdq_hash, to_rgb
from tests.integration.shared.media.pictures import (
    encoded,
    picture,
)


async def test_all_fingerprints_are_of_the_true_pixels_and_bytes(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(), "JPEG", quality=90)
    media = await fingerprinter.fingerprint(body)
    with Image.open(io.BytesIO(body)) as opened:
        rgb = to_rgb(opened).copy()
    assert (media.pdq, media.quality) == pdq_hash(rgb)
    (view,) = media.views
    for orientation, (value, quality) in hash_orientations(rgb, tuple(Orientation)).items():
        assert hamming(view[orientation][0], value) <= 2, orientation
        assert view[orientation][1] == quality
    assert media.md5 == hashlib.md5(body).digest()
    assert media.sha1 == hashlib.sha1(body).digest()
    assert media.sha256 == hashlib.sha256(body).digest()
    assert (media.width, media.height, media.format) == (320, 240, "JPEG")
    assert (media.partial, media.complete, media.reduced, media.all_seen) == (False, True, False, True)
    assert [(one.algorithm, one.orientation) for one in media.fingerprints()] == [
        *((Algorithm.PDQ, orientation) for orientation in Orientation),
        (Algorithm.MD5, Orientation.IDENTITY),
        (Algorithm.SHA1, Orientation.IDENTITY),
        (Algorithm.SHA256, Orientation.IDENTITY),
    ]
    assert media.fingerprints(at_most=20) == media.fingerprints()


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"quality": 80}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("AVIF", {}),
        ("JPEG", {"progressive": True}),
        ("CMYK JPEG", {}),
        ("16 bit PNG", {}),
        ("grey PNG", {}),
        ("animated GIF", {}),
        ("animated WEBP", {}),
        ("APNG", {}),
    ],
)
async def test_forms_and_modes_agree_with_the_plain_picture(
    fingerprinter: Fingerprinter, form: str, options: dict[str, object]
) -> None:
    image, name = picture(), form.split(" ")[-1]
    match form:
        case "CMYK JPEG":
            image = image.convert("CMYK")
        case "16 bit PNG":
            image = Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257)
        case "grey PNG":
            image = image.convert("L")
        case "animated GIF" | "animated WEBP" | "APNG":
            options = {"save_all": True, "append_images": [picture(seed=2), picture(seed=3)], "duration": 100}
            name = name.removeprefix("A") if form == "APNG" else name
    media = await fingerprinter.fingerprint(encoded(image, name, **options))
    assert media.format == name
    assert hamming(media.pdq, pdq_hash(picture())[0]) <= 31
    assert hamming(media.pdq, pdq_hash(picture(seed=2))[0]) > 60


async def test_exif_rotation_is_applied(fingerprinter: Fingerprinter) -> None:
    upright = picture()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by 90 degrees
    body = encoded(upright.transpose(Image.Transpose.ROTATE_90), "JPEG", exif=exif, quality=95)
    media = await fingerprinter.fingerprint(body)
    assert (media.width, media.height) == (320, 240)
    assert hamming(media.pdq, pdq_hash(upright)[0]) <= 16


async def test_exif_that_nobody_can_read_turns_nothing(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(), "JPEG", exif=b"Exif\x00\x00MM\x00\x2a\xff\xff\xff\xff")
    assert (await fingerprinter.fingerprint(body)).width == 320


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF"])
async def test_a_file_with_its_end_cut_off_is_still_known(fingerprinter: Fingerprinter, form: str) -> None:
    whole = encoded(picture(), form)
    media = await fingerprinter.fingerprint(whole[: len(whole) * 99 // 100])
    assert media.partial
    assert hamming(media.pdq, pdq_hash(picture())[0]) <= 31
    half = await fingerprinter.fingerprint(whole[: len(whole) // 2])
    assert half.partial


async def test_bytes_after_the_end_change_the_exact_hash_alone(fingerprinter: Fingerprinter) -> None:
    whole = encoded(picture(), "JPEG")
    one, other = await fingerprinter.fingerprint(whole), await fingerprinter.fingerprint(whole + b"tail")
    assert one.pdq == other.pdq
    assert one.sha256 != other.sha256


async def test_a_flat_picture_has_no_quality(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint(encoded(Image.new("RGB", (50, 50), "grey"), "PNG"))
    assert media.quality == 0


async def test_a_picture_of_a_few_pixels_has_exact_fingerprints_alone(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint(encoded(picture(4, 4), "PNG"))
    assert (media.pdq, media.quality) == (bytes(32), 0)
    assert {one.algorithm for one in media.fingerprints()} == {Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256}
