"""The demo's pictures, made at its start: shapes on gradients, nobody's picture. A seed gives the same picture each time.

Copies are what happens to pictures on their way: re-encoded, resized, mirrored, framed, captioned, set beside others. Bytes are handled
in memory alone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageOps

from shared.media.pdq import pdq_hash

Pixels = npt.NDArray[np.uint8]
"""uint8[height, width, 3], RGB."""
Format = Literal["JPEG", "PNG", "WEBP"]
SUFFIXES: dict[Format, str] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
MEDIA_TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}
FORMATS: tuple[Format, ...] = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture file."""

    body: bytes
    suffix: str

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.suffix]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashes:
    """What a crawler or a helpline computes of a picture: PDQ (hex) of it and of its mirror image, quality, SHA-256 (hex)."""

    pdq: str
    quality: int
    mirror_pdq: str
    sha256: str


def draw(seed: int, *, width: int = 320, height: int = 240) -> Pixels:
    """A picture with structure at several scales, unlike any other seed's."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, weight in ((3, 1.0), (5, 0.9), (9, 0.7), (17, 0.5)):
        coarse = rng.integers(0, 256, size=(cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        total += weight * np.asarray(layer, dtype=np.float64)
    total -= total.min()
    scaled: Pixels = (total * (255 / total.max())).astype(np.uint8)
    return scaled


def mirrored(pixels: Pixels) -> Pixels:
    return np.ascontiguousarray(pixels[:, ::-1])


def resized(pixels: Pixels, factor: float) -> Pixels:
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels).resize((round(width * factor), round(height * factor)), Image.Resampling.LANCZOS)
    return np.asarray(image)


def bordered(pixels: Pixels, *, places: int = 32) -> Pixels:
    """With a dark border."""
    return np.asarray(ImageOps.expand(Image.fromarray(pixels), places, "#14161a"))


def captioned(pixels: Pixels) -> Pixels:
    """With a white bar below it, and words on that."""
    height, width = pixels.shape[:2]
    page = Image.new("RGB", (width, height + 60), "white")
    page.paste(Image.fromarray(pixels))
    words = ImageDraw.Draw(page)
    for line, text in enumerate(("look who is back", "the same as before")):
        words.text((12, height + 4 + 27 * line), text, fill="black", font_size=22)
    return np.asarray(page)


def collage(tiles: Sequence[Pixels]) -> Pixels:
    """Four pictures of one size, two in a row."""
    one, two, three, four = tiles
    return np.vstack((np.hstack((one, two)), np.hstack((three, four))))


def encode(pixels: Pixels, format_: Format = "JPEG", *, quality: int = 85) -> Picture:
    """The pixels as a file; `quality` 1 to 100 for JPEG and WebP."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **({} if format_ == "PNG" else {"quality": quality}))
    return Picture(body=buffer.getvalue(), suffix=SUFFIXES[format_])


def hashes_of(picture: Picture) -> Hashes:
    """The hashes of a file's own pixels (after its lossy encoding)."""
    with Image.open(io.BytesIO(picture.body)) as image:
        pixels = np.asarray(image.convert("RGB"))
    value, quality = pdq_hash(pixels)
    mirror_value, _ = pdq_hash(mirrored(pixels))
    return Hashes(
        pdq=value.hex(), quality=quality, mirror_pdq=mirror_value.hex(), sha256=hashlib.sha256(picture.body).hexdigest()
    )
