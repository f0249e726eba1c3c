"""Rule 10: decoding has limits of memory, processor and time, and a clear reason when one is reached."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import zlib

import pytest
from PIL import Image

from shared.media.fingerprinter import (
    DEFAULT_LIMITS,
    Fingerprinter,
    Limits,
    Reason,
    Undecodable,
)
from tests.integration.shared.media.pictures import (
    alive,
    children_of,
    confined,
    encoded,
    picture,
    slow_picture,
)


def png_declaring(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("body", "reason", "no_media"),
    [
        (b"", Reason.EMPTY, True),
        (b"<!doctype html><p>not here any more", Reason.NOT_A_PICTURE, True),
        (b"GIF8", Reason.NOT_A_PICTURE, True),
        (os.urandom(5000), Reason.NOT_A_PICTURE, True),
        (b"%PDF-1.7", Reason.NOT_A_PICTURE, True),
        (b"\x00\x00\x00\x20ftypisom" + bytes(100), Reason.UNSUPPORTED_FORMAT, False),
        (b"\x00\x00\x00\x20ftypheic" + bytes(100), Reason.UNSUPPORTED_FORMAT, False),
        (b"\x1a\x45\xdf\xa3" + bytes(100), Reason.UNSUPPORTED_FORMAT, False),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", Reason.UNSUPPORTED_FORMAT, False),
        (b"\xff\x0a" + bytes(100), Reason.UNSUPPORTED_FORMAT, False),
        (encoded(picture(), "JPEG")[:150], Reason.BROKEN, False),
        (png_declaring(10_000, 4_001), Reason.TOO_MANY_PIXELS, False),
        (png_declaring(60_000, 60_000), Reason.TOO_MANY_PIXELS, False),
    ],
)
async def test_a_clear_reason_and_a_living_worker(
    fingerprinter: Fingerprinter, body: bytes, reason: Reason, no_media: bool
) -> None:
    await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))
    (child,) = children_of(os.getpid())
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body)
    assert (caught.value.reason, caught.value.no_media) == (reason, no_media)
    assert (await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40
    assert children_of(os.getpid()) == [child]


async def test_formats_that_are_not_on_the_list_are_not_decoded(fingerprinter: Fingerprinter) -> None:
    for form in ("PPM", "PCX", "TGA", "EPS"):
        with pytest.raises(Undecodable) as caught:
            await fingerprinter.fingerprint(encoded(picture(64, 64), form))
        assert caught.value.reason is Reason.NOT_A_PICTURE


async def test_memory_is_bounded() -> None:
    body = encoded(Image.new("RGB", (6000, 6000), "red"), "PNG")
    assert len(body) < 500_000
    async with confined(memory_bytes=300_000_000) as small:
        with pytest.raises(Undecodable) as caught:
            await small.fingerprint(body)
        assert caught.value.reason in (Reason.OUT_OF_MEMORY, Reason.CRASHED)
        assert not caught.value.no_media
        assert (await small.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40


async def test_the_largest_allowed_picture_fits_the_limits(fingerprinter: Fingerprinter) -> None:
    media = await fingerprinter.fingerprint(encoded(picture(8000, 5000), "JPEG", progressive=True, quality=60))
    assert (media.width, media.height) == (8000, 5000)


async def test_processor_time_is_bounded_for_each_picture() -> None:
    slow = slow_picture()
    async with confined(cpu_seconds=1) as hasty:
        for _ in range(3):  # many small ones together take their time and are not held against each other
            await asyncio.gather(*(hasty.fingerprint(encoded(picture(900, 900), "JPEG")) for _ in range(4)))
        with pytest.raises(Undecodable) as caught:
            await hasty.fingerprint(slow)
        assert caught.value.reason is Reason.OUT_OF_TIME
        assert not caught.value.no_media
        assert (await hasty.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40


async def test_a_child_that_hangs_is_replaced_at_its_wall_time() -> None:
    async with confined(wall_seconds=1) as hasty:
        await hasty.fingerprint(encoded(picture(40, 40), "PNG"))
        (child,) = children_of(os.getpid())
        with pytest.raises(Undecodable) as caught:
            await hasty.fingerprint(encoded(picture(6300, 6300), "PNG", compress_level=1))
        assert caught.value.reason is Reason.OUT_OF_TIME
        assert not alive(child)
        assert (await hasty.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40


async def test_a_child_that_was_stopped_is_killed_by_its_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with confined(wall_seconds=1) as hasty:
        await hasty.fingerprint(encoded(picture(40, 40), "PNG"))
        monkeypatch.setattr("shared.media.decoder_pool.GRACE_SECONDS", 0.5)
        (child,) = children_of(os.getpid())
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(Undecodable) as caught:
            await hasty.fingerprint(encoded(picture(40, 40), "PNG"))
        assert caught.value.reason is Reason.OUT_OF_TIME
        assert not alive(child)


def test_limits_are_a_value() -> None:
    assert Limits(max_pixels=40_000_000, memory_bytes=1_500_000_000, cpu_seconds=20, wall_seconds=30) == DEFAULT_LIMITS
