"""The rules that keep people safe, where they need a database, a network or both."""

from __future__ import annotations

import asyncio
import os
from uuid import UUID, uuid4

from aiohttp import web

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.checks.worker import CheckWorker, DueCheck
from services.notifier.delivery import outbound_switch
from shared.contracts.claims import ClaimState
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from tests.notifier_world import FAST, Received, World, open_world, picture

QUIET_SECONDS = 0.4
"""Long enough for a demand to arrive (it takes some tens of milliseconds), had one been made."""


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


async def test_a_match_of_withdrawn_content_creates_nothing(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        waits, ended = uuid4(), uuid4()
        early = await world.match(waits, site.show("/x.png", picture(1)))
        for content_id in (waits, ended):
            await world.content(None, content_id=content_id, revision=3, state=ContentState.WITHDRAWN)

        async def both_withdrawn() -> bool:
            return bool(await world.value("SELECT count(*) = 2 FROM notifier.content WHERE state = 'withdrawn'"))

        await world.until(both_withdrawn)
        late = await world.match(ended, site.show("/y.png", picture(1)))

        async def handled() -> bool:
            marks = await world.value("SELECT count(*) FROM notifier.inbox WHERE group_name = 'notifier.matches'")
            return bool(marks == 2 and await world.value("SELECT count(*) = 0 FROM notifier.waiting_matches"))

        await world.until(handled)
        assert await world.state(early) is None
        assert await world.state(late) is None
        assert site.fetched == []


async def test_suspension_from_intake_stops_and_resumption_goes_on(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, site.show("/x.png", picture(1)))
        await world.until_state(takedown, "open")
        await world.intake_decides(content_id, DecisionKind.SUSPEND, "person")
        await world.until_state(takedown, "suspended")
        await world.outbound()
        await asyncio.sleep(QUIET_SECONDS)
        assert site.received == []
        assert await world.value("SELECT count(*) FROM notifier.due_checks") == 0
        # `content` says so now: it alone counts from here.
        await world.content(
            picture(1), content_id=content_id, revision=2, state=ContentState.SUSPENDED, suspended_for="person"
        )
        await world.content(picture(1), content_id=content_id, revision=3)
        await world.until(lambda: site.received, what="the demand, after a fresh look")


async def test_a_withdrawal_erases_and_tells_who_was_asked(fresh_database: str) -> None:
    """Rule 9: what remains of a withdrawn content is ids, states, words and times."""
    async with open_world(fresh_database, "site", "hostile") as world:
        site = world.hosts["site"]
        await world.know_hosts(hostile={"posture": "hostile", "next_rung": "site"})
        await world.outbound()
        body = picture(1)
        content_id = await world.content(body)
        claim_id = await world.claim(content_id)
        mark = f"secret-{os.urandom(6).hex()}"
        page = site.show(
            f"/{mark}/page.html", f'<html><img src="/{mark}/x.png"></html>'.encode(), content_type="text/html"
        )
        takedown = await world.match(content_id, site.show(f"/{mark}/x.png", body), page_url=page)
        await world.until(lambda: site.received)
        waiting = await world.match(content_id, site.url(f"/{mark}/later.png"), revision=2)
        assert await world.state(waiting) is None
        fingerprints = await world.value("SELECT fingerprints FROM notifier.content WHERE content_id = %s", content_id)
        values = [one["value"] for one in fingerprints]
        assert len(values) == 4
        assert await holding(world, mark, *values), "before the withdrawal they are there"

        await world.claim(content_id, claim_id=claim_id, revision=2, state=ClaimState.WITHDRAWN)
        await world.content(
            None, content_id=content_id, revision=2, state=ContentState.WITHDRAWN, withdrawn_for="subject_request"
        )
        await world.until_state(takedown, "withdrawn")
        await world.until(lambda: "demand.retracted" in site.kinds(), what="who was asked hears of it")
        retracted = site.received[-1]
        assert mark not in retracted.body.decode()
        assert "token" not in retracted.item
        assert (
            "nothing about consent" in str(retracted.message) or "no further action" in str(retracted.message).lower()
        )
        assert world.hosts["hostile"].received == []

        async def published() -> bool:
            return bool(await world.value("SELECT count(*) = 0 FROM notifier.outbox"))

        await world.until(published)
        assert await holding(world, mark, *values) == []
        tombstones = await world.value(
            "SELECT count(*) FROM eventlog.record r JOIN eventlog.partition p USING (partition_id)"
            " WHERE p.topic = 'takedown.targets' AND r.value IS NULL"
        )
        assert tombstones >= 1


async def holding(world: World, *needles: str) -> list[str]:
    """The tables of the notifier in which any of these texts stands."""
    tables = await world.rows(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'notifier' AND table_type = 'BASE TABLE'"
    )
    found = []
    for row in tables:
        name = row["table_name"]
        for needle in needles:
            # bytea columns print as hex: the needle is looked for in both forms.
            hits = await world.value(
                f"SELECT count(*) FROM notifier.{name} t WHERE t::text ILIKE %s OR t::text ILIKE %s",
                f"%{needle}%",
                f"%{needle.encode().hex()}%",
            )
            if hits:
                found.append(f"{name}")
    return found


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


async def test_a_suspension_breaks_a_look_off(fresh_database: str) -> None:
    """Rule 2: fetches stop at once, the one under way too."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        started, ended = asyncio.Event(), asyncio.Event()

        async def slow(_: web.Request) -> web.StreamResponse:
            started.set()
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()  # the connection was closed on us
            return web.Response()

        site.media["/x.png"] = slow
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, site.url("/x.png"))
        await world.until(started.is_set)
        await world.intake_decides(content_id, DecisionKind.SUSPEND, "person")
        await world.until_state(takedown, "suspended")
        await world.until(ended.is_set, seconds=3, what="the fetch is broken off")
        assert await world.value("SELECT count(*) FROM notifier.checks") == 0


async def test_matches_that_race_a_withdrawal_leave_nothing(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world, world.second_process():
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        urls = [site.show(f"/{number}.png", picture(1)) for number in range(24)]
        await asyncio.gather(
            *(world.match(content_id, url) for url in urls[:12]),
            world.content(
                None, content_id=content_id, revision=2, state=ContentState.WITHDRAWN, withdrawn_for="not_ncii"
            ),
            *(world.match(content_id, url) for url in urls[12:]),
        )

        async def all_handled() -> bool:
            marks = await world.value("SELECT count(*) FROM notifier.inbox WHERE group_name = 'notifier.matches'")
            return bool(marks == 24 and await world.value("SELECT state = 'withdrawn' FROM notifier.content"))

        await world.until(all_handled, seconds=30)
        states = await world.rows("SELECT DISTINCT state, url FROM notifier.takedowns")
        assert [(row["state"], row["url"]) for row in states] in ([], [("withdrawn", None)])
        assert await world.value("SELECT count(*) FROM notifier.due_checks") == 0
        assert await world.value("SELECT count(*) FROM notifier.waiting_matches") == 0

        async def quiet() -> bool:
            query = "SELECT count(*) = 0 FROM notifier.messages WHERE state = 'due' AND kind <> 'demand.retracted'"
            return bool(await world.value(query))

        await world.until(quiet)


async def test_a_bare_tombstone_means_withdrawn(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, world.hosts["site"].show("/x.png", picture(1)))
        await world.until_state(takedown, "open")
        await world.tombstone(content_id)
        await world.until_state(takedown, "withdrawn")
        assert await world.value("SELECT fingerprints::text FROM notifier.content") == "[]"


async def test_a_claimed_check_that_was_called_off_fetches_nothing(fresh_database: str) -> None:
    """The suspension came after the claim and before the first read (a job that waits for a connection)."""
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        body = picture(1)
        content_id = await world.confirmed(body)
        takedown = await world.match(content_id, site.show("/m.png", body))
        await world.until_state(takedown, "open")
        lease_id = uuid4()
        claimed = DueCheck(
            takedown_id=takedown, content_id=content_id, host="site.test", reason="scheduled", lease_id=lease_id
        )
        await world.content(picture(1), content_id=content_id, state=ContentState.SUSPENDED, revision=2)
        await world.until_state(takedown, "suspended")
        worker = CheckWorker(UnitOfWorkFactory(world.runtime))
        before = list(site.fetched)
        await worker.check(claimed)
        assert site.fetched == before

        # Resumed since: what is due now is another job's.
        await world.stop()
        await world.rows(
            "INSERT INTO notifier.due_checks (takedown_id, due_at, reason, host, lease_id) VALUES (%s, now(), 'x', 'site.test', %s)"
            " RETURNING 1",
            takedown,
            uuid4(),
        )
        await worker.check(claimed)
        assert site.fetched == before


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
