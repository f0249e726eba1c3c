"""JPEG (ITU-T T.81): its segments, as a decoder goes through them."""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_IN_CODED_DATA = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
"""An FF of the coded data is followed by a zero; restart markers stand among them."""
_WITHOUT_LENGTH = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_APPLICATION = range(0xE0, 0xF0)
_ADOBE = 0xEE
_JFIF = 0xE0
_COMMENT = 0xFE


def is_jpeg(body: bytes) -> bool:
    """By its first bytes."""
    return body.startswith(b"\xff\xd8\xff")


def scans(body: bytes) -> int:
    """How many scans a decoder goes through: up to the end of the image, not in thumbnails, nor in what follows."""
    return sum(marker == _START_OF_SCAN for marker, _, _ in _segments(body))


def bare(body: bytes) -> bytes:
    """Without comments and what applications wrote (profiles, previews, EXIF), but for what says how colours are coded."""
    kept, last = [], 0
    for marker, start, end in _segments(body):
        if marker == _COMMENT or (marker in _APPLICATION and marker not in (_JFIF, _ADOBE)):
            kept.append(body[last:start])
            last = end
        elif marker == _START_OF_SCAN:
            break
    return b"".join((*kept, body[last:]))


def _segments(body: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, where it starts, where its segment ends) up to the end of the image."""
    place, among = 2, _MARKER
    while (found := among.search(body, place)) is not None:
        marker, start, place = found[1][0], found.start(), found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker not in _WITHOUT_LENGTH:
            place += max(2, int.from_bytes(body[place : place + 2]))
        yield marker, start, place
        among = _IN_CODED_DATA if marker == _START_OF_SCAN else _MARKER
