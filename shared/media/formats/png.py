"""PNG (W3C, Portable Network Graphics 3rd edition): a browser throws an ancillary chunk away that is wrong, and shows the picture.

So nothing but what makes pixels is handed on: no text, no colour profile, however large or broken; and checksums are put right,
because a wrong one says nothing about the pixels that a lenient viewer shows.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from shared.media.formats.mended import Mended

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ANIMATION = frozenset((b"acTL", b"fcTL", b"fdAT"))
_KEPT = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf")) | _ANIMATION
_MAX_EXIF_BYTES = 65_536
_LENGTH = struct.Struct(">I")


def is_png(body: bytes) -> bool:
    """By its first bytes."""
    return body.startswith(SIGNATURE)


def mended_png(body: bytes, *, animation: bool = True) -> Mended:
    """The PNG with the chunks that make pixels alone, their checksums right. `animation` False: without its further frames."""
    kept = [SIGNATURE]
    whole, changed, colour = True, False, -1
    for kind, data, right, cut in _chunks(body):
        critical = not kind[0] & 0x20
        if kind not in _KEPT or (kind in _ANIMATION and not animation) or not _usable(kind, data, colour):
            changed = True
            continue
        if kind == b"IHDR" and len(data) > 9:
            colour = data[9]
        if cut or not right:
            changed = True
            whole = whole and not critical
        kept.append(
            _chunk(kind, data) if cut or not right else _LENGTH.pack(len(data)) + kind + data + _crc(kind, data)
        )
    return Mended(body=b"".join(kept) if changed else body, whole=whole)


def _usable(kind: bytes, data: bytes, colour: int) -> bool:
    """Transparency of a wrong length is thrown away (as libpng does), and EXIF of a length that no camera writes."""
    if kind == b"tRNS":
        return {0: len(data) == 2, 2: len(data) == 6, 3: 1 <= len(data) <= 256}.get(colour, False)
    return kind != b"eXIf" or len(data) <= _MAX_EXIF_BYTES


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes, bool, bool]]:
    """(kind, data, whether its checksum is right, whether it is cut short) until the end of the image."""
    place = len(SIGNATURE)
    while place + 8 <= len(body):
        (length,) = _LENGTH.unpack_from(body, place)
        kind = body[place + 4 : place + 8]
        data = body[place + 8 : place + 8 + length]
        after = place + 8 + length
        cut = after > len(body)
        yield kind, data, not cut and body[after : after + 4] == _crc(kind, data), cut
        if kind == b"IEND":
            return
        place = after + 4


def _chunk(kind: bytes, data: bytes) -> bytes:
    return _LENGTH.pack(len(data)) + kind + data + _crc(kind, data)


def _crc(kind: bytes, data: bytes) -> bytes:
    return _LENGTH.pack(zlib.crc32(data, zlib.crc32(kind)))
