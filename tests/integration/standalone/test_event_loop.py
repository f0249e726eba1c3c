"""Nothing holds the event loop: with pages that once took minutes, and two hundred events a second, `outbound off` is heard at once.

How late the loop is by its own doing is told by its thread's processor time, which does not grow where the machine is busy; by the
clock the bounds are seconds where milliseconds are meant. One such page took 84 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
from prometheus_client import REGISTRY

from shared.access.keys import Role
from shared.contracts.event import data_of, headers_of
from shared.contracts.matches import SightingUnmatched
from shared.contracts.topics import MATCHES
from shared.log.port import OutgoingRecord
from shared.process.event_loop import watch_event_loop
from tests.hostile_records import NOW
from tests.notifier_world import World, open_world, picture, serve_app

LATE_AT_MOST_SECONDS = 5.0
HELD_AT_MOST_SECONDS = 0.15
EVERY_SECONDS = 0.02
EVENTS, A_SECOND = 800, 200
PAGES = {
    "tags": b"<a " * 12_000,
    "attributes": b"<a" + b" a" * 60_000,
    "comments": b"<!--" * 15_000,
    "brackets": b"<" * 100_000,
    "srcset": b"<img srcset='" + b"a," * 40_000 + b"'>",
    "depth": b"<div>" * 30_000,
}
HTML = Path(__file__).parents[2] / "data" / "html"


@asynccontextmanager
async def watched() -> AsyncIterator[None]:
    task = asyncio.create_task(watch_event_loop())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Held:
    """The longest that the loop's own work kept others waiting, in seconds of its thread's processor time."""

    def __init__(self) -> None:
        self.longest = 0.0

    async def watch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, worked = loop.time() + EVERY_SECONDS, time.thread_time()
            await asyncio.sleep(EVERY_SECONDS)
            self.longest = max(self.longest, min(loop.time() - due, time.thread_time() - worked))


@asynccontextmanager
async def held() -> AsyncIterator[Held]:
    found = Held()
    task = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def later_than(seconds: float) -> int:
    """How often the loop was later than this."""
    name = "takedown_event_loop_lag_seconds"
    within = REGISTRY.get_sample_value(f"{name}_bucket", {"le": str(seconds)}) or 0.0
    return round((REGISTRY.get_sample_value(f"{name}_count") or 0.0) - within)


async def test_the_watch_sees_what_holds_the_loop() -> None:
    before = later_than(0.25)
    async with watched():
        await asyncio.sleep(0)
        time.sleep(0.4)  # noqa: ASYNC251 - what no code of ours may do
        async with asyncio.timeout(10):
            while later_than(0.25) == before:  # noqa: ASYNC110 - the metric has no event
                await asyncio.sleep(0.01)


async def test_what_the_loop_does_itself_is_told_from_a_busy_machine() -> None:
    async with held() as found:
        await asyncio.sleep(EVERY_SECONDS)
        time.sleep(0.4)  # noqa: ASYNC251 - as a machine that does others' work
        await asyncio.sleep(3 * EVERY_SECONDS)
        assert found.longest < HELD_AT_MOST_SECONDS
        until = time.thread_time() + 0.4
        while time.thread_time() < until:
            pass
        await asyncio.sleep(3 * EVERY_SECONDS)
        assert found.longest > HELD_AT_MOST_SECONDS


async def events(world: World) -> None:
    """So many a second, for whoever reads matches."""
    async with world.runtime.log.publisher() as publisher:
        for _ in range(0, EVENTS, A_SECOND // 10):
            await publisher.publish([_event() for _ in range(A_SECOND // 10)])
            await asyncio.sleep(0.1)


def _event() -> OutgoingRecord:
    event = SightingUnmatched(sighting_id=uuid4(), report_id=uuid4())
    headers = headers_of(SightingUnmatched, event_id=uuid4(), source="test", time=NOW)
    return OutgoingRecord(topic=MATCHES.name, key=uuid4().bytes, value=data_of(event), headers=headers)


async def test_outbound_off_is_heard_whatever_pages_are_read(fresh_database: str) -> None:
    lag = Held()
    async with open_world(fresh_database, "site") as world, watched():
        before = later_than(LATE_AT_MOST_SECONDS)
        site, body = world.hosts["site"], picture(1)
        await world.know_hosts()
        operations = await world.key(Role.OPERATIONS)
        content_id = await world.confirmed(body)
        pages = {**PAGES, **{path.stem: path.read_bytes() for path in HTML.glob("quadratic-*")}}
        async with serve_app(world.runtime, world.service) as base, httpx.AsyncClient(base_url=base) as client:
            publishing = asyncio.create_task(events(world))
            watching = asyncio.create_task(lag.watch())
            for name, page in pages.items():
                await world.match(content_id, site.show(f"/{name}", page, content_type="text/html"), target_kind="page")
            await world.until(lambda: len(set(site.fetched)) >= 3, seconds=60, what="pages that are read")
            took = []
            for on in (False, True, False):
                began = time.monotonic()
                answer = await client.post("/v1/outbound", json={"on": on}, headers=operations)
                took.append(time.monotonic() - began)
                assert answer.status_code == 200, answer.text

            async def checked() -> bool:
                count = await world.value("SELECT count(DISTINCT takedown_id) FROM notifier.checks")
                return bool(count == len(pages))

            await world.until(checked, seconds=90, what="a check of each page")
            await publishing
            watching.cancel()
        assert lag.longest < HELD_AT_MOST_SECONDS
        assert max(took) < LATE_AT_MOST_SECONDS, took
        assert later_than(LATE_AT_MOST_SECONDS) == before
