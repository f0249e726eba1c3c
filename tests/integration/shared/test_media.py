"""Rule 10, no image is kept: fingerprinting in confined child processes: bombs, broken files, killed children, and a parent that dies."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
import struct
import sys
import time
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.media.fingerprinter import (
    DEFAULT_LIMITS,
    DecoderUnavailable,
    Fingerprinter,
    Limits,
    Reason,
    Undecodable,
)
from shared.media.fingerprints import Algorithm, Orientation, hamming
from shared.media.image import MAX_JPEG_SCANS
from shared.media.pdq import hash_orientations, pdq_hash, to_rgb

ROOT = Path(__file__).parents[3]
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


@pytest.fixture
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one


def confined(**limits: int) -> Fingerprinter:
    return Fingerprinter(workers=1, limits=replace(DEFAULT_LIMITS, **limits))


# --- pictures ------------------------------------------------------------------------------------------------------------


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


# --- what cannot be decoded ----------------------------------------------------------------------------------------------


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


# --- processes -----------------------------------------------------------------------------------------------------------


async def test_prepared_children_are_there_before_the_first_picture() -> None:
    async with Fingerprinter(workers=2) as fingerprinter:
        assert children_of(os.getpid()) == []
        await fingerprinter.prepare()
        children = children_of(os.getpid())
        assert len(children) == 2
        await fingerprinter.fingerprint(encoded(picture(), "PNG"))
        assert children_of(os.getpid()) == children


async def test_children_killed_while_idle_are_not_the_next_picture_s_fault() -> None:
    body = encoded(picture(40, 40), "PNG")
    async with Fingerprinter(workers=2) as two:
        await asyncio.gather(*(two.fingerprint(body) for _ in range(6)))
        children = children_of(os.getpid())
        assert len(children) == 2
        for child in children:
            os.kill(child, signal.SIGKILL)
        await until(lambda: not any(of_process(child, "stat") for child in children))  # and waited for
        assert (await two.fingerprint(body)).width == 40
        assert len(children_of(os.getpid())) == 1


async def test_a_child_killed_at_work_is_replaced_and_the_picture_tried_again(fingerprinter: Fingerprinter) -> None:
    await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))
    (child,) = children_of(os.getpid())
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(4000, 4000), "JPEG")))
    await asyncio.sleep(0.1)  # into the work; earlier or later the outcome is the same
    os.kill(child, signal.SIGKILL)
    assert (await work).width == 4000
    assert not alive(child)


async def test_a_picture_that_kills_twice_is_a_crash(fingerprinter: Fingerprinter) -> None:
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(6000, 6000), "JPEG")))
    killed: set[int] = set()
    while not work.done():
        for child in set(children_of(os.getpid())) - killed:
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        await asyncio.sleep(0.02)
    with pytest.raises(Undecodable) as caught:
        await work
    assert caught.value.reason is Reason.CRASHED
    assert not caught.value.no_media
    assert len(killed) == 2
    assert (await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40


async def test_cancelled_work_leaves_no_stale_answer(fingerprinter: Fingerprinter) -> None:
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(3000, 3000), "JPEG")))
    await until(lambda: len(children_of(os.getpid())) == 1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await fingerprinter.fingerprint(encoded(picture(40, 50), "PNG"))).height == 50
    assert len(children_of(os.getpid())) == 1


async def test_closing_ends_the_children() -> None:
    one = Fingerprinter(workers=2)
    bodies = [encoded(picture(40, 40 + number), "PNG") for number in range(8)]
    answers = await asyncio.gather(*(one.fingerprint(body) for body in bodies))
    assert [answer.height for answer in answers] == [40 + number for number in range(8)]
    children = children_of(os.getpid())
    assert len(children) == 2
    await one.aclose()
    assert children_of(os.getpid()) == []
    assert not any(map(alive, children))
    with pytest.raises(DecoderUnavailable):
        await one.fingerprint(bodies[0])


async def test_closing_at_work_ends_the_work() -> None:
    one = Fingerprinter(workers=1)
    work = asyncio.create_task(one.fingerprint(slow_picture()))
    await until(lambda: len(children_of(os.getpid())) == 1)
    await one.aclose()
    with pytest.raises(Undecodable):
        await work
    assert children_of(os.getpid()) == []


PARENT = """
import asyncio, io, sys
from PIL import Image
from shared.media.fingerprinter import Fingerprinter

async def main():
    fingerprinter = Fingerprinter(workers=2)
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    await asyncio.gather(*(fingerprinter.fingerprint(buffer.getvalue()) for _ in range(4)))
    large = io.BytesIO()
    Image.effect_noise((6000, 6000), 90).convert("RGB").save(large, "JPEG")
    if sys.argv[1] == "busy":
        asyncio.create_task(fingerprinter.fingerprint(large.getvalue()))
        await asyncio.sleep(0.2)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
async def test_children_end_with_a_parent_that_was_killed(state: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, state),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"ready\n"
        children = children_of(parent.pid)
        assert len(children) == 2
    finally:
        parent.kill()
        await parent.wait()
    await until(lambda: not any(map(alive, children)), within_seconds=5)


async def test_the_child_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, fingerprinter: Fingerprinter) -> None:
    monkeypatch.setenv("TAKEDOWN_ROOT_KEY", "secret")
    await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))
    (child,) = children_of(os.getpid())
    assert "TAKEDOWN" not in of_process(child, "environ")
    limits = of_process(child, "limits").splitlines()[1:]
    bounded = {line[:26].strip(): line[26:].split()[:2] for line in limits}
    assert bounded["Max core file size"] == ["0", "0"]  # the second: what it could raise it to
    assert bounded["Max file size"] == ["0", "0"]
    assert bounded["Max address space"] == [str(DEFAULT_LIMITS.memory_bytes)] * 2


def test_limits_are_a_value() -> None:
    assert Limits(max_pixels=40_000_000, memory_bytes=1_500_000_000, cpu_seconds=20, wall_seconds=30) == DEFAULT_LIMITS
