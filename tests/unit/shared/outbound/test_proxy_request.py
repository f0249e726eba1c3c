"""What a browser writes to our proxy, and what leaves of it."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.proxy_request import RequestRefused, offers_http2, parse_request, without_connection


def head(first: str, *headers: str) -> bytes:
    return "\r\n".join([first, *headers]).encode("latin-1") + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "host", "port", "line"),
    [
        ("GET http://site.test/ HTTP/1.1", "site.test", 80, b"GET / HTTP/1.1"),
        ("GET http://site.test HTTP/1.1", "site.test", 80, b"GET / HTTP/1.1"),
        ("GET http://site.test:8080/a?b=http://c/ HTTP/1.1", "site.test", 8080, b"GET /a?b=http://c/ HTTP/1.1"),
        ("HEAD http://site.test?x HTTP/1.1", "site.test", 80, b"HEAD /?x HTTP/1.1"),
        ("GET http://[2001:db8::1]/x HTTP/1.1", "2001:db8::1", 80, b"GET /x HTTP/1.1"),
        ("GET http://2130706433/ HTTP/1.1", "127.0.0.1", 80, b"GET / HTTP/1.1"),
        ("GET http://site.test/%7e/../a HTTP/1.1", "site.test", 80, b"GET /%7e/../a HTTP/1.1"),
    ],
)
def test_a_request_in_the_clear(first: str, host: str, port: int, line: bytes) -> None:
    request = parse_request(head(first, "Host: site.test", "Cookie: a=b", "Proxy-Authorization: Basic eA=="))
    assert (request.tunnel, request.host, request.port) == (False, host, port)
    assert request.authorization == "Basic eA=="
    assert request.onward.startswith(line + b"\r\n")
    assert b"\r\nCookie: a=b\r\n" in request.onward
    assert b"Proxy-Authorization" not in request.onward, "the credential leaves with no request"
    assert request.onward.endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "host", "port"),
    [("site.test:443", "site.test", 443), ("[2001:db8::1]:443", "2001:db8::1", 443), ("127.1:80", "127.0.0.1", 80)],
)
def test_a_tunnel(target: str, host: str, port: int) -> None:
    request = parse_request(head(f"CONNECT {target} HTTP/1.1", f"Host: {target}"))
    assert (request.tunnel, request.host, request.port) == (True, host, port)


@pytest.mark.parametrize(
    "whole",
    [
        head("POST http://site.test/ HTTP/1.1", "Content-Length: 0"),
        head("PUT http://site.test/ HTTP/1.1"),
        head("OPTIONS http://site.test/ HTTP/1.1"),
        head("GET http://site.test/ HTTP/1.1", "Content-Length: 3"),
        head("GET http://site.test/ HTTP/1.1", "Transfer-Encoding: chunked"),
        head("GET https://site.test/ HTTP/1.1"),
        head("GET ftp://site.test/ HTTP/1.1"),
        head("GET file:///etc/passwd HTTP/1.1"),
        head("GET /path HTTP/1.1", "Host: site.test"),
        head("GET http://user:word@site.test/ HTTP/1.1"),
        head("GET http://site.test/ HTTP/2.0"),
        head("CONNECT site.test:443/x HTTP/1.1"),
        head("CONNECT a@site.test:443 HTTP/1.1"),
        head("CONNECT site.test:99999 HTTP/1.1"),
        head("CONNECT  HTTP/1.1"),
        b"\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ],
)
def test_what_no_page_needs_is_refused(whole: bytes) -> None:
    with pytest.raises(RequestRefused):
        parse_request(whole)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_refused(data: bytes) -> None:
    for whole in (data, b"GET http://" + data, b"CONNECT " + data + b" HTTP/1.1\r\n\r\n"):
        try:
            request = parse_request(whole)
        except RequestRefused:
            continue
        assert request.host
        assert 0 <= request.port <= 65535


def test_an_answers_connection_ends() -> None:
    given = b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nX: 1\r\nkeep-alive: timeout=5\r\nContent-Length: 2\r\n\r\n"
    assert without_connection(given) == b"HTTP/1.1 200 OK\r\nConnection: close\r\nX: 1\r\nContent-Length: 2\r\n\r\n"
    for untouched in (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"", b"nonsense\n\n"):
        assert without_connection(untouched) == untouched


def greeting(*protocols: str, name: str = "site.test") -> bytes:
    """The first record of a TLS client of Python's own."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def test_a_pages_tunnel_offers_http2() -> None:
    assert offers_http2(greeting("h2", "http/1.1"))
    assert offers_http2(greeting("http/1.1", "h2"))
    assert not offers_http2(greeting("http/1.1")), "a WebSocket over TLS"
    assert not offers_http2(greeting())
    assert not offers_http2(greeting("http/1.1", name="h2.h2.test")), "a name is no protocol"
    assert not offers_http2(b"GET /socket HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    whole = greeting("h2", "http/1.1")
    assert not any(offers_http2(whole[:cut]) for cut in range(len(whole) - 400))


@given(st.binary(max_size=400))
def test_any_record_is_read_without_an_error(data: bytes) -> None:
    offers_http2(data)
    offers_http2(b"\x16\x03\x01" + data)
    offers_http2(greeting_bytes()[: len(data)] + data)


def greeting_bytes() -> bytes:
    return b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
