"""Answers that browsers read and a strict client would not, over real sockets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.outbound.fetch import Fetcher
from shared.outbound.transport import MalformedResponse
from tests.raw_host import answer, raw_host

CASES = Path(__file__).parents[2] / "data" / "cases"
BASE = (CASES.with_name("pictures") / "base.jpg").read_bytes()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BASE)
WITH_THE_PICTURE = ("big-header", "ce-", "dup-length", "te-and-cl", "header-", "many-headers", "status-")
MORE = {
    "names in other letters": HEAD + b"cOnTent-lEngth: %d\r\n" % len(BASE) + LENGTH + b"\r\n" + BASE,
    "lengths with spaces": HEAD + b"Content-Length:  %d ,%d\t\r\n" % (len(BASE), len(BASE)) + b"\r\n" + BASE,
    "line ends without returns": (HEAD + LENGTH).replace(b"\r", b"") + b"\n" + BASE,
    "a folded line": HEAD + b"X: a\r\n  b\r\n" + LENGTH + b"\r\n" + BASE,
    "a line of 60 kB": HEAD + b"X: " + b"x" * 60_000 + b"\r\n" + LENGTH + b"\r\n" + BASE,
    "300 headers of 700 bytes": HEAD + (b"X: " + b"x" * 700 + b"\r\n") * 300 + LENGTH + b"\r\n" + BASE,
    "a line without a colon": HEAD + b"nonsense\r\n" + LENGTH + b"\r\n" + BASE,
    "a control character": HEAD + b"X: \x01\x02\r\n" + LENGTH + b"\r\n" + BASE,
    "bytes of another alphabet": HEAD + b"X: \xe9\xff\r\n" + LENGTH + b"\r\n" + BASE,
    "no phrase": HEAD.replace(b" OK", b"") + LENGTH + b"\r\n" + BASE,
    "no length": HEAD + b"\r\n" + BASE,
    "a length that is no number": HEAD + b"Content-Length: many\r\n\r\n" + BASE,
    "an older server with chunks in name only": HEAD.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n"
    + LENGTH
    + b"\r\n"
    + BASE,
    "hints before it": b"HTTP/1.1 103 Early Hints\r\n: x\r\n\r\n" + HEAD + LENGTH + LENGTH + b"\r\n" + BASE,
}


@pytest.mark.parametrize(
    "raw",
    [
        *(
            pytest.param(path.read_bytes(), id=path.stem)
            for path in sorted((CASES / "http").glob("*.http"))
            if path.stem.startswith(WITH_THE_PICTURE)
        ),
        *(pytest.param(raw, id=name) for name, raw in MORE.items()),
    ],
)
async def test_the_picture_arrives(raw: bytes) -> None:
    async with raw_host("127.0.1.91") as (host, guard), Fetcher(guard, user_agent="test") as fetcher:
        host.answers["/x.jpg"] = raw
        assert (await fetcher.get(host.url("/x.jpg"), timeout_seconds=5)).body == BASE


async def test_lengths_that_differ_are_refused_as_browsers_do() -> None:
    async with raw_host("127.0.1.91") as (host, guard), Fetcher(guard, user_agent="test") as fetcher:
        host.answers["/x.jpg"] = HEAD + LENGTH + b"Content-Length: 7\r\n\r\n" + BASE
        with pytest.raises(MalformedResponse):
            await fetcher.get(host.url("/x.jpg"), timeout_seconds=5)


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (b"/caf\xe9.jpg", "/caf%E9.jpg"),
        ("/café.jpg".encode(), "/caf%C3%A9.jpg"),
        (b"/a%2Fb%7e?s=%2B+", "/a%2Fb%7e?s=%2B+"),
        (b"/x y.jpg", "/x%20y.jpg"),
        (b"\\x.jpg", "/x.jpg"),
        (b"/x.jpg\r\nLocation: /y.jpg", "/x.jpg"),
        (b"\r\nLocation: /y.jpg", "/y.jpg"),
    ],
)
async def test_a_redirect_is_followed_by_the_bytes_it_came_with(location: bytes, asked: str) -> None:
    async with raw_host("127.0.1.91") as (host, guard), Fetcher(guard, user_agent="test") as fetcher:
        host.answers["/"] = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
        host.otherwise = answer(BASE)
        fetched = await asyncio.wait_for(fetcher.get(host.url("/")), 5)
    assert [one.path for one in host.requests] == ["/", asked]
    assert (fetched.status, fetched.redirects) == (200, 1)


async def test_a_redirect_to_nowhere_is_an_answer() -> None:
    async with raw_host("127.0.1.91") as (host, guard), Fetcher(guard, user_agent="test") as fetcher:
        host.answers["/"] = answer(BASE, "Location:", status="302 Found")
        assert (await fetcher.get(host.url("/"))).body == BASE
