"""Rule 4 in the running notifier: no demand rests on what our own look is not sure of, and the negative list holds in a look too."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.access.keys import Role
from shared.contracts.content import Assurance, NegativeEntry, RegisteredFingerprint
from shared.contracts.matches import Guard
from shared.contracts.topics import CONTENT
from shared.media.fingerprints import Algorithm
from tests.notifier_world import World, open_world, picture, serve_app
from tests.notifier_world import aiohttp as http

SHA256: dict[str, Any] = {"algorithm": "sha256", "distance": 0, "orientation": None, "quality": None}


async def pdq_of(world: World, body: bytes) -> bytes:
    (value,) = (
        one.value
        for one in (await world.runtime.fingerprinter.fingerprint(body)).fingerprints()
        if one.algorithm is Algorithm.PDQ and one.orientation == "identity"
    )
    return value


def apart(value: bytes, bits: int, *, start: int = 0) -> bytes:
    """The value with these bits turned over, from bit `start` on."""
    mask = ((1 << bits) - 1) << start
    return (int.from_bytes(value) ^ mask).to_bytes(32)


def registered(value: bytes, *, quality: int | None, assurance: Assurance = Assurance.VIEWED) -> RegisteredFingerprint:
    return RegisteredFingerprint(algorithm="pdq", value=value.hex(), quality=quality, assurance=assurance)


async def recheck(world: World, takedown: UUID) -> None:
    """A person asks for another look; that is no release."""
    headers = await world.key(Role.OPERATIONS)
    async with serve_app(world.runtime, world.service) as base, http.ClientSession(headers=headers) as client:
        body = {"kind": "recheck", "takedown_id": str(takedown), "reason": "look"}
        async with client.post(f"{base}/v1/decisions", json=body) as answer:
            assert answer.status == 201, await answer.text()


async def never_sent(world: World, takedown: UUID) -> None:
    """It is held, and nothing reached the host."""
    await world.until_state(takedown, "held")
    assert "check.present" in await world.history(takedown)
    assert world.hosts["site"].received == []
    assert await world.value("SELECT count(*) FROM notifier.demands") == 0


@pytest.mark.parametrize("how", ["recheck", "derived", "exact"])
@pytest.mark.parametrize("quality", [None, 90])
async def test_a_value_of_unknown_quality_far_off_leads_to_no_demand(
    fresh_database: str, how: str, quality: int | None
) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        shown = picture(1)
        far = registered(apart(await pdq_of(world, shown), 25), quality=quality)
        exact = RegisteredFingerprint(algorithm="sha256", value="ab" * 32, assurance=Assurance.VIEWED)
        content_id = await world.content(None, fingerprints=(far, exact))
        await world.claim(content_id)
        url = site.show("/x.png", shown)
        guards = () if quality is not None else (Guard.QUALITY_UNKNOWN,)
        if how == "recheck":
            takedown = await world.match(content_id, url, distance=25, guards=guards)
            if quality is None:
                await world.until_state(takedown, "held")
                assert site.fetched == []
                await recheck(world, takedown)
        elif how == "derived":
            guards = (*guards, Guard.DERIVED_ORIENTATION)
            takedown = await world.match(content_id, url, distance=3, guards=guards, orientation="derived:mirror")
        else:
            takedown = await world.match(content_id, url, **SHA256)
        if quality is None:
            await world.until(lambda: site.fetched)
            await never_sent(world, takedown)
        else:
            await world.until(lambda: site.received)


@pytest.mark.parametrize("placeholder", [False, True])
async def test_a_placeholder_is_not_present(fresh_database: str, placeholder: bool) -> None:
    """Before the first demand a person looks; also in a process that remembers nothing."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        value = await pdq_of(world, picture(1))
        entry = NegativeEntry(
            entry_id=uuid4(),
            algorithm="pdq",
            value=apart(value, 4, start=100).hex(),
            confirmed_at=datetime.now(UTC),
        )
        if placeholder:
            await world.publish(CONTENT, str(entry.entry_id), entry)
        content_id = await world.content(None, fingerprints=(registered(apart(value, 28), quality=90),))
        await world.claim(content_id)
        takedown = await world.match(content_id, site.show("/x.png", picture(1)), **SHA256)
        if not placeholder:
            await world.until(lambda: site.received)
            return
        await world.until_state(takedown, "held")
        assert "check.mismatch" in await world.history(takedown)
        await world.restart()
        second = await world.match(content_id, site.show("/y.png", picture(1)), **SHA256)
        await world.until_state(second, "held")
        assert site.received == []
        # A copy of the content itself is not hidden by the entry.
        copy = await world.content(None, fingerprints=(registered(apart(value, 3), quality=90),))
        await world.claim(copy)
        await world.match(copy, site.show("/copy.png", picture(1)))
        await world.until(lambda: site.received)
        # Off the list, it counts again.
        await world.tombstone(entry.entry_id)
        third = await world.match(content_id, site.show("/z.png", picture(1)), **SHA256)
        await world.until_state(third, "open")
        assert await world.value("SELECT count(*) FROM notifier.content WHERE content_id = %s", entry.entry_id) == 0
        held = "SELECT count(*) FROM notifier.negative_list WHERE value IS NOT NULL"
        assert await world.value(held) == 0


async def test_a_placeholder_in_the_place_of_the_picture_is_a_removal(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        original, placeholder = picture(1), picture(2)
        near_content = apart(await pdq_of(world, placeholder), 28)
        entry = NegativeEntry(
            entry_id=uuid4(),
            algorithm="pdq",
            value=apart(await pdq_of(world, placeholder), 4, start=100).hex(),
            confirmed_at=datetime.now(UTC),
        )
        await world.publish(CONTENT, str(entry.entry_id), entry)
        fingerprints = (
            registered(await pdq_of(world, original), quality=90),
            registered(near_content, quality=90),
        )
        content_id = await world.content(None, fingerprints=fingerprints)
        await world.claim(content_id)
        takedown = await world.match(content_id, site.show("/x.png", original))
        await world.until(lambda: site.received)
        site.show("/x.png", placeholder)
        await recheck(world, takedown)
        await world.until_state(takedown, "removed")
        assert await world.value("SELECT removed_for FROM notifier.takedowns") == "replaced"
