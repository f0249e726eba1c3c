"""Rule 11: the guarded client against real sockets: servers that lie, drip, redirect inward, and bombs."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.outbound.fetch import Fetcher, HostBusy, TimedOut, TooManyRedirects
from shared.outbound.guard import AddressGuard, AddressRefused, DnsFailure, GuardedEndpoint
from shared.outbound.transport import (
    AnswerTooLarge,
    ConnectFailure,
    ConnectionLost,
    GuardedTransport,
    MalformedResponse,
    TlsFailure,
)
from shared.urls import BadUrl, CredentialsInUrl, UnsupportedScheme

Handler = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Gets the request's head (and body, if any) and answers as it likes; the connection is closed afterwards."""


@dataclass
class Site:
    """A server that speaks raw HTTP."""

    ip: str
    port: int
    requests: list[str] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", host: str | None = None) -> str:
        return f"http://{host or self.ip}:{self.port}{path}"

    @property
    def endpoint(self) -> GuardedEndpoint:
        return GuardedEndpoint(self.ip, self.port)


@asynccontextmanager
async def serving(
    handler: Handler, *, ip: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Site]:
    site = Site(ip, port)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        site.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next(
                (
                    int(line.partition(":")[2])
                    for line in head.lower().split("\r\n")
                    if line.startswith("content-length")
                ),
                0,
            )
            request = head + (await reader.readexactly(length)).decode("latin-1")
            site.requests.append(request)
            await handler(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, ip, port, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        for task in tuple(tasks):
            task.cancel()
        server.close()
        await server.wait_closed()


def answering(raw: bytes) -> Handler:
    async def handler(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return handler


def ok(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


class Answers:
    """A name server whose answers we choose; each name's are given in turn, the last for ever."""

    def __init__(self, **of_name: Sequence[tuple[str, ...]]) -> None:
        self._of_name = {name.replace("_", "."): list(answers) for name, answers in of_name.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        answers = self._of_name.get(host)
        if answers is None:
            raise DnsFailure("no such domain.", no_such_domain=True)
        return answers.pop(0) if len(answers) > 1 else answers[0]


@asynccontextmanager
async def fetching(
    *sites: Site, resolver: Answers | None = None, tls: ssl.SSLContext | None = None, connections_per_host: int = 4
) -> AsyncIterator[Fetcher]:
    guard = AddressGuard(allow=[site.endpoint for site in sites], resolver=resolver or Answers())
    async with Fetcher(
        guard, user_agent="Mozilla/5.0 (test)", tls=tls, connections_per_host=connections_per_host
    ) as fetcher:
        yield fetcher


# --- plain answers -----------------------------------------------------------------------------------------------------


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
    async with serving(_dripping(start)) as site, fetching(site) as fetcher:
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


# --- limits --------------------------------------------------------------------------------------------------------------


def _dripping(start: bytes, drop: bytes = b"x") -> Handler:
    async def handler(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.02)  # the drip itself, not a wait of the test

    return handler


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"]
)
async def test_a_slow_drip_ends_at_the_total_time(start: bytes) -> None:
    async with serving(_dripping(start, b"H")) as site, fetching(site) as fetcher:
        began = time.monotonic()
        with pytest.raises((TimedOut, MalformedResponse)) as caught:
            await fetcher.get(site.url(), timeout_seconds=0.3)
        assert time.monotonic() - began < 3
        if start:
            assert caught.type is TimedOut


async def test_endless_interim_answers_end_at_the_total_time() -> None:
    async with serving(_dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")) as site, fetching(site) as fetcher:
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


# --- connections that fail -----------------------------------------------------------------------------------------------


async def test_nobody_listens() -> None:
    async with serving(answering(b"")) as site:
        pass
    async with fetching(site) as fetcher:
        with pytest.raises(ConnectFailure):
            await fetcher.get(site.url())


async def _reset(request: str, writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()


async def test_a_reset_connection_is_lost() -> None:
    async with serving(_reset) as site, fetching(site) as fetcher:
        with pytest.raises(ConnectionLost):
            await fetcher.get(site.url())


async def test_a_body_cut_short_is_lost() -> None:
    async with (
        serving(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")) as site,
        fetching(site) as fetcher,
    ):
        with pytest.raises(ConnectionLost):
            await fetcher.get(site.url())


@pytest.mark.parametrize("raw", [b"SSH-2.0-OpenSSH_9.2\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"\x00\x01\x02\r\n\r\n"])
async def test_what_is_not_http_is_malformed(raw: bytes) -> None:
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())


async def test_errors_hold_no_name_or_address() -> None:
    async with serving(_reset) as site, fetching(site, resolver=Answers()) as fetcher:
        for url in (site.url("/secret"), "http://nosuch.example/secret", "http://10.1.2.3/secret"):
            with pytest.raises(Exception) as caught:  # noqa: PT011 - any of our errors
                await fetcher.get(url)
            text = f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
            for secret in ("secret", "nosuch", "10.1.2.3", "127.0.0.1", str(site.port)):
                assert secret not in text


# --- the guard -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://2130706433/",  # 127.0.0.1 as a number
        "http://0x7f.1/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/latest/meta-data",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://169.254.169.254/latest/meta-data",
        "http://inside.example/",
        "http://mixed.example/",
        "http://localhost/",
    ],
)
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    resolver = Answers(
        inside_example=[("10.0.0.7",)], mixed_example=[("93.184.215.14", "192.168.1.1")], localhost=[("127.0.0.1",)]
    )
    async with fetching(resolver=resolver) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.get(url, timeout_seconds=2)


async def test_only_the_exact_pair_is_allowed() -> None:
    async with (
        serving(answering(ok(b"in"))) as site,
        serving(answering(ok(b"out"))) as neighbour,
        fetching(site) as fetcher,
    ):
        assert (await fetcher.get(site.url())).body == b"in"
        with pytest.raises(AddressRefused):
            await fetcher.get(neighbour.url())
        with pytest.raises(AddressRefused):
            await fetcher.get(f"http://127.0.0.2:{site.port}/")
    assert neighbour.connections == 0


async def test_a_rebinding_name_is_dialled_where_it_was_checked() -> None:
    async with (
        serving(answering(ok(b"checked"))) as site,
        serving(answering(ok(b"trap")), ip="127.0.0.2", port=site.port) as trap,
    ):
        resolver = Answers(rebinding_example=[("127.0.0.1",), ("127.0.0.2",)])
        async with fetching(site, resolver=resolver) as fetcher:
            fetched = await fetcher.get(site.url(host="rebinding.example"))
            assert (fetched.body, fetched.address) == (b"checked", site.endpoint)
            assert resolver.asked == ["rebinding.example"]
            with pytest.raises(AddressRefused):
                await fetcher.get(site.url(host="rebinding.example"))
        assert trap.connections == 0
    assert f"host: rebinding.example:{site.port}" in site.requests[0].lower()


async def test_the_socket_itself_is_held_to_the_pinned_address() -> None:
    async with serving(answering(ok(b"trap"))) as site:
        transport = GuardedTransport(tls=ssl.create_default_context())
        try:
            for pinned in ((), (GuardedEndpoint("127.0.0.2", site.port),)):
                with pytest.raises(AddressRefused):
                    await transport.send(httpx.Request("GET", site.url()), pinned)
        finally:
            await transport.aclose()
    assert site.connections == 0


async def test_a_static_name_comes_before_dns_and_leads_to_its_port() -> None:
    async with serving(answering(ok(b"demo"))) as site:
        resolver = Answers(liar_test=[("93.184.215.14",)])
        guard = AddressGuard(
            allow=[site.endpoint], static_hosts={"liar.test": site.endpoint}, allow_static_hosts=True, resolver=resolver
        )
        async with Fetcher(guard, user_agent="test") as fetcher:
            fetched = await fetcher.get("http://LIAR.test/x.jpg")
    assert (fetched.body, fetched.address, fetched.final_url) == (b"demo", site.endpoint, "http://liar.test/x.jpg")
    assert resolver.asked == []


async def test_an_unknown_name_says_so() -> None:
    async with fetching() as fetcher:
        with pytest.raises(DnsFailure) as caught:
            await fetcher.get("http://nosuch.example/")
    assert caught.value.no_such_domain


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("ftp://a.example/", UnsupportedScheme),
        ("file:///etc/passwd", UnsupportedScheme),
        ("http://user:pw@a.example/", CredentialsInUrl),
        ("nonsense", BadUrl),
    ],
)
async def test_only_plain_web_urls_are_fetched(url: str, error: type[BadUrl]) -> None:
    async with fetching() as fetcher:
        with pytest.raises(error):
            await fetcher.get(url)


# --- redirects -----------------------------------------------------------------------------------------------------------


def redirecting(to: str) -> Handler:
    return answering(ok(b"", f"Location: {to}", status="302 Found"))


async def test_redirects_are_followed_and_counted() -> None:
    async def handler(request: str, writer: asyncio.StreamWriter) -> None:
        hop = int(request.split(" ")[1].strip("/") or 0)
        await (answering(ok(b"end")) if hop == 5 else redirecting(f"{hop + 1}"))(request, writer)

    async with serving(handler) as site, fetching(site) as fetcher:
        fetched = await fetcher.get(site.url("/0"))
        assert (fetched.body, fetched.redirects, fetched.final_url) == (b"end", 5, site.url("/5"))
        with pytest.raises(TooManyRedirects):
            await fetcher.get(site.url("/0"), max_redirects=4)


async def test_a_redirect_to_another_site_is_dialled_there() -> None:
    async with (
        serving(answering(ok(b"there"))) as there,
        serving(redirecting(there.url("/x"))) as here,
        fetching(here, there) as fetcher,
    ):
        fetched = await fetcher.get(here.url())
    assert (fetched.body, fetched.address, fetched.final_url) == (b"there", there.endpoint, there.url("/x"))


async def test_a_redirect_loop_ends() -> None:
    async with serving(redirecting("/")) as site, fetching(site) as fetcher:
        with pytest.raises(TooManyRedirects):
            await fetcher.get(site.url())
    assert len(site.requests) == 6


@pytest.mark.parametrize(
    "to", ["http://169.254.169.254/latest/", "http://127.0.0.1/", "http://[::1]:80/", "//10.0.0.1/"]
)
async def test_a_redirect_inward_is_refused(to: str) -> None:
    async with serving(redirecting(to)) as site, fetching(site) as fetcher:
        with pytest.raises(AddressRefused):
            await fetcher.get(site.url())


@pytest.mark.parametrize(
    "to", ["ftp://a.example/", "file:///etc/passwd", "http://u:p@a.example/", "http://", "http://a b/"]
)
async def test_a_redirect_to_nowhere_is_malformed(to: str) -> None:
    async with serving(redirecting(to)) as site, fetching(site) as fetcher:
        with pytest.raises(MalformedResponse):
            await fetcher.get(site.url())


# --- posting -------------------------------------------------------------------------------------------------------------


async def test_a_post_arrives_once_with_its_headers() -> None:
    raw = ok(b"thanks", "Retry-After: 120", status="202 Accepted")
    async with serving(answering(raw)) as site, fetching(site) as fetcher:
        posted = await fetcher.post(
            site.url("/hook"), b'{"a":1}', {"webhook-id": "m1", "content-type": "application/json"}
        )
    assert (posted.status, posted.body, posted.cut, posted.address) == (202, b"thanks", False, site.endpoint)
    assert posted.headers["retry-after"] == "120"
    (request,) = site.requests
    assert request.startswith("POST /hook HTTP/1.1\r\n")
    assert "webhook-id: m1" in request.lower()
    assert request.endswith('\r\n\r\n{"a":1}')


async def test_a_post_does_not_follow_redirects() -> None:
    async with (
        serving(answering(ok(b"", "Location: http://10.0.0.1/", status="307 Temporary"))) as site,
        fetching(site) as fetcher,
    ):
        posted = await fetcher.post(site.url(), b"x", {})
    assert (posted.status, len(site.requests)) == (307, 1)


async def test_a_post_on_a_broken_connection_is_not_repeated() -> None:
    async with serving(_reset) as site, fetching(site) as fetcher:
        with pytest.raises(ConnectionLost):
            await fetcher.post(site.url(), b"x", {})
    assert len(site.requests) == 1


async def test_plain_http_is_posted_to_allow_listed_addresses_alone() -> None:
    async with fetching(resolver=Answers(host_example=[("93.184.215.14",)])) as fetcher:
        with pytest.raises(AddressRefused, match="plain http"):
            await fetcher.post("http://host.example/hook", b"x", {}, timeout_seconds=2)


async def test_a_long_answer_is_cut() -> None:
    async with serving(answering(ok(b"y" * 200_000))) as site, fetching(site) as fetcher:
        posted = await fetcher.post(site.url(), b"x", {}, max_answer_bytes=1000)
    assert (len(posted.body), posted.cut) == (1000, True)


@pytest.mark.parametrize("handler", [_dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")])
async def test_a_status_counts_although_the_answer_drips(handler: Handler) -> None:
    async with serving(handler) as site, fetching(site) as fetcher:
        began = time.monotonic()
        posted = await fetcher.post(site.url(), b"x", {}, timeout_seconds=0.5)
        assert time.monotonic() - began < 3
    assert (posted.status, posted.cut) == (200, True)


async def test_a_status_that_drips_times_out() -> None:
    async with serving(_dripping(b"HTTP/1.1 200 OK\r\nX: ")) as site, fetching(site) as fetcher:
        with pytest.raises(TimedOut):
            await fetcher.post(site.url(), b"x", {}, timeout_seconds=0.3)


# --- TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of host.example, with its key, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host.example")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("host.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "host.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_the_certificate_is_checked_against_the_name_though_an_address_is_dialled(certificate: Path) -> None:
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    asked: list[str] = []
    server_side.sni_callback = lambda sock, name, context: asked.append(name or "")
    trusting = ssl.create_default_context(cafile=str(certificate))
    resolver = Answers(host_example=[("127.0.0.1",)], other_example=[("127.0.0.1",)])
    async with serving(answering(ok(b"secret")), tls=server_side) as site:
        async with fetching(site, resolver=resolver, tls=trusting) as fetcher:
            posted = await fetcher.post(f"https://host.example:{site.port}/", b"x", {})
            assert (posted.status, posted.address) == (200, site.endpoint)
            assert asked == ["host.example"]
            with pytest.raises(TlsFailure):
                await fetcher.post(f"https://other.example:{site.port}/", b"x", {})
        async with fetching(site, resolver=resolver) as fetcher:
            with pytest.raises(TlsFailure):
                await fetcher.get(f"https://host.example:{site.port}/")
    assert len(site.requests) == 1


async def test_no_tls_behind_https_is_a_tls_failure() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        site = Site("127.0.0.1", server.sockets[0].getsockname()[1])
        async with fetching(site) as fetcher:
            with pytest.raises(TlsFailure):
                await fetcher.get(f"https://127.0.0.1:{site.port}/", timeout_seconds=5)
