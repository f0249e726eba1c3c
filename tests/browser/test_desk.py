"""The desk in a real browser over a real `serve`: from a file on a caseworker's computer to a link that was looked at."""

from __future__ import annotations

import asyncio
import http.server
import io
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Page, Request, async_playwright

from shared.media.pdq import pdq_hash
from tests.e2e.processes import Fleet, free_port
from tests.e2e.world import picture

CHROMIUM = shutil.which("chromium")
SHOTS = os.environ.get("TAKEDOWN_TEST_SCREENSHOTS")
SITE = "127.0.1.88"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="no chromium here (under CI it must be there)"
)


def png(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture(seed, side=256)).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def site() -> Iterator[int]:
    """A site that shows a picture at each address; its port."""
    body = png(7)

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "image/png")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((SITE, 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def desk(fresh_database: str, site: int, tmp_path: Path) -> Iterator[Fleet]:
    environment = {
        "TAKEDOWN_DATABASE": fresh_database,
        "TAKEDOWN_DATA_DIR": str(tmp_path / "data"),
        "TAKEDOWN_OUTBOUND_ALLOW": f'["{SITE}:{site}"]',
        "TAKEDOWN_STATIC_HOSTS": f'{{"site.test": "{SITE}:{site}"}}',
        "TAKEDOWN_ALLOW_STATIC_HOSTS": "true",
        "TAKEDOWN_LOG_FORMAT": "json",
    }
    with Fleet(environment, logs=tmp_path, ports={"serve": free_port()}) as fleet:
        fleet.start("serve")
        fleet.wait_ready("serve")
        yield fleet


@asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield started
        finally:
            await started.close()


@dataclass
class Sent:
    """What a browser sent, whole."""

    requests: list[Request] = field(default_factory=list)

    def bodies(self) -> str:
        return "\n".join(f"{one.url} {one.post_data or ''}" for one in self.requests)


async def sign_in(desk: Fleet, chromium: Browser, person: str, *, width: int = 1200) -> tuple[Page, Sent]:
    link = desk.run("people", "invite", person, "--organisation", "helpline", TAKEDOWN_PORT=str(desk.ports["serve"]))
    context = await chromium.new_context(viewport={"width": width, "height": 900})
    page = await context.new_page()
    sent = Sent()
    page.on("request", lambda request: sent.requests.append(request))
    await page.goto(link.strip().splitlines()[0])
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("heading", name="Cases", level=1).wait_for()
    return page, sent


async def shot(page: Page, name: str) -> None:
    if SHOTS is not None:
        await page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


async def declare(page: Page, site: int) -> None:
    """A new case with one picture and one link, by role and name alone."""
    await page.get_by_role("link", name="New case").first.click()
    await page.get_by_label("18 or older").check()
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_role("textbox", name="Case reference").last.fill("EH-000123")
    await page.get_by_label("A threat").check()
    await page.get_by_label("How they may be reached").fill("text only, never ring")
    await shot(page, "the-call")
    await page.get_by_role("button", name="Save and continue").click()
    file = FilePayload(name="holiday secret.png", mimeType="image/png", buffer=png(7))
    await page.get_by_label("Choose pictures").set_input_files([file])
    await page.get_by_text("1 of 1 ready.").wait_for()
    await page.get_by_label("For themselves").check()
    await page.get_by_label("I looked at them", exact=True).check()
    for box in ("The pictures are intimate", "They were shared", "We have on record", "This is true"):
        await page.get_by_label(box).check()
    await page.get_by_label("Where was it seen?").fill(f"She wrote: hxxp://site[.]test:{site}/a.png, help!")
    await page.get_by_role("radio", name="No", exact=True).check()
    await shot(page, "new-case")
    await page.get_by_role("button", name="Declare").click()
    await page.get_by_role("heading", name="Case EH-000123").wait_for()


async def stopped_found_and_changed(page: Page) -> None:
    """Paused and gone on with; found by its link's site; changed, and read on its page; among the urgent ones of everybody."""
    await page.get_by_role("button", name="Pause").click()
    assert "The case is paused" in await page.locator(".tell").inner_text()
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("button", name="Pause").wait_for()
    await page.get_by_role("link", name="Change").click()
    await page.get_by_label("A word they are known by").fill("bluebell")
    await page.get_by_role("button", name="Keep the change").click()
    shown = await page.locator("main").inner_text()
    assert "bluebell" in shown
    assert "text only, never ring" in shown
    assert "threat" in shown
    for asked in ("site.test", "hxxp://site[.]test/never-seen.png"):
        await page.get_by_label("Find a case by its reference").fill(asked)
        await page.get_by_role("button", name="Open", exact=True).click()
        await page.get_by_role("heading", name="Cases that know this site").wait_for()
    await page.get_by_role("link", name="EH-000123").wait_for()
    await page.get_by_role("link", name="Cases").click()
    await page.get_by_role("link", name="Urgent cases of everybody").click()
    await shot(page, "urgent")
    await page.get_by_role("link", name="EH-000123").click()
    await page.get_by_role("heading", name="Case EH-000123").wait_for()


async def test_from_a_file_to_a_link_that_was_looked_at(desk: Fleet, site: int, fresh_database: str) -> None:
    async with browser() as chromium:
        first, sent = await sign_in(desk, chromium, "p-1")
        await declare(first, site)
        assert "a second colleague; until then nobody is asked" in await first.locator(".tell").inner_text()
        # What left the browser is fingerprints: those that `shared` makes of the same pixels, and nothing of the file.
        hexadecimal = pdq_hash(picture(7, side=256))[0].hex()
        assert hexadecimal in sent.bodies()
        assert "holiday" not in sent.bodies()
        assert "PNG" not in sent.bodies()

        await first.goto(first.url.split("/desk")[0] + "/desk/confirm")
        await first.get_by_role("link", name="EH-000123").click()
        await first.get_by_label("I looked at them where").check()
        await first.get_by_role("button", name="Confirm").click()
        assert "person" in await first.get_by_role("alert").inner_text(), "nobody confirms what they declared"

        second, _ = await sign_in(desk, chromium, "p-2", width=390)
        await second.get_by_role("link", name="To confirm").click()
        await second.get_by_role("link", name="EH-000123").click()
        await second.get_by_label("I looked at them where").check()
        await second.get_by_role("button", name="Confirm").click()
        await second.get_by_role("heading", name="Case EH-000123").wait_for()
        row = second.get_by_role("row").filter(has_text="/a.png")
        async with asyncio.timeout(60):
            while "Nobody is listed for this site" not in await row.inner_text():
                await shot(second, "case-meanwhile")
                await second.reload()
        assert "online, nobody asked yet" in await row.inner_text()
        await shot(second, "case-narrow")
        await first.goto(second.url)
        await shot(first, "case-wide")
        wide = await second.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, "nothing is wider than a telephone"

        await stopped_found_and_changed(second)
        await second.get_by_text("Withdraw …").click()
        await second.get_by_role("button", name="Withdraw all pictures").click()
        await second.get_by_role("button", name="Take the withdrawal back").click()
        await second.get_by_text("Withdraw …").wait_for()


async def test_who_may_not_is_sent_away(desk: Fleet) -> None:
    base = f"http://127.0.0.1:{desk.ports['serve']}"
    async with browser() as chromium:
        page, _ = await sign_in(desk, chromium, "p-1")
        # A link works once.
        used = desk.run("people", "invite", "p-3", "--organisation", "helpline", TAKEDOWN_PORT=str(desk.ports["serve"]))
        other = await (await chromium.new_context()).new_page()
        for expected in ("Cases", "Sign in"):
            await other.context.clear_cookies()
            await other.goto(used.strip().splitlines()[0])
            if expected == "Cases":
                await other.get_by_role("button", name="Sign in").click()
            await other.get_by_role("heading", name=expected, level=1).wait_for()
        assert "does not work any more" in await other.locator("main").inner_text()
        # Nobody is in without it, and a form from elsewhere changes nothing.
        for address in ("/desk", "/desk/new", "/desk/confirm", "/desk/case?ref=EH-000123"):
            await other.goto(base + address)
            assert other.url == f"{base}/desk/sign-in", address
        answer = await page.request.post(
            f"{base}/desk/case/withdrawal", form={"form_token": "guessed\u00e9", "case_ref": "EH-000123"}
        )
        assert answer.status == 403
        assert "another session" in await answer.text()
        # Under 18: nothing can be added, and the page says where to turn.
        await page.goto(f"{base}/desk/new")
        await page.get_by_label("Under 18").check()
        await page.get_by_role("button", name="Continue").click()
        assert "Internet Watch Foundation" in await page.locator("main").inner_text()
        assert await page.locator("input[type=file]").count() == 0
        # A link that another site's page uses signs nobody in; a later link ends the one before.
        invite = ("people", "invite", "p-4", "--organisation", "helpline", "--role", "operations")
        older = desk.run(*invite, TAKEDOWN_PORT=str(desk.ports["serve"])).strip().splitlines()[0]
        newer = desk.run(*invite, TAKEDOWN_PORT=str(desk.ports["serve"])).strip().splitlines()[0]
        for link, headers in ((newer, {"Sec-Fetch-Site": "cross-site"}), (older, {})):
            token = link.rpartition("/")[2]
            answer = await page.request.post(f"{base}/desk/sign-in", form={"token": token}, headers=headers)
            assert answer.status in (403, 410), link
        # Operations have no desk, and can sign out.
        await other.context.clear_cookies()
        await other.goto(newer)
        await other.get_by_role("button", name="Sign in").click()
        assert "for helpline staff" in await other.locator("main").inner_text()
        await other.get_by_role("button", name="Sign out").click()
        await other.get_by_role("heading", name="Sign in", level=1).wait_for()
        # Signed out, and disabled, at once.
        desk.run("people", "disable", "p-1", "--organisation", "helpline")
        await page.goto(f"{base}/desk")
        assert page.url == f"{base}/desk/sign-in"
