"""The notifier with a browser: what it drew stands in the check, and a stop ends its look and every request of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

from aiohttp import web

from services.notifier import service
from shared.access import stops
from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLimits
from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from tests.browser.look_world import needs_chromium
from tests.data.still_there import BASE, FILLER, nearly
from tests.notifier_world import World, open_world

POLICY = Policy(clock_scale=1 / 36_000)
"""Ten hours are a second: what says nothing is looked at again after a tenth of one."""
AT_ONCE_SECONDS = 1.5
"""A stop is read within half a second, and what it ends leaves nothing under way."""
PICTURE_BY_SCRIPT = "<script>document.body.appendChild(new Image()).src='/drawn'+'.png'</script>"
ASKS_ON = "<script>let n = 0; setInterval(() => { new Image().src = '/tick?' + n++ }, 30)</script><img src=/hangs.png>"


@asynccontextmanager
async def open_browser_world(conninfo: str) -> AsyncIterator[World]:
    """One host, `site.test`, and a notifier that may ask a browser."""
    program = needs_chromium()
    async with open_world(conninfo, "site", policy=POLICY, start=False) as world:
        settings = world.runtime.settings
        guard = AddressGuard.of(settings.outbound_allow, settings.static_hosts, allow_static_hosts=True)
        async with Browser(program, guard, limits=BrowserLimits(load_seconds=20.0)) as browser:
            world.runtime = replace(world.runtime, browser=browser)
            world.service = service.create(world.runtime)
            await world.start()
            try:
                yield world
            finally:
                await world.stop()


async def last_check(world: World, takedown: UUID) -> dict[str, object] | None:
    rows = await world.rows(
        "SELECT outcome, page_outcome, detail, algorithm, distance, browser FROM notifier.checks WHERE takedown_id = %s"
        " ORDER BY started_at DESC LIMIT 1",
        takedown,
    )
    return rows[0] if rows else None


async def test_what_a_browser_drew_stands_in_the_check(fresh_database: str) -> None:
    async with open_browser_world(fresh_database) as world:
        site = world.hosts["site"]
        page = f"<!doctype html><body>{FILLER}{PICTURE_BY_SCRIPT}".encode()
        content_id = await world.confirmed(BASE)

        # Agrees: the takedown goes on to its demand.
        site.show("/drawn.png", BASE, content_type="image/jpeg")
        seen = await world.match(content_id, site.show("/a.jpg", page, content_type="text/html"))
        await world.until_state(seen, "open", seconds=30)
        check = await last_check(world, seen)
        assert check is not None
        assert (check["outcome"], check["detail"], check["browser"]) == ("present", "drawn_by_browser", "drawn")
        distance = check["distance"]
        assert isinstance(distance, int)
        assert distance <= 8

        # Nearly: a person's, and how near is told of the page as well.
        site.show("/drawn.png", nearly())
        near = await world.match(content_id, site.show("/b.jpg", page, content_type="text/html"))
        await world.until_state(near, "held", seconds=30)
        check = await last_check(world, near)
        assert check is not None
        assert (check["outcome"], check["detail"]) == ("inconclusive", "probably_present")
        assert (check["algorithm"], check["browser"]) == ("pdq", "drawn")
        assert 32 <= check["distance"] <= 50  # type: ignore[operator]  # a number, and no other
        assert await world.value("SELECT held_for FROM notifier.takedowns WHERE takedown_id = %s", near) == (
            "probably_present"
        )

        site.remove("/c.jpg", 404)
        on_page = await world.match(
            content_id, site.url("/c.jpg"), page_url=site.show("/page", page, content_type="text/html")
        )
        await world.until_state(on_page, "held", seconds=30)
        facts = await world.value(
            "SELECT facts FROM notifier.lifecycle WHERE takedown_id = %s AND kind = 'check.inconclusive' LIMIT 1",
            on_page,
        )
        assert facts["probably_present"] is True
        assert 32 <= facts["page_distance"] <= 50


async def test_a_stop_ends_the_look_and_every_request_of_it(fresh_database: str) -> None:
    async with open_browser_world(fresh_database) as world:
        site = world.hosts["site"]
        ticks: list[float] = []

        async def tick(_: web.Request) -> web.StreamResponse:
            ticks.append(time.monotonic())
            return web.Response(status=404)

        async def hang(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(60)
            return web.Response(status=404)

        site.media |= {"/tick": tick, "/hangs.png": hang}
        content_id = await world.confirmed(BASE)
        page = f"<!doctype html><body>{FILLER}{ASKS_ON}".encode()
        takedown = await world.match(content_id, site.show("/a.jpg", page, content_type="text/html"))
        await world.until(lambda: len(ticks) >= 3, seconds=30, what="the page asks")
        async with world.runtime.database.transaction() as tx:
            await stops.put(tx, content_id, by="intake", reason="suspended")
        stopped_at = time.monotonic()
        fetched = len(site.fetched)

        async def given_back() -> bool:
            return bool(
                await world.value("SELECT lease_id IS NULL FROM notifier.due_checks WHERE takedown_id = %s", takedown)
            )

        await world.until(given_back, what="the look ends")
        browser = world.runtime.browser
        assert browser is not None
        await world.until(lambda: browser.supervisor_pid is None, what="the browser that looked is gone")
        assert max(ticks) - stopped_at < AT_ONCE_SECONDS
        assert await last_check(world, takedown) is None, "what was broken off is no look"
        assert len(site.fetched) - fetched <= AT_ONCE_SECONDS / 0.03
