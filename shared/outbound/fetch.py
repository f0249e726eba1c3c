"""The guarded web client: every outbound HTTP request of the project.

Two uses, two instances with egress and user agent of their own: `get` for fetches and checks, `post` for webhooks. No
cookies, no proxies or credentials of the environment, no kept connections. A total time-out covers names, connections,
redirects and body, so that a slow drip holds no worker.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType, TracebackType

import httpx

from shared.errors import Permanent, Transient
from shared.outbound.guard import AddressGuard, AddressRefused, GuardedEndpoint, OutboundError
from shared.outbound.response_body import read_prefix, read_whole
from shared.outbound.transport import GuardedTransport, MalformedResponse
from shared.urls import BadUrl, WebUrl, parse_url

REDIRECTS = frozenset((301, 302, 303, 307, 308))
KEPT_HEADERS = (
    "content-type",
    "content-length",
    "date",
    "etag",
    "last-modified",
    "link",
    "location",
    "refresh",
    "retry-after",
    "server",
    # What stands between a visitor and a page says so in a header of its own.
    "cf-mitigated",
    "x-amzn-waf-action",
    "x-datadome",
    "x-sucuri-block",
)
"""All that is passed on of an answer's headers; each at most `KEPT_HEADER_CHARACTERS` long, a list of links `KEPT_LINK_CHARACTERS`."""
KEPT_HEADER_CHARACTERS = 1024
KEPT_LINK_CHARACTERS = 8192


class TimedOut(OutboundError, Transient):
    """The answer was not whole within the time."""

    code = "timed_out"


class HostBusy(OutboundError, Transient):
    """All connections to this host were taken for the whole time: nothing was sent."""

    code = "host_busy"


class TooManyRedirects(OutboundError, Transient):
    """The answer redirects too often."""

    code = "too_many_redirects"


class RedirectRefused(OutboundError, Permanent):
    """The answer redirects to a URL that must not be fetched."""

    code = "redirect_refused"


MayFollow = Callable[[str], Awaitable[bool]]
"""Whether a redirect to this URL may be followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer. `address` was dialled for the final URL. `body` is decoded; it is read whatever the status: browsers show it."""

    status: int
    final_url: str
    address: GuardedEndpoint
    headers: Mapping[str, str]
    content_type: str | None
    body: bytes
    elapsed_seconds: float
    redirects: int = 0

    @property
    def size_bytes(self) -> int:
        return len(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An answer to a POST. `body` is its beginning, as sent (a hint for a person, never trusted); `cut`: there was more."""

    status: int
    address: GuardedEndpoint
    headers: Mapping[str, str]
    body: bytes
    cut: bool
    elapsed_seconds: float


class Fetcher:
    """One guarded client with one egress. Use it in `async with`, or call `aclose`. `connections_per_host` bounds requests under way to one
    host name; waiting for a turn counts against the time-out. `tls`: None means the public certificate authorities (certifi's list).

    `connections_per_host` bounds requests under way to one host name; waiting for a turn counts against the time-out.
    `tls`: None means the public certificate authorities (certifi's list).
    """

    def __init__(
        self, guard: AddressGuard, *, user_agent: str, connections_per_host: int = 4, tls: ssl.SSLContext | None = None
    ) -> None:
        self._guard = guard
        self._user_agent = user_agent
        self._transport = GuardedTransport(tls=tls or httpx.create_ssl_context(trust_env=False))
        self._turns = _Turns(connections_per_host)

    async def __aenter__(self) -> Fetcher:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def refusal_of_post(self, target: WebUrl) -> str | None:
        """Why nothing is ever posted to this URL, as far as its text tells, in a sentence without its address; None: nothing does."""
        return self._guard.refusal_of(target.host, target.port, plain=target.scheme != "https")

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def get(
        self,
        url: str,
        *,
        max_bytes: int = 25_000_000,
        timeout_seconds: float = 20.0,
        max_redirects: int = 5,
        headers: Mapping[str, str] | None = None,
        may_follow: MayFollow | None = None,
    ) -> Fetched:
        """GET a URL, following redirects, each address checked and each URL asked of `may_follow`.

        Raises BadUrl (before anything is sent) and OutboundErrors: AddressRefused, DnsFailure, ConnectFailure, TlsFailure,
        ConnectionLost, MalformedResponse, TooLarge, TooManyRedirects, RedirectRefused, TimedOut, HostBusy.
        """
        target = parse_url(url)
        started = time.monotonic()
        sent = {"accept": "*/*", "accept-encoding": "gzip, deflate", **(headers or {})}
        deadline = _Deadline(timeout_seconds)
        async with deadline:
            for redirects in range(max_redirects + 1):
                pinned = await self._guard.resolve(target.host, target.port)
                async with deadline.turn(self._turns, target.host), self._send("GET", target, pinned, sent) as response:
                    location = _location(response)
                    if location is None:
                        return Fetched(
                            status=response.status_code,
                            final_url=target.href,
                            address=_dialled(response),
                            headers=_kept(response),
                            content_type=response.headers.get("content-type", "")[:KEPT_HEADER_CHARACTERS] or None,
                            body=await read_whole(response, max_bytes=max_bytes),
                            elapsed_seconds=time.monotonic() - started,
                            redirects=redirects,
                        )
                    target = _redirected(target, location)
                if may_follow is not None and not await may_follow(target.href):
                    raise RedirectRefused()
            raise TooManyRedirects(f"more than {max_redirects}.")
        raise AssertionError("the deadline swallows nothing")

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float = 10.0,
        max_answer_bytes: int = 64 * 1024,
    ) -> Posted:
        """POST a body to an https URL (http to allow-listed addresses alone). A redirect is an answer, not followed.

        The status counts once it has arrived: a body that then drips, breaks off or is over `max_answer_bytes` is cut, and
        is no error. Raises as `get` else.
        """
        target = parse_url(url)
        started = time.monotonic()
        deadline = _Deadline(timeout_seconds)
        async with deadline:
            pinned = await self._guard.resolve(target.host, target.port)
            if target.scheme != "https" and not all(self._guard.is_allow_listed(endpoint) for endpoint in pinned):
                raise AddressRefused("plain http.")
            async with (
                deadline.turn(self._turns, target.host),
                self._send("POST", target, pinned, headers, body) as response,
            ):
                prefix, cut = await read_prefix(
                    response, max_bytes=max_answer_bytes, until_seconds=deadline.remaining_seconds * 0.9
                )
                return Posted(
                    status=response.status_code,
                    address=_dialled(response),
                    headers=_kept(response),
                    body=prefix,
                    cut=cut,
                    elapsed_seconds=time.monotonic() - started,
                )
        raise AssertionError("the deadline swallows nothing")

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        target: WebUrl,
        pinned: tuple[GuardedEndpoint, ...],
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> AsyncIterator[httpx.Response]:
        try:
            request = httpx.Request(
                method, target.href, headers={"user-agent": self._user_agent, **headers}, content=body
            )
        except (httpx.InvalidURL, UnicodeError):
            raise BadUrl("the client cannot write it down.") from None
        response = await self._transport.send(request, pinned)
        try:
            yield response
        finally:
            await response.aclose()


class _Turns:
    """Limits requests under way: a semaphore for each host in use."""

    def __init__(self, per_host: int) -> None:
        self._per_host = per_host
        self._of_host: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def take(self, host: str) -> AsyncIterator[None]:
        semaphore, users = self._of_host.get(host, (asyncio.Semaphore(self._per_host), 0))
        self._of_host[host] = (semaphore, users + 1)
        try:
            async with semaphore:
                yield
        finally:
            semaphore, users = self._of_host[host]
            if users == 1:
                del self._of_host[host]
            else:
                self._of_host[host] = (semaphore, users - 1)


class _Deadline:
    """The total time-out of one request, that knows whether we were still waiting for a turn when it ended."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = 0.0
        self._waiting = False
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        self._ends = time.monotonic() + self._seconds
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            if self._waiting:
                raise HostBusy(f"{self._seconds:g} s.") from None
            raise TimedOut(f"{self._seconds:g} s.") from None

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self._ends - time.monotonic())

    @asynccontextmanager
    async def turn(self, turns: _Turns, host: str) -> AsyncIterator[None]:
        self._waiting = True
        async with turns.take(host):
            self._waiting = False
            yield


def _location(response: httpx.Response) -> str | None:
    """Where a redirect leads, its bytes as they came; None: it is none. Of several the first that says anything, as browsers do."""
    if response.status_code not in REDIRECTS:
        return None
    given = (value.strip() for name, value in response.headers.raw if name.lower() == b"location")
    first = next(filter(None, given), None)
    return None if first is None else "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in first)


def _redirected(target: WebUrl, location: str) -> WebUrl:
    try:
        return parse_url(location, base=target.href)
    except BadUrl as error:
        raise MalformedResponse(f"a redirect to where nobody can go. {error.title}") from None


def _dialled(response: httpx.Response) -> GuardedEndpoint:
    dialled = response.extensions[GuardedTransport.DIALLED]
    assert isinstance(dialled, GuardedEndpoint)
    return dialled


def _kept(response: httpx.Response) -> Mapping[str, str]:
    return MappingProxyType(
        {
            name: response.headers[name][: KEPT_LINK_CHARACTERS if name == "link" else KEPT_HEADER_CHARACTERS]
            for name in KEPT_HEADERS
            if name in response.headers
        }
    )
