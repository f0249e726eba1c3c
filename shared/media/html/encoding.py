"""The text of a page's bytes, by the encoding it is written in (HTML, 13.2.3; labels by the WHATWG Encoding standard, `webencodings`)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import webencodings

PRESCAN_BYTES = 4_096
"""Browsers look for a `meta` in the first 1,024 bytes, some further."""
_IN_HEADER = re.compile(r"charset\s{0,20}=\s{0,20}[\"']?([^\s\"';,]{1,100})", re.IGNORECASE)
_IN_PAGE = re.compile(
    rb"<(?:meta|\?xml)[\s/][^>]{0,400}?(?:charset|encoding)\s{0,20}=\s{0,20}[\"']?\s{0,20}([^\s\"';>/]{1,100})",
    re.IGNORECASE,
)
_COMMENT = re.compile(rb"<!--.*?-->", re.DOTALL)
_UNUSABLE = frozenset(("replacement",))
"""What the standard replaces by a single character, so that old encodings smuggle nothing. We read the page all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedText:
    """`encoding`: by its WHATWG name."""

    text: str
    encoding: str


def decoded_text(body: bytes, content_type: str | None) -> DecodedText:
    """The text: by its byte order mark, else the header's charset, else the page's own, else UTF-8. Raises nothing.

    A label that the standard does not know, or that names what it has no decoder for, counts as none. A page that says within
    ASCII that it is UTF-16 is UTF-8.
    """
    declared = _IN_HEADER.search((content_type or "")[:1_000])
    encoding = _looked_up(declared[1]) if declared else None
    if encoding is None:
        encoding = _by_meta(body)
    text, used = webencodings.decode(body, encoding or webencodings.UTF8, errors="replace")
    return DecodedText(text=text, encoding=used.name)


def _by_meta(body: bytes) -> webencodings.Encoding | None:
    inside = _IN_PAGE.search(_COMMENT.sub(b"", body[:PRESCAN_BYTES]))
    encoding = _looked_up(inside[1].decode("ascii", "replace")) if inside else None
    if encoding is None or encoding.name.startswith("utf-16"):
        return None
    if encoding.name == "x-user-defined":
        return webencodings.lookup("windows-1252")
    return encoding


def _looked_up(label: str) -> webencodings.Encoding | None:
    encoding = webencodings.lookup(label) if label.isascii() else None
    return None if encoding is None or encoding.name in _UNUSABLE else encoding
