"""Hosting providers on real sockets: media by path, and a webhook that keeps what it received."""

from __future__ import annotations

import base64
import io
import json
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from PIL import Image

QUIET_SECONDS = 0.4
"""Long enough for a demand to arrive (it takes some tens of milliseconds), had one been made."""


def picture(seed: int, *, size: tuple[int, int] = (256, 192)) -> bytes:
    """A PNG with a structure of its own."""
    dice = random.Random(seed)
    image = Image.new("RGB", size)
    for _ in range(60):
        x, y = dice.randrange(size[0]), dice.randrange(size[1])
        box = (x, y, x + dice.randrange(8, 90), y + dice.randrange(8, 90))
        image.paste((dice.randrange(256), dice.randrange(256), dice.randrange(256)), box)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@dataclass(slots=True)
class Received:
    """A webhook message as it came."""

    headers: dict[str, str]
    body: bytes

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]  # JSON of our own making

    @property
    def kind(self) -> str:
        return str(self.message["type"])

    @property
    def item(self) -> dict[str, Any]:
        return self.message["data"]["items"][0]  # type: ignore[no-any-return]  # JSON of our own making


@dataclass(slots=True)
class Host:
    """One hosting provider: media by path, and a webhook. `answer` says with what a message is answered."""

    name: str
    address: str
    port: int
    secret: str
    media: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], Awaitable[web.StreamResponse]] | None = None
    fetched: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.name}:{self.port}{path}"

    @property
    def webhook_url(self) -> str:
        return self.url("/hooks/demands")

    def show(self, path: str, body: bytes, *, content_type: str = "image/png", status: int = 200) -> str:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, content_type=content_type, status=status)

        self.media[path] = handler
        return self.url(path)

    def remove(self, path: str, status: int = 410) -> None:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status)

        self.media[path] = handler

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and request.path == "/hooks/demands":
            received = Received(headers={k.lower(): v for k, v in request.headers.items()}, body=await request.read())
            self.received.append(received)
            return web.Response(status=204) if self.answer is None else await self.answer(received)
        self.fetched.append(request.path)
        handler = self.media.get(request.path)
        return web.Response(status=404) if handler is None else await handler(request)

    def kinds(self) -> list[str]:
        return [one.kind for one in self.received]


def secret() -> str:
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


@asynccontextmanager
async def serving_hosts(*names: str) -> AsyncIterator[dict[str, Host]]:
    """One host for each name (`<name>.test`), each at an address of its own."""
    hosts: dict[str, Host] = {}
    runners: list[web.AppRunner] = []
    try:
        for number, name in enumerate(names):
            host = Host(name=f"{name}.test", address=f"127.0.1.{number + 10}", port=0, secret=secret())
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", host.handle)
            runner = web.AppRunner(app, handler_cancellation=True)
            await runner.setup()
            runners.append(runner)
            site = web.TCPSite(runner, host.address, 0)
            await site.start()
            host.port = runner.addresses[0][1]
            hosts[name] = host
        yield hosts
    finally:
        for runner in runners:
            await runner.cleanup()
