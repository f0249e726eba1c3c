"""What stops: withdrawals, suspensions and recalls, where they need a database, a network or both."""

from __future__ import annotations

import asyncio
import os
from uuid import uuid4

from aiohttp import web

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.checks.worker import CheckWorker
from services.notifier.store.checks import DueCheck
from shared.contracts.claims import ClaimState
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from tests.notifier_world import QUIET_SECONDS, World, open_world, picture


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
