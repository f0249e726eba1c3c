"""The child process that decodes pictures: `python -m shared.web.decode`. It holds one picture at a time and writes nothing.

Picture decoders are C code fed by uploaders. So each runs here, within limits on memory, processor time, wall time, pixels
and formats; a child that oversteps is killed by the kernel or by its parent and replaced (`media.py`).

Protocol, over pipes: a request is a 4-byte big-endian length and the file's bytes; an answer is the same with JSON (`Answer`).
The end of stdin ends the child, and so does the death of its parent in the midst of a picture.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import BinaryIO

from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError, features

from shared.fingerprints import Orientation
from shared.pdq import hash_orientations, to_rgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", *(("AVIF",) if features.check("avif") else ()))
LENGTH = struct.Struct(">I")
PARENT_WATCH_SECONDS = 0.5
LIMITS_VARIABLE = "DECODE_LIMITS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one picture may take."""

    max_pixels: int
    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Either the hashes (hex) with their quality, or `failure` (a word of `media.Reason`)."""

    pdq: str = ""
    quality: int = 0
    mirror_pdq: str = ""
    mirror_quality: int = 0
    width: int = 0
    height: int = 0
    format: str = ""
    partial: bool = False
    failure: str = ""


class _TooManyPixels(Exception):
    pass


def answer(body: bytes, *, max_pixels: int) -> Answer:
    """The hashes of the first frame, turned as its EXIF says. A file cut short is hashed as far as it goes (`partial`).

    Browsers show a cut file too; were it "no picture", cutting off its end would pass for a removal.
    """
    try:
        picture, partial = _opened(body, max_pixels)
        name = picture.format or ""
        width, height = picture.size
        hashes = hash_orientations(to_rgb(picture))
    except UnidentifiedImageError:
        return Answer(failure="not_a_picture")
    except (_TooManyPixels, Image.DecompressionBombError):
        return Answer(failure="too_many_pixels")
    except MemoryError:
        return Answer(failure="out_of_memory")
    except Exception:  # noqa: BLE001 - a decoder may raise anything; that it did is the outcome, recorded as one
        return Answer(failure="broken")
    pdq, quality = hashes[Orientation.IDENTITY]
    mirror_pdq, mirror_quality = hashes[Orientation.MIRROR]
    return Answer(
        pdq=pdq.hex(),
        quality=quality,
        mirror_pdq=mirror_pdq.hex(),
        mirror_quality=mirror_quality,
        width=width,
        height=height,
        format=name,
        partial=partial,
    )


def _opened(body: bytes, max_pixels: int) -> tuple[Image.Image, bool]:
    try:
        return _loaded(body, max_pixels), False
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, UnidentifiedImageError):
            raise
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return _loaded(body, max_pixels), True
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _loaded(body: bytes, max_pixels: int) -> Image.Image:
    picture = Image.open(io.BytesIO(body), formats=FORMATS)
    if picture.width * picture.height > max_pixels:
        raise _TooManyPixels
    picture.load()
    name = picture.format
    turned = _turned_by_exif(picture)
    turned.format = name
    return turned


def _turned_by_exif(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except (ValueError, TypeError, KeyError, IndexError, SyntaxError, OSError, struct.error, OverflowError):
        return picture  # EXIF that nobody can read turns nothing


def serve(requests: BinaryIO, answers: BinaryIO, limits: Limits) -> None:
    """Answer until the requests end."""
    while True:
        head = requests.read(LENGTH.size)
        if len(head) < LENGTH.size:
            return
        body = requests.read(LENGTH.unpack(head)[0])
        _wind_up(limits)
        reply = json.dumps(asdict(answer(body, max_pixels=limits.max_pixels))).encode()
        signal.alarm(0)
        del body
        answers.write(LENGTH.pack(len(reply)) + reply)
        answers.flush()


def _wind_up(limits: Limits) -> None:
    """Processor and wall time for the next picture. Both end the process by a signal that nobody catches."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + limits.cpu_seconds, resource.RLIM_INFINITY))
    signal.alarm(limits.wall_seconds)


def _confine(limits: Limits) -> None:
    Image.init()  # loads every decoder while files can still be opened freely
    Image.MAX_IMAGE_PIXELS = limits.max_pixels
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would be the picture on disk


def _watch_parent(parent: int, getppid: Callable[[], int] = os.getppid) -> None:
    while getppid() == parent:
        time.sleep(PARENT_WATCH_SECONDS)
    os._exit(0)


def main() -> None:
    parent = os.getppid()
    limits = Limits(**json.loads(os.environ[LIMITS_VARIABLE]))
    # Ctrl-C reaches the whole process group; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not look like an answer
    threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    _confine(limits)
    serve(sys.stdin.buffer, answers, limits)


if __name__ == "__main__":
    main()
