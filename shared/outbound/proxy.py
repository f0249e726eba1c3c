"""The browser's only way out: a forward proxy on loopback that resolves, pins and refuses by the guard's rules.

A page decides what its browser asks for, so the browser itself may reach nothing. Every name is resolved here, every address
checked, and the checked address dialled; a redirect comes back as a request of its own and is checked like the first.

- Plain http comes in absolute form and leaves as GET or HEAD without a body; the answer is passed on byte for byte (browsers
  are more lenient than any parser of ours), but for its `Connection` lines: a connection carries one request.
- https, and `ws:` and `wss:` too, come as CONNECT. A tunnel must begin with a TLS greeting that offers HTTP/2, as pages and
  their media do: a WebSocket (RFC 6455) offers HTTP/1.1 alone or speaks in the clear, and is cut.
- Ports 80 and 443, and the guard's allow-listed pairs. Each look has a credential of its own (RFC 7617) and a budget.

Libraries looked at: proxy.py and pproxy (servers of their own processes, no pinning of what is dialled), mitmproxy (opens TLS).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from shared.errors import Permanent
from shared.outbound.guard import AddressGuard, AddressRefused, GuardedEndpoint, OutboundError
from shared.outbound.proxy_request import ProxyRequest, RequestRefused, offers_http2, parse_request, without_connection
from shared.outbound.transport import ConnectFailure, ConnectionLost

HEAD_BYTES = 256 * 1024
"""Of a request's head, and of an answer's that is looked through for `Connection` lines."""
HEAD_SECONDS = 10.0
CONNECT_SECONDS = 10.0
IDLE_SECONDS = 30.0
"""A connection on which nothing moves for this long is cut."""
CONNECTIONS = 128
"""At one time, of all looks. Chromium opens at most 32 to a proxy."""
_CHUNK_BYTES = 64 * 1024
_PORTS = (80, 443)


class BudgetSpent(OutboundError, Permanent):
    """The look has used up its requests, hosts or bytes."""

    code = "budget_spent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyBudget:
    """What one look may ask for: requests (a tunnel is one), host names, and bytes in both directions."""

    max_requests: int = 300
    max_hosts: int = 50
    max_bytes: int = 50_000_000


@dataclass(slots=True, kw_only=True, eq=False)
class ProxyAccount:
    """One look's credential, what it has used, and what was refused. It ends with the look, and its connections with it."""

    budget: ProxyBudget
    user: str
    password: str
    requests: int = 0
    bytes_moved: int = 0
    hosts: set[str] = field(default_factory=set)
    failures: dict[str, OutboundError] = field(default_factory=dict)
    """Host → why the last connection to it failed."""
    spent: bool = False
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def authorization(self) -> str:
        """The header's value that the browser sends."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def count_request(self, host: str) -> None:
        """Count a request. Raises BudgetSpent."""
        self.requests += 1
        if self.requests > self.budget.max_requests or len(self.hosts | {host}) > self.budget.max_hosts:
            self.spent = True
            raise BudgetSpent()
        self.hosts.add(host)

    def count_bytes(self, count: int) -> None:
        """Count bytes. Raises BudgetSpent."""
        self.bytes_moved += count
        if self.bytes_moved > self.budget.max_bytes:
            self.spent = True
            raise BudgetSpent()


class ForwardProxy:
    """The proxy, on a port of 127.0.0.1 that the system chooses. Use it in `async with`."""

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._accounts: dict[str, ProxyAccount] = {}
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> ForwardProxy:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=HEAD_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        await _end(self._tasks)

    @contextmanager
    def account(self, budget: ProxyBudget) -> Iterator[ProxyAccount]:
        """A credential for one look. What it has under way is cut at the end."""
        account = ProxyAccount(budget=budget, user=secrets.token_hex(8), password=secrets.token_hex(32))
        self._accounts[account.authorization] = account
        try:
            yield account
        finally:
            self.end(account)

    def end(self, account: ProxyAccount) -> None:
        """End an account at once: nothing leaves by it any more, also what is under way."""
        self._accounts.pop(account.authorization, None)
        for task in account.tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if len(self._tasks) <= CONNECTIONS:
                await self._serve(reader, writer, task)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OutboundError):
            pass  # the browser sees a closed connection; why is in the account
        except asyncio.CancelledError:
            writer.transport.abort()  # the look or the proxy has ended; nobody awaits this task for its word
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        async with asyncio.timeout(HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        try:
            request = parse_request(head)
        except RequestRefused:
            return await _answer(writer, "405 Method Not Allowed")
        account = self._accounts.get(request.authorization)
        if account is None:
            return await _answer(writer, "407 Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="look"')
        account.tasks.add(task)
        try:
            await self._pass_on(account, request, reader, writer)
        except OutboundError as error:
            account.failures[request.host] = error
            if request.tunnel:  # in the clear no answer of ours is given: it would be taken for the site's
                await _answer(writer, "502 Bad Gateway")
        finally:
            account.tasks.discard(task)

    async def _pass_on(
        self,
        account: ProxyAccount,
        request: ProxyRequest,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        account.count_request(request.host)
        async with self._dialled(request) as (from_site, to_site):
            if request.tunnel:
                writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
                greeting = await _greeting(reader)
                if not offers_http2(greeting):
                    raise AddressRefused("no web page's tunnel.")
                account.count_bytes(len(greeting))
                to_site.write(greeting)
                return await _both_ways(
                    _pump(reader, to_site, account),
                    _pump(from_site, writer, account),
                )
            to_site.write(request.onward)
            await to_site.drain()
            await self._answer_of(request, from_site, writer, account)

    async def _answer_of(
        self,
        request: ProxyRequest,
        from_site: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        account: ProxyAccount,
    ) -> None:
        try:
            head, rest = await _head(from_site)
        except OSError:
            raise ConnectionLost() from None
        if not head and not rest:
            account.failures[request.host] = ConnectionLost()
        account.count_bytes(len(head) + len(rest))
        writer.write(without_connection(head) + rest)
        await _pump(from_site, writer, account)
        account.failures.pop(request.host, None)

    @asynccontextmanager
    async def _dialled(self, request: ProxyRequest) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        pinned = await self._guard.resolve(request.host, request.port)
        for endpoint in pinned:
            if endpoint.port not in _PORTS and not self._guard.is_allow_listed(endpoint):
                raise AddressRefused(f"port {endpoint.port}.")
        reader, writer = await _connect(pinned)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _connect(pinned: tuple[GuardedEndpoint, ...]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an address that was checked. Raises ConnectFailure. An address literal is dialled as it is: no name is resolved again."""
    for endpoint in pinned[:4]:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS / min(4, len(pinned))):
                return await asyncio.open_connection(endpoint.ip, endpoint.port, limit=HEAD_BYTES)
    raise ConnectFailure()


async def _greeting(reader: asyncio.StreamReader) -> bytes:
    """The first TLS record (RFC 8446, 5.1), or what there is of something else."""
    async with asyncio.timeout(HEAD_SECONDS):
        head = await reader.readexactly(5)
        if head[0] != 0x16:
            return head
        return head + await reader.readexactly(int.from_bytes(head[3:5], "big"))


async def _head(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """An answer's head with its empty line, and what came with it; no head where none ends within HEAD_BYTES."""
    data = b""
    async with asyncio.timeout(IDLE_SECONDS):
        while len(data) < HEAD_BYTES:
            part = await reader.read(_CHUNK_BYTES)
            if not part:
                break
            data += part
            ends = [at + len(end) for end in (b"\r\n\r\n", b"\n\n") if (at := data.find(end)) >= 0]
            if ends:
                return data[: min(ends)], data[min(ends) :]
    return b"", data


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, account: ProxyAccount) -> None:
    """Copy bytes until the end of what is read. Raises BudgetSpent; a broken or idle connection is an end too."""
    with contextlib.suppress(OSError, TimeoutError):
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(_CHUNK_BYTES)
                if not data:
                    return
                account.count_bytes(len(data))
                writer.write(data)
                await writer.drain()


async def _both_ways(*pumps: Coroutine[None, None, None]) -> None:
    """Copy bytes both ways until one side has closed. Raises BudgetSpent."""
    tasks = [asyncio.ensure_future(pump) for pump in pumps]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _answer(writer: asyncio.StreamWriter, status: str, *headers: str) -> None:
    lines = [f"HTTP/1.1 {status}", *headers, "Content-Length: 0", "Connection: close"]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tuple(tasks):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
