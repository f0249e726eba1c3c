"""WebP (RFC 9649): a browser shows what has come of it, whatever length its head declares. A strict decoder wants it whole.

So the declared lengths are put right, and picture data that are cut short go on as zeros: what lies before the cut decodes as it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from shared.media.formats.mended import Mended

_HEAD = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_PIXELS = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANMF"))
_KEPT = _PIXELS | {b"VP8X", b"ANIM"}
_ANIMATED = 0x02
_ALPHA = 0x10
MOST_PADDING = 8
"""A cut chunk is made longer by zeros up to so many times what there is of the file: a length of 4 GB is no reason to hold them."""


def is_webp(body: bytes) -> bool:
    """By its first bytes."""
    return body[:4] == b"RIFF" and body[8:12] == b"WEBP"


def mended_webp(body: bytes, *, animation: bool = True) -> Mended:
    """The file with lengths that are true. `animation` False: its first still picture alone, without profile and metadata."""
    chunks = []
    whole = True
    for kind, there, declared in _chunks(body):
        if kind not in _KEPT:
            continue
        missing = declared - len(there)
        whole = whole and not missing
        data = there + bytes(min(missing, MOST_PADDING * len(body)))
        if kind == b"VP8X" and data:
            flags = data[0] & (_ALPHA | (_ANIMATED if animation else 0))
            data = bytes((flags,)) + data[1:]
        chunks.append((kind, data))
    if not animation:
        chunks = _still(chunks)
    packed = b"".join(_CHUNK.pack(kind, len(data)) + data + b"\0" * (len(data) & 1) for kind, data in chunks)
    return Mended(body=_HEAD.pack(b"RIFF", 4 + len(packed), b"WEBP") + packed, whole=whole)


def _still(chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The first picture: of an animation the chunks within its first frame (16 bytes of place and duration come before them)."""
    for kind, data in chunks:
        if kind == b"ANMF":
            inner = [(name, part) for name, part, _ in _inner(data[16:])]
            return [one for one in inner if one[0] in (b"VP8 ", b"VP8L")][:1]
        if kind in (b"VP8 ", b"VP8L"):
            return [(kind, data)]
    return chunks


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """(kind, what there is of its data, its declared length), up to the end of the file whatever its head says."""
    return _inner(body[_HEAD.size :])


def _inner(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    place = 0
    while place + _CHUNK.size <= len(data):
        kind, length = _CHUNK.unpack_from(data, place)
        start = place + _CHUNK.size
        yield kind, data[start : start + length], length
        place = start + length + (length & 1)
