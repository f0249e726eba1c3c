"""Parses what a browser writes to a proxy: pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import Permanent
from shared.urls import BadUrl, parse_url

_HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
"""RFC 9110, 7.6.1: of this connection, not of the request."""
_CONNECTION_LINE = re.compile(rb"(?im)^(?:connection|keep-alive|proxy-connection)[ \t]*:[^\n]*\n")
_ALPN = 16
"""RFC 7301."""


class RequestRefused(Permanent):
    """This request is refused: no page needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRequest:
    """A request to the proxy. `host` and `port` to resolve and dial; `onward` is what the site gets (nothing where it is a tunnel)."""

    tunnel: bool
    host: str
    port: int
    authorization: str
    onward: bytes = b""


def parse_request(head: bytes) -> ProxyRequest:
    """The request of a head that ends with an empty line. Raises RequestRefused: another method, a body, another scheme."""
    try:
        first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
        method, target, version = first.split(b" ")
        headers = [(line.partition(b":")[0].strip().lower(), line) for line in lines]
    except ValueError:
        raise RequestRefused() from None
    given = {name: line.partition(b":")[2].strip() for name, line in headers}
    authorization = given.get(b"proxy-authorization", b"").decode("latin-1")
    if not version.startswith(b"HTTP/1."):
        raise RequestRefused()
    if method == b"CONNECT":
        url = b"https://" + target
        if re.search(rb"[/?#@\\]", target):
            raise RequestRefused()
    elif method in (b"GET", b"HEAD") and target[:7].lower() == b"http://":
        url = b"http://" + re.split(rb"[/?#]", target[7:], maxsplit=1)[0]
        if b"transfer-encoding" in given or given.get(b"content-length", b"0") != b"0":
            raise RequestRefused()
    else:
        raise RequestRefused()
    try:
        parsed = parse_url(url.decode("ascii"))
    except (BadUrl, UnicodeError):
        raise RequestRefused() from None
    if method == b"CONNECT":
        return ProxyRequest(tunnel=True, host=parsed.host, port=parsed.port, authorization=authorization)
    path = target[len(url) :]
    path = path if path.startswith(b"/") else b"/" + path
    kept = [line for name, line in headers if name not in _HOP_BY_HOP]
    onward = b"\r\n".join([method + b" " + path + b" HTTP/1.1", *kept, b"Connection: close"]) + b"\r\n\r\n"
    return ProxyRequest(tunnel=False, host=parsed.host, port=parsed.port, authorization=authorization, onward=onward)


def without_connection(head: bytes) -> bytes:
    """An answer's head that says the connection ends here. What has no status line, or is none of the last, stays as it is."""
    status, newline, rest = head.partition(b"\n")
    if not re.match(rb"HTTP/1\.\d [2-9]", status):
        return head
    return status + newline + b"Connection: close\r\n" + _CONNECTION_LINE.sub(b"", rest)


def offers_http2(record: bytes) -> bool:
    """Whether this TLS record is a greeting whose protocols hold HTTP/2 (`h2`, RFC 9113). What cannot be read does not."""
    if record[:1] != b"\x16" or record[5:6] != b"\x01":
        return False
    at = 5 + 4 + 2 + 32  # record and handshake heads, version, random
    for width in (1, 2, 1):  # session, ciphers, compressions
        at += width + int.from_bytes(record[at : at + width], "big")
    at += 2
    while at + 4 <= len(record):
        kind, size = int.from_bytes(record[at : at + 2], "big"), int.from_bytes(record[at + 2 : at + 4], "big")
        if kind == _ALPN:
            return b"\x02h2" in record[at + 6 : at + 4 + size]
        at += 4 + size
    return False
