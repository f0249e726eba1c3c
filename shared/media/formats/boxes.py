"""Files made of boxes (ISO/IEC 14496-12, and QuickTime before it): MP4, MOV, fragments of a stream, HEIC, AVIF."""

from __future__ import annotations

from collections.abc import Iterator

from shared.media.formats.mended import Mended

MOST_PADDING = 8
"""As for WebP: a cut box is made longer by zeros up to so many times what there is of the file."""
_AT_TOP = frozenset(
    b"ftyp styp moov moof mdat free skip wide pnot udta uuid meta sidx ssix prft emsg pdin mfra meco junk".split()
)
_PICTURE_BRANDS = frozenset(
    b"heic heix heim heis mif1 mif2 msf1 hevc hevx avif avis jxl\x20 crx\x20 j2ki j2is".split(b" ")
)


def has_boxes(body: bytes) -> bool:
    """Whether it begins with a box that begins such files."""
    if body[4:8] not in _AT_TOP:
        return False
    size = int.from_bytes(body[:4])
    return size in (0, 1) or size >= 8


def is_picture(body: bytes) -> bool:
    """Whether the file has a still picture's brand: HEIC, AVIF and the like."""
    return body[4:8] == b"ftyp" and body[8:12] in _PICTURE_BRANDS


def is_avif(body: bytes) -> bool:
    """Whether the first bytes are those of an AVIF; a file that says no more than that it has pictures may be one too."""
    return body[4:8] == b"ftyp" and body[8:12] in (b"avif", b"avis", b"mif1", b"msf1")


def mended_boxes(body: bytes) -> Mended:
    """A file whose last box is cut short, with zeros in place of what is missing."""
    missing = 0
    for start, size in _boxes(body):
        missing = start + size - len(body)
    if missing <= 0:
        return Mended(body=body)
    return Mended(body=body + bytes(min(missing, MOST_PADDING * len(body))), whole=False)


def _boxes(body: bytes) -> Iterator[tuple[int, int]]:
    """(where it starts, its length) of each box at the top."""
    place = 0
    while place + 8 <= len(body):
        size = int.from_bytes(body[place : place + 4])
        if size == 1:
            size = int.from_bytes(body[place + 8 : place + 16])
        elif size == 0:
            size = len(body) - place
        if size < 8:
            return
        yield place, size
        place += size
