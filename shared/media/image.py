"""What a picture's file shows, hashed: every way a viewer may see it. Runs in the confined child process alone (`decoder_process.py`).

A file may show more than its first pixels: frames that follow, an alpha channel that holds the picture over whatever background. What
only the first pixels were hashed of could be swapped for such a file and pass for removed. So frames and backgrounds are further
*views*, and `complete` says whether all that a viewer may see was hashed.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from shared.media.fingerprints import Orientation
from shared.media.media_fingerprints import Hashes
from shared.media.pdq import luma_of, pdq_of_luma, to_rgb
from shared.media.pdq_orientations import turned_hashes

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
_ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Whose further frames are shown by a browser."""
MAX_JPEG_SCANS = 100
"""A progressive JPEG has some ten. Each is a pass over all coefficients: thousands of empty ones take minutes."""
MAX_FRAMES = 64
EVERY_FRAME_UPTO = 32
LATER_FRAME_STEP = 8
"""Of frames beyond, each eighth is hashed: a clip's neighbours look alike."""
MORE_VIEWS_SECONDS = 5.0
"""Processor time after which no further view is begun."""
MIN_REDUCED_SIDE_PIXELS = 256
"""A picture is not made smaller than this: PDQ is then 0 to 4 bits off as a rule, below it more (`make bench-pdq`)."""
_REDUCTIONS = (8, 4, 2)
_ORIENTATION_TAG = 0x0112
_START_OF_SCAN = b"\xff\xda"


class TooManyPixels(Exception):
    """The picture declares more pixels than it may have."""


class TooManyScans(Exception):
    """A JPEG of more scans than any encoder makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`views`: the picture as it is first. `partial`: the file was cut short. `complete` False: a viewer may see more than was
    hashed. `reduced`: decoded at a smaller scale, so that its PDQ may be some bits off."""

    views: tuple[Hashes, ...]
    width: int
    height: int
    format: str
    partial: bool = False
    complete: bool = True
    reduced: bool = False


def look_at(body: bytes, *, max_pixels: int, reduced: bool) -> Look:
    """What the file shows, turned as its EXIF says. A file cut short is hashed as far as it goes (`partial`).

    Browsers show a cut file too; were it "no picture", cutting off its end would pass for a removal. `reduced`: a large JPEG may
    be decoded at a smaller scale. Raises UnidentifiedImageError, TooManyPixels, TooManyScans, MemoryError, and whatever a
    decoder raises.
    """
    picture = _opened(body, max_pixels)
    scale = _scale_of(picture) if reduced else 1
    try:
        return _look_reduced(picture, scale) if scale > 1 else _look_full(picture, partial=False)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, UnidentifiedImageError):
            raise
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _look_full(_opened(body, max_pixels), partial=True)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _opened(body: bytes, max_pixels: int) -> Image.Image:
    picture = Image.open(io.BytesIO(body), formats=FORMATS)
    if picture.width * picture.height > max_pixels:
        raise TooManyPixels
    # An FF within coded data is followed by a zero, so these are scans (and some in an EXIF thumbnail).
    if _is_jpeg(picture) and body.count(_START_OF_SCAN) > MAX_JPEG_SCANS:
        raise TooManyScans
    return picture


def _is_jpeg(picture: Image.Image) -> bool:
    return picture.format in ("JPEG", "MPO")


# At a smaller scale


def _scale_of(picture: Image.Image) -> int:
    """By how much this picture can be made smaller while it is decoded; 1: not at all."""
    if not _is_jpeg(picture) or picture.mode not in ("L", "RGB") or _turns(picture):
        return 1
    shorter = min(picture.size)
    return next((scale for scale in _REDUCTIONS if shorter // scale >= MIN_REDUCED_SIDE_PIXELS), 1)


def _look_reduced(picture: Image.Image, scale: int) -> Look:
    """As grey: a JPEG's luma plane is the luma that PDQ wants, so that colours need not be decoded at all."""
    width, height = picture.size
    picture.draft("L", (width // scale, height // scale))
    hashes = turned_hashes(np.asarray(picture.convert("L")), of=(height, width))
    return Look(views=(hashes,), width=width, height=height, format=picture.format or "", reduced=True)


def _turns(picture: Image.Image) -> bool:
    try:
        return bool(picture.getexif().get(_ORIENTATION_TAG, 1) != 1)
    except _UNREADABLE_EXIF:
        return False


# In full


def _look_full(picture: Image.Image, *, partial: bool) -> Look:
    picture.load()
    shown = _turned_by_exif(picture)
    hashes = _hashes(shown, exactly=True)
    more = _MoreViews(picture, shown)
    views = (hashes, *more)
    return Look(
        views=views,
        width=shown.width,
        height=shown.height,
        format=picture.format or "",
        partial=partial,
        complete=more.complete,
    )


def _hashes(picture: Image.Image, *, exactly: bool = False) -> Hashes:
    """`exactly`: the picture as it is by the reference's own arithmetic, bit for bit."""
    luma = luma_of(np.asarray(to_rgb(picture)))
    hashes = turned_hashes(luma)
    return hashes | {Orientation.IDENTITY: pdq_of_luma(luma)} if exactly else hashes


class _MoreViews:
    """The views after the first: backgrounds behind what is transparent, and further frames.

    `complete`, once they were gone through: none was left out. What goes wrong in one of them costs the others nothing: the first
    view is known already.
    """

    def __init__(self, picture: Image.Image, shown: Image.Image) -> None:
        self._picture = picture
        self._shown = shown
        self._until = time.process_time() + MORE_VIEWS_SECONDS
        self.complete = True

    def __iter__(self) -> Iterator[Hashes]:
        try:
            yield from map(_hashes, _over_backgrounds(self._shown))
            if self._picture.format in _ANIMATED_FORMATS:
                yield from self._frames()
        except Exception:  # noqa: BLE001 - whatever a decoder raises here, a viewer may see what we did not
            self.complete = False

    def _frames(self) -> Iterator[Hashes]:
        hashed = 0
        number = 1
        while self._goes_to(number):
            if hashed == MAX_FRAMES or time.process_time() > self._until:
                self.complete = False
                return
            if number < EVERY_FRAME_UPTO or number % LATER_FRAME_STEP == 0:
                frame = _turned_by_exif(self._picture)
                yield _hashes(frame)
                yield from map(_hashes, _over_backgrounds(frame))
                hashed += 1
            else:
                self.complete = False
            number += 1

    def _goes_to(self, number: int) -> bool:
        try:
            self._picture.seek(number)
        except EOFError:
            return False
        return True


def _over_backgrounds(picture: Image.Image) -> Iterator[Image.Image]:
    """A picture with transparent places as seen on a white page and on a black one."""
    if not picture.has_transparency_data:
        return
    layer = picture.convert("RGBA")
    alpha = layer.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return
    for background in ("white", "black"):
        page = Image.new("RGB", layer.size, background)
        page.paste(layer, mask=alpha)
        yield page


_UNREADABLE_EXIF = (ValueError, TypeError, KeyError, IndexError, SyntaxError, OSError, struct.error, OverflowError)


def _turned_by_exif(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except _UNREADABLE_EXIF:
        return picture  # EXIF that nobody can read turns nothing
