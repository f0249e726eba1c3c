"""One host on a real socket, and a guard that reaches it alone: for tests of what a look sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from shared.outbound.guard import AddressGuard
from tests.hosts import Host


@asynccontextmanager
async def one_host(address: str) -> AsyncIterator[tuple[Host, AddressGuard]]:
    """`site.test` at a loopback address, on a free port."""
    host = Host(name="site.test", address=address, port=0, secret="")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", host.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host.address, 0).start()
    host.port = runner.addresses[0][1]
    pair = f"{host.address}:{host.port}"
    yield host, AddressGuard.of((pair,), {host.name: pair}, allow_static_hosts=True)
    await runner.cleanup()
