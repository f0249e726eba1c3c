"""Finds media in a page, and fingerprints media. Bytes live in memory for that long and are never kept or logged."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, TypeVar

from pydantic import TypeAdapter

from shared.errors import Permanent
from shared.media.decoder_pool import (
    MAX_ANSWER_BYTES,
    QUICK_SECONDS,
    Crashed,
    DecoderPool,
    DecoderUnavailable,
    OutOfTime,
    Priority,
)
from shared.media.decoder_process import PAGE_CPU_SECONDS, DecodingJob, Limits, PageAnswer, PartAnswer, PictureAnswer
from shared.media.exact import exact_fingerprints
from shared.media.fingerprints import Algorithm, Hashes, Orientation
from shared.media.formats.undecoded import UndecodedMedia
from shared.media.html.contents import PageContents, from_json
from shared.media.html_media import is_page, packed_page
from shared.media.media_fingerprints import MediaFingerprints
from shared.media.views.view import PicturePart, ViewName

__all__ = [
    "DecoderUnavailable",
    "Fingerprinter",
    "Limits",
    "MediaFingerprints",
    "Priority",
    "Reason",
    "Undecodable",
    "UndecodedMedia",
    "UnreadablePage",
    "is_page",
]

DEFAULT_LIMITS = Limits(max_pixels=40_000_000, memory_bytes=1_500_000_000, cpu_seconds=20, wall_seconds=30)
"""40 Mpx need 120 MB as RGB, 160 MB as luma, up to 240 MB in a progressive JPEG's decoder, and the interpreter's own."""
MAX_PAGE_ANSWER_BYTES = 12_000_000
"""Inline media of 6 MB in base64, URLs of 1.5 MB."""
_ANSWER = TypeAdapter(PictureAnswer)
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
        """Whether the bytes are certainly no picture or video. Otherwise there is something we could not look at: it must not count as
        gone, or a file that trips our decoder would pass for a removal."""
        return self in (Reason.EMPTY, Reason.NOT_A_PICTURE)


class Undecodable(Permanent):
    """These bytes could not be decoded as a picture."""

    def __init__(self, reason: Reason, media: UndecodedMedia | None = None) -> None:
        super().__init__(f"{reason.value}." if media is None else f"{reason.value}: {media.value}.")
        self.reason = reason
        self.media = media

    @property
    def no_media(self) -> bool:
        return self.reason.no_media


def _bitmap(side: int) -> bytes:
    """A BMP of `side` x `side` pixels in 24 bits, no two alike."""
    head = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 54 + 3 * side * side, 0, 54, 40, side, side, 1, 24, *([0] * 6))
    return head + bytes(number * factor % 256 for number in range(side * side) for factor in (1, 7, 31))


_SMALL_PICTURE = _bitmap(64)


class UnreadablePage(Permanent):
    """This page could not be read, so that nothing is known of what it shows."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"{reason.value}.")
        self.reason = reason


class Fingerprinter:
    """Fingerprints pictures and reads pages in a pool of confined child processes. Use it in `async with`, or call `aclose`.

    Children start when first needed, or all at once by `prepare`. `pool`: for other files that strangers made.
    """

    def __init__(
        self, *, workers: int = 2, limits: Limits = DEFAULT_LIMITS, quick_seconds: float = QUICK_SECONDS
    ) -> None:
        self._workers = workers
        self.pool = DecoderPool(workers=workers, limits=limits, quick_seconds=quick_seconds)

    async def __aenter__(self) -> Fingerprinter:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Kill the children and wait until they are gone. A picture being decoded ends in Undecodable."""
        await self.pool.aclose()

    async def prepare(self) -> None:
        """Start the children and show each a small picture, so that no real one waits for imports and compiled code: seconds on a
        busy machine. Raises nothing: what is wrong shows at the first picture."""
        await asyncio.gather(*(self.fingerprint(_SMALL_PICTURE) for _ in range(self._workers)), return_exceptions=True)

    async def fingerprint(
        self, body: bytes, *, reduced: bool = False, parts: bool = False, priority: Priority = Priority.CHECK
    ) -> MediaFingerprints:
        """The fingerprints of a file's bytes, and of the parts of its picture where those are asked for. Raises Undecodable,
        DecoderUnavailable.

        `reduced`: a large JPEG may be decoded at a smaller scale, some times as fast. Its answer (`reduced` too) may say that
        something is there, never that it is not: what decoders make of a forged file at two scales need not be alike.
        """
        if not body:
            raise Undecodable(Reason.EMPTY)
        job = DecodingJob(kind="picture", reduced=reduced, parts=parts)
        answer = await self._answer_twice(job, body, _parsed, priority)
        if answer.failure:
            raise Undecodable(Reason(answer.failure), UndecodedMedia(answer.undecoded) if answer.undecoded else None)
        md5, sha1, sha256 = (one.value for one in await asyncio.to_thread(exact_fingerprints, body))
        return MediaFingerprints(
            views=tuple(map(_view, answer.views)),
            md5=md5,
            sha1=sha1,
            sha256=sha256,
            width=answer.width,
            height=answer.height,
            format=answer.format,
            parts=tuple(map(_part, answer.parts)),
            partial=answer.partial,
            complete=answer.complete,
            reduced=answer.reduced,
        )

    async def read_page(
        self, body: bytes, content_type: str | None, base_url: str, *, priority: Priority = Priority.CHECK
    ) -> PageContents:
        """What a page shows of media, by `html_media.read_page` in a child. Raises UnreadablePage, DecoderUnavailable."""
        packed = packed_page(body, content_type, base_url)
        job = DecodingJob(kind="page", cpu_seconds=PAGE_CPU_SECONDS)
        try:
            answer = await self._answer_twice(job, packed, _parsed_page, priority, MAX_PAGE_ANSWER_BYTES)
        except Undecodable as error:
            raise UnreadablePage(error.reason) from None
        if isinstance(answer, Reason):
            raise UnreadablePage(answer)
        return answer

    async def _answer_twice(
        self,
        job: DecodingJob,
        body: bytes,
        parse: Callable[[Any], _Parsed],
        priority: Priority,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> _Parsed:
        """The answer to a job; a crash is tried once more in a fresh child: the first may have been killed from outside (out of memory, an
        operator). Two in a row are the file's doing."""
        for last in (False, True):
            try:
                return await self.pool.ask(job, body, parse=parse, priority=priority, max_answer_bytes=max_answer_bytes)
            except OutOfTime:
                raise Undecodable(Reason.OUT_OF_TIME) from None
            except Crashed:
                if last or self.pool.closed:
                    break
        raise Undecodable(Reason.CRASHED)


def _parsed_page(said: Any) -> PageContents | Reason:
    """The page in an answer. Raises ValueError, like `_parsed`."""
    answer = _PAGE_ANSWER.validate_python(said)
    return from_json(answer.contents) if answer.contents is not None else Reason(answer.failure)


def _parsed(said: Any) -> PictureAnswer:
    """The picture's fingerprints in an answer. Raises ValueError, KeyError: a decoder that was taken over may answer anything."""
    answer = _ANSWER.validate_python(said)
    if answer.failure:
        Reason(answer.failure)
        _ = answer.undecoded and UndecodedMedia(answer.undecoded)
    hashes = [*map(_view, answer.views), *(_part(one).hashes for one in answer.parts)]
    of_views = all(0 <= one.of < len(answer.views) for one in answer.parts)
    if not (answer.failure or answer.views) or not of_views or not all(map(_is_sound, hashes)):
        raise ValueError("no answer")
    return answer


def _part(part: PartAnswer) -> PicturePart:
    """Raises ValueError."""
    hashes = {
        turned: (bytes.fromhex(value), part.quality) for turned, value in zip(Orientation, part.hashes, strict=True)
    }
    return PicturePart(name=ViewName(part.name), rectangle=part.rectangle, hashes=hashes, of=part.of)


def _view(hashes: Mapping[str, tuple[str, int]]) -> Hashes:
    """Raises KeyError, ValueError."""
    return {turned: (bytes.fromhex(hashes[turned][0]), hashes[turned][1]) for turned in Orientation}


def _is_sound(view: Hashes) -> bool:
    return all(len(pdq) == Algorithm.PDQ.size_bytes and 0 <= quality <= 100 for pdq, quality in view.values())
