"""The rules that keep people safe, where they need a database, a network or both."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from aiohttp import web

from services.notifier.delivery import outbound_switch
from shared.contracts.content import ContentState
from shared.contracts.matches import Guard
from tests.notifier_world import FAST, QUIET_SECONDS, Received, World, open_world, picture


async def test_no_demand_on_a_sighting_alone(fresh_database: str) -> None:
    """Rule 1: a lying crawler, a swapped picture, a host that refuses us, a redirect inward: no demand."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        site.remove("/gone.png", 410)
        gone = await world.match(content_id, site.url("/gone.png"))
        other = await world.match(content_id, site.show("/other.png", picture(2)))
        blocked = await world.match(content_id, site.show("/blocked.png", b"", status=403))

        async def inward(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"location": "http://169.254.169.254/latest/meta-data"})

        site.media["/inward.png"] = inward
        turned = await world.match(content_id, site.url("/inward.png"))
        await world.until_state(gone, "removed")
        await world.until_state(other, "held")
        assert (
            await world.value("SELECT removed_for FROM notifier.takedowns WHERE takedown_id = %s", gone) == "not_found"
        )

        async def looked() -> bool:
            query = "SELECT count(*) >= 2 FROM notifier.checks WHERE takedown_id = ANY(%s)"
            return bool(await world.value(query, [blocked, turned]))

        await world.until(looked)
        assert await world.state(blocked) == "discovered"
        outcomes = await world.rows("SELECT outcome, detail FROM notifier.checks WHERE takedown_id = %s", turned)
        assert {(row["outcome"], row["detail"]) for row in outcomes} == {("inconclusive", "address_refused")}
        assert site.received == []
        assert await world.value("SELECT count(*) FROM notifier.demands") == 0


async def test_guarded_matches_are_never_acted_on(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        url = site.show("/x.png", picture(1))
        guarded = await world.match(content_id, url, guards=(Guard.NEGATIVE_LIST,))
        plain = await world.match(content_id, site.show("/y.png", picture(1)))
        await world.until_state(plain, "open")
        assert await world.state(guarded) is None
        assert "/x.png" not in site.fetched


async def test_hostile_operators_and_do_not_contact_are_skipped(fresh_database: str) -> None:
    async with open_world(fresh_database, "hostile", "named", "upstream") as world:
        hosts = world.hosts
        await world.know_hosts(hostile={"posture": "hostile", "next_rung": "upstream"}, named={"next_rung": "upstream"})
        await world.outbound()
        content_id = await world.confirmed(picture(1), do_not_contact=("named.test",))
        for name in ("hostile", "named"):
            await world.match(content_id, hosts[name].show("/x.png", picture(1)))
        await world.until(lambda: len(hosts["upstream"].received) == 2, what="the rung above each")
        await asyncio.sleep(QUIET_SECONDS)
        assert hosts["hostile"].received == []
        assert hosts["named"].received == []


async def test_unknown_host_and_posture_are_tasks_until_the_directory_knows(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        await world.match(content_id, site.show("/x.png", picture(1)))

        async def tasks() -> set[str]:
            return {row["kind"] for row in await world.rows("SELECT kind FROM notifier.tasks WHERE closed_at IS NULL")}

        async def unknown(kind: str) -> bool:
            return await tasks() == {kind}

        await world.until(lambda: unknown("unknown_host"))
        await world.know_hosts(site={"posture": "unknown"})
        await world.until(lambda: unknown("unknown_posture"))
        assert site.received == []
        await world.know_hosts()
        await world.until(lambda: site.received, what="the demand")
        assert await tasks() == set()


async def test_a_match_that_overtakes_its_content_and_claim_waits(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = uuid4()
        takedown = await world.match(content_id, site.show("/x.png", picture(1)), revision=2)

        async def waiting() -> bool:
            return bool(await world.value("SELECT count(*) = 1 FROM notifier.waiting_matches"))

        async def known(revision: int) -> bool:
            return bool(await world.value("SELECT revision = %s FROM notifier.content", revision))

        await world.until(waiting)
        await world.content(picture(1), content_id=content_id, revision=1)
        await world.until(lambda: known(1))
        await world.claim(content_id)
        assert await world.state(takedown) is None, "a match of revision 2 waits for revision 2"
        await world.content(picture(1), content_id=content_id, revision=2)
        await world.until(lambda: site.received)
        assert await world.value("SELECT count(*) FROM notifier.waiting_matches") == 0
        # An older revision that comes late changes nothing.
        await world.content(None, content_id=content_id, revision=1, state=ContentState.WITHDRAWN)
        other = await world.confirmed(picture(2))
        await world.match(other, site.show("/y.png", picture(2)))
        await world.until(lambda: len(site.received) == 2)
        assert await world.state(takedown) == "open"


async def test_the_flood_guard_holds_behind_one_task(fresh_database: str) -> None:
    names = [f"h{number}" for number in range(5)]
    policy = FAST.model_copy(update={"flood_hosts_per_hour": 3, "clock_scale": 1.0})
    async with open_world(fresh_database, *names, policy=policy) as world:
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        near = await world.match(content_id, world.hosts["h0"].show("/near.png", picture(1)), distance=2)
        for name in names:
            await world.match(content_id, world.hosts[name].show("/far.png", picture(1)), distance=20)

        # Nobody was asked yet about the last two when they were heard of.
        async def held() -> bool:
            return bool(await world.value("SELECT count(*) >= 2 FROM notifier.takedowns WHERE state = 'held'"))

        await world.until(held)
        await world.until_state(near, "open")
        shown = await world.rows(
            "SELECT task_id FROM notifier.tasks WHERE kind = 'flood' AND joined_to IS NULL AND closed_at IS NULL"
        )
        assert len(shown) == 1


async def test_a_reappearance_opens_a_new_round(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        url = site.show("/x.png", picture(1))
        takedown = await world.match(content_id, url)
        await world.until(lambda: site.received, what="the demand")
        site.remove("/x.png", 410)
        await recheck(world, takedown)
        await world.until_state(takedown, "removed")
        await world.until(lambda: "demand.closed" in site.kinds())
        site.show("/x.png", picture(1))
        await world.match(content_id, url)
        await world.until(lambda: site.kinds()[-1] == "demand.reappeared", what="the demand of the second round")
        assert await world.state(takedown) == "reappeared"
        assert await world.value("SELECT round FROM notifier.takedowns WHERE takedown_id = %s", takedown) == 2
        assert len({one.headers["webhook-id"] for one in site.received}) == 3
        assert site.received[0].item["demand_id"] != site.received[-1].item["demand_id"]


async def test_removal_needs_the_page_clear_too(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        url = site.show("/x.png", picture(1))
        html = b'<html><body><img src="/x.png"><img src="/copy.png"><img src="/cat.png"></body></html>'
        page = site.show("/page", html, content_type="text/html")
        site.show("/copy.png", picture(1))
        site.show("/cat.png", picture(7))
        takedown = await world.match(content_id, url, page_url=page)
        await world.until_state(takedown, "open")
        site.remove("/x.png", 410)
        await recheck(world, takedown)

        async def seen_on_page() -> bool:
            return bool(await world.value("SELECT count(*) FROM notifier.checks WHERE page_outcome = 'present'"))

        await world.until(seen_on_page)
        assert await world.state(takedown) == "open"
        site.remove("/copy.png", 404)
        await recheck(world, takedown)
        await world.until_state(takedown, "removed", seconds=30)


async def recheck(world: World, takedown: UUID) -> None:
    """Make the due check due now, as its time would."""
    await world.rows(
        "UPDATE notifier.due_checks SET due_at = clock_timestamp() WHERE takedown_id = %s RETURNING 1", takedown
    )
    await world.rows("SELECT pg_notify('notifier_checks', '')")


async def test_a_hold_is_of_everything_under_its_domain(fresh_database: str) -> None:
    """The recipient's own domains too, wherever the target is."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts(site={"domains": "site.test eu.provider.test"})
        async with world.runtime.database.transaction() as tx:
            await outbound_switch.hold(tx, "provider.test", by="person-1")
        await world.outbound()
        body = picture(1)
        takedown = await world.match(await world.confirmed(body), site.show("/m.png", body))
        await world.until_state(takedown, "open")
        await asyncio.sleep(QUIET_SECONDS)
        assert site.received == []
        async with world.runtime.database.transaction() as tx:
            await outbound_switch.release(tx, "provider.test")
            await outbound_switch.hold(tx, "vider.test", by="person-1")  # the end of a name, and no domain above it
        await world.until(lambda: site.received, what="the demand")


async def test_what_stops_a_message_stops_its_connection_too(fresh_database: str) -> None:
    """The recipient takes its time: nothing is left under way when outbound is turned off."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        connected, gone = asyncio.Event(), asyncio.Event()

        async def silent(_: Received) -> web.StreamResponse:
            connected.set()
            try:
                await asyncio.sleep(60)
            finally:
                gone.set()
            return web.Response()

        site.answer = silent
        await world.know_hosts()
        await world.outbound()
        body = picture(1)
        takedown = await world.match(await world.confirmed(body), site.show("/m.png", body))
        await world.until(connected.is_set, what="the attempt")
        await world.outbound(False)
        await world.until(gone.is_set, seconds=2, what="the connection is broken off")

        async def ended() -> bool:
            query = "SELECT outcome FROM notifier.attempts WHERE takedown_id = %s"
            return [row["outcome"] for row in await world.rows(query, takedown)] == ["unknown"]

        await world.until(ended, seconds=2)
        assert await world.state(takedown) == "open"
