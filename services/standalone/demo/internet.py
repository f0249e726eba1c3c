"""The small internet: hosts `<name>.test`, each on its own 127.0.1.N and all on one port, over real sockets.

A host serves its pictures and pages, and takes messages at `/webhook`, whose signature it verifies with the secret it shares
with us (Standard Webhooks: HMAC-SHA-256 over `{webhook-id}.{webhook-timestamp}.{body}`) before it believes a word.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.standalone.demo.sites import Received, Site
from services.standalone.serve import AddressTaken, listen, serve_http

WEBHOOK_PATH = "/webhook"
NETWORK = "127.0.1."
TOLERANCE_SECONDS = 300
"""How old or new a message's timestamp may be, as the specification recommends."""
_BIND_TRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a host is."""

    ip: str
    port: int

    def __str__(self) -> str:
        return f"{self.ip}:{self.port}"


class NotSigned(ValueError):
    """The message is not signed with our shared secret, or its time is out of tolerance."""


def verify(secret: str, *, headers: dict[str, str], body: bytes, now: float) -> None:
    """Raises NotSigned."""
    try:
        message_id, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        given = headers["webhook-signature"].split()
        fresh = abs(now - int(stamp)) <= TOLERANCE_SECONDS
    except (KeyError, ValueError):
        raise NotSigned("no signature") from None
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signature = hmac.new(key, f"{message_id}.{stamp}.".encode() + body, sha256).digest()
    expected = f"v1,{base64.b64encode(signature).decode()}"
    if not fresh or not any(hmac.compare_digest(expected, one) for one in given):
        raise NotSigned("another signature")


class Internet:
    """The hosts. `addresses` is the name table, host name -> address, once `open` is entered."""

    def __init__(self, sites: Iterable[Site]) -> None:
        self.sites = {site.domain: site for site in sites}
        self.addresses: dict[str, Address] = {}
        self.unsigned = 0
        """Messages whose signature did not hold."""
        self.inward = 0
        """Requests that reached the tripwire on 127.0.0.1: there must be none."""
        self.tripwire = Address(ip="127.0.0.1", port=0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Serve while the block runs."""
        listening = _bind(len(self.sites))
        inside = listen("127.0.0.1", 0)
        self.tripwire = Address(ip="127.0.0.1", port=inside.getsockname()[1])
        for site, place in zip(self.sites.values(), listening, strict=True):
            ip, port = place.getsockname()
            self.addresses[site.domain] = Address(ip=ip, port=port)
        stop = asyncio.Event()
        app = Starlette(
            routes=[
                Route(WEBHOOK_PATH, self._webhook, methods=["POST"]),
                Route("/{path:path}", self._get, methods=["GET", "HEAD"]),
            ]
        )
        trap = Starlette(routes=[Route("/{path:path}", self._tripped, methods=["GET", "HEAD", "POST"])])
        serving = [
            asyncio.create_task(serve_http(app, listening, stop)),
            asyncio.create_task(serve_http(trap, [inside], stop)),
        ]
        try:
            yield
        finally:
            for site in self.sites.values():
                site.close()
            stop.set()
            await asyncio.wait(serving, timeout=3)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    def site_of(self, url: str) -> Site | None:
        """The host that serves a URL."""
        return self.sites.get(url.split("/")[2].partition(":")[0])

    async def _get(self, request: Request) -> Response:
        site = self._named(request)
        if site is None:
            return PlainTextResponse("no such host", status_code=421)
        return await site.get(request.url.path)

    async def _webhook(self, request: Request) -> Response:
        site = self._named(request)
        if site is None:
            return PlainTextResponse("no such host", status_code=421)
        body = await request.body()
        try:
            verify(site.secret, headers=dict(request.headers), body=body, now=time.time())
        except NotSigned:
            self.unsigned += 1
            return PlainTextResponse("not signed", status_code=401)
        message: dict[str, Any] = json.loads(body)
        received = Received.of(message, message_id=request.headers["webhook-id"])
        site.received.append(received)
        return await site.message(received)

    async def _tripped(self, request: Request) -> Response:
        self.inward += 1
        return PlainTextResponse("you should not be here")

    def _named(self, request: Request) -> Site | None:
        return self.sites.get(request.headers.get("host", "").partition(":")[0].lower())


def _bind(count: int) -> list[socket.socket]:
    """A socket on each of `count` addresses, all on one port that is free on all of them."""
    for _ in range(_BIND_TRIES):
        listening = [listen(f"{NETWORK}1", 0)]
        port = listening[0].getsockname()[1]
        try:
            listening += [listen(f"{NETWORK}{number}", port) for number in range(2, count + 1)]
        except AddressTaken:
            for one in listening:
                one.close()
        else:
            return listening
    raise AddressTaken(f"no port is free on all of {NETWORK}1 to {NETWORK}{count}")
