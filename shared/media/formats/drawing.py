"""SVG that shows no photograph. Pure."""

from __future__ import annotations

import re

from shared.media.formats.undecoded import as_ascii

MAX_BYTES = 8_192
"""A larger one may be a photograph traced as shapes."""
_MORE = re.compile(
    rb"<(?:[\w.-]{1,40}:)?(?:image|foreignobject|feimage|script|iframe|use|style|animate)[\s/>]|data:|url\(\s*[\"']?(?!#)|<!entity|@import|"
    rb"<!\[cdata\[|\bon\w{2,20}\s*=|xml-stylesheet",
    re.IGNORECASE,
)


def is_plain_drawing(svg: bytes) -> bool:
    """Whether an SVG is small and holds shapes alone: a logo, an icon."""
    return len(svg) <= MAX_BYTES and _MORE.search(as_ascii(svg)) is None
