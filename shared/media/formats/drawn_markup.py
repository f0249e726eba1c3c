"""Telling markup that is no HTML and is drawn all the same: XML with a style sheet or with elements of XHTML or SVG in it."""

from __future__ import annotations

import re

from shared.media.formats.undecoded import as_ascii

_XML_TYPES = frozenset(("text/xml", "application/xml", "text/xsl"))
_DRAWING = re.compile(rb"<\?(?!xml\s)|<!DOCTYPE|<[^<>]*&#|1999/xhtml|2000/svg")
"""An instruction (`<?xml-stylesheet ...?>`, which may be XSLT), entities of a document's own, a namespace that is drawn, or one whose
name is written in references."""


def is_drawn_markup(body: bytes, content_type: str | None) -> bool:
    """True where a browser may draw more than the words: as a program may, and with media that no reader of HTML finds.

    Of XML by its type, or by its beginning where it has none (MIME Sniffing, 7.1), and of the parts of a `multipart` answer. Plain
    XML, as of an object store's error, is shown as its source.
    """
    essence = (content_type or "").partition(";")[0].strip().lower()
    if essence.startswith("multipart/"):
        return True
    text = as_ascii(body)
    if not (essence in _XML_TYPES or essence.endswith("+xml") or ("/" not in essence and text.lstrip()[:1] == b"<")):
        return False
    return _DRAWING.search(text) is not None
