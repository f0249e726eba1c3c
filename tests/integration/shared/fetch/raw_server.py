"""Servers that speak raw HTTP, a name server whose answers are chosen, and the guarded client before them."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.outbound.fetch import Fetcher
from shared.outbound.guard import AddressGuard, DnsFailure, GuardedEndpoint

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


def dripping(start: bytes, drop: bytes = b"x") -> Handler:
    async def handler(request: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.02)  # the drip itself, not a wait of the test

    return handler


async def reset(request: str, writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    writer.transport.abort()
