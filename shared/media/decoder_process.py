"""The child process that reads what strangers made (`python -m shared.media.decoder_process`). It holds one file and writes nothing.

Decoders and parsers are C code fed by uploaders. So each runs here, confined (`confinement.py`) and within limits on memory, processor
time, wall time, pixels and formats; a child that oversteps is killed by the kernel or by its parent and replaced (`decoder_pool.py`).

Protocol, over pipes: once ready the child says what it is not confined by (a list of `Means`). Then a request is a head (`REQUEST`),
the job as JSON (`DecodingJob`) and the file's bytes; an answer is JSON, by the kind of job (`KINDS`). What it says has its length before it
(`LENGTH`). The end of stdin ends the child, and so does the death of its parent in the midst of a file.
"""

from __future__ import annotations

import importlib
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
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO

import webencodings
from PIL import AvifImagePlugin, Image, UnidentifiedImageError

from shared.media.confinement import confine
from shared.media.fingerprints import Orientation
from shared.media.formats.undecoded import begins_as_picture, undecoded_media
from shared.media.html.contents import to_json
from shared.media.html_media import read_packed_page, read_page
from shared.media.image import REDUCED_TIMES, TooManyPixels, TooManyScans, look_at
from shared.media.views.view import PicturePart

REQUEST = struct.Struct(">II")
"""How many bytes the job has, and how many the file."""
LENGTH = struct.Struct(">I")
PAGE_CPU_SECONDS = 8
"""The largest page takes some two."""
PARENT_WATCH_SECONDS = 0.5
LIMITS_VARIABLE = "DECODE_LIMITS"
IDS_VARIABLE = "DECODE_IDS"
"""User and group to become, as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one file may take."""

    max_pixels: int
    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingJob:
    """What is asked of a file. `kind`: one of `KINDS`. Seconds: less than the limits, where it is given.

    `reduced`, of a picture: a large JPEG may be decoded at a smaller scale. `parts`: what lies within it is hashed, too.
    """

    kind: str
    reduced: bool = False
    parts: bool = False
    cpu_seconds: int | None = None
    wall_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAnswer:
    """A `views.view.PicturePart` as JSON has it: `hashes` are PDQ in hexadecimal, one an orientation in their order."""

    name: str
    rectangle: tuple[float, float, float, float]
    hashes: list[str]
    quality: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureAnswer:
    """A `picture.Look` as JSON has it, or `failure` (a word of `media.Reason`).

    `views`: for each view, orientation → [PDQ in hexadecimal, quality]; `parts`: of those views.
    `undecoded`: which kind of media that has no decoder.
    """

    views: list[dict[str, tuple[str, int]]] = field(default_factory=list)
    width: int = 0
    height: int = 0
    format: str = ""
    partial: bool = False
    complete: bool = True
    reduced: bool = False
    parts: list[PartAnswer] = field(default_factory=list)
    failure: str = ""
    undecoded: str = ""


def answer(body: bytes, *, max_pixels: int, reduced: bool = False, parts: bool = False) -> PictureAnswer:
    """What the file shows, or why it could not be read."""
    try:
        look = look_at(body, max_pixels=max_pixels, reduced=reduced, parts=parts)
    except UnidentifiedImageError:
        return _no_picture(body)
    except (TooManyPixels, Image.DecompressionBombError):
        return PictureAnswer(failure="too_many_pixels")
    except TooManyScans:
        return PictureAnswer(failure="too_many_scans")
    except MemoryError:
        return PictureAnswer(failure="out_of_memory")
    except Exception:  # noqa: BLE001 - a decoder may raise anything; that it did is the outcome, recorded as one
        return PictureAnswer(failure="broken")
    return PictureAnswer(
        views=[{turned: (pdq.hex(), quality) for turned, (pdq, quality) in view.items()} for view in look.views],
        width=look.width,
        height=look.height,
        format=look.format,
        partial=look.partial,
        complete=look.complete,
        reduced=look.reduced,
        parts=[_part(one) for one in look.parts],
    )


def _part(part: PicturePart) -> PartAnswer:
    return PartAnswer(
        name=part.name.value,
        rectangle=part.rectangle,
        hashes=[part.hashes[turned][0].hex() for turned in Orientation],
        quality=part.hashes[Orientation.IDENTITY][1],
        of=part.of,
    )


def _no_picture(body: bytes) -> PictureAnswer:
    """The answer for a file that is no picture we decode: other media, a broken picture, or something else altogether."""
    undecoded = undecoded_media(body)
    if undecoded is not None:
        return PictureAnswer(failure="unsupported_format", undecoded=undecoded)
    return PictureAnswer(failure="broken" if begins_as_picture(body) else "not_a_picture")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """`contents`: `PageContents` as JSON has them; None where there is a `failure` (a word of `fingerprinter.Reason`)."""

    contents: dict[str, Any] | None = None
    failure: str = ""


def _page(packed: bytes, job: DecodingJob, limits: Limits) -> PageAnswer:
    """What the page contains, or why it could not be read."""
    try:
        return PageAnswer(contents=to_json(read_packed_page(packed)))
    except MemoryError:
        return PageAnswer(failure="out_of_memory")
    except Exception:  # noqa: BLE001 - that the reader raised is the outcome, recorded as one
        return PageAnswer(failure="broken")


def _picture(body: bytes, job: DecodingJob, limits: Limits) -> PictureAnswer:
    return answer(body, max_pixels=limits.max_pixels, reduced=job.reduced, parts=job.parts)


KINDS: Mapping[str, Callable[[bytes, DecodingJob, Limits], Any]] = MappingProxyType(
    {"picture": _picture, "page": _page}
)
"""The function that answers each kind of job: it raises nothing and gives a dataclass. A parent that asks for another kind asks nobody: it
is `KeyError` and ends the child."""


def serve(requests: BinaryIO, answers: BinaryIO, limits: Limits) -> None:
    """Answer requests until they end."""
    while True:
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            return
        job_length, length = REQUEST.unpack(head)
        job = DecodingJob(**json.loads(requests.read(job_length)))
        body = requests.read(length)
        _wind_up(job, limits)
        reply = asdict(KINDS[job.kind](body, job, limits))
        signal.alarm(0)
        del body
        _say(answers, reply)


def _say(answers: BinaryIO, what: object) -> None:
    text = json.dumps(what).encode()
    answers.write(LENGTH.pack(len(text)) + text)
    answers.flush()


def _wind_up(job: DecodingJob, limits: Limits) -> None:
    """Set the limits of processor and wall time for the next file. Both end the process by a signal that nobody catches."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    seconds = min(limits.cpu_seconds, job.cpu_seconds or limits.cpu_seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))
    signal.alarm(min(limits.wall_seconds, job.wall_seconds or limits.wall_seconds))


_LOADED_LATE = ("ImageCms", "ImageColor", "ImageFilter", "ImagePalette", "TiffImagePlugin", "MpoImagePlugin")
"""Modules that Pillow imports within its functions; once confined, no file can be opened."""


def _load_decoders(limits: Limits) -> None:
    Image.init()
    for name in _LOADED_LATE:
        importlib.import_module(f"PIL.{name}")
    Image.MAX_IMAGE_PIXELS = (
        limits.max_pixels * REDUCED_TIMES // 2
    )  # Pillow refuses twice as many; what is allowed is checked by us
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # it can start none
    warnings.simplefilter("ignore")
    _rehearse(limits)


def _rehearse(limits: Limits) -> None:
    """Read small files of our own, so that whatever is imported only then (numpy does so too, and each encoding) is there."""
    picture = Image.linear_gradient("L").resize((120, 100)).convert("RGBA")
    picture.putalpha(128)
    for form in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "ICO"):
        body = io.BytesIO()
        picture.convert("RGB" if form == "JPEG" else "RGBA").save(body, form)
        answer(body.getvalue(), max_pixels=limits.max_pixels, reduced=True, parts=True)
    answer(b"", max_pixels=limits.max_pixels)
    for label in webencodings.LABELS:
        read_page(b"<style>a{b:url(c)}</style><img src=a>", f"text/html; charset={label}", "https://rehearsal.invalid/")


def _limit(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would be the picture on disk


def confined(limits: Limits, ids: tuple[int, int] | None, parent: int) -> tuple[str, ...]:
    """Confine this process, which ends with its parent. Returns what it is not confined by."""
    _load_decoders(limits)
    os.chdir("/")
    watch = threading.Thread(target=_watch_parent, args=(parent,), daemon=True)
    unconfined = confine(ids=ids, before_seccomp=watch.start)
    _limit(limits)
    return unconfined


def _watch_parent(parent: int, getppid: Callable[[], int] = os.getppid) -> None:
    while getppid() == parent:
        time.sleep(PARENT_WATCH_SECONDS)
    os._exit(0)


def main() -> None:
    parent = os.getppid()
    limits = Limits(**json.loads(os.environ[LIMITS_VARIABLE]))
    ids = json.loads(os.environ.get(IDS_VARIABLE, "null"))
    # Ctrl-C reaches the whole process group; the parent says when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not look like an answer
    unconfined = confined(limits, tuple(ids) if ids else None, parent)
    _say(answers, unconfined)
    serve(sys.stdin.buffer, answers, limits)


if __name__ == "__main__":
    main()
