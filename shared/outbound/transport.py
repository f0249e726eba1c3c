"""The wire under `fetch.py`: httpx over aiohttp, dialling nothing but pinned addresses.

`httpx-aiohttp`'s transport is extended where it would give the guard's word away:
- names are not resolved again: the addresses the guard approved for this request are pinned, and every socket is checked
  against them as it is made (aiohttp asks no resolver for an address literal);
- the URL goes out as it is (aiohttp's parser would decode parts of the query, and a signed URL would no longer verify);
- the address really dialled is read off the connection, not off the resolver's answer;
- an answer's head is read as leniently as browsers do (`response_head.py`).

Each request has a connection of its own: a kept one may be closed by the other side just as a demand is written to it, and
then nobody knows whether it arrived. For the same reason a POST is never repeated here; aiohttp repeats a GET once where its
connection breaks before an answer.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

import aiohttp
import httpx
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientResponse
from aiohttp.connector import AddrInfoType
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from httpx_aiohttp import AiohttpTransport
from httpx_aiohttp.transport import AiohttpResponseStream

from shared.errors import Permanent, Transient
from shared.outbound.guard import AddressRefused, GuardedEndpoint, OutboundError, parse_ip
from shared.outbound.response_head import HeadReader, HeadTooLarge

MAX_HEADER_BYTES = 64 * 1024
"""Of one header line; `MAX_HEADERS` of them, and all of them together are bounded by `HeadReader`."""
MAX_HEADERS = 2_000
CONNECTIONS = 200

_pinned: ContextVar[tuple[GuardedEndpoint, ...]] = ContextVar("pinned", default=())
"""What this request may dial. The tasks of a connection race inherit it."""


class ConnectFailure(OutboundError, Transient):
    """No connection could be made: nothing was sent."""

    code = "connect_failure"


class TlsFailure(OutboundError, Transient):
    """No trusted TLS connection could be made: nothing was sent."""

    code = "tls_failure"


class ConnectionLost(OutboundError, Transient):
    """The connection broke before the answer was whole: what was sent may have arrived."""

    code = "connection_lost"


class MalformedResponse(OutboundError, Transient):
    """The answer is not proper HTTP."""

    code = "malformed_response"


class AnswerTooLarge(OutboundError, Permanent):
    """The answer is over the size limit."""

    code = "too_large"


class GuardedTransport(AiohttpTransport):
    """Sends a request to its pinned addresses (`pinned_to`). Raises the OutboundErrors of this module, no httpx error."""

    DIALLED: ClassVar[str] = "dialled"
    """The response extension that holds the Endpoint the answer came from."""

    def __init__(self, *, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False, client=lambda: _session(tls))

    async def send(self, request: httpx.Request, pinned: Sequence[GuardedEndpoint]) -> httpx.Response:
        """Send to one of these endpoints. The caller closes the response."""
        token = _pinned.set(tuple(pinned))
        try:
            return await self.handle_async_request(request)
        finally:
            _pinned.reset(token)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        try:
            response = await self.client.request(
                request.method,
                yarl.URL(str(request.url), encoded=True),
                headers=dict(request.headers),
                data=request.content or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _named(error) from None
        assert isinstance(response, _Response)
        return httpx.Response(
            response.status,
            headers=response.raw_headers,
            stream=_Stream(response),
            request=request,
            extensions={self.DIALLED: response.dialled},
        )


class _Stream(AiohttpResponseStream):
    """The body of an answer."""

    async def __aiter__(self) -> Any:
        try:
            async for chunk in self._aiohttp_response.content.iter_chunked(self.CHUNK_SIZE):
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _named(error) from None

    async def aclose(self) -> None:
        # Closed, not released: what is left of a body that nobody wants is not read.
        self._aiohttp_response.close()


class _Response(ClientResponse):
    """An answer that keeps the address its connection was made to."""

    dialled: GuardedEndpoint | None = None

    async def start(self, connection: Any) -> ClientResponse:
        peer = connection.transport.get_extra_info("peername")
        if peer is not None:
            self.dialled = GuardedEndpoint(str(parse_ip(peer[0])), peer[1])
        return await super().start(connection)


class _LenientHandler(ResponseHandler):
    """Passes an answer's bytes to aiohttp's parser, the head rewritten by `HeadReader`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._head = HeadReader()

    def data_received(self, data: bytes) -> None:
        try:
            data = self._head.feed(data)
        except HeadTooLarge as error:
            if self.transport is not None:
                self.transport.close()
            self.set_exception(HttpProcessingError(message=error.title), LineTooLong(b"", MAX_HEADER_BYTES))
            return
        if data:
            super().data_received(data)


class _PinnedResolver(AbstractResolver):
    """Resolves to the pinned addresses of this request alone."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=endpoint.ip,
                port=endpoint.port,
                family=socket.AF_INET6 if ":" in endpoint.ip else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for endpoint in _pinned.get()
        ]

    async def close(self) -> None:
        """Nothing is open."""


class _NotPinned(PermissionError):
    """A socket was about to be made for an address that was not approved. An OSError, which a connection race keeps."""


def _pinned_socket(info: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, address = info
    if GuardedEndpoint(str(parse_ip(str(address[0]))), int(address[1])) not in _pinned.get():
        raise _NotPinned()
    return socket.socket(family, kind, protocol)


def _session(tls: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        ssl=tls,
        resolver=_PinnedResolver(),
        use_dns_cache=False,
        socket_factory=_pinned_socket,
        force_close=True,
        limit=CONNECTIONS,
    )
    # aiohttp has no setting for it: what each new connection's bytes go to.
    handler: Callable[..., ResponseHandler] = _LenientHandler
    connector._factory = functools.partial(handler, loop=asyncio.get_running_loop())
    return aiohttp.ClientSession(
        connector=connector,
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        max_line_size=MAX_HEADER_BYTES,
        max_field_size=MAX_HEADER_BYTES,
        max_headers=MAX_HEADERS,
    )


def _named(error: Exception) -> OutboundError:
    """Our name of what went wrong. The original is not chained: its text holds host and URL."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, _NotPinned):
        return AddressRefused("not approved for this request.")
    if isinstance(error, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError, ssl.SSLError)):
        return TlsFailure()
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectFailure()
    if isinstance(error, aiohttp.ClientPayloadError):
        return ConnectionLost("its body is cut short.")
    if isinstance(error, (aiohttp.ClientConnectionError, OSError)):
        return ConnectionLost()
    cause: BaseException | None = error
    while cause is not None:  # aiohttp wraps the parser's word twice
        if isinstance(cause, LineTooLong):
            return AnswerTooLarge("a header line.")
        cause = cause.__cause__
    return MalformedResponse()
