"""Rule 11: the guarded client reads what servers that lie, drip and send bombs answer, within its limits."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
import zlib

import pytest

from shared.outbound.fetch import HostBusy, TimedOut
from shared.outbound.transport import (
    AnswerTooLarge,
    MalformedResponse,
)
from tests.integration.shared.fetch.raw_server import (
    Answers,
    Site,
    answering,
    dripping,
    fetching,
    ok,
    serving,
)


async def test_an_answer_comes_with_the_address_that_was_dialled() -> None:
    raw = ok(b"pixels", "Content-Type: image/png", "Set-Cookie: a=b", "X-Secret: 1", 'ETag: "v1"')
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        fetched = await fetcher.get(site.url("/a.png#part"))
    assert (fetched.status, fetched.body, fetched.size_bytes) == (200, b"pixels", 6)
    assert fetched.address == site.endpoint
    assert fetched.content_type == "image/png"
    assert fetched.final_url == site.url("/a.png")
    assert dict(fetched.headers) == {"content-type": "image/png", "content-length": "6", "etag": '"v1"'}


async def test_a_request_tells_nothing_of_us(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Answers(host_example=[("127.0.0.1",)])
    async with (
        serving(answering(ok(b"", "Set-Cookie: session=1; Path=/"))) as site,
        fetching(site, resolver=resolver) as fetcher,
    ):
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.9:1")
        monkeypatch.setenv("http_proxy", "http://127.0.0.9:1")
        await fetcher.get(site.url(host="host.example"))
        await fetcher.get(site.url(host="host.example"))
    assert len(site.requests) == 2
    for request in site.requests:
        names = {line.partition(":")[0].lower() for line in request.split("\r\n")[1:] if line}
        assert names <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert "User-Agent: Mozilla/5.0 (test)".lower() in request.lower()
        assert "takedown" not in request.lower()


async def test_no_connection_is_kept() -> None:
    connections = 0

    async def keeping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(ok(b"again", "Connection: keep-alive"))
        writer.close()

    server = await asyncio.start_server(keeping, "127.0.0.1", 0)
    async with server:
        site = Site("127.0.0.1", server.sockets[0].getsockname()[1])
        async with fetching(site) as fetcher:
            for _ in range(3):
                assert (await fetcher.get(site.url())).body == b"again"
    assert connections == 3


async def test_the_url_goes_out_as_it_is() -> None:
    path = "/a%2Fb/%7Ec;d=1/e%20f?sig=a%2Bb%2F%3D%3d&x=%41+y&z=(1)"
    async with serving(answering(ok(b""))) as site, fetching(site) as fetcher:
        await fetcher.get(site.url(path))
    assert site.requests[0].split(" ")[1] == path


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone", "403 Forbidden", "500 Oops", "451 Unavailable"])
async def test_the_body_of_a_failure_is_read_whole_within_the_same_limits(status: str) -> None:
    async with serving(answering(ok(b"a picture", status=status))) as site, fetching(site) as fetcher:
        fetched = await fetcher.get(site.url())
    assert (fetched.status, fetched.body) == (int(status[:3]), b"a picture")
    start = f"HTTP/1.1 {status}\r\nContent-Length: 1000000\r\n\r\n".encode()
    async with serving(dripping(start)) as site, fetching(site) as fetcher:
        with pytest.raises(AnswerTooLarge):
            await fetcher.get(site.url(), max_bytes=1000)
        with pytest.raises(TimedOut):
            await fetcher.get(site.url(), timeout_seconds=0.3)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate", "gzip members"])
async def test_compressed_bodies_are_undone(coding: str) -> None:
    body = bytes(range(256)) * 400
    raw = zlib.compressobj(wbits=-15)
    encoded = {
        "gzip": gzip.compress(body),
        "deflate": zlib.compress(body),
        "raw deflate": raw.compress(body) + raw.flush(),
        "gzip members": gzip.compress(body[:1000]) + gzip.compress(body[1000:]),
    }[coding]
    header = f"Content-Encoding: {'gzip' if 'gzip' in coding else 'deflate'}"
    async with serving(answering(ok(encoded, header))) as site, fetching(site) as fetcher:
        assert (await fetcher.get(site.url())).body == body


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
async def test_a_slow_drip_ends_at_the_total_time(start: bytes) -> None:
    async with serving(dripping(start, b"H")) as site, fetching(site) as fetcher:
        began = time.monotonic()
        with pytest.raises((TimedOut, MalformedResponse)) as caught:
            await fetcher.get(site.url(), timeout_seconds=0.3)
        assert time.monotonic() - began < 3
        if start:
            assert caught.type is TimedOut


async def test_endless_interim_answers_end_at_the_total_time() -> None:
    async with serving(dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")) as site, fetching(site) as fetcher:
        with pytest.raises(TimedOut):
            await fetcher.get(site.url(), timeout_seconds=0.3)


async def test_a_declared_size_over_the_limit_is_refused_unread() -> None:
    async with (
        serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nx")) as site,
        fetching(site) as fetcher,
    ):
        with pytest.raises(AnswerTooLarge):
            await fetcher.get(site.url(), max_bytes=1000)


@pytest.mark.parametrize(("size", "fits"), [(1000, True), (1001, False)])
async def test_an_undeclared_size_is_counted(size: int, fits: bool) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + f"{size:x}\r\n".encode() + b"x" * size
    async with serving(answering(raw + b"\r\n0\r\n\r\n")) as site, fetching(site) as fetcher:
        if fits:
            assert len((await fetcher.get(site.url(), max_bytes=1000)).body) == size
        else:
            with pytest.raises(AnswerTooLarge):
                await fetcher.get(site.url(), max_bytes=1000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compression_bomb_is_too_large(coding: str) -> None:
    body = bytes(50_000_000)
    bomb = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    assert len(bomb) < 100_000
    async with serving(answering(ok(bomb, f"Content-Encoding: {coding}"))) as site, fetching(site) as fetcher:
        with pytest.raises(AnswerTooLarge):
            await fetcher.get(site.url(), max_bytes=1_000_000)


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip"])
async def test_codings_that_were_not_asked_for_are_refused(coding: str) -> None:
    async with serving(answering(ok(b"xx", f"Content-Encoding: {coding}"))) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())


@pytest.mark.parametrize("encoded", [gzip.compress(b"x" * 1000)[:-9], b"no gzip at all"], ids=["cut short", "no gzip"])
async def test_a_broken_compressed_body_is_malformed(encoded: bytes) -> None:
    async with serving(answering(ok(encoded, "Content-Encoding: gzip"))) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())


async def test_a_huge_header_line_is_too_large() -> None:
    async with serving(answering(ok(b"", "X-Big: " + "x" * 100_000))) as site, fetching(site) as fetcher:
        with pytest.raises(AnswerTooLarge):
            await fetcher.get(site.url())


async def test_too_many_headers_are_refused() -> None:
    raw = ok(b"", *(f"X-{number}: {'x' * 4000}" for number in range(1000)))
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        with pytest.raises((AnswerTooLarge, MalformedResponse)):
            await fetcher.get(site.url())


async def test_waiting_for_a_turn_counts_and_is_named() -> None:
    held = asyncio.Event()

    async def hold(request: str, writer: asyncio.StreamWriter) -> None:
        held.set()
        await asyncio.Event().wait()

    async with serving(hold) as site, fetching(site, connections_per_host=1) as fetcher:
        first = asyncio.create_task(fetcher.get(site.url(), timeout_seconds=30))
        await asyncio.wait_for(held.wait(), 5)
        with pytest.raises(HostBusy):
            await fetcher.get(site.url(), timeout_seconds=0.2)
        assert site.connections == 1
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        # The turn came back: the next request reaches the host (and times out there).
        with pytest.raises(TimedOut):
            await fetcher.get(site.url(), timeout_seconds=0.2)
