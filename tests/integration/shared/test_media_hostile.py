"""Files made to hurt the decoder, and a decoder that was taken over: a fingerprint or a clear reason, never a hung place."""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import textwrap
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.media.decoder_process import answer
from shared.media.fingerprinter import Fingerprinter, Reason, Undecodable
from tests.integration.shared.media.pictures import (
    alive,
    children_of,
    confined,
    deflated,
    encoded,
    of_process,
    picture,
    until,
)

SMALL = picture(48, 40)
FILES = [
    encoded(SMALL, "JPEG"),
    encoded(SMALL, "JPEG", progressive=True),
    encoded(SMALL.convert("CMYK"), "JPEG"),
    encoded(SMALL, "PNG"),
    encoded(SMALL.convert("LA"), "PNG"),
    encoded(SMALL.convert("1"), "PNG"),
    encoded(SMALL.quantize(16), "PNG"),
    encoded(SMALL, "PNG", save_all=True, append_images=[picture(48, 40, 2)]),
    encoded(SMALL, "GIF", save_all=True, append_images=[picture(48, 40, 2)]),
    encoded(SMALL, "WEBP"),
    encoded(SMALL, "WEBP", save_all=True, append_images=[picture(48, 40, 2)]),
    encoded(SMALL, "BMP"),
    encoded(SMALL, "TIFF", compression="tiff_lzw"),
    encoded(SMALL, "TIFF", compression="jpeg"),
    encoded(SMALL, "AVIF"),
]


@pytest.fixture
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")


def gif(width: int, height: int, frames: int, frame: tuple[int, int] = (1, 1)) -> bytes:
    """Many small frames on a screen as large as it declares."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    one = (
        b"\x21\xf9\x04\x04\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x44\x01\x00"
    )
    return screen + one * frames + b";"


HUGE = {
    "a PNG of more pixels than it may have": png(60_000, 60_000, chunk(b"IDAT", deflated(1000))),
    "a PNG of no pixels": png(0, 0, chunk(b"IDAT", deflated(10))),
    "a PNG of 2^31 columns": png(2**31 - 1, 1, chunk(b"IDAT", deflated(10))),
    "a PNG whose pixels go on for ever": png(64, 64, chunk(b"IDAT", deflated(2_000_000_000))),
    "a PNG with a text that unfolds to a gigabyte": png(
        64, 64, chunk(b"zTXt", b"a\x00\x00" + deflated(1_000_000_000)), chunk(b"IDAT", deflated(64 * 193))
    ),
    "a PNG with a colour profile that unfolds to a gigabyte": png(
        64, 64, chunk(b"iCCP", b"a\x00\x00" + deflated(1_000_000_000)), chunk(b"IDAT", deflated(64 * 193))
    ),
    "an interlaced PNG of 40 Mpx without data": png(8000, 5000, chunk(b"IDAT", deflated(10)), interlaced=1),
    "a GIF with a huge screen": gif(65535, 65535, 1),
    "a GIF with a large screen and very many frames": gif(6000, 6000, 20_000),
    "a GIF with very many small frames": gif(64, 64, 100_000),
    "a WebP that declares the most it can": b"RIFF\x40\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00"
    + b"\xff" * 6,
    "a BMP of negative height": b"BM"
    + struct.pack("<IHHIIiiHHI", 200, 0, 0, 54, 40, 30_000, -30_000, 1, 24, 0)
    + bytes(150),
    "a JPEG header alone": b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9",
}


@pytest.mark.parametrize("what", HUGE)
async def test_a_bomb_costs_little_and_has_a_reason(what: str) -> None:
    async with confined(cpu_seconds=15) as one:
        await one.fingerprint(encoded(SMALL, "PNG"))
        try:
            media = await one.fingerprint(HUGE[what])
        except Undecodable as error:
            assert not error.no_media or error.reason is Reason.NOT_A_PICTURE  # noqa: PT017 - either outcome is right
        else:
            assert len(media.views) <= 200
        for child in children_of(os.getpid()):
            peak = next(line for line in of_process(child, "status").splitlines() if line.startswith("VmHWM"))
            assert int(peak.split()[1]) < 1_200_000  # kB
        assert (await one.fingerprint(encoded(SMALL, "PNG"))).width == 48


async def test_what_comes_after_the_first_view_costs_nobody_the_first_view(fingerprinter: Fingerprinter) -> None:
    whole = encoded(SMALL, "GIF", save_all=True, append_images=[picture(48, 40, seed) for seed in range(2, 9)])
    broken = whole[: len(whole) * 2 // 3]
    media = await fingerprinter.fingerprint(broken)
    assert media.pdq == (await fingerprinter.fingerprint(whole)).pdq
    assert not media.all_seen


async def test_a_page_or_a_script_named_a_picture_is_none(fingerprinter: Fingerprinter) -> None:
    for body in (
        b"<html><img src=x></html>",
        b"#!/bin/sh\n",
        b"\x00" * 500,
        b"GIF89a",
        b"\xff\xd8\xff",
        b"RIFF\x00\x00\x00\x00WEBP",
    ):
        with pytest.raises(Undecodable):
            await fingerprinter.fingerprint(body)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    file=st.sampled_from(FILES),
    changes=st.lists(st.tuples(st.integers(0, 1 << 30), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 1 << 30),
    tail=st.binary(max_size=16),
    reduced=st.booleans(),
)
def test_damaged_files_have_an_outcome(
    file: bytes, changes: list[tuple[int, int]], cut: int, tail: bytes, reduced: bool
) -> None:
    """The function that the child runs, here: it raises nothing, whatever the bytes."""
    body = bytearray(file)
    for place, value in changes:
        body[place % len(body)] = value
    if cut % 3 == 0:
        del body[cut % len(body) :]
    told = answer(bytes(body) + tail, max_pixels=1_000_000, reduced=reduced)
    assert (told.failure in set(Reason)) != bool(told.views)
    for view in told.views:
        assert len(view) == 8
        assert all(len(value) == 64 and 0 <= quality <= 100 for value, quality in view.values())


async def test_damaged_files_leave_the_child_alive(fingerprinter: Fingerprinter) -> None:
    """The same through the process, over every file: headers hit, ends cut."""
    outcomes = set()
    for number, file in enumerate(FILES):
        for place in (5, 9, 17, 30, len(file) // 2):
            body = bytearray(file)
            body[place] ^= 0xFF
            try:
                await fingerprinter.fingerprint(bytes(body[: len(body) - number]))
                outcomes.add("fingerprint")
            except Undecodable as error:
                outcomes.add(error.reason.value)
    assert "fingerprint" in outcomes
    assert "crashed" not in outcomes


# --- a decoder that was taken over ---------------------------------------------------------------------------------------

TAKEN_OVER = {
    "answers no JSON": "say(b'[[[')",
    "answers another word": 'say(b\'{"failure": "fine"}\')',
    "answers nothing known": "say(b'{\"views\": []}')",
    "answers values of another length": 'say(b\'{"views": [{"identity": ["00", 1]}]}\')',
    "announces more than it may say": "os.write(1, b'\\xff\\xff\\xff\\xff'); time.sleep(60)",
    "closes its pipes and lives on": "os.close(1); os.close(0); time.sleep(60)",
    "says nothing": "time.sleep(60)",
    "says half": "os.write(1, b'\\0\\0\\0\\x09abc'); time.sleep(60)",
}


@pytest.mark.parametrize("how", TAKEN_OVER)
async def test_a_decoder_that_was_taken_over_is_a_crash_or_late(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    script.write_text(
        textwrap.dedent(
            f"""\
            #!{sys.executable}
            # shared.media.decoder_process
            import os, struct, time
            def say(text): os.write(1, struct.pack(">I", len(text)) + text)
            say(b"[]")
            os.read(0, 100)
            {TAKEN_OVER[how]}
            time.sleep(60)
            """
        )
    )
    script.chmod(0o700)
    monkeypatch.setattr("shared.media.decoder_pool.GRACE_SECONDS", 0.3)
    monkeypatch.setattr(sys, "executable", str(script))
    async with confined(wall_seconds=1) as one:
        with pytest.raises(Undecodable) as caught:
            async with asyncio.timeout(20):
                await one.fingerprint(encoded(SMALL, "PNG"))
        assert caught.value.reason in (Reason.CRASHED, Reason.OUT_OF_TIME)
        assert not caught.value.no_media
        monkeypatch.undo()
        monkeypatch.setattr("shared.media.decoder_pool.GRACE_SECONDS", 30)  # a busy machine starts processes slowly
        assert (await one.fingerprint(encoded(SMALL, "PNG"))).width == 48  # its place is free again
    await until(lambda: not any(map(alive, children_of(os.getpid()))))
