"""Reading an answer's body within limits: of bytes on the wire and of bytes decoded (a compressed body may be a bomb)."""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

import httpx

from shared.outbound.guard import OutboundError
from shared.outbound.transport import AnswerTooLarge, MalformedResponse

_GZIP = 16 + zlib.MAX_WBITS


class _Decoder(Protocol):
    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        """At most `limit` bytes; what is over is lost, so a caller asks for one more than it will take."""
        ...

    def finish(self) -> None:
        """Raises MalformedResponse where the encoded body is cut short."""
        ...


async def read_whole(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The decoded body. Raises AnswerTooLarge (on the wire or decoded), MalformedResponse, ConnectionLost.

    One content coding is undone, gzip or deflate: what `Fetcher` asks for. Stacked ones are a bomb's shape.
    """
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > max_bytes:
        raise AnswerTooLarge(f"{max_bytes} bytes.")
    decoder = _decoder_of(response.headers.get("content-encoding", ""))
    body = bytearray()
    on_wire = 0
    async for chunk in response.aiter_raw():
        on_wire += len(chunk)
        body += decoder.decode(chunk, limit=max_bytes + 1 - len(body))
        if on_wire > max_bytes or len(body) > max_bytes:
            raise AnswerTooLarge(f"{max_bytes} bytes.")
    decoder.finish()
    return bytes(body)


async def read_prefix(response: httpx.Response, *, max_bytes: int, until_seconds: float) -> tuple[bytes, bool]:
    """The body's first bytes as they are on the wire, and whether it was cut (too long, too slow or broken off)."""
    body = bytearray()
    try:
        async with asyncio.timeout(until_seconds):
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > max_bytes:
                    return bytes(body[:max_bytes]), True
    except (TimeoutError, OutboundError):
        return bytes(body), True
    return bytes(body), False


def _decoder_of(coding: str) -> _Decoder:
    match coding.strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Zlib(_GZIP)
        case "deflate":
            return _Zlib(zlib.MAX_WBITS)
        case _:
            raise MalformedResponse("a content coding that was not asked for.")


class _Identity:
    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        return chunk[:limit]

    def finish(self) -> None:
        """Nothing to end."""


class _Zlib:
    """gzip (members one after another too) and deflate (with the zlib wrapper, or raw as some servers send it)."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)
        self._begun = False

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        decoded = bytearray()
        while chunk and len(decoded) < limit:
            if self._stream.eof:
                if self._wbits != _GZIP:
                    break  # trailing bytes after a deflate stream
                self._stream = zlib.decompressobj(self._wbits)
            decoded += self._some(chunk, limit - len(decoded))
            chunk = self._stream.unused_data
        return bytes(decoded)

    def _some(self, chunk: bytes, limit: int) -> bytes:
        try:
            decoded = self._stream.decompress(chunk, limit)
        except zlib.error:
            if self._begun or self._wbits != zlib.MAX_WBITS:
                raise MalformedResponse("its compressed body is broken.") from None
            self._wbits = -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(self._wbits)
            self._begun = True
            return self._some(chunk, limit)
        self._begun = True
        return decoded

    def finish(self) -> None:
        if self._begun and not self._stream.eof:
            raise MalformedResponse("its compressed body is cut short.")
