"""A change of the directory reaches every takedown that waits for it."""

from __future__ import annotations

from datetime import timedelta

import httpx

from shared.access.keys import Role
from shared.service.app import create_app
from tests.notifier_world import FAST, World, open_world, picture

NO_CHECK_BY_ITSELF = FAST.model_copy(update={"open_check_every": timedelta(days=365)})


async def import_site(world: World) -> None:
    """Over HTTP, as an operator does it."""
    site = world.hosts["site"]
    line = f"site,{site.name},{site.webhook_url},{site.secret},normal"
    text = f"organisation,domains,webhook_url,webhook_secrets,posture\n{line}\n"
    transport = httpx.ASGITransport(app=create_app(world.runtime, [world.service]))
    async with httpx.AsyncClient(transport=transport, base_url="http://notifier.test") as client:
        answer = await client.post("/v1/hosts", content=text, headers=await world.key(Role.OPERATIONS))
    assert answer.status_code == 200, answer.text


async def unknown_host(world: World) -> bool:
    return bool(await world.value("SELECT count(*) = 1 FROM notifier.tasks WHERE kind = 'unknown_host'"))


async def test_a_takedown_that_was_being_decided_by_the_directory_as_it_was_hears_of_the_change(
    fresh_database: str,
) -> None:
    async with open_world(fresh_database, "site", policy=NO_CHECK_BY_ITSELF) as world:
        site = world.hosts["site"]
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        async with world.runtime.database.transaction() as held:
            # The decision is made by then, and cannot be written yet.
            await held.execute("LOCK TABLE notifier.tasks IN SHARE MODE")
            await world.match(content_id, site.show("/x.png", picture(1)))

            async def decided() -> bool:
                cursor = await held.execute(
                    "SELECT count(*) > 0 AS waits FROM pg_locks WHERE NOT granted AND relation = 'notifier.tasks'::regclass"
                )
                row = await cursor.fetchone()
                return row is not None and bool(row["waits"])

            await world.until(decided)
            await import_site(world)
        await world.until(lambda: site.received, what="the demand")


async def test_who_died_after_an_import_leaves_it_to_be_told(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", policy=NO_CHECK_BY_ITSELF) as world:
        site = world.hosts["site"]
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        await world.match(content_id, site.show("/x.png", picture(1)))
        await world.until(lambda: unknown_host(world))
        await world.stop()
        await world.know_hosts()
        await world.restart()
        await world.until(lambda: site.received, what="the demand")
