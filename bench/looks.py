"""What looks see of what a person sees, and what they take for removed that is there: without a browser and with one, beside each other.

    make bench-look            (ARGS=--json: one object a row; ARGS=--without-browser)

The first set is of pages and files that show a person the picture; the second of answers that say nothing of whether it is gone, or do
not show it to us. Both are the tests' own (`tests/data/drawn_pages.py`, `tests/data/still_there.py`). Writes its section of
`docs/performance.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog

from bench.document import replace_section
from services.notifier.checks.checker import Checker
from services.notifier.checks.seen import Wanted
from services.notifier.domain.model import Outcome
from shared.clock import system_clock
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.browser.look import BrowserLook
from shared.media.browser.process import BrowserProgram
from shared.media.browser.program import find_chromium
from shared.media.fingerprinter import Fingerprinter, Undecodable
from shared.media.fingerprints import hamming
from shared.outbound.fetch import Fetcher
from shared.policy import Policy
from shared.urls import canonical
from tests.browser.look_world import AGREES, SOUGHT, open_internet
from tests.data import drawn_pages
from tests.data.still_there import BASE, INCONCLUSIVE, SHOWN_ON_A_PAGE, STILL_THERE, WHATEVER_THE_STATUS, Shape
from tests.look_site import LookSite, open_look_site, outcome_of

PAGES = {
    f"{kind}: {name}": body
    for kind in ("IMAGES", "BACKGROUNDS", "CANVASES", "SVGS", "FRAMES", "SHADOWS", "SCROLLED")
    for name, body in getattr(drawn_pages, kind).items()
}
NOT_DRAWN = ("lazy srcset", "data-src", "noscript", "a link", "og:image", "data of a script")
"""Pages whose picture a browser does not show by itself: the light look finds it, a person does not see it at once."""
ADDRESS = "127.0.1.97"


@dataclass(kw_only=True)
class Row:
    """One set, one kind of look. `found`: what was wanted, or in the set of what is still there what was wrongly believed."""

    set: str
    look: str
    shapes: int = 0
    found: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    others: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        each = max(1, self.shapes)
        return {
            "set": self.set,
            "look": self.look,
            "shapes": self.shapes,
            "found": self.found,
            "share": round(self.found / each, 4),
            "ms_each": round(self.seconds / each * 1000),
            "cpu_ms_each": round(self.cpu_seconds / each * 1000),
            "others": self.others,
        }


def shown_shapes() -> list[Shape]:
    """Of the answers of hosts that still have the picture those that show it to a person."""
    shown = [one for one in SHOWN_ON_A_PAGE if not one.name.endswith(tuple(f": {name}" for name in NOT_DRAWN))]
    shown = [one for one in shown if not one.name.endswith(tuple(f"has {name}" for name in NOT_DRAWN))]
    by_status = [
        one for one in WHATEVER_THE_STATUS if one.name != "404, as text/html"
    ]  # a browser shows its bytes as text
    return [*by_status, *shown, *(one for one in INCONCLUSIVE if one.name.startswith("SVG"))]


def tree_cpu_seconds() -> float:
    """Processor time of this process and all that it started, ended ones too: decoders and browser."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, times = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1])
            times[int(stat.parent.name)] = sum(map(int, fields[11:15]))

    def ours(process: int) -> bool:
        while process in parents and process != os.getpid():
            process = parents[process]
        return process == os.getpid()

    return sum(time for process, time in times.items() if ours(process)) / ticks


async def timed(row: Row, name: str, look: Callable[[], Awaitable[bool]]) -> None:
    """One look: whether it found what the row counts."""
    begun, cpu = time.perf_counter(), tree_cpu_seconds()
    found = await look()
    row.seconds += time.perf_counter() - begun
    row.cpu_seconds += tree_cpu_seconds() - cpu
    row.shapes += 1
    row.found += found
    if found is (row.set == "still there"):
        row.others.append(name)


async def look_at_pages(rows: tuple[Row, Row], *, with_browser: bool) -> None:
    """The pages that draw the picture: a light look at each, and a browser's."""
    light, browser = rows
    async with open_internet() as internet, Fingerprinter(workers=1) as fingerprinter:
        drawn_pages.put_parts(internet)
        register = [
            RegisteredFingerprint(
                algorithm=one.algorithm.value, value=one.hex, quality=one.quality, assurance=Assurance.VIEWED
            )
            for one in (await fingerprinter.fingerprint(SOUGHT)).fingerprints()
            if one.orientation == "identity"
        ]
        async with Fetcher(internet.guard, user_agent="bench") as fetcher:
            checker = Checker(fetcher, fingerprinter, Policy(), system_clock, fingerprint_key=b"k" * 32)

            async def by_light(url: str) -> bool:
                wanted = Wanted(
                    takedown_id=uuid4(), target_kind="page", url=url, url_key=canonical(url).url_key, page_url=None,
                    register=tuple(register),
                )  # fmt: skip
                return outcome_of(await checker.look(wanted)) is Outcome.PRESENT

            async def by_browser(url: str) -> bool:
                look = await internet.browser.look(url)
                return await agrees(fingerprinter, look, SOUGHT)

            for place, (name, body) in enumerate(progress(PAGES.items())):
                url = internet.page(f"/{place}", body)
                await timed(light, name, lambda url=url: by_light(url))  # type: ignore[misc]  # a default binds it
                if with_browser:
                    await timed(browser, name, lambda url=url: by_browser(url))  # type: ignore[misc]  # a default binds it


async def look_at_shapes(site: LookSite, rows: tuple[Row, Row, Row, Row], *, program: BrowserProgram | None) -> None:
    """The answers of hosts: a light look at each, then one that may ask a browser."""
    light, browser, false_light, false_browser = rows
    gone = (Outcome.GONE, Outcome.MISMATCH)
    for shape in progress(shown_shapes()):
        await timed(light, shape.name, lambda shape=shape: present(site, shape, may_draw=False))  # type: ignore[misc]  # a default binds it
        if program is not None:
            await timed(browser, shape.name, lambda shape=shape: drawn_at(site, shape, program))  # type: ignore[misc]  # a default binds it
    for shape in progress(STILL_THERE):
        for row, may_draw in ((false_light, False), *([(false_browser, True)] if program is not None else [])):

            async def wrongly(shape: Shape = shape, may_draw: bool = may_draw) -> bool:
                return outcome_of(await site.look(shape, may_draw=may_draw)) in gone

            await timed(row, shape.name, wrongly)


async def agrees(fingerprinter: Fingerprinter, look: BrowserLook, sought: bytes) -> bool:
    """Whether anything that was drawn, or came as media, is the picture, as it is or mirrored."""
    wanted = (await fingerprinter.fingerprint(sought)).pdq
    for body in (*(one.body for one in look.drawn), *(one.body for one in look.answers)):
        with suppress(Undecodable):
            views = (await fingerprinter.fingerprint(body)).views
            if any(hamming(value, wanted) <= AGREES for view in views for value, _ in view.values()):
                return True
    return False


async def present(site: LookSite, shape: Shape, *, may_draw: bool) -> bool:
    return outcome_of(await site.look(shape, may_draw=may_draw)) is Outcome.PRESENT


async def drawn_at(site: LookSite, shape: Shape, program: BrowserProgram) -> bool:
    """What a browser alone sees there: at the medium's URL or on its page."""
    site.show(shape)
    urls = [site.host.url(shape.path), *([] if shape.page is None else [site.host.url("/page")])]
    for url in urls:
        referer = site.host.url("/page") if shape.page is not None else site.host.url("/")
        look = await site.browser.look(url, referer=referer)
        if await agrees(site.fingerprinter, look, BASE):
            return True
    return False


def progress(items: Any) -> Iterator[Any]:
    """The items, with a line on standard error for who waits."""
    listed = list(items)
    for place, item in enumerate(listed, start=1):
        if sys.stderr.isatty() or place % 20 == 0 or place == len(listed):
            print(f"\r{place} of {len(listed)} ", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)
        yield item


async def measure(*, with_browser: bool) -> list[Row]:
    path = find_chromium() if with_browser else None
    program = BrowserProgram(path=path) if path is not None else None
    light, browser = Row(set="shown", look="light"), Row(set="shown", look="browser")
    false_light = Row(set="still there", look="light")
    false_browser = Row(set="still there", look="light, then browser")
    await look_at_pages((light, browser), with_browser=program is not None)
    async with open_look_site(ADDRESS, browser=program) as site:
        await look_at_shapes(site, (light, browser, false_light, false_browser), program=program)
    return [row for row in (light, browser, false_light, false_browser) if row.shapes]


def table(rows: list[Row]) -> str:
    lines = ["| set | look | shapes | | ms each | processor, ms each |", "|---|---|---|---|---|---|"]
    for row in rows:
        shown = row.as_json()
        said = f"{row.found} seen ({shown['share']:.0%})" if row.set == "shown" else f"{row.found} believed gone"
        lines.append(
            f"| {row.set} | {row.look} | {row.shapes} | {said} | {shown['ms_each']} | {shown['cpu_ms_each']} |"
        )
    return "\n".join(lines)


def section(rows: list[Row]) -> str:
    light = next(row for row in rows if row.set == "shown" and row.look == "light")
    unseen = [f"Shapes that are not seen without a browser: {', '.join(light.others)}."]
    for row in rows:
        if row.look != "light" and row.others:
            what = "not seen by" if row.set == "shown" else "taken for a removal by"
            unseen.append(f"Shapes that are {what} a browser: {', '.join(row.others)}{_why(row)}.")
    return f"{_ABOUT}\n\n{table(rows)}\n\n" + "\n".join(unseen)


_ABOUT = """## What a look sees

Made by `make bench-look`; do not edit. *Shown*: pages and files that show a person the picture; how many of them a look sees.
*Still there*: answers of hosts that have not removed it; how many of them a look takes for a removal. Each shape is a way to show or to
hide a picture."""
_CLICKED = ". They show it only after a click, which no look makes ([what is not promised](guarantees.md))"


def _why(row: Row) -> str:
    only_clicked = row.set == "still there" and all("click" in name or "link" in name for name in row.others)
    return _CLICKED if only_clicked else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-look", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="one JSON object a row")
    parser.add_argument("--without-browser", action="store_true", help="light looks alone")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rows = asyncio.run(measure(with_browser=not asked.without_browser))
    if asked.json:
        for row in rows:
            print(json.dumps(row.as_json()))
        return
    print(table(rows))
    for row in rows:
        if row.others:
            print(
                f"{row.set}, {row.look}: {'not seen' if row.set == 'shown' else 'believed gone'}: {', '.join(row.others)}"
            )
    if not asked.without_browser:
        replace_section("looks", section(rows))


if __name__ == "__main__":
    main()
