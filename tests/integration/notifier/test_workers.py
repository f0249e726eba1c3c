"""Workers that die and start again, many at once, and what the gauges say."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from functools import partial

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.notifier.maintenance.metrics import Gauges
from shared.access.keyring import KeyRing
from shared.access.keys import Role
from shared.ids import takedown_id
from shared.urls import canonical
from tests.notifier_world import open_world, picture, serve_app


async def test_a_look_that_dies_with_its_process_is_taken_up_at_once(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        looking = asyncio.Event()
        for_ever = asyncio.Event()

        async def slow(_: web.Request) -> web.StreamResponse:
            looking.set()
            await for_ever.wait()
            return web.Response()

        site.media["/x.png"] = slow
        await world.match(await world.confirmed(picture(1)), site.url("/x.png"))
        await world.until(looking.is_set)
        await world.stop()
        site.show("/x.png", picture(1))
        await world.restart()
        await world.until(lambda: site.received, seconds=5, what="the demand, long before the lease ends")


# What no code foresees: the database refuses what a check, an attempt or a timer of this takedown led to.
_REFUSE_ONE = """
CREATE FUNCTION notifier.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON notifier.{table} FOR EACH ROW
    WHEN (new.takedown_id = '{takedown_id}') EXECUTE FUNCTION notifier.refuse();
"""


@pytest.mark.parametrize(("table", "due"), [("checks", "due_checks"), ("attempts", "messages")])
async def test_a_job_that_fails_is_counted_and_the_others_of_its_host_are_done(
    fresh_database: str, table: str, due: str
) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        content_id = await world.confirmed(picture(1))
        poison = takedown_id(content_id, "media", canonical(site.url("/poison.png")).url_key)
        async with world.runtime.database.transaction() as tx:
            await tx.execute(_REFUSE_ONE.format(table=table, takedown_id=poison).encode())
        names = ("poison", *"abcdefgh")
        for name in names:
            await world.match(content_id, site.show(f"/{name}.png", picture(1)))
        await world.outbound()
        await world.until(lambda: len(site.received) == len(names) - 1, seconds=8, what="the others' demands")

        async def counted() -> bool:
            rows = await world.rows(
                f"SELECT takedown_id, failures, last_failure FROM notifier.{due} WHERE failures > 0"
            )
            return [(*row.values(),) for row in rows] == [(poison, 1, "RaiseException")]

        await world.until(counted)


@pytest.mark.parametrize(
    ("table", "due", "kind", "done"),
    [("checks", "due_checks", "check_fails", "checked"), ("attempts", "messages", "message_fails", "attempted")],
)
async def test_what_fails_three_times_in_a_row_is_a_task_until_it_is_done(
    fresh_database: str, table: str, due: str, kind: str, done: str
) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        url = site.show("/poison.png", picture(1))
        poison = takedown_id(content_id, "media", canonical(url).url_key)
        async with world.runtime.database.transaction() as tx:
            await tx.execute(_REFUSE_ONE.format(table=table, takedown_id=poison).encode())
        await world.match(content_id, url)

        async def failed(times: int) -> bool:
            return bool(await world.rows(f"SELECT 1 FROM notifier.{due} WHERE failures = %s", times))

        async def again() -> None:
            async with world.runtime.database.transaction() as tx:
                await tx.execute(f"UPDATE notifier.{due} SET lease_until = NULL".encode())

        async def tasks(resolution: str | None) -> bool:
            found = await world.rows("SELECT kind, takedown_id, resolution FROM notifier.tasks")
            return [(*row.values(),) for row in found] == [(kind, poison, resolution)]

        for times in (1, 2):
            await world.until(partial(failed, times))
            assert await world.rows("SELECT 1 FROM notifier.tasks") == []
            await again()
        await world.until(partial(tasks, None), what="the task after the third failure")
        async with world.runtime.database.transaction() as tx:
            await tx.execute(f"DROP TRIGGER refuse ON notifier.{table}".encode())
        await again()
        await world.until(lambda: site.received, what="the demand")
        await world.until(partial(tasks, done), what="the task is closed")


async def test_secrets_of_another_root_key_are_told_at_the_start_and_when_asked(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        world.runtime = replace(world.runtime, keys=KeyRing.from_root(bytes(32)))
        with capture_logs() as events:
            await world.restart()
            await world.until(lambda: [one for one in events if one["event"] == "outbound.other_root_key"])
        headers = await world.key(Role.OPERATIONS)
        async with (
            serve_app(world.runtime, world.service) as base,
            aiohttp.ClientSession(headers=headers) as session,
            session.post(f"{base}/v1/hosts/site/test") as answer,
        ):
            assert answer.status == 409
            assert (await answer.json(content_type=None))["reason"] == "other_root_key"


async def test_two_processes_share_the_work_and_repeat_none(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world, world.second_process() as second:
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        hosts = list(world.hosts.values())
        started = time.monotonic()
        for number in range(60):
            await world.match(content_id, hosts[number % 2].show(f"/m/{number}.png", picture(1)))
        await world.until(lambda: sum(len(one.received) for one in hosts) >= 60, seconds=60, what="all demands")
        print(f"60 matches to 60 demands in {time.monotonic() - started:.1f} s")

        async def settled() -> bool:
            return bool(await world.value("SELECT count(*) = 60 FROM notifier.messages WHERE state = 'accepted'"))

        await world.until(settled)
        received = [one.headers["webhook-id"] for host in hosts for one in host.received]
        assert len(received) == len(set(received)) == 60
        owners = await world.rows("SELECT DISTINCT lease_owner FROM notifier.messages")
        assert {row["lease_owner"] for row in owners} <= {"0", "1"}
        assert second.service.not_ready() == ()


async def test_the_gauges_count(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        content_id = await world.confirmed(picture(1))
        await world.match(content_id, site.show("/x.png", picture(1)))

        async def task() -> bool:
            return bool(await world.value("SELECT count(*) FROM notifier.tasks"))

        await world.until(task)
        await Gauges(world.runtime).refresh()
        assert REGISTRY.get_sample_value("takedown_takedowns", {"state": "open"}) == 1
        assert REGISTRY.get_sample_value("takedown_takedowns", {"state": "removed"}) == 0
        assert REGISTRY.get_sample_value("takedown_tasks_open", {"kind": "unknown_host"}) == 1
        assert REGISTRY.get_sample_value("takedown_demands_overdue") == 0
