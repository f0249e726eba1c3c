"""Pages are read in the confined child: what they show, within limits, beside an event loop that goes on."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared.media.fingerprinter import DEFAULT_LIMITS, Fingerprinter, Reason, UnreadablePage
from shared.media.html.contents import PageContents
from shared.media.html_media import read_page

DATA = Path(__file__).parents[2] / "data" / "html"
PAGE = "https://site.test/gallery/page.html"
LONGEST_PAUSE_SECONDS = 0.5
"""Of the loop; the machine may be busy. On a quiet one it is some milliseconds."""


def kill_decoders() -> None:
    for children in Path("/proc/self/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            if b"decode" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one


async def test_a_page_is_read_in_the_child_as_it_is_here(fingerprinter: Fingerprinter) -> None:
    body = "<title>ж</title><img src='data:image/png;base64,AAEC'><video poster=/p src=/v></video><iframe src=/f></iframe>".encode()
    contents = await fingerprinter.read_page(body, "text/html; charset=utf-8", PAGE)
    assert contents == read_page(body, "text/html; charset=utf-8", PAGE)
    assert contents.inline[0].body == b"\0\1\2"
    assert contents.signs.title == "ж"


@pytest.mark.parametrize("label", ["idna", "undefined", "hex", "zlib", "bz2", "unicode_escape", "\n", "\udcff"])
async def test_no_label_of_an_encoding_harms(fingerprinter: Fingerprinter, label: str) -> None:
    contents = await fingerprinter.read_page(b"<p>hello<img src=/a>", f"text/html; charset={label}", PAGE)
    assert [one.url for one in contents.media] == ["https://site.test/a"]


@pytest.mark.parametrize("url", ["http://../x", "http://256.256.256.256../", "//a:99999999/", "http://[", "\\\\..\\x"])
async def test_no_url_in_a_page_harms(fingerprinter: Fingerprinter, url: str) -> None:
    contents = await fingerprinter.read_page(f"<base href='{url}'><img src='{url}'><img src=/a>".encode(), None, PAGE)
    assert isinstance(contents, PageContents)


async def test_the_loop_goes_on_while_pages_made_to_hold_it_are_read(fingerprinter: Fingerprinter) -> None:
    await fingerprinter.prepare()
    pages = [path.read_bytes() for path in DATA.glob("quadratic-*.html")]
    pages += [
        b"<a " * 1_000_000,
        b"<div>" * 400_000,
        b"<style>" + b"a{b:url(c)}" * 40_000,
        b"<img src=x.jpg>" * 100_000,
    ]
    work = asyncio.gather(*(fingerprinter.read_page(page, "text/html", PAGE) for page in pages))
    longest, last = 0.0, time.monotonic()
    while not work.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert len(await work) == len(pages)
    assert longest < LONGEST_PAUSE_SECONDS


async def test_a_page_that_takes_too_long_is_refused_and_the_next_is_read() -> None:
    limits = replace(DEFAULT_LIMITS, cpu_seconds=1, wall_seconds=1)
    async with Fingerprinter(workers=1, limits=limits) as fingerprinter:
        slow = (b"<style>" + rb"a{b:\c}" * 5_000 + b"</style>") * 50 + b"<b a=b>" * 1_000_000
        with pytest.raises(UnreadablePage) as refused:
            await fingerprinter.read_page(slow, "text/html", PAGE)
        assert refused.value.reason is Reason.OUT_OF_TIME
        assert (await fingerprinter.read_page(b"<img src=/a>", None, PAGE)).media


async def test_a_child_killed_from_outside_costs_no_page(fingerprinter: Fingerprinter) -> None:
    await fingerprinter.prepare()
    work = asyncio.ensure_future(fingerprinter.read_page(b"<p style='background:url(a)'>" * 50_000, "text/html", PAGE))
    await asyncio.sleep(0)
    kill_decoders()
    assert (await work).media
