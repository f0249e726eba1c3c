"""Pictures to fingerprint, and the processes that decode them."""

from __future__ import annotations

import asyncio
import io
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from shared.media.fingerprinter import (
    DEFAULT_LIMITS,
    Fingerprinter,
)
from shared.media.image import MAX_JPEG_SCANS

START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"


def picture(width: int = 320, height: int = 240, seed: int = 1) -> Image.Image:
    """Large shapes and small ones, as a photograph has them."""
    rng = np.random.default_rng(seed)
    layers = [
        Image.fromarray(rng.integers(0, 256, (cells * 3, cells * 4, 3), dtype=np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for cells in (3, 16)
    ]
    return Image.blend(layers[0], layers[1], 0.5)


def deflated(count: int) -> bytes:
    """So many zeros as a zlib stream, by the gigabyte if need be (RFC 1950; a megabyte is deflated once and repeated)."""
    megabytes, rest = divmod(count, 1_000_000)
    packer = zlib.compressobj(9, wbits=-15)
    one = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH) if megabytes else b""
    last = zlib.compressobj(9, wbits=-15)
    adler32 = count % 65521 << 16 | 1
    return b"\x78\xda" + one * megabytes + last.compress(bytes(rest)) + last.flush() + struct.pack(">I", adler32)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def slow_picture() -> bytes:
    """A JPEG of noise that takes seconds to decode on any machine: its last scan comes again and again, as often as is allowed."""
    body = encoded(Image.effect_noise((3500, 3500), 90), "JPEG", progressive=True, quality=90)
    scan = body[body.rfind(START_OF_SCAN) : body.rfind(END_OF_IMAGE)]
    again = MAX_JPEG_SCANS - body.count(START_OF_SCAN)
    return body.removesuffix(END_OF_IMAGE) + scan * again + END_OF_IMAGE


def children_of(parent: int) -> list[int]:
    """The living (not zombie) decoding processes of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(ppid) == parent and state != "Z" and b"shared.media.decoder_process" in command:
                found.append(int(entry.name))
    return found


def of_process(pid: int, name: str) -> str:
    """A file of /proc; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    return of_process(pid, "stat").rpartition(")")[2].split()[:1] not in ([], ["Z"])


async def until(condition: Callable[[], bool], *, within_seconds: float = 10.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)


def confined(**limits: int) -> Fingerprinter:
    return Fingerprinter(workers=1, limits=replace(DEFAULT_LIMITS, **limits))
