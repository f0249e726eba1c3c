"""Stops that come between a claim and what leaves, and stops of fetching alone, which intake's reports heed though they hear of nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from services.intake.reports.worker import ReportWorker
from services.intake.sightings.publisher import LogWriter
from tests.integration.standalone.test_stops import Stage, open_stage
from tests.notifier_world import picture, serve_app

# As if somebody stopped the content in the moment in which an attempt is written down.
_STOPPED_AS_AN_ATTEMPT_BEGINS = """
CREATE FUNCTION stop_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO access.stops (content_id, stopped_by, reason)
    SELECT content_id, 'intake', 'withdrawing' FROM notifier.takedowns WHERE takedown_id = NEW.takedown_id AND content_id = '{content_id}'
    ON CONFLICT DO NOTHING;
    RETURN NEW;
END $$;
CREATE TRIGGER stop_it AFTER INSERT ON notifier.attempts FOR EACH ROW EXECUTE FUNCTION stop_it();
"""


async def test_a_stop_between_the_attempts_row_and_the_post_holds(fresh_database: str) -> None:
    async with open_stage(fresh_database) as stage:
        await stage.world.outbound(on=False)
        since = await stage.intake.database.now()
        async with stage.world.runtime.database.transaction() as tx:
            await tx.execute(_STOPPED_AS_AN_ATTEMPT_BEGINS.format(content_id=stage.content_id).encode())
        heard = stage.heard()
        await stage.world.outbound()
        await stage.until_attempts(stage.content_id, 1, since)
        await stage.until_attempts(stage.other_id, 3, since)
        assert await stage.attempts(stage.content_id, since) == 1, "written down before the stop"
        assert stage.heard() == heard, "and never sent"


@asynccontextmanager
async def following_reports(stage: Stage) -> AsyncIterator[None]:
    worker = asyncio.create_task(ReportWorker(stage.world.runtime, LogWriter(stage.intake.log)).run())
    try:
        yield
    finally:
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


async def report(stage: Stage, url: str) -> str:
    body = {"url": url, "content_id": stage.claim["content_id"]}
    answer = await stage.intake.post("/v1/reports", body, by=stage.ann, key=url)
    report_id: str = answer.json()["report_id"]
    return report_id


@pytest.mark.timeout(180)
async def test_a_word_of_a_possible_minor_stops_the_looks_of_reports_before_intake_hears_of_it(
    fresh_database: str,
) -> None:
    async with (
        open_stage(fresh_database) as stage,
        serve_app(stage.world.runtime, stage.world.service) as base,
        following_reports(stage),
        aiohttp.ClientSession(base, headers=stage.operator.headers) as session,
    ):
        site = stage.world.hosts["site"]
        first, second, third = (site.show(f"/reported-{number}.png", picture(7 + number)) for number in range(3))
        await report(stage, first)
        await stage.world.until(lambda: "/reported-0.png" in site.fetched, what="the look of a report")
        asked = {"kind": "stop_fetching", "content_id": str(stage.content_id), "reason": "possible_minor"}
        async with session.post("/v1/decisions", json=asked) as answer:
            assert answer.status == 201, await answer.text()
        since = await stage.intake.database.now()
        report_id = await report(stage, second)
        why = "SELECT why FROM intake.reports WHERE state = 'refused' AND report_id = %s"

        async def refused() -> bool:
            return bool(await stage.world.value(why, report_id) == "possible_minor")

        await stage.world.until(refused, what="the report refused")
        assert "/reported-1.png" not in site.fetched
        await stage.until_attempts(stage.content_id, 1, since)  # what was asked of a recipient goes on
        assert await stage.looks(stage.content_id, since) == 0
        async with session.post("/v1/decisions", json=asked | {"kind": "resume_fetching"}) as answer:
            assert answer.status == 201, await answer.text()
        await report(stage, third)
        await stage.world.until(lambda: "/reported-2.png" in site.fetched, what="the look of a report")
        assert await stage.world.value("SELECT count(*) FROM access.stops") == 0
