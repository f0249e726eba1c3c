"""Media: finding it in a page, and fingerprinting it. Bytes live in memory for that long and are never kept or logged."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

import shared
from shared.errors import Permanent, Transient
from shared.media.decoder_process import LENGTH, LIMITS_VARIABLE, REQUEST, Answer, Limits, PageAnswer, Work
from shared.media.exact import exact_fingerprints
from shared.media.fingerprints import Algorithm, Orientation
from shared.media.html.contents import PageContents, from_json
from shared.media.html_media import is_page, packed_page
from shared.media.media_fingerprints import Hashes, MediaFingerprints

__all__ = [
    "DecoderUnavailable",
    "Fingerprinter",
    "Limits",
    "MediaFingerprints",
    "Reason",
    "Undecodable",
    "UnreadablePage",
    "is_page",
]

DEFAULT_LIMITS = Limits(max_pixels=40_000_000, memory_bytes=1_500_000_000, cpu_seconds=20, wall_seconds=30)
"""40 Mpx need 120 MB as RGB, 160 MB as luma, up to 240 MB in a progressive JPEG's decoder, and the interpreter's own."""
_GRACE_SECONDS = 5.0
"""The parent waits longer than the child's own alarm, for one that is stopped or starved of it."""
_MAX_ANSWER_BYTES = 1_000_000
"""Some 70 views of 8 hashes are 50 KB."""
_MAX_PAGE_BYTES = 12_000_000
"""Inline media of 6 MB in base64, URLs of 1.5 MB."""
_ANSWER = TypeAdapter(Answer)
_PAGE_ANSWER = TypeAdapter(PageAnswer)
_Parsed = TypeVar("_Parsed")


class Reason(StrEnum):
    """Why bytes gave no perceptual fingerprint."""

    EMPTY = "empty"
    NOT_A_PICTURE = "not_a_picture"
    UNSUPPORTED_FORMAT = "unsupported_format"
    BROKEN = "broken"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_SCANS = "too_many_scans"
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_TIME = "out_of_time"
    CRASHED = "crashed"

    @property
    def no_media(self) -> bool:
        """True only where the bytes are certainly no picture or video. Else there is something we could not look at:
        it must not count as gone, or a file that trips our decoder would pass for a removal."""
        return self in (Reason.EMPTY, Reason.NOT_A_PICTURE)


class Undecodable(Permanent):
    """These bytes could not be decoded as a picture."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason.value}.")
        self.reason = reason

    @property
    def no_media(self) -> bool:
        return self.reason.no_media


class UnreadablePage(Permanent):
    """This page could not be read, so that nothing is known of what it shows."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason.value}.")
        self.reason = reason


class DecoderUnavailable(Transient):
    """The decoding process could not be started."""


def _bitmap(side: int) -> bytes:
    """A BMP of `side` x `side` pixels in 24 bits, no two alike."""
    head = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + 3 * side * side, 0, 54, 40, side, side, 1, 24, *([0] * 6))
    return head + bytes(number * factor % 256 for number in range(side * side) for factor in (1, 7, 31))


_SMALL_PICTURE = _bitmap(64)


class Fingerprinter:
    """Fingerprints pictures and reads pages in a pool of confined child processes. Use it in `async with`, or call `aclose`.

    Children start when first needed, or all at once by `prepare`. One that dies, hangs or was cancelled at work is killed and replaced.
    """

    def __init__(self, *, workers: int = 2, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._workers = workers
        self._places = asyncio.Semaphore(workers)
        self._idle: list[_Child] = []
        self._children: set[_Child] = set()
        self._closed = False

    async def __aenter__(self) -> Fingerprinter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Kill the children and wait until they are gone. A picture being decoded ends in Undecodable."""
        self._closed = True
        self._idle.clear()
        for child in tuple(self._children):
            await self._discard(child)

    async def prepare(self) -> None:
        """Start the children and show each a small picture, so that no real one waits for imports and compiled code: seconds on a
        busy machine. Raises nothing: what is wrong shows at the first picture."""
        await asyncio.gather(*(self.fingerprint(_SMALL_PICTURE) for _ in range(self._workers)), return_exceptions=True)

    async def fingerprint(self, body: bytes, *, reduced: bool = False) -> MediaFingerprints:
        """The fingerprints of a file's bytes. Raises Undecodable, DecoderUnavailable.

        `reduced`: a large JPEG may be decoded at a smaller scale, some times as fast. Its answer (`reduced` too) may say that
        something is there, never that it is not: what decoders make of a forged file at two scales need not be alike.
        """
        if not body:
            raise Undecodable(Reason.EMPTY)
        answer = await self._answer_twice(Work.REDUCED_PICTURE if reduced else Work.PICTURE, body, _parsed)
        if answer.failure:
            reason = Reason(answer.failure)
            if reason is Reason.NOT_A_PICTURE and _is_other_media(body):
                reason = Reason.UNSUPPORTED_FORMAT
            raise Undecodable(reason)
        md5, sha1, sha256 = (one.value for one in await asyncio.to_thread(exact_fingerprints, body))
        return MediaFingerprints(
            views=tuple(map(_view, answer.views)),
            md5=md5,
            sha1=sha1,
            sha256=sha256,
            width=answer.width,
            height=answer.height,
            format=answer.format,
            partial=answer.partial,
            complete=answer.complete,
            reduced=answer.reduced,
        )

    async def read_page(self, body: bytes, content_type: str | None, base_url: str) -> PageContents:
        """What a page shows of media, by `html_media.read_page` in a child. Raises UnreadablePage, DecoderUnavailable."""
        packed = packed_page(body, content_type, base_url)
        try:
            answer = await self._answer_twice(Work.PAGE, packed, _parsed_page)
        except Undecodable as error:
            raise UnreadablePage(error.reason) from None
        if isinstance(answer, Reason):
            raise UnreadablePage(answer)
        return answer

    async def _answer_twice(self, work: Work, body: bytes, parse: Callable[[bytes], _Parsed]) -> _Parsed:
        """A crash is tried once more in a fresh child: the first may have been killed from outside (out of memory, an
        operator). Two in a row are the picture's doing."""
        try:
            return await self._answer(work, body, parse)
        except Undecodable as error:
            if error.reason is not Reason.CRASHED or self._closed:
                raise
        return await self._answer(work, body, parse)

    async def _answer(self, work: Work, body: bytes, parse: Callable[[bytes], _Parsed]) -> _Parsed:
        async with self._places:
            child = await self._living()
            healthy = False
            try:
                answer = parse(await child.ask(work, body))
                healthy = True
            finally:
                if healthy and not self._closed:
                    self._idle.append(child)
                else:
                    await asyncio.shield(self._discard(child))
            return answer

    async def _living(self) -> _Child:
        if self._closed:
            raise DecoderUnavailable("it is closed.")
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            await self._discard(child)  # killed from outside while idle: not the next picture's fault
        child = await _Child.start(self._limits)
        self._children.add(child)
        if self._closed:  # while it was started
            await self._discard(child)
            raise Undecodable(Reason.CRASHED)
        return child

    async def _discard(self, child: _Child) -> None:
        await child.kill()
        self._children.discard(child)


class _Child:
    """One decoding process, asked one file at a time."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._process = process
        self._limits = limits

    @classmethod
    async def start(cls, limits: Limits) -> _Child:
        # -P and -s: nothing from the working directory or the user's own packages enters.
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-s", "-m", "shared.media.decoder_process"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=_environment(limits),
            )
        except OSError as error:
            raise DecoderUnavailable(error.strerror or "") from None
        return cls(process, limits)

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, work: Work, body: bytes) -> bytes:
        """What it says. Raises Undecodable where the child died of the picture or took too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(self._limits.wall_seconds + _GRACE_SECONDS):
                self._process.stdin.write(REQUEST.pack(len(body), work))
                self._process.stdin.write(body)
                await self._process.stdin.drain()
                head = await self._process.stdout.readexactly(LENGTH.size)
                (length,) = LENGTH.unpack(head)
                if length > (_MAX_PAGE_BYTES if work is Work.PAGE else _MAX_ANSWER_BYTES):
                    raise Undecodable(Reason.CRASHED)
                return await self._process.stdout.readexactly(length)
        except TimeoutError:
            raise Undecodable(Reason.OUT_OF_TIME) from None
        except (OSError, asyncio.IncompleteReadError):
            raise Undecodable(await self._cause_of_death()) from None

    async def _cause_of_death(self) -> Reason:
        """Why it closed its pipes. One that lives on, whatever has become of it, is killed."""
        try:
            async with asyncio.timeout(_GRACE_SECONDS):
                code = await self._process.wait()
        except TimeoutError:
            return Reason.CRASHED
        return Reason.OUT_OF_TIME if -code in (signal.SIGXCPU, signal.SIGALRM) else Reason.CRASHED

    async def kill(self) -> None:
        """Returns when the process is gone and its pipes are closed."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


# A decoder that was taken over may answer anything.


def _parsed(reply: bytes) -> Answer:
    """Raises Undecodable: such a child is not asked again."""
    try:
        answer = _ANSWER.validate_json(reply)
        sound = answer.failure in set(Reason) if answer.failure else bool(answer.views)
        sound = sound and all(_is_sound(view) for view in map(_view, answer.views))
    except (ValidationError, ValueError, KeyError):
        sound = False
    if not sound:
        raise Undecodable(Reason.CRASHED)
    return answer


def _parsed_page(reply: bytes) -> PageContents | Reason:
    """Raises Undecodable, like `_parsed`."""
    try:
        answer = _PAGE_ANSWER.validate_json(reply)
        return from_json(answer.contents) if answer.contents is not None else Reason(answer.failure)
    except ValueError:
        raise Undecodable(Reason.CRASHED) from None


def _view(hashes: Mapping[str, tuple[str, int]]) -> Hashes:
    """Raises KeyError, ValueError."""
    return {turned: (bytes.fromhex(hashes[turned][0]), hashes[turned][1]) for turned in Orientation}


def _is_sound(view: Hashes) -> bool:
    return all(len(pdq) == Algorithm.PDQ.size_bytes and 0 <= quality <= 100 for pdq, quality in view.values())


def _environment(limits: Limits) -> dict[str, str]:
    """The child's: our package, limits, one thread for each library; no secret of ours."""
    return {
        "PYTHONPATH": str(Path(shared.__file__ or "").resolve().parents[1]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ.get("PATH", ""),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        LIMITS_VARIABLE: json.dumps(asdict(limits)),
    }


def _is_other_media(body: bytes) -> bool:
    """True for media we have no decoder for: video, HEIC, JPEG XL, SVG, PSD and the like, by their first bytes."""
    head = body[:512]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat")  # MP4, MOV, HEIC, AVIF
        or head.startswith(
            (
                b"\x1a\x45\xdf\xa3",  # Matroska, WebM
                b"\xff\x0a",  # JPEG XL
                b"\x00\x00\x00\x0cJXL ",
                b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
                b"\xff\x4f\xff\x51",
                b"FLV\x01",
                b"OggS",
                b"8BPS",
                b"\x00\x00\x01\xba",  # MPEG
                b"\x00\x00\x01\xb3",
                b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
                b"II\xbc\x01",  # JPEG XR
            )
        )
        or (head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"WEBP"))
        or text.startswith(b"<svg")
        or (text.startswith(b"<?xml") and b"<svg" in body[:4096].lower())
    )
