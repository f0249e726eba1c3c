"""Undoing content codings within a limit of bytes (a compressed body may be a bomb), as leniently as browsers do. Pure.

Sources: RFC 9110, 8.4; RFC 1952 (gzip); Chromium's `net/filter/gzip_source_stream.cc`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Protocol

from shared.outbound.transport import MalformedResponse

MAX_LAYERS = 3
_OF_BROWSERS = frozenset(("br", "zstd", "dcb", "dcz", "compress", "x-compress"))
"""Codings that a browser undoes, or may; we do not ask for them."""


class Decoder(Protocol):
    """Undoes one coding, or several."""

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        """At most `limit` bytes; what is over is lost, so a caller asks for one more than it will take."""
        ...

    def finish(self) -> None:
        """Raises MalformedResponse where the encoded body is cut short."""
        ...


def decoder_of(codings: str) -> Decoder:
    """What undoes a `Content-Encoding`. A word that names no coding (`none`, `utf-8`, `aws-chunked`) stands for bytes as they are.

    A coding that is said again counts where the bytes below it show it: some servers say it twice and do it once. Raises
    MalformedResponse for a coding that a browser may undo and we do not, and for more layers than anybody needs.
    """
    named = [one.strip().lower() for one in codings.split(",")]
    if not _OF_BROWSERS.isdisjoint(named):
        raise MalformedResponse("a content coding that was not asked for.")
    layers = [one for one in named if one in _ZLIB]
    if len(layers) > MAX_LAYERS:
        raise MalformedResponse("too many content codings.")
    if not layers:
        return _Identity()
    outermost, *below = reversed(layers)
    first: Decoder = _ZLIB[outermost]()
    return _Layers((first, *(_IfThere(_ZLIB[one]()) for one in below))) if below else first


class _Identity:
    """Bytes as they are."""

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        return chunk[:limit]

    def finish(self) -> None:
        """Nothing to end."""


class _Layers:
    """Several codings, the outermost first."""

    def __init__(self, decoders: Sequence[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        for decoder in self._decoders:
            chunk = decoder.decode(chunk, limit=limit)
        return chunk

    def finish(self) -> None:
        for decoder in self._decoders:
            decoder.finish()


class _IfThere:
    """Undoes its coding where the bytes begin as it does, else nothing."""

    def __init__(self, decoder: _Gzip | _Deflate) -> None:
        self._within = decoder
        self._decoder: Decoder | None = None
        self._start = b""

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        if self._decoder is None:
            self._start += chunk
            if len(self._start) < 2:
                return b""
            chunk = self._start
            self._decoder = self._within if self._within.begins(chunk) else _Identity()
        return self._decoder.decode(chunk, limit=limit)

    def finish(self) -> None:
        if self._decoder is not None:
            self._decoder.finish()
        elif self._start:
            raise MalformedResponse("its compressed body is cut short.")


class _Gzip:
    """gzip, members one after another too. Its checksum is not asked for, and what follows it and is no further member is passed over."""

    MAGIC = b"\x1f\x8b\x08"
    _HEAD_BYTES = 10
    _TRAILER_BYTES = 8
    _MAX_HEAD_BYTES = 70_000
    _CHECKED, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
    """Bits of the head's flags (RFC 1952, 2.3.1)."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: zlib._Decompress | None = None
        self._trailer = b""
        self._members = 0
        self._ended = False

    @classmethod
    def begins(cls, start: bytes) -> bool:
        return start[:2] == cls.MAGIC[:2]

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        decoded = bytearray()
        while chunk and not self._ended and len(decoded) < limit:
            if self._stream is None:
                chunk = self._read_head(chunk)
            elif not self._stream.eof:
                try:
                    decoded += self._stream.decompress(chunk, limit - len(decoded))
                except zlib.error:
                    raise MalformedResponse("its compressed body is broken.") from None
                chunk = self._stream.unused_data if self._stream.eof else b""
            else:
                self._trailer += chunk
                chunk = self._trailer[self._TRAILER_BYTES :]
                if chunk:
                    self._stream, self._trailer = None, b""
        return bytes(decoded)

    def _read_head(self, chunk: bytes) -> bytes:
        """What follows the head; nothing while it is not whole. After the first member anything may follow."""
        self._head += chunk
        if not self.MAGIC.startswith(self._head[:3]):
            if self._members == 0:
                raise MalformedResponse("its compressed body is broken.")
            self._ended = True
            return b""
        end = self._end_of_head()
        if end is None:
            if len(self._head) > self._MAX_HEAD_BYTES:
                raise MalformedResponse("its compressed body is broken.")
            return b""
        rest, self._head = self._head[end:], b""
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        self._members += 1
        return rest

    def _end_of_head(self) -> int | None:
        head = self._head
        if len(head) < self._HEAD_BYTES:
            return None
        flags, at = head[3], self._HEAD_BYTES
        if flags & self._EXTRA:
            if len(head) < at + 2:
                return None
            at += 2 + int.from_bytes(head[at : at + 2], "little")
        for flag in (self._NAME, self._COMMENT):
            if flags & flag:
                at = head.find(b"\0", at) + 1
                if at == 0:
                    return None
        at += 2 if flags & self._CHECKED else 0
        return at if len(head) >= at else None

    def finish(self) -> None:
        unfinished = self._stream is not None and not self._stream.eof
        if unfinished or (self._members == 0 and self._head):
            raise MalformedResponse("its compressed body is cut short.")


class _Deflate:
    """With the zlib wrapper, or raw as some servers send it. What follows the stream is passed over."""

    def __init__(self) -> None:
        self._wbits = zlib.MAX_WBITS
        self._stream = zlib.decompressobj(self._wbits)
        self._begun = False

    @classmethod
    def begins(cls, start: bytes) -> bool:
        """Whether bytes begin as zlib's do (RFC 1950, 2.2); raw data cannot be recognised."""
        return start[0] & 0x0F == 8 and int.from_bytes(start[:2], "big") % 31 == 0

    def decode(self, chunk: bytes, *, limit: int) -> bytes:
        if self._stream.eof:
            return b""
        try:
            decoded = self._stream.decompress(chunk, limit)
        except zlib.error:
            if self._begun or self._wbits != zlib.MAX_WBITS:
                raise MalformedResponse("its compressed body is broken.") from None
            self._wbits = -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(self._wbits)
            self._begun = True
            return self.decode(chunk, limit=limit)
        self._begun = True
        return decoded

    def finish(self) -> None:
        if self._begun and not self._stream.eof:
            raise MalformedResponse("its compressed body is cut short.")


_ZLIB: dict[str, type[_Gzip] | type[_Deflate]] = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}
