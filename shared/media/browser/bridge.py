"""Connects Chromium's pipe with the WebSocket that Playwright speaks.

Playwright attaches to a running browser over a WebSocket alone, Chromium's own port would answer anybody on the machine
(`/json`), so this stands between them: a port of loopback, under a name of 256 random bits, that closes when Playwright is in.
Messages are passed on unread. On the pipe each ends with a zero byte.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from types import TracebackType

from aiohttp import WSMsgType, web

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""The longest answer of the browser: a picture in base64. A longer one ends the browser."""


class DebuggingBridge:
    """Opened on the two ends of a browser's pipe, which it closes. Use it in `async with`; `url` is for one visitor."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to_browser = os.fdopen(to_browser, "wb", buffering=0)
        self._from_browser = os.fdopen(from_browser, "rb", buffering=0)
        self._name = secrets.token_urlsafe(32)
        self._reader = asyncio.StreamReader(limit=MAX_MESSAGE_BYTES)
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self._writer: asyncio.StreamWriter | None = None
        self._taken = False
        self.url = ""

    async def __aenter__(self) -> DebuggingBridge:
        loop = asyncio.get_running_loop()
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), self._from_browser
        )
        writing, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), self._to_browser
        )
        self._transports = [reading, writing]
        self._writer = asyncio.StreamWriter(writing, protocol, None, loop)
        app = web.Application()
        app.router.add_get(f"/{self._name}", self._visit)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        port = self._runner.addresses[0][1]
        self.url = f"ws://127.0.0.1:{port}/{self._name}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for transport in self._transports:
            transport.close()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _visit(self, request: web.Request) -> web.StreamResponse:
        if self._taken:
            raise web.HTTPNotFound()
        self._taken = True
        assert self._site is not None
        assert self._writer is not None
        socket = web.WebSocketResponse(max_msg_size=0, compress=False)
        await socket.prepare(request)
        await self._site.stop()  # nobody else comes in
        answers = asyncio.create_task(self._pass_answers(socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._writer.write(message.data.encode() + b"\0")
                    await self._writer.drain()
        except OSError:
            pass  # the browser has ended
        finally:
            answers.cancel()
            await asyncio.gather(answers, return_exceptions=True)
        return socket

    async def _pass_answers(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            while True:
                message = await self._reader.readuntil(b"\0")
                await socket.send_str(message[:-1].decode())
        await socket.close()
