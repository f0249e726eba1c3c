"""Telling a page from a medium, as browsers do (MIME Sniffing, 5.2 and 7.1)."""

from __future__ import annotations

import re

from shared.media.formats.undecoded import as_ascii, xml_root

_SNIFFED_BYTES = 8_192
_SPACE = b" \t\r\n\f"
_SVG_BYTES = 1_000_000
"""Comments may come before its first element."""
_MARKUP = re.compile(
    rb"<(?:!doctype\s+html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|meta|img|frameset|video|link)[\s/>]|<!--",
    re.IGNORECASE,
)
_WHOLE_PAGE = re.compile(rb"<(?:!doctype\s+html|html|body|head|img|video|picture)[\s/>]", re.IGNORECASE)
_HTML_TYPES = frozenset(("text/html", "application/xhtml+xml", "application/vnd.wap.xhtml+xml"))
_MEDIA_STARTS = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"GIF87a",
    b"GIF89a",
    b"II*\x00",
    b"MM\x00*",
    b"\x00\x00\x01\x00",
    b"\x00\x00\x02\x00",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
    b"\x1a\x45\xdf\xa3",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
    b"\x00\x00\x00\x0cjP  ",
    b"\xff\x4f\xff\x51",
    b"FLV\x01",
    b"OggS",
    b"8BPS",
    b"#EXTM3U",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
)


def is_page(body: bytes, content_type: str | None) -> bool:
    """True for HTML: by its first markup, or by its type unless it begins as a medium does (a picture sent as `text/html`).

    What stands before the markup (a byte order mark, a warning of the server's own program) does not make it less of a page.
    """
    if not body or _is_media(body):
        return False
    essence = (content_type or "").partition(";")[0].strip().lower()
    if essence in _HTML_TYPES:
        return True
    start = body[:_SNIFFED_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
    return _MARKUP.match(start) is not None and not _is_svg(body, essence)


def has_markup(body: bytes, content_type: str | None) -> bool:
    """True where bytes that begin as a medium are a page too for a browser that is sent to them: sent as HTML, with markup inside."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    return essence in _HTML_TYPES and _WHOLE_PAGE.search(body) is not None


def _is_svg(body: bytes, essence: str) -> bool:
    """A picture, though comments or a document type come first; of one that is sent as such they may be longer than we look."""
    root, doctype = xml_root(as_ascii(body[:_SVG_BYTES]))
    return (root == b"svg" and doctype != b"html") or (not root and essence == "image/svg+xml")


def _is_media(body: bytes) -> bool:
    head = body[:32]
    return (
        head.startswith(_MEDIA_STARTS)
        or head[4:8] in (b"ftyp", b"moov", b"mdat", b"styp", b"moof", b"sidx")
        or (head.startswith(b"RIFF") and head[8:12] in (b"WEBP", b"AVI "))
        or (head.startswith(b"BM") and head[6:10] == bytes(4))
        or (head.startswith(b"G") and body[188:189] == b"G" and body[376:377] == b"G" and b"<" not in head)
    )
