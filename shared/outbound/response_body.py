"""Reading an answer's body within limits: of bytes on the wire and of bytes decoded (a compressed body may be a bomb)."""

from __future__ import annotations

import asyncio

import httpx

from shared.outbound.content_coding import decoder_of
from shared.outbound.guard import OutboundError
from shared.outbound.transport import AnswerTooLarge

MIXED_REPLACE = "multipart/x-mixed-replace"
"""The media type of pictures one after another, without end: a browser shows each as it comes."""
ENOUGH_PARTS = 2


async def read_whole(response: httpx.Response, *, max_bytes: int) -> bytes:
    """The decoded body. Raises AnswerTooLarge (on the wire or decoded), MalformedResponse, ConnectionLost.

    gzip and deflate are undone: what `Fetcher` asks for. A stream of pictures (`MIXED_REPLACE`) is read until the first of them are whole.
    """
    declared = response.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > max_bytes:
        raise AnswerTooLarge(f"{max_bytes} bytes.")
    decoder = decoder_of(response.headers.get("content-encoding", ""))
    stream = response.headers.get("content-type", "").lstrip().lower().startswith(MIXED_REPLACE)
    body = bytearray()
    on_wire = 0
    async for chunk in response.aiter_raw():
        on_wire += len(chunk)
        body += decoder.decode(chunk, limit=max_bytes + 1 - len(body))
        if on_wire > max_bytes or len(body) > max_bytes:
            raise AnswerTooLarge(f"{max_bytes} bytes.")
        if stream and _has_parts(body):
            return bytes(body)
    decoder.finish()
    return bytes(body)


def _has_parts(body: bytearray) -> bool:
    """By its first line, the boundary: some servers announce another."""
    start = len(body) - len(body.lstrip())
    boundary = bytes(body[start : body.find(b"\n", start)]).strip()
    return boundary.startswith(b"--") and body.count(b"\n" + boundary, start + len(boundary)) >= ENOUGH_PARTS


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
