"""Messages on the way: retried with the same id, escalated, stopped within a second, and never lost with a process."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from uuid import UUID

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.delivery.worker import MessageWorker
from services.notifier.directory.store import Host as DirectoryHost
from services.notifier.directory.store import list_hosts
from services.notifier.store.messages import DueMessage
from tests.notifier_world import FAST, Received, World, open_world, picture, secret


async def matched(world: World, name: str = "site", path: str = "/m/1.png", seed: int = 1) -> UUID:
    body = picture(seed)
    url = world.hosts[name].show(path, body)
    return await world.match(await world.confirmed(body), url)


async def test_a_failed_delivery_goes_again_with_the_same_id(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        statuses = iter((500, 302, 429))

        async def flaky(_: Received) -> web.StreamResponse:
            status = next(statuses, 200)
            return web.Response(status=status, headers={"location": site.url("/elsewhere"), "retry-after": "0"})

        site.answer = flaky
        await world.know_hosts()
        await world.outbound()
        takedown = await matched(world)

        async def delivered() -> bool:
            return "demand.delivered" in await world.history(takedown)

        await world.until(delivered)
        assert len(site.received) == 4
        assert len({one.headers["webhook-id"] for one in site.received}) == 1
        assert len({one.body for one in site.received}) == 1, "the same message has the same body"
        assert "/elsewhere" not in site.fetched, "a redirect is an answer, not followed"
        outcomes = await world.rows("SELECT outcome, status FROM notifier.attempts ORDER BY number")
        assert [(row["outcome"], row["status"]) for row in outcomes] == [
            ("transient", 500),
            ("transient", 302),
            ("transient", 429),
            ("accepted", 200),
        ]


async def test_both_secrets_sign_while_they_rotate(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        new = secret()
        await world.know_hosts(site={"webhook_secrets": f"{site.secret} {new}"})
        await world.outbound()
        await matched(world)
        await world.until(lambda: site.received)
        one = site.received[0]
        for known in (site.secret, new):
            Webhook(known).verify(one.body, one.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret()).verify(one.body, one.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(one.body + b" ", one.headers)


async def test_410_climbs_and_disables_the_endpoint(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "upstream") as world:
        site, upstream = world.hosts["site"], world.hosts["upstream"]

        async def gone(_: Received) -> web.StreamResponse:
            return web.Response(status=410)

        site.answer = gone
        await world.know_hosts(site={"next_rung": "upstream"})
        await world.outbound()
        takedown = await matched(world)
        await world.until(lambda: upstream.received, what="the next rung")
        assert len(site.received) == 1
        demands = await world.rows(
            "SELECT recipient, state FROM notifier.demands WHERE takedown_id = %s ORDER BY issued_at", takedown
        )
        assert (demands[0]["recipient"], demands[0]["state"]) == ("site", "undeliverable")
        async with world.runtime.database.transaction() as tx:
            (host,) = await list_hosts(tx, organisation="site")
        assert isinstance(host, DirectoryHost)
        assert host.channel(mail=True) is None
        # Another takedown there goes straight to the next rung.
        await matched(world, path="/m/2.png", seed=2)
        await world.until(lambda: len(upstream.received) == 2)
        assert len(site.received) == 1


async def test_an_attempt_that_dies_with_its_process_is_unknown_and_goes_again(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        stuck = asyncio.Event()

        async def never(_: Received) -> web.StreamResponse:
            await stuck.wait()
            return web.Response(status=200)

        site.answer = never
        await world.know_hosts()
        await world.outbound()
        takedown = await matched(world)
        await world.until(lambda: site.received)
        assert await world.value("SELECT count(*) FROM notifier.attempts WHERE outcome IS NULL") == 1
        await world.stop()
        site.answer = None
        await world.restart()
        await world.until(lambda: len(site.received) == 2)

        async def delivered() -> bool:
            return "demand.delivered" in await world.history(takedown)

        await world.until(delivered)
        assert len({one.headers["webhook-id"] for one in site.received}) == 1
        rows = await world.rows("SELECT outcome FROM notifier.attempts ORDER BY number")
        assert [row["outcome"] for row in rows] == ["unknown", "accepted"]


async def test_outbound_off_and_a_hold_stop_messages_within_a_second_and_checks_go_on(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        site, other = world.hosts["site"], world.hosts["other"]
        await world.know_hosts()
        await matched(world)
        await world.until(lambda: site.fetched, what="checks go on")
        await asyncio.sleep(0.3)  # long enough for a message to leave, had it been allowed
        assert site.received == []
        started = time.monotonic()
        await world.outbound()
        await world.until(lambda: site.received)
        assert time.monotonic() - started < 1.0

        async with world.runtime.database.transaction() as tx:
            await tx.execute("INSERT INTO notifier.holds (domain, held_by) VALUES ('site.test', 'person-1')")
        await matched(world, path="/m/2.png", seed=2)
        await matched(world, "other", seed=3)
        await world.until(lambda: other.received, what="another host is not on hold")
        await asyncio.sleep(0.3)
        assert len(site.received) == 1
        async with world.runtime.database.transaction() as tx:
            await tx.execute("DELETE FROM notifier.holds")
            await tx.execute("SELECT pg_notify('notifier_messages', '')")
        await world.until(lambda: len(site.received) == 2)

        await world.outbound(False)
        await matched(world, path="/m/4.png", seed=4)
        await world.until(lambda: "/m/4.png" in site.fetched)
        await asyncio.sleep(0.3)
        assert len(site.received) == 2


async def test_a_claimed_message_that_was_stopped_is_not_sent(fresh_database: str) -> None:
    """Outbound was turned off, or the domain put on hold, after the claim and before the attempt."""
    async with open_world(fresh_database, "site") as world:
        site, worker = world.hosts["site"], MessageWorker(UnitOfWorkFactory(world.runtime))
        await world.know_hosts()
        await matched(world)

        async def due() -> bool:
            return bool(await world.rows("SELECT 1 FROM notifier.messages WHERE state = 'due'"))

        await world.until(due)

        async def claimed() -> DueMessage:
            (row,) = await world.rows(
                "UPDATE notifier.messages m SET lease_id = gen_random_uuid(), lease_until = now() + interval '1 hour'"
                " FROM notifier.takedowns t WHERE t.takedown_id = m.takedown_id AND m.state = 'due'"
                " RETURNING m.message_id, m.takedown_id, t.content_id, m.recipient, m.lease_id"
            )
            return DueMessage(**row)

        off = await claimed()
        await worker.deliver(off)
        on_hold = await claimed()  # it was put back
        assert on_hold.lease_id != off.lease_id
        async with world.runtime.database.transaction() as tx:
            await tx.execute("INSERT INTO notifier.holds (domain, held_by) VALUES ('site.test', 'person-1')")
        await world.outbound()
        await worker.deliver(on_hold)
        assert await world.rows("SELECT 1 FROM notifier.messages WHERE lease_id IS NOT NULL") == []
        assert await world.rows("SELECT 1 FROM notifier.attempts") == []
        assert site.received == []

        async with world.runtime.database.transaction() as tx:
            await tx.execute("DELETE FROM notifier.holds")
            await tx.execute("SELECT pg_notify('notifier_messages', '')")
        await world.until(lambda: site.received, what="nothing stops it any more")


async def test_a_slow_host_holds_no_other_up(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        site, other = world.hosts["site"], world.hosts["other"]
        waiting = asyncio.Event()
        at_once = 0
        most = 0

        async def drip(_: Received) -> web.StreamResponse:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            try:
                await waiting.wait()
            finally:
                at_once -= 1
            return web.Response(status=200)

        site.answer = drip
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        for number in range(12):
            await world.match(content_id, site.show(f"/m/{number}.png", picture(1)))
        await world.until(lambda: at_once == world.runtime.policy.connections_per_host)
        await world.match(content_id, other.show("/m/1.png", picture(1)))
        await world.until(lambda: other.received, seconds=3, what="the other host's demand")
        waiting.set()
        await world.until(lambda: len(site.received) == 12)
        assert most == world.runtime.policy.connections_per_host


async def test_silence_is_reminded_and_escalated(fresh_database: str) -> None:
    policy = FAST.model_copy(update={"voluntary_response": timedelta(hours=2)})
    async with open_world(fresh_database, "site", "upstream", policy=policy) as world:
        site, upstream = world.hosts["site"], world.hosts["upstream"]
        await world.know_hosts(site={"next_rung": "upstream"})
        await world.outbound()
        takedown = await matched(world)
        await world.until(lambda: upstream.received, what="the next rung")
        assert upstream.received[0].kind == "demand.issued"
        assert "demand.reminded" in site.kinds(), "at half and at nine tenths of its time"
        site.remove("/m/1.png", 410)
        await world.until_state(takedown, "removed", seconds=30)
        await world.until(lambda: "demand.closed" in upstream.kinds(), what="both hear that it is closed")
