"""Icons, cursors and streams of pictures that browsers show: hashed, within the limits."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from PIL import Image

from shared.media.fingerprinter import Fingerprinter, Reason, Undecodable
from tests.integration.shared.media.nearness import chunk, nearest, with_chunk
from tests.integration.shared.media.pictures import encoded, picture


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1, quick_seconds=60) as one:
        yield one


pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One child for all: starting it takes longer than most of these pictures."""


# --- icons and cursors ---------------------------------------------------------------------------------------------------


def icon(*files: bytes, kind: int = 1) -> bytes:
    """An icon (or a cursor: its hot spot stands where the bits do) of these pictures."""
    head, data = struct.pack("<HHH", 0, kind, len(files)), b""
    for file in files:
        head += struct.pack(
            "<BBBBHHII",
            0,
            0,
            0,
            0,
            7 if kind == 2 else 1,
            9 if kind == 2 else 32,
            len(file),
            6 + 16 * len(files) + len(data),
        )
        data += file
    return head + data


def bitmap(image: Image.Image) -> bytes:
    """As icons hold it: without its file header, of twice the height, with a mask behind it."""
    data = encoded(image, "DIB")
    rows = (image.width + 31) // 32 * 4
    return data[:8] + struct.pack("<i", 2 * image.height) + data[12:] + bytes(rows * image.height)


SMALL = picture(128, 96)
ICONS = {
    "a PNG in an icon": icon(encoded(SMALL, "PNG")),
    "a PNG in a cursor": icon(encoded(SMALL, "PNG"), kind=2),
    "a bitmap in an icon": icon(bitmap(SMALL)),
    "a bitmap in a cursor": icon(bitmap(SMALL), kind=2),
    "a bitmap with alpha": icon(bitmap(SMALL.convert("RGBA"))),
    "a bitmap of few colours": icon(bitmap(SMALL.quantize(200))),
    "a large PNG": icon(encoded(picture(600, 450), "PNG")),
    "a PNG with a wrong checksum beside its pixels": icon(with_chunk(chunk(b"tEXt", b"a\0b", crc=1))),
    "small ones first": icon(encoded(SMALL.resize((16, 16)), "PNG"), encoded(SMALL, "PNG")),
    "a broken one first": icon(encoded(SMALL, "PNG")[:60], encoded(SMALL, "PNG")),
    "another picture beside it": icon(encoded(picture(300, 300, 9), "PNG"), encoded(SMALL, "PNG")),
    "one that lies in its length": icon(encoded(SMALL, "PNG")).replace(
        struct.pack("<I", len(encoded(SMALL, "PNG"))), struct.pack("<I", 3), 1
    ),
}


@pytest.mark.parametrize("what", ICONS)
async def test_icons_and_cursors(fingerprinter: Fingerprinter, what: str) -> None:
    media = await fingerprinter.fingerprint(ICONS[what])
    assert media.format == "ICO"
    assert nearest(media, SMALL) <= 16
    assert media.all_seen is (what != "a broken one first")


async def test_an_icon_of_too_many_pixels_is_refused_before_it_is_decoded(fingerprinter: Fingerprinter) -> None:
    huge = struct.pack("<IiiHHIIiiII", 40, 14_000, 28_000, 1, 32, 0, 0, 0, 0, 0, 0) + bytes(1000)
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(icon(huge))
    assert caught.value.reason is Reason.TOO_MANY_PIXELS


# --- one after another in one answer -------------------------------------------------------------------------------------


def stream(
    *files: bytes, boundary: str = "--frame", line: bytes = b"\r\n", start: bytes = b"", kind: str = "image/jpeg"
) -> bytes:
    head = f"{boundary}\nContent-Type: {kind}\nX-Any: 1\n\n".encode().replace(b"\n", line)
    return start + b"".join(head + file + line for file in files)


FRAME = encoded(picture(), "JPEG", quality=95)
STREAMS = {
    "one part": stream(FRAME),
    "two parts": stream(FRAME, FRAME),
    "line feeds alone": stream(FRAME, FRAME, line=b"\n"),
    "an empty line first": stream(FRAME, start=b"\r\n"),
    "a boundary of many dashes": stream(FRAME, boundary="------7da3", kind="image/png"),
    "its end declared": stream(FRAME) + b"--frame--\r\n",
    "cut in its second part": stream(FRAME, FRAME)[: len(FRAME) * 3 // 2],
    "behind another picture": stream(encoded(picture(seed=4), "JPEG"), FRAME),
}


@pytest.mark.parametrize("what", STREAMS)
async def test_pictures_one_after_another_are_all_seen(fingerprinter: Fingerprinter, what: str) -> None:
    media = await fingerprinter.fingerprint(STREAMS[what])
    assert nearest(media) <= 6
    assert media.format == "JPEG"


async def test_a_stream_without_an_end_is_looked_at_for_a_while(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint(stream(*(FRAME,) * 300))
    assert not media.complete
    assert len(media.views) <= 192
