# ruff: noqa: E501 - a page stands on a line
"""Whatever a page does ends its own look alone, in bounded time, as a typed outcome; the next look works."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import os
import signal
import time
from pathlib import Path

import pytest

from shared.errors import BadSettings
from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLimits, BrowserOutcome, Unfinished
from shared.media.browser.process import BrowserProgram, descendants
from shared.media.browser.program import find_chromium
from shared.outbound.guard import AddressGuard
from tests.browser.look_world import OTHER, SOUGHT, Asked, answer, drawn, open_internet, redirect
from tests.fixtures_servers import wait_until

SHORT = BrowserLimits(total_seconds=8, load_seconds=5, settle_seconds=1, memory_bytes=900_000_000)
SLACK_SECONDS = 25
"""To close a context, and to start another browser on a busy machine."""

FILL = "<img src=/sought.png>"
HOSTILE = {
    "endless script": "<script>while(true);</script>",
    "endless script later": f"{FILL}<script>onload=()=>setTimeout(()=>{{while(true);}},100)</script>",
    "endless scroll": f"{FILL}<div id=d></div><script>onscroll=()=>d.insertAdjacentHTML('beforeend','<p style=height:3000px>more</p>')</script><p style=height:3000px>x",
    "endless alerts": f"{FILL}<script>setInterval(()=>alert('x'),1)</script>",
    "alert in a loop": "<script>while(true)alert('x')</script>",
    "confirm and prompt": f"{FILL}<script>confirm('x');prompt('y')</script>",
    "beforeunload": f"{FILL}<script>onbeforeunload=e=>{{e.preventDefault();return 'stay'}};setTimeout(()=>location='/elsewhere',300)</script>",
    "memory": "<script>const a=[];setInterval(()=>{for(let n=0;n<20;n++)a.push(new Uint8Array(8e6).fill(7))},10)</script>",
    "script heap": "<script>const a=[];while(true)a.push('x'.repeat(1000)+Math.random())</script>",
    "10,000 images": "<script>for(let n=0;n<10000;n++)document.write(`<img src=/i${n}.png width=50 height=50>`)</script>",
    "many hosts": "<script>for(let n=0;n<400;n++)document.write(`<img src=http://h${n}.test/x.png>`)</script>",
    "200,000 elements": "<body><script>let s='<i>x</i>'.repeat(200000);document.body.innerHTML=s</script>",
    "deep elements": "<script>document.write('<div>'.repeat(100000))</script>",
    "frames in frames": "<iframe src=/again width=300 height=300></iframe><iframe src=/again width=300 height=300></iframe>",
    "redirect by script": "<script>location='/again?'+Math.random()</script>",
    "redirect by refresh": "<meta http-equiv=refresh content='0;url=/again'>",
    "reload": "<script>location.reload()</script>",
    "history": "<script>setInterval(()=>{history.pushState(1,'','/x'+Math.random());history.back()},1)</script>",
    "windows": "<script>setInterval(()=>open('/again'),1)</script>",
    "workers": "<script>for(let n=0;n<200;n++)new Worker(URL.createObjectURL(new Blob(['while(true);'])))</script>",
    "fetches": "<script>setInterval(()=>{for(let n=0;n<50;n++)fetch('/sought.png?'+Math.random())},1)</script>",
    "console": "<script>setInterval(()=>{for(let n=0;n<500;n++)console.log('x'.repeat(1e4))},1)</script>",
    "large canvas": "<canvas width=16000 height=16000></canvas><script>document.querySelector('canvas').getContext('2d').fillRect(0,0,16000,16000)</script>",
    "long page": f"{FILL}<p style=height:3000000px>x</p>",
    "long text": "<script>document.write('word '.repeat(2000000))</script>",
    "wide page": f"<p style=width:2000000px>x</p>{FILL}",
    "moving": f"<div id=m style=position:absolute>{FILL}</div><script>setInterval(()=>{{m.style.top=Math.random()*900+'px';m.innerHTML=m.innerHTML}},5)</script>",
    "its own tools": f"{FILL}<script>for(const p of [Element.prototype,Document.prototype])for(const n of ['querySelectorAll','getBoundingClientRect'])p[n]=()=>{{throw 1}};window.setTimeout=window.requestAnimationFrame=()=>0</script>",
}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(4))
async def test_a_hostile_page_ends_its_own_look_alone(part: int) -> None:
    async with open_internet(limits=SHORT) as internet:
        plain = internet.page("/plain", "<p>plain</p>" + FILL)
        for place, (name, body) in list(enumerate(HOSTILE.items()))[part::4]:
            internet.page("/again", body)
            began = time.monotonic()
            look = await internet.browser.look(internet.page(f"/{place}", body))
            took = time.monotonic() - began
            assert took < SHORT.total_seconds + SLACK_SECONDS, (name, took)
            assert look.requests <= SHORT.max_requests + 10_050, name
            assert len(internet.asked) < 700, f"{name}: no more was asked of the sites than a look may"
            assert len(look.text) <= SHORT.max_text_characters + 1000, name
            assert sum(len(one.body) for one in look.drawn) <= SHORT.max_kept_bytes
            internet.asked.clear()
            after = await internet.browser.look(plain)
            assert after.fully_drawn, (name, after.outcome, after.detail, after.unfinished)
            assert drawn(after), name


async def test_answers_without_end() -> None:
    """Redirects, bodies that drip, grow or blow up, headers without end: a typed outcome, and the site is let go."""
    async with open_internet(limits=SHORT) as internet:

        async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x</p><img src=/sought.png>")
            while not writer.is_closing():
                writer.write(b"<p>x</p>")
                await writer.drain()
                await asyncio.sleep(0.2)

        async def flood(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"<!--" + b"x" * 60_000 + b"-->")
                await writer.drain()

        async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(3600)

        async def heads(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while not writer.is_closing():
                writer.write(b"X-A: " + b"a" * 1000 + b"\r\n")
                await writer.drain()

        bomb = gzip.compress(b"<p>x</p>" * 20_000_000)
        internet.put("/bomb", answer(bomb, "text/html", "Content-Encoding: gzip"))
        internet.put("/round", redirect("/round"))
        internet.put("/ping", redirect("http://cdn.test/pong"))
        internet.put("/pong", redirect("http://site.test/ping"), host="cdn.test")
        for path, answering in (("/drip", drip), ("/flood", flood), ("/silent", silent), ("/heads", heads)):
            internet.put(path, answering)
        expected = {
            "/round": {BrowserOutcome.TOO_MANY_REDIRECTS},
            "/ping": {BrowserOutcome.TOO_MANY_REDIRECTS},
            "/silent": {BrowserOutcome.TIMED_OUT},
            "/drip": {BrowserOutcome.DRAWN},
            "/flood": {
                BrowserOutcome.DRAWN,
                BrowserOutcome.TIMED_OUT,
                BrowserOutcome.CRASHED,
                BrowserOutcome.BUDGET_SPENT,
            },
            "/heads": {BrowserOutcome.CONNECTION_LOST, BrowserOutcome.TIMED_OUT, BrowserOutcome.BUDGET_SPENT},
            "/bomb": {BrowserOutcome.DRAWN, BrowserOutcome.TIMED_OUT, BrowserOutcome.CRASHED},
        }
        for path, outcomes in expected.items():
            look = await internet.browser.look(f"http://site.test{path}")
            assert look.outcome in outcomes, (path, look.outcome, look.detail)
            assert not look.fully_drawn, path
            assert look.bytes_moved <= SHORT.max_bytes + 200_000, path
        assert (await internet.browser.look("http://site.test/sought.png")).fully_drawn


GATES = {
    "fixed": "<div style='position:fixed;inset:0;background:#000;color:#fff;z-index:9'>Are you 18?</div>",
    "absolute": "<div style='position:absolute;inset:0;background:#000;z-index:1000;height:1280px'>Enter</div>",
    "dialog": "<dialog id=g>We use cookies</dialog><script>g.showModal()</script>",
    "late": "<script>setTimeout(()=>document.body.insertAdjacentHTML('beforeend','<div style=\"position:fixed;inset:0;background:#fff;z-index:5\">Please log in</div>'),300)</script>",
    "with a picture": "<div style='position:fixed;inset:0;background:#000;z-index:9'><img src=/other.png></div>",
}


@pytest.mark.timeout(120)
async def test_what_lies_over_a_page_is_told_and_looked_under() -> None:
    async with open_internet() as internet:
        for place, (name, gate) in enumerate(GATES.items()):
            look = await internet.browser.look(internet.page(f"/{place}", f"<p>text</p>{FILL}{gate}"))
            assert Unfinished.OVERLAY in look.unfinished, name
            assert not look.fully_drawn
            assert drawn(look), name
        for place, bar in enumerate(
            (
                "position:fixed;bottom:0;height:80px",
                "position:sticky;top:0;height:60px",
                "position:fixed;inset:0;z-index:-1",
            )
        ):
            look = await internet.browser.look(
                internet.page(f"/bar{place}", f"{FILL}<div style='{bar};background:#eee;width:100%'>bar</div>")
            )
            assert look.fully_drawn, (bar, look.unfinished)


UNFINISHED = {
    "slow picture": ("<img src=/slow.png>", Unfinished.MEDIA_FAILED),
    "refused picture": ("<img src=/403.png>", Unfinished.MEDIA_FAILED),
    "busy picture": ("<img src=/503.png>", Unfinished.MEDIA_FAILED),
    "broken picture": ("<img src=/broken.png>", Unfinished.MEDIA_FAILED),
    "page for a picture": ("<img src=/page.png>", Unfinished.MEDIA_FAILED),
    "broken video": ("<video src=/broken.png></video>", Unfinished.MEDIA_FAILED),
    "dead background": ("<div style='width:99px;height:99px;background:url(/cut.png)'></div>", Unfinished.MEDIA_FAILED),
    "dead frame": ("<iframe src=http://nosuch.invalid/ width=300 height=300></iframe>", Unfinished.FRAME),
    "very many": ("".join(f"<img src=/sought.png?{n} width=60 height=60>" for n in range(120)), Unfinished.PICTURES),
}


@pytest.mark.timeout(180)
async def test_what_was_not_seen_is_told() -> None:
    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(SOUGHT)[:400])

    async with open_internet(limits=BrowserLimits(load_seconds=4, total_seconds=30)) as internet:
        internet.put("/slow.png", slow)
        internet.put("/cut.png", cut)
        internet.put("/403.png", answer(b"no", "text/plain", status="403 Forbidden"))
        internet.put("/503.png", answer(b"no", "text/plain", status="503 Busy"))
        internet.put("/broken.png", answer(b"\x89PNG but not really"))
        internet.put("/page.png", answer(b"<p>log in", "text/html"))
        for place, (name, (body, why)) in enumerate(UNFINISHED.items()):
            look = await internet.browser.look(internet.page(f"/{place}", body))
            assert look.outcome is BrowserOutcome.DRAWN, (name, look.outcome)
            assert why in look.unfinished, (name, look.unfinished)


async def test_what_a_page_says_of_itself() -> None:
    async with open_internet() as internet:
        internet.put("/a", redirect("http://cdn.test/b", "301 Moved"))
        internet.put("/b", redirect("/login?next=x"), host="cdn.test")
        internet.page(
            "/login",
            "<title>Log in</title><form><input type=password></form><iframe src=/inner width=200 height=99></iframe>",
            host="cdn.test",
            status="403 Forbidden",
        )
        internet.page("/inner", "<p>in the frame", host="cdn.test")
        look = await internet.browser.look("http://site.test/a", referer="http://other.test/page")
        assert [(hop.url, hop.status) for hop in look.hops] == [
            ("http://site.test/a", 301),
            ("http://cdn.test/b", 302),
            ("http://cdn.test/login?next=x", 403),
        ]
        assert (look.final_url, look.status, look.title) == ("http://cdn.test/login?next=x", 403, "Log in")
        assert look.password_field
        assert "in the frame" in look.text
        assert internet.asked[0].headers["referer"].startswith("http://other.test/")
        assert "headless" not in internet.asked[0].headers["user-agent"].lower()
        internet.asked.clear()
        look = await internet.browser.look(
            internet.page(
                "/p",
                "<form><input type=password style=display:none></form><img src=/sought.png><img src=http://cdn.test/sought.png>",
            )
        )
        assert not look.password_field
        referers = {asked.host + asked.path: asked.headers.get("referer") for asked in internet.asked}
        assert referers["site.test/p"] is None
        assert referers["site.test/sought.png"] == "http://site.test/p"
        assert referers["cdn.test/sought.png"] == "http://site.test/", "as browsers send it across sites"


async def test_a_killed_browser_is_an_outcome_and_another_is_started() -> None:
    async with open_internet() as internet:
        begun = asyncio.Event()

        async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
            begun.set()
            await asyncio.sleep(3600)

        internet.put("/slow.js", slow)
        for which in ("browser", "supervisor", "renderer"):
            begun.clear()
            looking = asyncio.create_task(
                internet.browser.look(internet.page("/", f"{FILL}<script src=/slow.js></script>"))
            )
            await asyncio.wait_for(begun.wait(), 40)
            supervisor = internet.browser.supervisor_pid
            assert supervisor is not None
            below = descendants(supervisor)
            named = {pid: _command_of(pid) for pid in below}
            killed = {
                "browser": [pid for pid, one in named.items() if b"--type=" not in one and b"crashpad" not in one],
                "supervisor": [supervisor],
                "renderer": [pid for pid, one in named.items() if b"--type=renderer" in one],
            }[which]
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            look = await asyncio.wait_for(looking, 60)
            assert look.outcome is BrowserOutcome.CRASHED, (which, look.outcome, look.detail)
            assert (await internet.browser.look("http://site.test/sought.png")).fully_drawn, which


async def test_a_browser_that_broke_between_looks_costs_the_next_one_nothing() -> None:
    """Killed while nobody looks, or just as a look begins: the page of the next look has done nothing."""
    async with open_internet() as internet:
        for _ in range(5):
            assert (await internet.browser.look("http://site.test/sought.png")).fully_drawn
            supervisor = internet.browser.supervisor_pid
            assert supervisor is not None
            looking = asyncio.create_task(internet.browser.look("http://site.test/sought.png"))
            await asyncio.sleep(0)
            for pid in descendants(supervisor):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            look = await looking
            assert look.fully_drawn, (look.outcome, look.detail)


async def test_a_look_that_is_cancelled_leaves_nothing_running() -> None:
    async with open_internet() as internet:
        begun = asyncio.Event()

        async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
            begun.set()
            await asyncio.sleep(3600)

        internet.put("/slow", slow)
        looking = asyncio.create_task(internet.browser.look("http://site.test/slow"))
        await asyncio.wait_for(begun.wait(), 40)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        assert (await internet.browser.look("http://site.test/sought.png")).fully_drawn
        supervisor = internet.browser.supervisor_pid
        assert supervisor is not None
        below = descendants(supervisor)
    await asyncio.to_thread(
        wait_until,
        lambda: not [pid for pid in below if Path(f"/proc/{pid}/cmdline").exists() and _command_of(pid)],
        seconds=5,
    )


async def test_limits_of_number() -> None:
    async with open_internet(limits=BrowserLimits(looks_each_browser=2, looks_an_hour=5)) as internet:
        seen = []
        for _ in range(5):
            assert (await internet.browser.look("http://site.test/other.png")).answers[0].body == OTHER
            seen.append(internet.browser.supervisor_pid)
        assert seen[0] == seen[1] != seen[2] == seen[3] != seen[4], "a browser serves so many looks"
        assert (await internet.browser.look("http://site.test/other.png")).outcome is BrowserOutcome.HOUR_SPENT


async def test_a_browser_that_is_slow_to_start_is_not_taken_for_none(server_dir: Path) -> None:
    program = server_dir / "slow"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    limits = BrowserLimits(start_seconds=0.5)
    async with Browser(BrowserProgram(path=program), AddressGuard(), limits=limits) as browser:
        assert (await browser.look("http://site.test/")).outcome is BrowserOutcome.UNAVAILABLE
        assert browser.usable


async def test_without_a_browser_a_look_says_so(tmp_path: Path) -> None:
    async with Browser(None, AddressGuard()) as browser:
        assert (await browser.look("http://site.test/")).outcome is BrowserOutcome.OFF
        assert not browser.available
    for program in ("/bin/false", "/bin/cat", str(tmp_path / "none")):
        async with Browser(BrowserProgram(path=Path(program)), AddressGuard()) as browser:
            assert (await browser.look("http://site.test/")).outcome is BrowserOutcome.UNAVAILABLE, program
            assert not browser.usable, "it is as if there were none"
    async with Browser(BrowserProgram(path=Path("/bin/false")), AddressGuard()) as browser:
        for url in (
            "file:///etc/passwd",
            "chrome://version",
            "about:blank",
            "javascript:1",
            "http://a:b@site.test/",
            "x",
        ):
            assert (await browser.look(url)).outcome is BrowserOutcome.BAD_URL
    assert find_chromium("off") is None
    for wrong in ("/nowhere/chromium", "chromium", "on", "/etc/passwd"):
        with pytest.raises(BadSettings):
            find_chromium(wrong)


def _command_of(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
