"""Clients of the notifier's HTTP face: staff with their keys, and the host of a demand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import aiohttp

from shared.access.keys import Role
from tests.notifier_world import World, picture, serve_app


class Client:
    """JSON over HTTP, as one person."""

    def __init__(self, session: aiohttp.ClientSession, base: str, headers: dict[str, str]) -> None:
        self._session = session
        self._base = base
        self._headers = headers

    async def get(self, path: str, **query: Any) -> tuple[int, Any]:
        async with self._session.get(self._base + path, params=query, headers=self._headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def post(self, path: str, body: Any = None, *, text: str | None = None, **headers: str) -> tuple[int, Any]:
        given: dict[str, Any] = {"json": body} if text is None else {"data": text.encode()}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.post(self._base + path, headers=self._headers | named, **given) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def faces(world: World, *roles: Role) -> AsyncIterator[list[Client]]:
    """One client for each role."""
    async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
        yield [Client(session, base, await world.key(role, person=f"person-{role}")) for role in roles]


@asynccontextmanager
async def bearer(world: World, token: str) -> AsyncIterator[Client]:
    async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
        yield Client(session, base, {"authorization": f"Bearer {token}"})


async def demanded(
    world: World, path: str = "/m/1.png", seed: int = 1, **fields: Any
) -> tuple[UUID, UUID, dict[str, Any]]:
    """A content, its takedown, and the item of the demand that the site received."""
    site = world.hosts["site"]
    body = picture(seed)
    url = site.show(path, body)
    content_id = await world.confirmed(body, **fields)
    takedown = await world.match(content_id, url)
    await world.until(lambda: any(one.item["url"] == url for one in site.received), what="the demand")
    item = next(one.item for one in site.received if one.item["url"] == url)

    async def delivered() -> bool:
        return "demand.delivered" in await world.history(takedown)

    await world.until(delivered)
    return content_id, takedown, item
