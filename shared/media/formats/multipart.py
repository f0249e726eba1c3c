"""`multipart/x-mixed-replace`: pictures one after another in one answer, as cameras send them. A browser shows each in its turn."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HEADER = rb"[!-9;-~]{1,60}:[^\r\n]{0,1000}\r?\n"
_FIRST = re.compile(rb"\A\s{0,8}(--[^\r\n]{1,200}?)[ \t]{0,8}\r?\n((?:" + _HEADER + rb"){1,20})\r?\n")
_HEADERS = re.compile(rb"[ \t]{0,8}\r?\n(?:" + _HEADER + rb"){0,20}\r?\n")
_PICTURE = re.compile(rb"^content-type[ \t]{0,8}:[ \t]{0,8}(?:image|video)/", re.IGNORECASE | re.MULTILINE)
MOST_PARTS = 64


def is_multipart(body: bytes) -> bool:
    """Whether it begins with a boundary and the headers of a picture."""
    found = _FIRST.match(body)
    return found is not None and _PICTURE.search(found[2]) is not None


def multipart_pictures(body: bytes) -> Iterator[bytes]:
    """The parts of such a body in their order, at most one more than `MOST_PARTS`."""
    found = _FIRST.match(body)
    if found is None:
        return
    first, *others = body[found.end() :].split(b"\n" + found[1], MOST_PARTS + 1)
    yield first.removesuffix(b"\r")
    for other in others[:MOST_PARTS]:
        headers = _HEADERS.match(other)
        if headers is None:  # the end of all parts
            return
        yield other[headers.end() :].removesuffix(b"\r")
