"""The parts of a picture, from the confined child: of every kind of file, within every limit, and never believed unread."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from PIL import Image, ImageOps

from shared.media.fingerprinter import Fingerprinter, Reason, Undecodable
from shared.media.fingerprints import Orientation, hamming
from shared.media.image import look_at
from shared.media.pdq import pdq_hash
from tests.integration.shared.media.pictures import encoded, picture

pytestmark = pytest.mark.asyncio(loop_scope="module")

REAL_PYTHON = sys.executable
INNER = picture()
FRAMED = ImageOps.expand(INNER, 40, "black")
BESIDE = ImageOps.expand(picture(seed=2), 40, "white")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one


def nearest(values: list[bytes]) -> int:
    value, _ = pdq_hash(INNER)
    return min((hamming(one, value) for one in values), default=256)


def over_nothing() -> bytes:
    """The framed picture in the alpha channel of one flat colour."""
    layer = Image.new("RGB", FRAMED.size, "black")
    layer.putalpha(Image.eval(FRAMED.convert("L"), lambda value: 255 - value))
    return encoded(layer, "PNG")


BODIES = {
    "JPEG": encoded(FRAMED, "JPEG"),
    "PNG": encoded(FRAMED, "PNG"),
    "palette": encoded(FRAMED.quantize(64), "PNG"),
    "grey": encoded(FRAMED.convert("L"), "PNG"),
    "CMYK": encoded(FRAMED.convert("CMYK"), "JPEG"),
    "WebP": encoded(FRAMED, "WEBP"),
    "in an alpha channel": over_nothing(),
    "of a further frame": encoded(
        picture(400, 320, 2), "GIF", save_all=True, append_images=[FRAMED, picture(400, 320, 3)]
    ),
    "cut short": encoded(FRAMED, "JPEG")[:-200],
}


async def test_what_lies_within_a_picture_is_told_whatever_the_file_is(fingerprinter: Fingerprinter) -> None:
    for name, body in BODIES.items():
        media = await fingerprinter.fingerprint(body, parts=True)
        values = [value for part in media.parts for value, _ in part.hashes.values()]
        assert nearest(values) <= 31, name
        assert nearest([value for view in media.views for value, _ in view.values()]) > 50, name
        assert all(0 <= part.of < len(media.views) for part in media.parts), name


async def test_parts_are_told_to_who_asks_for_them(fingerprinter: Fingerprinter) -> None:
    assert (await fingerprinter.fingerprint(BODIES["PNG"])).parts == ()


async def test_of_an_animation_of_many_parts_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encoded(FRAMED, "WEBP", save_all=True, append_images=[BESIDE, FRAMED, BESIDE], method=0)
    whole = look_at(body, max_pixels=10**6, reduced=False, parts=True)
    assert whole.complete
    assert {part.of for part in whole.parts} == {0, 1, 2, 3}
    monkeypatch.setattr("shared.media.image.MAX_PARTS", len(whole.parts) - 1)
    cut = look_at(body, max_pixels=10**6, reduced=False, parts=True)
    assert (cut.parts, cut.complete) == (whole.parts[:-1], False)
    monkeypatch.setattr("shared.media.image.MORE_VIEWS_SECONDS", -3.0)
    assert not look_at(body, max_pixels=10**6, reduced=False, parts=True).complete


async def test_a_picture_of_any_size_has_its_outcome(fingerprinter: Fingerprinter) -> None:
    for size in ((1, 1), (1, 16_000), (16_000, 1), (3000, 3000), (95, 4000)):
        media = await fingerprinter.fingerprint(encoded(Image.new("1", size, 1), "PNG"), parts=True)
        assert media.parts == (), size


VIEW = dict.fromkeys([turned.value for turned in Orientation], ("00" * 32, 90))
PART = {"name": "trim", "rectangle": (0.1, 0.1, 0.9, 0.9), "hashes": ["11" * 32] * 8, "quality": 80, "of": 0}
WRONG: tuple[dict[str, object], ...] = (
    {"of": 1},
    {"of": -1},
    {"name": "other"},
    {"hashes": ["11" * 32] * 7},
    {"hashes": ["11" * 31] * 8},
    {"quality": 101},
    {"rectangle": (0.1, 0.1, 0.9)},
)


async def test_what_a_decoder_says_of_parts_is_not_believed_unchecked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    for wrong in ({}, *WRONG):
        said = json.dumps({"views": [VIEW], "width": 9, "height": 9, "format": "PNG", "parts": [PART | wrong]})
        script.write_text(
            f"#!{REAL_PYTHON} -S\n"
            "# shared.media.decoder_process\n"
            "import os, struct\n"
            "def say(text): os.write(1, struct.pack('>I', len(text)) + text)\n"
            "say(b'[]')\n"
            "os.read(0, 100)\n"
            f"say({said.encode()!r})\n"
            "while os.read(0, 100000): pass\n"
        )
        script.chmod(0o700)
        async with Fingerprinter(workers=1) as one:
            if not wrong:
                assert len((await one.fingerprint(b"any", parts=True)).parts) == 1
                continue
            with pytest.raises(Undecodable) as caught:
                await one.fingerprint(b"any", parts=True)
            assert caught.value.reason is Reason.CRASHED, wrong
