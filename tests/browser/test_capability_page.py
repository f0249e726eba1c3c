"""The capability page in a real browser, without JavaScript, wide and narrow."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.notifier_world import Host, World, open_world, picture, serve_app

CHROMIUM = shutil.which("chromium")
SHOTS = os.environ.get("TAKEDOWN_TEST_SCREENSHOTS")
"""A folder for pictures of what the browser showed; None: none are taken."""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="no chromium here (under CI it must be there)"
)


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            await started.close()


@asynccontextmanager
async def demanded(conninfo: str) -> AsyncIterator[tuple[World, Host, str, str]]:
    """A world whose site was asked; gives the page's address on a real socket, and the target's URL."""
    async with open_world(conninfo, "site", reviewed_by="A. Reviewer") as world:
        site = world.hosts["site"]
        await world.know_hosts(site={"bound_by": "uk_osa_20a"})
        await world.outbound()
        body = picture(1)
        url = site.show("/galleries/2026/a-rather-long-name-of-a-picture-that-has-to-wrap-somewhere.png", body)
        takedown = await world.match(await world.confirmed(body), url, page_url=site.url("/galleries/2026/"))

        async def delivered() -> bool:
            return "demand.delivered" in await world.history(takedown)

        await world.until(delivered)
        async with serve_app(world.runtime, world.service) as base:
            yield world, site, f"{base}/host/d/{site.received[0].item['token']}", url


async def shot(page: Page, name: str) -> None:
    if SHOTS is not None:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def test_a_person_answers_without_javascript(fresh_database: str) -> None:
    async with demanded(fresh_database) as (world, _site, address, url), browser() as chromium:
        context = await chromium.new_context(java_script_enabled=False, viewport={"width": 1100, "height": 900})
        page = await context.new_page()
        requests: list[str] = []
        page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))
        await page.goto(address)
        await shot(page, "demand-wide")
        assert await page.locator("h1").inner_text() == "A request to remove content"
        text = await page.locator("body").inner_text()
        assert url.replace("http", "hxxp", 1) in text
        assert await page.locator("a").count() == 0, "no live link"
        assert requests == [f"GET {address}"], "the page asks for nothing else"
        # Every choice has a label that a screen reader can say.
        radios = page.get_by_role("radio")
        assert await radios.count() == 14
        for index in range(await radios.count()):
            identifier = await radios.nth(index).get_attribute("id")
            assert (await page.locator(f'label[for="{identifier}"]').inner_text()).strip()
        # The keyboard alone is enough.
        await page.get_by_label("We received this and are working on it").focus()
        await page.keyboard.press("Space")
        await page.get_by_label("Your ticket number (optional)").fill("T-77")
        await page.get_by_role("button", name="Send this answer").focus()
        await page.keyboard.press("Enter")
        await page.get_by_role("status").wait_for()
        await shot(page, "demand-answered")
        before = page.get_by_role("region", name="Answers so far")
        assert "We received this and are working on it" in await before.inner_text()
        assert await world.value("SELECT state FROM notifier.demands") == "acknowledged"
        assert await world.value("SELECT details ->> 'ticket_ref' FROM notifier.answers") == "T-77"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_it_fits_a_telephone(fresh_database: str, scheme: str) -> None:
    async with demanded(fresh_database) as (_, _, address, _), browser() as chromium:
        context = await chromium.new_context(
            viewport={"width": 360, "height": 740},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        page = await context.new_page()
        errors: list[str] = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        await page.goto(address)
        await shot(page, f"demand-narrow-{scheme}")
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, "nothing is cut off at the side"
        assert not [one for one in errors if "favicon" not in one], "the content security policy stops nothing of ours"


async def test_an_ended_demand_and_a_wrong_link(fresh_database: str) -> None:
    async with demanded(fresh_database) as (world, site, address, url), browser() as chromium:
        page = await chromium.new_page()
        answer = await page.goto(address.rpartition("/")[0] + "/not-a-token")
        assert answer is not None
        assert answer.status == 404
        await shot(page, "demand-unknown")
        assert "There is nothing here" in await page.locator("body").inner_text()
        await world.withdraw_everything()
        await world.until(lambda: "demand.retracted" in site.kinds())
        await page.goto(address)
        await shot(page, "demand-ended")
        text = await page.locator("body").inner_text()
        assert "Nothing is asked of you any more" in text
        assert url.partition("://")[2] not in text
        assert await page.locator("form").count() == 0
