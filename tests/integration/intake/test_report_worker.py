"""The worker of reports: one that fails stops no other, and one whose worker died is taken up by the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from tests.integration.intake.harness import Intake, running_intake, until
from tests.integration.intake.reports.pictures_site import ADDRESS, Site, in_state, jpeg, report

# What no code foresees: the database refuses what a look at this URL led to.
_REFUSE_ONE = """
CREATE FUNCTION intake.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE UPDATE ON intake.reports FOR EACH ROW
    WHEN (new.url LIKE '%poison%' AND new.state = 'fetched') EXECUTE FUNCTION intake.refuse();
"""


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    site = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, ADDRESS, 0).start()
    site.port = runner.addresses[0][1]
    try:
        yield site
    finally:
        await runner.cleanup()


@asynccontextmanager
async def open_intake(conninfo: str, site: Site) -> AsyncIterator[Intake]:
    known = {"pics.test": (ADDRESS, site.port)}
    guard = AddressGuard(allow=list(known.values()), static_hosts=known, allow_static_hosts=True)
    async with running_intake(conninfo, guard=guard, policy=Policy(clock_scale=0.001)) as intake:
        yield intake


async def test_a_report_that_fails_three_times_has_failed_and_the_others_are_followed(fresh_database: str) -> None:
    async with open_site() as site, open_intake(fresh_database, site) as intake:
        ann = await intake.member("ann")
        async with intake.database.transaction() as tx:
            await tx.execute(_REFUSE_ONE.encode())
        for number in range(6):
            site.pages[f"/{number}.jpg"] = (200, "image/jpeg", jpeg(number))
        site.pages["/poison.jpg"] = (200, "image/jpeg", jpeg(9))
        poison = await report(intake, ann, site.url("/poison.jpg"))
        others = [await report(intake, ann, site.url(f"/{number}.jpg")) for number in range(6)]
        for one in others:
            await in_state(intake, ann, one, "fetched")

        shown = await in_state(intake, ann, poison, "failed")
        assert shown["why"] == "look_failed"
        assert site.asked["/poison.jpg"] == 3
        rows = await intake.rows("SELECT failures, last_failure FROM intake.reports WHERE failures > 0")
        assert [(row["failures"], row["last_failure"]) for row in rows] == [(3, "RaiseException")]


async def test_a_report_whose_worker_was_killed_is_taken_up_at_once_after_the_restart(fresh_database: str) -> None:
    async with open_site() as site:
        site.pages["/slow.jpg"] = (200, "image/jpeg", jpeg(1))
        async with open_intake(fresh_database, site) as intake:
            report_id = await report(intake, await intake.member("ann"), site.url("/slow.jpg"))

            async def looking() -> bool:
                return site.asked["/slow.jpg"] == 1

            await until(looking)
        site.slow = asyncio.Event()
        site.slow.set()
        async with open_intake(fresh_database, site) as intake:
            await in_state(intake, await intake.member("ann"), report_id, "fetched")
