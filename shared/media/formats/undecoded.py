"""Media that a viewer may show and that we have no decoder for, known by their first bytes."""

from __future__ import annotations

import codecs
import re
from enum import StrEnum

from shared.media.formats.boxes import has_boxes, is_picture
from shared.media.formats.icon import is_icon
from shared.media.formats.jpeg import is_jpeg
from shared.media.formats.png import is_png
from shared.media.formats.webp import is_webp


class UndecodedMedia(StrEnum):
    """What it is. Whoever looks at it may see the picture, so it is never "no picture"."""

    SVG = "svg"
    VIDEO = "video"
    """A film, or a part of one."""
    PLAYLIST = "playlist"
    """A list of the parts of a film (RFC 8216; ISO/IEC 23009-1)."""
    PICTURE = "picture"


_VIDEO = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"FLV\x01",
    b"OggS",
    b"\x00\x00\x01\xba",  # MPEG
    b"\x00\x00\x01\xb3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",  # ASF, WMV
    b".RMF",
    b"DKIF",
    b"FWS",
    b"CWS",
)
_PICTURE = (
    b"\xff\x0a",  # JPEG XL
    b"\x00\x00\x00\x0cJXL ",
    b"\x00\x00\x00\x0cjP  ",  # JPEG 2000
    b"\xff\x4f\xff\x51",
    b"8BPS",
    b"II\xbc\x01",  # JPEG XR
)
_LITTLE, _BIG = codecs.getdecoder("utf-16-le"), codecs.getdecoder("utf-16-be")
"""Found now: a confined process can load none."""
_PLAYLIST_ROOTS = frozenset((b"mpd", b"smoothstreamingmedia", b"smil"))
_PACKET_SIZES = (188, 192, 204)
_SYNC = 0x47
_PACKETS = 3
_SPACE = b" \t\r\n\f"
_SPACES = re.compile(rb"[ \t\r\n\f]*")
MOST_BEFORE_ROOT = 1000
"""Comments and the like that may come before the first element."""
_NAME = re.compile(rb"<([^\s/<>]{1,200})")
_DOCTYPE = re.compile(rb"<!doctype\s{1,20}([^\s>\[]{1,100})", re.IGNORECASE)
_OF_DOCTYPE = re.compile(rb"[\"'\[\]>]|<!--")
_QUOTES = (b'"', b"'")


def undecoded_media(body: bytes) -> UndecodedMedia | None:
    """Which kind of such media these bytes are; None: none that is known."""
    text = as_ascii(body)
    if text.lstrip(_SPACE)[:7].upper() == b"#EXTM3U":
        return UndecodedMedia.PLAYLIST
    root, _ = xml_root(text)
    if root == b"svg":
        return UndecodedMedia.SVG
    if root in _PLAYLIST_ROOTS:
        return UndecodedMedia.PLAYLIST
    if is_picture(body) or body.startswith(_PICTURE):
        return UndecodedMedia.PICTURE
    riff = body[:4] == b"RIFF" and body[8:11] == b"AVI"
    if has_boxes(body) or body.startswith(_VIDEO) or riff or _is_transport_stream(body):
        return UndecodedMedia.VIDEO
    return None


def begins_as_picture(body: bytes) -> bool:
    """Whether it begins as a format does that we decode: then it is a broken picture, if it does not decode."""
    return (
        is_png(body)
        or is_jpeg(body)
        or is_webp(body)
        or is_icon(body)
        or body.startswith((b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*"))
        or (body.startswith(b"BM") and body[14:18] in (b"\x0c\0\0\0", b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"))
    )


def _is_transport_stream(body: bytes) -> bool:
    """MPEG-TS (ISO/IEC 13818-1): packets of one size, each beginning with the same byte; of a Blu-ray four bytes come before it."""
    for size in _PACKET_SIZES:
        for start in (0, size - 188):
            begins = range(start, min(len(body), start + _PACKETS * size), size)
            if len(body) >= size and begins and all(_is_packet(body, place) for place in begins):
                return True
    return False


def _is_packet(body: bytes, place: int) -> bool:
    """Its first byte, and a payload or a field before it, which every packet has."""
    return body[place] == _SYNC and place + 3 < len(body) and body[place + 3] & 0x30 != 0


def as_ascii(body: bytes) -> bytes:
    """Text in UTF-16 as UTF-8, by its byte order mark or the zeros beside its first `<` or `#`; other bytes without a mark, as they are."""
    for mark, decode in ((codecs.BOM_UTF16_LE, _LITTLE), (codecs.BOM_UTF16_BE, _BIG)):
        if body.startswith(mark):
            return decode(body[2:], "replace")[0].encode("utf-8", "replace")
    if body[1:2] == b"\0" and body[:1] in (b"<", b"#"):
        return _LITTLE(body, "replace")[0].encode("utf-8", "replace")
    if body[:1] == b"\0" and body[1:2] in (b"<", b"#"):
        return _BIG(body, "replace")[0].encode("utf-8", "replace")
    return body.removeprefix(codecs.BOM_UTF8)


def xml_root(text: bytes) -> tuple[bytes, bytes]:
    """(local name of the first element, name in the doctype), in small letters; empty where there is none.

    What may come before it is passed over: space, declaration, processing instructions, comments, doctype. Linear in the text.
    """
    place, doctype = 0, b""
    for _ in range(MOST_BEFORE_ROOT):
        place = _SPACES.match(text, place).end()  # type: ignore[union-attr]  # it matches nothing too
        if text.startswith(b"<?", place):
            end = text.find(b"?>", place)
            after = end + 2
        elif text.startswith(b"<!--", place):
            end = text.find(b"-->", place + 4)
            after = end + 3
        elif text.startswith(b"<!", place):
            end = _end_of_doctype(text, place)
            named = _DOCTYPE.match(text, place)
            doctype = named[1].lower() if named else b""
            after = end + 1
        else:
            found = _NAME.match(text, place)
            return (found[1].rpartition(b":")[2].lower() if found else b""), doctype
        if end < 0:
            break
        place = after
    return b"", doctype


def _end_of_doctype(text: bytes, place: int) -> int:
    """Where its `>` is; -1: nowhere. It may hold quoted text, comments and a subset in brackets."""
    depth = 0
    place += 2
    while (found := _OF_DOCTYPE.search(text, place)) is not None:
        what, place = found[0], found.end()
        if what in _QUOTES or what == b"<!--":
            closing = what if what in _QUOTES else b"-->"
            end = text.find(closing, place)
            if end < 0:
                return -1
            place = end + len(closing)
        elif what == b">" and depth == 0:
            return found.start()
        else:
            depth = max(0, depth + {b"[": 1, b"]": -1, b">": 0}[what])
    return -1
