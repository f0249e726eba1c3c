"""A host that answers with the very bytes it is given, on a real socket: for answers that no web framework would make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.outbound.guard import AddressGuard

Answer = bytes | Callable[["RawRequest"], bytes]
"""A whole answer: status line, headers, body."""
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """`path` with its query; header names in lower case."""

    path: str
    headers: Mapping[str, str]


@dataclass(slots=True, kw_only=True)
class RawHost:
    """`answers` by path; one without the query stands for every query. Anything else gets `otherwise`."""

    name: str
    address: str
    port: int = 0
    answers: dict[str, Answer] = field(default_factory=dict)
    otherwise: Answer = MISSING
    requests: list[RawRequest] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.name}:{self.port}{path}"

    def answer_to(self, request: RawRequest) -> bytes:
        known = self.answers.get(request.path, self.answers.get(request.path.partition("?")[0]))
        answer = self.otherwise if known is None else known
        return answer if isinstance(answer, bytes) else answer(request)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
            }
            request = RawRequest(path=first.split(" ")[1], headers=headers)
            self.requests.append(request)
            writer.write(self.answer_to(request))
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side went away
        finally:
            writer.close()


def answer(body: bytes, *headers: str, status: str = "200 OK", content_type: str | None = None) -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    lines += [f"Content-Type: {content_type}"] if content_type is not None else []
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def page(html: str | bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with a page."""
    body = html if isinstance(html, bytes) else html.encode()
    return answer(body, *headers, status=status, content_type="text/html; charset=utf-8")


@asynccontextmanager
async def raw_host(address: str, name: str = "site.test") -> AsyncIterator[tuple[RawHost, AddressGuard]]:
    """`site.test` at a loopback address, on a free port, and a guard that reaches it alone."""
    host = RawHost(name=name, address=address)
    server = await asyncio.start_server(host.serve, address, 0)
    host.port = server.sockets[0].getsockname()[1]
    pair = f"{address}:{host.port}"
    try:
        yield host, AddressGuard.of((pair,), {name: pair}, allow_static_hosts=True)
    finally:
        server.close()
