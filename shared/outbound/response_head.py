"""The head of an answer, as leniently as browsers read it, written down again so that a strict parser takes it. Pure.

Browsers show a picture although a header's name is empty or its length is said twice; a stricter reader would have seen nothing there.
What browsers refuse (two lengths that differ) stays as it came, and is refused. Each connection carries one answer, so that no
reading of it can be taken for another answer's beginning.

Source: RFC 9112 and, for what is passed over, Chromium's `net/http/http_response_headers.cc` and `http_stream_parser.cc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.errors import Permanent

MAX_HEAD_BYTES = 256 * 1024
"""Of the whole head: Chromium's limit."""
_END = re.compile(rb"\r?\n\r?\n")
_LONGEST_END = 4
_STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d)[ \t]+(\d{3})(?:[ \t]+([^\r\n]*))?[ \t]*")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SWITCHING_PROTOCOLS = 101


class HeadTooLarge(Permanent):
    """The answer's head is over the limit."""


class HeadReader:
    """Rewrites the heads of the answers on one connection as it is fed the bytes; what follows the last head passes as it came."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._reading = True

    def feed(self, data: bytes) -> bytes:
        """The bytes that may go to the parser; a head goes once it is whole. Raises HeadTooLarge."""
        if not self._reading:
            return data
        searched = max(0, len(self._unread) - _LONGEST_END)
        self._unread += data
        given = bytearray()
        while self._reading and (end := _END.search(self._unread, searched)):
            head, rest = bytes(self._unread[: end.end()]), self._unread[end.end() :]
            searched = 0
            given += lenient_head(head)
            self._unread = rest
            self._reading = _is_interim(head)
        if not self._reading:
            given += self._unread
            self._unread = bytearray()
        elif len(self._unread) > MAX_HEAD_BYTES:
            raise HeadTooLarge(f"{MAX_HEAD_BYTES} bytes.")
        return bytes(given)


def lenient_head(head: bytes) -> bytes:
    """The head (with the empty line that ends it) as a strict parser wants it; one without a status line as it is."""
    first, _, rest = head.partition(b"\n")
    status = _STATUS_LINE.fullmatch(first.rstrip(b"\r"))
    if status is None:
        return head
    major, minor, code, phrase = status.groups()
    old = (major, minor) < (b"1", b"1")
    fields = list(_fields(rest))
    lines = [b"HTTP/%s %s %s" % (b"1.0" if old else b"1.1", code, _printable(phrase or b"").strip())]
    chunked = not old and b"chunked" in _members(fields, b"transfer-encoding")
    lengths = {length for length in _members(fields, b"content-length") if length.isdigit()}
    lines += [name + b": " + value for name, value in fields if name.lower() not in _FRAMING]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked")
    else:
        lines += (b"Content-Length: " + length for length in sorted(lengths))
    return b"\r\n".join(lines) + b"\r\n\r\n"


_FRAMING = frozenset((b"content-length", b"transfer-encoding"))


def _fields(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The names and values of a head. A line that begins with a space goes on the one before; one without a proper name is passed over."""
    lines: list[bytes] = []
    for line in (one.rstrip(b"\r") for one in text.split(b"\n")):
        if line[:1] in (b" ", b"\t") and lines:
            lines[-1] += b" " + line.strip()
        else:
            lines.append(line)
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.rstrip(b" \t")
        if colon and _TOKEN.fullmatch(name) and b"\0" not in value:
            yield name, _printable(value).strip()


def _printable(value: bytes) -> bytes:
    """Without control characters other than tabs."""
    return re.sub(rb"[\x00-\x08\x0a-\x1f\x7f]", b" ", value)


def _members(fields: list[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """The members of a header's list, lower-case."""
    return [one.strip().lower() for found, value in fields if found.lower() == name for one in value.split(b",")]


def _is_interim(head: bytes) -> bool:
    status = _STATUS_LINE.match(head)
    return status is not None and status[3].startswith(b"1") and int(status[3]) != _SWITCHING_PROTOCOLS
