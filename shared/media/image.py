"""What a picture's file shows, hashed: every way a viewer may see it. Runs in the confined child process alone (`decoder_process.py`).

A file may show more than its first pixels: frames that follow, an alpha channel that holds the picture over whatever background, the
pictures of an icon, the parts of a stream. What only the first pixels were hashed of could be swapped for such a file and pass for
removed. So these are further *views*, and `complete` says whether all that a viewer may see was hashed. And what a browser shows although
it is broken is put right first (`shared/media/formats`): were it "no picture", breaking a file a little would pass for a removal.
"""

from __future__ import annotations

import contextlib
import io
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from shared.media.fingerprints import Hashes, Orientation
from shared.media.formats import boxes, icon, jpeg, multipart, png, webp
from shared.media.formats.mended import Mended
from shared.media.pdq import luma_of, pdq_of_luma, to_rgb
from shared.media.pdq_orientations import turned_hashes
from shared.media.views.hashing import parts_of
from shared.media.views.view import PicturePart

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "ICO", *(("AVIF",) if features.check("avif") else ()))
_ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
"""Whose further frames are shown by a browser."""
MAX_JPEG_SCANS = 100
"""A progressive JPEG has some ten. Each is a pass over all coefficients: thousands of empty ones take minutes."""
REDUCED_TIMES = 5
"""A JPEG may have so many times the pixels that others may, and is then decoded at a smaller scale: telephones make 48, 108, 200 Mpx."""
MAX_FRAMES = 64
EVERY_FRAME_UPTO = 32
LATER_FRAME_STEP = 8
"""Of frames beyond, each eighth is hashed: a clip's neighbours look alike."""
MAX_PICTURES = 64
"""Of an icon or a stream."""
MORE_VIEWS_SECONDS = 3.0
"""Processor time after which no further view is begun."""
PARTS_SECONDS = 3.0
"""And so much more where parts are asked for."""
MAX_PARTS = 400
MIN_REDUCED_SIDE_PIXELS = 256
"""A picture is not made smaller than this: PDQ is then 0 to 4 bits off as a rule, below it more (`make bench-pdq`)."""
_REDUCTIONS = (8, 4, 2)
_ORIENTATION_TAG = 0x0112


class TooManyPixels(Exception):
    """The picture declares more pixels than it may have."""


class TooManyScans(Exception):
    """A JPEG of more scans than any encoder makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`views`: the picture as it is first. `parts`: of them, where they were asked for. `partial`: the file was cut short. `complete`
    False: a viewer may see more than was hashed. `reduced`: decoded at a smaller scale, so that its PDQ may be some bits off."""

    views: tuple[Hashes, ...]
    width: int
    height: int
    format: str
    parts: tuple[PicturePart, ...] = ()
    partial: bool = False
    complete: bool = True
    reduced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What `look_at` was asked for."""

    max_pixels: int
    reduced: bool
    parts: bool

    @property
    def more_views_seconds(self) -> float:
        return MORE_VIEWS_SECONDS + (PARTS_SECONDS if self.parts else 0.0)


def look_at(body: bytes, *, max_pixels: int, reduced: bool, parts: bool = False) -> Look:
    """What the file shows, turned as its EXIF says. A file cut short is hashed as far as it goes (`partial`).

    `reduced`: a large JPEG may be decoded at a smaller scale; one of more than `max_pixels` always is.
    `parts`: also what lies within it (`shared.media.views`); of further frames without halves, quarters and turns. Raises
    UnidentifiedImageError, TooManyPixels, TooManyScans, MemoryError, and whatever a decoder raises.
    """
    asked = _Asked(max_pixels=max_pixels, reduced=reduced, parts=parts)
    if multipart.is_multipart(body):
        return _look_at_all(((0, one) for one in multipart.multipart_pictures(body)), asked)
    if icon.is_icon(body):
        return replace(_look_at_all(icon.icon_pictures(body), asked), format="ICO")
    return _look_at_one(body, asked)


def _look_at_all(files: Iterator[tuple[int, bytes]], asked: _Asked) -> Look:
    """Of several pictures (how many pixels each declares, and its bytes) the first that decodes is the first view; what goes wrong in one
    costs the others nothing."""
    first: Look | None = None
    error: Exception | None = None
    until = time.process_time() + asked.more_views_seconds
    for number, (pixels, body) in enumerate(files):
        if first is not None and (number >= MAX_PICTURES or time.process_time() > until):
            return replace(first, complete=False)
        try:
            if pixels > asked.max_pixels:
                raise TooManyPixels
            look = _look_at_one(body, asked)
        except MemoryError:
            raise
        except Exception as failed:  # noqa: BLE001 - whatever a decoder raises: a viewer may see what we did not
            error = error or failed
            continue
        first = look if first is None else _together(first, look)
    if first is None:
        raise error or UnidentifiedImageError
    return replace(first, complete=False) if error else first


def _together(first: Look, other: Look) -> Look:
    before = len(first.views)
    parts = [replace(one, of=one.of + before) for one in other.parts if one.of + before < 3 * MAX_FRAMES]
    return replace(
        first,
        views=(*first.views, *other.views[: max(0, 3 * MAX_FRAMES - before)]),
        parts=(*first.parts, *parts)[:MAX_PARTS],
        partial=first.partial or other.partial,
        complete=first.complete
        and other.complete
        and before < 3 * MAX_FRAMES
        and len(first.parts) + len(parts) <= MAX_PARTS,
        reduced=first.reduced or other.reduced,
    )


def _look_at_one(body: bytes, asked: _Asked) -> Look:
    """As it is; else what there is of a file cut short; else the bare picture, without what a browser would not need."""
    as_is = _mended(body)
    failed: Exception | None = None
    for mended, leniently in _tries(body, as_is):
        try:
            with _cut_files_decoded(leniently):
                look = _look_at_picture(mended.body, replace(asked, reduced=asked.reduced and not leniently))
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, struct.error) as error:
            failed = failed if failed is not None and isinstance(error, UnidentifiedImageError) else error
            continue
        return replace(
            look,
            partial=leniently or not mended.whole,
            complete=look.complete and (mended is as_is or mended.body == as_is.body),
        )
    assert failed is not None
    raise failed


def _tries(body: bytes, as_is: Mended) -> Iterator[tuple[Mended, bool]]:
    """(file, whether it may be cut short) in the order in which they are tried."""
    yield as_is, False
    bare = _bare(body)
    if bare is not None:
        yield bare, False
    yield as_is, True
    if bare is not None:
        yield bare, True


def _bare(body: bytes) -> Mended | None:
    """The still picture alone, without what else a file may hold."""
    if jpeg.is_jpeg(body):
        return Mended(body=jpeg.bare(body))
    if png.is_png(body):
        return png.mended_png(body, animation=False)
    if webp.is_webp(body):
        return webp.mended_webp(body, animation=False)
    return None


def _mended(body: bytes) -> Mended:
    if png.is_png(body):
        return png.mended_png(body)
    if webp.is_webp(body):
        return webp.mended_webp(body)
    if boxes.is_avif(body):
        return boxes.mended_boxes(body)
    return Mended(body=body)


@contextlib.contextmanager
def _cut_files_decoded(allowed: bool) -> Iterator[None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = allowed
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _look_at_picture(body: bytes, asked: _Asked) -> Look:
    picture = Image.open(io.BytesIO(body), formats=FORMATS)
    if _is_jpeg(picture) and jpeg.scans(body) > MAX_JPEG_SCANS:
        raise TooManyScans
    scale = _scale_of(picture, asked.max_pixels, wanted=asked.reduced)
    return _look_reduced(picture, scale, asked) if scale > 1 else _look_full(picture, asked)


def _is_jpeg(picture: Image.Image) -> bool:
    return picture.format in ("JPEG", "MPO")


# At a smaller scale


def _scale_of(picture: Image.Image, max_pixels: int, *, wanted: bool) -> int:
    """By how much this picture is made smaller while it is decoded; 1: not at all. Raises TooManyPixels."""
    pixels = picture.width * picture.height
    if pixels > max_pixels:
        if not _is_jpeg(picture) or pixels > REDUCED_TIMES * max_pixels:
            raise TooManyPixels
        return next((scale for scale in _REDUCTIONS if min(picture.size) // scale >= MIN_REDUCED_SIDE_PIXELS), 2)
    if not wanted or not _is_jpeg(picture) or picture.mode not in ("L", "RGB") or _turns(picture):
        return 1
    shorter = min(picture.size)
    return next((scale for scale in _REDUCTIONS if shorter // scale >= MIN_REDUCED_SIDE_PIXELS), 1)


def _look_reduced(picture: Image.Image, scale: int, asked: _Asked) -> Look:
    """As grey: a JPEG's luma plane is the luma that PDQ wants, so that colours need not be decoded at all."""
    size = picture.size
    picture.draft("L" if picture.mode in ("L", "RGB") else None, (size[0] // scale, size[1] // scale))
    shown = _turned_by_exif(picture)
    width, height = size if (shown.width < shown.height) == (picture.width < picture.height) else size[::-1]
    grey = shown.convert("L")
    return Look(
        views=(turned_hashes(np.asarray(grey), of=(height, width)),),
        width=width,
        height=height,
        format=picture.format or "",
        parts=parts_of(grey) if asked.parts else (),
        reduced=True,
    )


def _turns(picture: Image.Image) -> bool:
    try:
        return bool(picture.getexif().get(_ORIENTATION_TAG, 1) != 1)
    except _UNREADABLE_EXIF:
        return False


# In full


def _look_full(picture: Image.Image, asked: _Asked) -> Look:
    picture.load()
    shown = _turned_by_exif(picture)
    more = _MoreViews(picture, shown, asked)
    return Look(
        views=(_hashes(shown), *more),
        parts=tuple(more.parts),
        width=shown.width,
        height=shown.height,
        format=picture.format or "",
        complete=more.complete,
    )


def _hashes(picture: Image.Image) -> Hashes:
    """The picture as it is by the reference's own arithmetic, bit for bit."""
    luma = luma_of(np.asarray(to_rgb(picture)))
    return turned_hashes(luma) | {Orientation.IDENTITY: pdq_of_luma(luma)}


def _quick_hashes(picture: Image.Image) -> Hashes:
    """Of averages over small squares, where it is large: PDQ blurs before it samples, so they tell it the same within a few bits.

    Unlike a JPEG at a smaller scale, averages of the true pixels cannot be forged.
    """
    grey = to_rgb(picture).convert("L")
    scale = next((scale for scale in _REDUCTIONS if min(grey.size) // scale >= MIN_REDUCED_SIDE_PIXELS), 1)
    averages = grey.reduce(scale) if scale > 1 else grey
    return turned_hashes(np.asarray(averages), of=(grey.height, grey.width))


class _MoreViews:
    """The views after the first: backgrounds behind what is transparent, and further frames.

    `complete`, once they were gone through: none was left out. What goes wrong in one of them costs the others nothing: the first
    view is known already.
    """

    def __init__(self, picture: Image.Image, shown: Image.Image, asked: _Asked) -> None:
        self._picture = picture
        self._shown = shown
        self._parts_asked = asked.parts
        self._until = time.process_time() + asked.more_views_seconds
        self._views = 1
        self.parts = list(parts_of(shown)) if asked.parts else []
        self.complete = True

    def __iter__(self) -> Iterator[Hashes]:
        try:
            yield from map(self._seen, _over_backgrounds(self._shown))
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
                yield self._seen(frame)
                yield from map(self._seen, _over_backgrounds(frame))
                hashed += 1
            else:
                self.complete = False
            number += 1

    def _seen(self, picture: Image.Image) -> Hashes:
        if self._parts_asked:
            self.parts += parts_of(picture, of=self._views, fixed=False)
            self.complete = self.complete and len(self.parts) <= MAX_PARTS
            del self.parts[MAX_PARTS:]
        self._views += 1
        return _quick_hashes(picture)

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
