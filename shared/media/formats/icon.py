"""ICO and CUR: several pictures in one file, each a PNG or a bitmap without its file header."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from shared.media.formats.png import SIGNATURE

_HEAD = struct.Struct("<HHH")
_ENTRY = struct.Struct("<BBBBHHII")
_BITMAP = struct.Struct("<IiiHH")
_SIZES_OF_HEAD = frozenset((12, 40, 52, 56, 64, 108, 124))


def is_icon(body: bytes) -> bool:
    """Whether the file is an icon. Its first four bytes are common; so an entry must point to a PNG or a bitmap."""
    return body[:4] in (b"\0\0\1\0", b"\0\0\2\0") and bool(_places(body))


def icon_pictures(body: bytes) -> Iterator[tuple[int, bytes]]:
    """(pixels it declares, itself as a file of its own) of each, the largest first: a viewer chooses by the size it wants."""
    found = sorted(((_pixels(body, offset), offset, size) for offset, size in _places(body)), reverse=True)
    for pixels, offset, size in found:
        yield pixels, _alone(body, offset, size)


def _places(body: bytes) -> dict[tuple[int, int], None]:
    """(offset, size) of each picture, once."""
    count = _HEAD.unpack_from(body)[2] if len(body) >= _HEAD.size else 0
    found: dict[tuple[int, int], None] = {}
    for number in range(min(count, (len(body) - _HEAD.size) // _ENTRY.size)):
        *_, size, offset = _ENTRY.unpack_from(body, _HEAD.size + number * _ENTRY.size)
        start = body[offset : offset + 8]
        if start == SIGNATURE or (len(start) == 8 and int.from_bytes(start[:4], "little") in _SIZES_OF_HEAD):
            found[offset, size] = None
    return found


def _pixels(body: bytes, offset: int) -> int:
    if body.startswith(SIGNATURE, offset):
        return int.from_bytes(body[offset + 16 : offset + 20]) * int.from_bytes(body[offset + 20 : offset + 24])
    if len(body) < offset + _BITMAP.size:
        return 0
    width, height = struct.unpack_from("<ii", body, offset + 4)
    return abs(int(width) * int(height)) // 2


def _alone(body: bytes, offset: int, size: int) -> bytes:
    """A PNG as it is (to the end of the file: its own end ends it); a bitmap as an icon of one."""
    if body.startswith(SIGNATURE, offset):
        return body[offset:]
    data = body[offset : offset + size]
    bits = _BITMAP.unpack_from(data)[4] if len(data) >= _BITMAP.size else 0
    entry = _ENTRY.pack(0, 0, 0, 0, 1, bits, len(data), _HEAD.size + _ENTRY.size)
    return _HEAD.pack(0, 1, 1) + entry + data
