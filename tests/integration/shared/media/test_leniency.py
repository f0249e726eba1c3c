"""Pictures that browsers show although something about them is wrong: hashed."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from shared.media.fingerprinter import Fingerprinter, Reason, Undecodable
from shared.media.fingerprints import hamming
from shared.media.pdq import pdq_hash
from tests.integration.shared.media.nearness import chunk, nearest, with_chunk
from tests.integration.shared.media.pictures import deflated, encoded, picture

CASES = Path(__file__).parents[3] / "data" / "pictures"
BASE, _ = pdq_hash(Image.open(CASES / "base.jpg"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1, quick_seconds=60) as one:
        yield one


pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One child for all: starting it takes longer than most of these pictures."""


# --- the files at hand ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bits", "partial"),
    [
        ("base.jpg", 0, False),
        ("png-text-crc.png", 6, False),
        ("png-ztxt-2mb.png", 6, False),
        ("png-iccp-bomb.png", 6, False),
        ("picture.ico", 14, False),
        ("jpg-appended-sos202.jpg", 0, False),
        ("cut20-base.webp", 31, True),
    ],
)
async def test_what_a_browser_shows_is_hashed(
    fingerprinter: Fingerprinter, name: str, bits: int, partial: bool
) -> None:
    media = await fingerprinter.fingerprint((CASES / name).read_bytes())
    assert hamming(media.pdq, BASE) <= bits
    assert media.partial is partial


async def test_another_picture_is_another(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint((CASES / "other.jpg").read_bytes())
    assert hamming(media.pdq, BASE) > 50
    assert media.all_seen


ANCILLARY = {
    "text with a wrong checksum": with_chunk(chunk(b"tEXt", b"Comment\0hello", crc=1)),
    "a time with a wrong checksum": with_chunk(chunk(b"tIME", bytes(7), crc=1)),
    "gamma with a wrong checksum": with_chunk(chunk(b"gAMA", bytes(4), crc=0xFFFFFFFF)),
    "a profile with a wrong checksum": with_chunk(chunk(b"iCCP", b"icc\0\0" + deflated(100), crc=7)),
    "EXIF with a wrong checksum": with_chunk(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\0", crc=7)),
    "an unknown private chunk with a wrong checksum": with_chunk(chunk(b"prVt", b"abc", crc=9)),
    "compressed text of 2 MB": with_chunk(chunk(b"zTXt", b"a\0\0" + deflated(2_000_000))),
    "many compressed texts of 2 MB": with_chunk(*(chunk(b"zTXt", b"a\0\0" + deflated(2_000_000)),) * 40),
    "international text of 2 MB": with_chunk(chunk(b"iTXt", b"a\0\1\0\0\0" + deflated(2_000_000)), after=b"IEND"),
    "a plain text of 3 MB": with_chunk(chunk(b"tEXt", b"a\0" + b"x" * 3_000_000)),
    "a profile that unfolds to 500 MB": with_chunk(chunk(b"iCCP", b"icc\0\0" + deflated(500_000_000))),
    "a profile of junk": with_chunk(chunk(b"iCCP", bytes(range(256)))),
    "an empty profile": with_chunk(chunk(b"iCCP", b"")),
    "two profiles": with_chunk(chunk(b"iCCP", b"a\0\0xx"), chunk(b"iCCP", b"b\0\0yy")),
    "text without its zero": with_chunk(chunk(b"zTXt", b"nothing")),
    "a compression that nobody knows": with_chunk(chunk(b"zTXt", b"a\0\x09abc")),
    "transparency of a wrong length": with_chunk(chunk(b"tRNS", b"\1")),
    "physical sizes of a wrong length": with_chunk(chunk(b"pHYs", b"\1\2\3")),
    "chromaticities of a wrong length": with_chunk(chunk(b"cHRM", b"\1\2\3")),
    "an animation of a wrong length": with_chunk(chunk(b"acTL", b"\1")),
    "a frame of a wrong length": with_chunk(chunk(b"acTL", struct.pack(">II", 2, 0)), chunk(b"fcTL", b"abc")),
    "a frame larger than the picture": with_chunk(
        chunk(b"acTL", struct.pack(">II", 2, 0)),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9999, 9999, 0, 0, 1, 10, 0, 0)),
    ),
    "bytes after its end": encoded(picture(), "PNG") + b"x" * 5000,
}


@pytest.mark.parametrize("what", ANCILLARY)
async def test_a_png_with_something_wrong_beside_its_pixels(fingerprinter: Fingerprinter, what: str) -> None:
    media = await fingerprinter.fingerprint(ANCILLARY[what])
    assert hamming(media.pdq, pdq_hash(picture())[0]) == 0
    assert not media.partial
    assert media.all_seen or b"acTL" in ANCILLARY[what], "frames that nobody can read are views that were not seen"


@pytest.mark.parametrize("kind", [b"IDAT", b"IHDR", b"IEND"])
async def test_a_png_with_a_wrong_checksum_over_its_pixels_is_looked_at_and_not_trusted(
    fingerprinter: Fingerprinter, kind: bytes
) -> None:
    body = bytearray(encoded(picture(), "PNG"))
    place = body.find(kind) - 4
    body[place + 8 + int.from_bytes(body[place : place + 4])] ^= 0xFF
    media = await fingerprinter.fingerprint(bytes(body))
    assert hamming(media.pdq, pdq_hash(picture())[0]) == 0
    assert not media.all_seen


# --- JPEG ----------------------------------------------------------------------------------------------------------------


def with_segment(marker: int, data: bytes) -> bytes:
    body = encoded(picture(), "JPEG", quality=95)
    return body[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data + body[2:]


JPEGS = {
    "many scans appended after its end": encoded(picture(), "JPEG", quality=95)
    + b"\xff\xda\x00\x08\1\1\0\0\x3f\0" * 5000,
    "many scans within its EXIF": with_segment(0xE1, b"Exif\0\0" + b"\xff\xda" * 5000),
    "many scans within a comment": with_segment(0xFE, b"\xff\xda" * 30_000),
    "a thumbnail of many scans": with_segment(0xE0, b"JFXX\0\x10" + b"\xff\xda" * 500),
    "a whole JPEG appended": encoded(picture(), "JPEG", quality=95)
    + encoded(picture(seed=5), "JPEG", progressive=True) * 20,
    "EXIF of junk": with_segment(0xE1, b"Exif\0\0" + bytes(range(256))),
    "several EXIF of junk": with_segment(0xE1, b"Exif\0\0MM\0*\xff\xff\xff\xff")[:-2] + b"\xff\xd9",
    "a profile of junk": with_segment(0xE2, b"ICC_PROFILE\0\x05\x01junk"),
    "an index of pictures of junk": with_segment(0xE2, b"MPF\0" + bytes(range(100))),
    "a Photoshop block of junk": with_segment(0xED, b"Photoshop 3.0\0" + b"8BIM\x04\x04\xff\xff\xff\xff\xff"),
    "a JFIF head of two bytes": with_segment(0xE0, b"JF"),
    "an Adobe head of junk": with_segment(0xEE, b"Ado"),
    "a segment of no length": with_segment(0xFE, b""),
    "fill bytes before a marker": (lambda body: body[:2] + b"\xff" * 500 + body[2:])(
        encoded(picture(), "JPEG", quality=95)
    ),
}


@pytest.mark.parametrize("what", JPEGS)
async def test_a_jpeg_with_something_odd_beside_its_pixels(fingerprinter: Fingerprinter, what: str) -> None:
    media = await fingerprinter.fingerprint(JPEGS[what])
    assert nearest(media) <= 6
    assert not media.partial


async def test_scans_before_the_end_are_counted_wherever_a_thumbnail_is(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(), "JPEG", progressive=True)
    last, end = body.rfind(b"\xff\xda"), body.rfind(b"\xff\xd9")
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body[:last] + body[last:end] * 300 + b"\xff\xd9" + b"tail")
    assert caught.value.reason is Reason.TOO_MANY_SCANS


TELEPHONES: dict[str, tuple[tuple[int, int], dict[str, object]]] = {
    "48 Mpx": ((8064, 6048), {}),
    "108 Mpx": ((12_000, 9000), {}),
    "48 Mpx, upright": ((6048, 8064), {}),
    "50 Mpx, progressive": ((8192, 6144), {"progressive": True}),
    "48 Mpx, turned by its EXIF": ((8064, 6048), {"turned": True}),
    "a panorama": ((30_000, 2000), {}),
    "48 Mpx, grey": ((8064, 6048), {"grey": True}),
}


@pytest.mark.parametrize("what", TELEPHONES)
async def test_a_telephone_s_jpeg_is_hashed_at_a_smaller_scale(fingerprinter: Fingerprinter, what: str) -> None:
    size, options = TELEPHONES[what]
    small = np.random.default_rng(7).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
    if options.pop("grey", False):
        image = image.convert("L")
    shown = image.reduce(8)
    if options.pop("turned", False):
        exif = Image.Exif()
        exif[0x0112] = 6
        options = {"exif": exif}
        shown = shown.transpose(Image.Transpose.ROTATE_270)
        size = size[::-1]
    media = await fingerprinter.fingerprint(encoded(image, "JPEG", quality=60, **options))
    assert hamming(media.pdq, pdq_hash(shown)[0]) <= 12
    assert (media.width, media.height, media.reduced) == (*size, True)
    assert not media.all_seen, (
        "a forged file may be another picture at a smaller scale: it never says that something is gone"
    )


async def test_a_telephone_s_jpeg_cut_short_is_hashed(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(8064, 6048), "JPEG", quality=60)
    media = await fingerprinter.fingerprint(body[: len(body) * 9 // 10])
    assert media.partial
    assert hamming(media.pdq, pdq_hash(picture(1008, 756))[0]) <= 31


async def test_too_many_pixels_for_any_scale_are_refused(fingerprinter: Fingerprinter) -> None:
    head = (
        b"\xff\xd8\xff\xc0\x00\x11\x08"
        + struct.pack(">HH", 20_000, 20_000)
        + b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    )
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(
            head + b"\xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00" + bytes(500) + b"\xff\xd9"
        )
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


# --- WebP, AVIF ----------------------------------------------------------------------------------------------------------

RIFF_SIZES: dict[str, Callable[[bytes], bytes]] = {
    "declares nothing": lambda body: body[:4] + bytes(4) + body[8:],
    "declares too little": lambda body: body[:4] + struct.pack("<I", 100) + body[8:],
    "declares too much": lambda body: body[:4] + struct.pack("<I", len(body) + 5000) + body[8:],
    "declares the most": lambda body: body[:4] + b"\xff\xff\xff\xff" + body[8:],
    "declares an odd number": lambda body: body[:4] + struct.pack("<I", len(body) - 9) + body[8:],
    "is followed by bytes": lambda body: body + b"tail" * 500,
}


@pytest.mark.parametrize("how", RIFF_SIZES)
@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}], ids=["lossy", "lossless"])
async def test_a_webp_whose_size_is_wrong(fingerprinter: Fingerprinter, how: str, options: dict[str, object]) -> None:
    media = await fingerprinter.fingerprint(RIFF_SIZES[how](encoded(picture(), "WEBP", **options)))
    assert nearest(media) <= 16
    assert not media.partial


async def test_a_webp_with_a_profile_and_metadata_of_junk(fingerprinter: Fingerprinter) -> None:
    body = encoded(picture(), "WEBP", icc_profile=b"junk" * 9, exif=b"Exif\0\0junk", xmp=b"\xff" * 99)
    assert nearest(await fingerprinter.fingerprint(body)) <= 16


@pytest.mark.parametrize("share", [0.95, 0.9, 0.8, 0.6])
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("WEBP", {"quality": 80}),
        ("WEBP", {"lossless": True}),
        ("AVIF", {"quality": 80}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
    ],
    ids=["webp", "lossless webp", "avif", "progressive jpeg", "png"],
)
async def test_a_file_cut_short_is_hashed_as_far_as_it_goes(
    fingerprinter: Fingerprinter, form: str, options: dict[str, object], share: float
) -> None:
    whole = encoded(picture(640, 480), form, **options)
    media = await fingerprinter.fingerprint(whole[: int(len(whole) * share)])
    assert media.partial
    assert not media.all_seen
    if share >= 0.9:
        assert nearest(media, picture(640, 480)) <= 31


@pytest.mark.parametrize("form", ["WEBP", "AVIF", "PNG", "GIF"])
async def test_an_animation_cut_short_shows_its_first_picture(fingerprinter: Fingerprinter, form: str) -> None:
    whole = encoded(picture(), form, save_all=True, append_images=[picture(seed=2), picture(seed=3)], duration=90)
    media = await fingerprinter.fingerprint(whole[: len(whole) * 8 // 10])
    assert nearest(media) <= 20
    assert not media.all_seen


async def test_a_length_of_4_gb_is_no_reason_to_hold_them(fingerprinter: Fingerprinter) -> None:
    webp = encoded(picture(), "WEBP")
    for body in (
        webp[:16] + b"\xff\xff\xff\xfe" + webp[20:],
        b"\0\0\0\x20ftypavif" + bytes(20) + b"\xff\xff\xff\xffmdat" + bytes(100),
    ):
        try:
            await fingerprinter.fingerprint(body)
        except Undecodable as error:
            assert error.reason in (Reason.BROKEN, Reason.UNSUPPORTED_FORMAT)  # noqa: PT017 - either is right
