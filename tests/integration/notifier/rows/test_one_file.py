"""One file under ever new signatures, and under a key of the version before, is one takedown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from shared.access.keys import Role
from shared.contracts.content import Assurance
from shared.contracts.matches import MatchFound
from shared.contracts.topics import MATCHES
from shared.ids import takedown_id
from shared.urls import UrlKey, address_key, canonical
from tests.notifier_world import World, open_world, picture, serve_app

FILE = "https://cdn.discordapp.com/attachments/1/2/a.jpg"


def signed(number: int, file: str = FILE) -> str:
    return f"{file}?ex=66ab{number}&is=66aa{number}&hm=0f{number}&"


@pytest.fixture
async def world(fresh_database: str) -> AsyncIterator[World]:
    async with open_world(fresh_database) as opened:
        yield opened


async def match(world: World, content_id: UUID, url: str, key: UrlKey, **fields: Any) -> UUID:
    """A match with the key of any version; the id that it computed."""
    kind = fields.pop("target_kind", "media")
    computed = takedown_id(content_id, kind, key.url_key, key_version=key.key_version)
    found = MatchFound(
        takedown_id=computed,
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind=kind,
        url=url,
        url_key=key.url_key,
        key_version=key.key_version,
        sighting_id=uuid4(),
        seen_at=datetime.now(UTC),
        observed_by="crawler-1",
        algorithm="pdq",
        distance=4,
        quality=100,
        fingerprint_ref="ab" * 32,
        assurance=Assurance.VIEWED,
        **fields,
    )
    await world.publish(MATCHES, str(computed), found)
    return computed


async def heard(world: World, count: int) -> list[dict[str, Any]]:
    """The takedowns, once so many matches were heard."""

    async def all_heard() -> bool:
        rows = await world.rows("SELECT 1 FROM notifier.lifecycle WHERE kind = 'match.received'")
        return len(rows) == count

    await world.until(all_heard)
    rows = await world.rows("SELECT takedown_id, url, key_version FROM notifier.takedowns ORDER BY created_at")
    return [dict(row) for row in rows]


async def test_a_takedown_of_the_version_before_goes_on(world: World) -> None:
    content_id = await world.confirmed(picture(1))
    before = await match(world, content_id, signed(1), address_key(signed(1)))
    assert [one["takedown_id"] for one in await heard(world, 1)] == [before]
    alias = await match(world, content_id, signed(2), canonical(signed(2)))
    await heard(world, 2)
    await match(world, content_id, signed(3), canonical(signed(3)))
    another = await match(world, content_id, signed(4), address_key(signed(4)))
    (only,) = await heard(world, 4)
    assert (only["takedown_id"], only["url"], only["key_version"]) == (before, signed(4), 1)
    headers = await world.key(Role.OPERATIONS)
    async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession(base, headers=headers) as client:
        for known in (before, alias, another):
            async with client.get(f"/v1/takedowns/{known}") as shown:
                assert (await shown.json())["takedown_id"] == str(before)
        decided = {"kind": "dismiss", "takedown_id": str(alias), "reason": "tried"}
        async with client.post("/v1/decisions", json=decided) as answer:
            assert answer.status == 201, await answer.text()
    assert await world.state(before) == "dismissed"


async def test_both_at_once_begin_one(world: World) -> None:
    contents = [await world.confirmed(picture(seed)) for seed in range(6)]
    for content_id in contents:
        await asyncio.gather(
            match(world, content_id, signed(1), address_key(signed(1))),
            match(world, content_id, signed(2), canonical(signed(2))),
            match(world, content_id, signed(3), address_key(signed(3))),
        )
    assert len(await heard(world, 18)) == 6


async def test_another_file_kind_or_content_is_another_takedown(world: World) -> None:
    first, second = await world.confirmed(picture(1)), await world.confirmed(picture(2))
    today = await match(world, first, signed(1), canonical(signed(1)))
    await heard(world, 1)
    await match(world, first, signed(2), address_key(signed(2)))  # of a history of before
    assert [one["takedown_id"] for one in await heard(world, 2)] == [today]
    for content_id, url, kind in (
        (second, signed(2), "media"),
        (first, signed(2), "page"),
        (first, signed(2, FILE + "x"), "media"),
        (first, FILE + "?width=9&ex=1&is=2&hm=3", "media"),
        (first, "https://site.test/a.jpg?ex=1&is=2&hm=3", "media"),
        (first, "https://site.test/#/a", "page"),
        (first, "https://site.test/#/b", "page"),
    ):
        await match(world, content_id, url, canonical(url), target_kind=kind)
    assert len(await heard(world, 9)) == 8
