"""The child process that decodes pictures and reads pages: `python -m shared.media.decoder_process`. It writes nothing.

Decoders and parsers are C code fed by uploaders. So each runs here, one at a time, within limits on memory, processor time, wall
time, pixels and formats; a child that oversteps is killed by the kernel or by its parent and replaced (`fingerprinter.py`).

Protocol, over pipes: a request is a head (`REQUEST`) and the file's bytes; an answer is a length (`LENGTH`) and JSON (`Answer`, or
`PageAnswer`).
The end of stdin ends the child, and so does the death of its parent in the midst of a picture.
"""

from __future__ import annotations

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
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError

from shared.media.html.contents import to_json
from shared.media.html_media import read_packed_page
from shared.media.image import TooManyPixels, TooManyScans, look_at

REQUEST = struct.Struct(">IB")
"""How many bytes follow; the `Work` to do with them."""
LENGTH = struct.Struct(">I")
PAGE_CPU_SECONDS = 8
"""The largest page takes some two."""
PARENT_WATCH_SECONDS = 0.5
LIMITS_VARIABLE = "DECODE_LIMITS"


class Work(IntEnum):
    """What to do with a file. A large JPEG may be decoded at a smaller scale where it says so."""

    PICTURE = 0
    REDUCED_PICTURE = 1
    PAGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one picture may take."""

    max_pixels: int
    memory_bytes: int
    cpu_seconds: int
    wall_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A `picture.Look` as JSON has it, or `failure` (a word of `media.Reason`).

    `views`: for each view, orientation → [PDQ in hexadecimal, quality].
    """

    views: list[dict[str, tuple[str, int]]] = field(default_factory=list)
    width: int = 0
    height: int = 0
    format: str = ""
    partial: bool = False
    complete: bool = True
    reduced: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """`contents`: `PageContents` as JSON has them; None where there is a `failure` (a word of `media.Reason`)."""

    contents: dict[str, Any] | None = None
    failure: str = ""


def page_answer(packed: bytes) -> PageAnswer:
    """What the page holds, or why it could not be told."""
    try:
        return PageAnswer(contents=to_json(read_packed_page(packed)))
    except MemoryError:
        return PageAnswer(failure="out_of_memory")
    except Exception:  # noqa: BLE001 - that the reader raised is the outcome, recorded as one
        return PageAnswer(failure="broken")


def answer(body: bytes, *, max_pixels: int, reduced: bool = False) -> Answer:
    """What the file shows, or why it could not be told."""
    try:
        look = look_at(body, max_pixels=max_pixels, reduced=reduced)
    except UnidentifiedImageError:
        return Answer(failure="not_a_picture")
    except (TooManyPixels, Image.DecompressionBombError):
        return Answer(failure="too_many_pixels")
    except TooManyScans:
        return Answer(failure="too_many_scans")
    except MemoryError:
        return Answer(failure="out_of_memory")
    except Exception:  # noqa: BLE001 - a decoder may raise anything; that it did is the outcome, recorded as one
        return Answer(failure="broken")
    return Answer(
        views=[{turned: (pdq.hex(), quality) for turned, (pdq, quality) in view.items()} for view in look.views],
        width=look.width,
        height=look.height,
        format=look.format,
        partial=look.partial,
        complete=look.complete,
        reduced=look.reduced,
    )


def serve(requests: BinaryIO, answers: BinaryIO, limits: Limits) -> None:
    """Answer until the requests end."""
    while True:
        head = requests.read(REQUEST.size)
        if len(head) < REQUEST.size:
            return
        length, work = REQUEST.unpack(head)
        body = requests.read(length)
        _wind_up(limits, Work(work))
        if work == Work.PAGE:
            reply = json.dumps(asdict(page_answer(body))).encode()
        else:
            reduced = work == Work.REDUCED_PICTURE
            reply = json.dumps(asdict(answer(body, max_pixels=limits.max_pixels, reduced=reduced))).encode()
        signal.alarm(0)
        del body
        answers.write(LENGTH.pack(len(reply)) + reply)
        answers.flush()


def _wind_up(limits: Limits, work: Work) -> None:
    """Processor and wall time for the next file. Both end the process by a signal that nobody catches."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    seconds = min(limits.cpu_seconds, PAGE_CPU_SECONDS) if work is Work.PAGE else limits.cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, resource.RLIM_INFINITY))
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
