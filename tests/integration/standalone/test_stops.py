"""A stop that was answered holds at once, though nobody hears of it: intake's relay does not run here, so no event of the answer
ever comes. The host answers 503 and shows the picture, so that every leak shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import psycopg
import pytest
from aiohttp import web

from services.intake.claims.keys import revoke_key_and_suspend
from services.intake.reports.worker import ReportWorker
from services.intake.sightings.publisher import LogWriter
from shared.access.keys import Role
from shared.policy import HOUR, Policy
from tests.integration.intake.harness import Intake, Member, pdq, running_intake
from tests.notifier_world import Received, World, open_world, picture, serve_app

POLICY = Policy(
    clock_scale=1 / 3600,
    delivery_retry_base=timedelta(minutes=5),
    delivery_retry_cap=timedelta(minutes=5),
    undelivered_escalates_after=timedelta(days=400),
    open_check_every=HOUR,
)
"""A message goes again after some milliseconds, a look is due again after a second."""
MORE = 12
"""So many further attempts of another content show that time went on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Two contents with demands that a host does not take: one to be stopped, one that goes on."""

    intake: Intake
    world: World
    ann: Member
    ben: Member
    operator: Member
    claim: Any
    content_id: UUID
    other_id: UUID

    async def attempts(self, content_id: UUID, since: object = None) -> int:
        query = (
            "SELECT count(*) FROM notifier.attempts a JOIN notifier.takedowns t USING (takedown_id)"
            " WHERE t.content_id = %s AND a.started_at > coalesce(%s, '-infinity'::timestamptz)"
        )
        return int(await self.world.value(query, content_id, since))

    async def looks(self, content_id: UUID, since: object) -> int:
        query = (
            "SELECT count(*) FROM notifier.checks c JOIN notifier.takedowns t USING (takedown_id)"
            " WHERE t.content_id = %s AND c.started_at > %s"
        )
        return int(await self.world.value(query, content_id, since))

    async def until_attempts(self, content_id: UUID, number: int, since: object = None) -> None:
        async def reached() -> bool:
            return await self.attempts(content_id, since) >= number

        await self.world.until(reached, seconds=40, what=f"{number} attempts")

    async def assert_still(self) -> None:
        """From now on nothing about the content begins to leave or to be fetched, while the other content's goes on."""
        site = self.world.hosts["site"]
        since = await self.intake.database.now()
        await self.until_attempts(self.other_id, 3, since)  # what was under way has ended
        heard, fetched = self.heard(), site.fetched.count("/stopped.png")
        await self.until_attempts(self.other_id, MORE, since)
        assert await self.attempts(self.content_id, since) == 0, "attempts that began after the answer"
        assert await self.looks(self.content_id, since) == 0, "looks that began after the answer"
        assert (self.heard(), site.fetched.count("/stopped.png")) == (heard, fetched)

    def heard(self) -> int:
        return sum(b"stopped.png" in one.body for one in self.world.hosts["site"].received)


@asynccontextmanager
async def open_stage(conninfo: str) -> AsyncIterator[Stage]:
    async with (
        running_intake(conninfo, workers=False) as intake,
        open_world(conninfo, "site", policy=POLICY) as world,
    ):
        site = world.hosts["site"]

        async def busy(_: Received) -> web.StreamResponse:
            return web.Response(status=503)

        site.answer = busy
        await world.know_hosts()
        await world.outbound()
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claims, contents = [], []
        for number, name in enumerate(("stopped", "other")):
            fingerprint = {"algorithm": "pdq", "value": pdq(number), "quality": 100}
            claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[fingerprint])
            content_id = await intake.real_content_id(claim["content_id"])
            body = picture(number)
            await world.content(body, content_id=content_id)
            await world.claim(content_id)
            await world.match(content_id, site.show(f"/{name}.png", body))
            claims.append(claim)
            contents.append(content_id)
        stage = Stage(
            intake=intake,
            world=world,
            ann=ann,
            ben=ben,
            operator=await intake.member("ops", Role.OPERATIONS, "operations"),
            claim=claims[0],
            content_id=contents[0],
            other_id=contents[1],
        )
        for content_id in contents:
            await stage.until_attempts(content_id, 2)
        yield stage


async def _ok(answer: Awaitable[Any]) -> None:
    response = await answer
    assert response.status_code == 200, response.text


async def withdraw(stage: Stage) -> None:
    path = f"/v1/claims/{stage.claim['claim_id']}/withdrawal"
    await _ok(stage.intake.post(path, {"reason": "subject_request"}, by=stage.ann))


async def withdraw_for_good(stage: Stage) -> None:
    path = f"/v1/claims/{stage.claim['claim_id']}/withdrawal"
    for one in (stage.ann, stage.ben):
        await _ok(stage.intake.post(path, {"reason": "subject_request"}, by=one))


async def undo(stage: Stage) -> None:
    await _ok(stage.intake.post(f"/v1/claims/{stage.claim['claim_id']}/withdrawal/undo", by=stage.ben))


async def suspend(stage: Stage) -> None:
    await _ok(stage.intake.post(f"/v1/content/{stage.claim['content_id']}/suspension", by=stage.ann))


async def suspend_by_operations(stage: Stage) -> None:
    await _ok(stage.intake.post(f"/v1/content/{stage.content_id}/suspension", by=stage.operator))


async def suspend_for_a_minor(stage: Stage) -> None:
    path = f"/v1/content/{stage.claim['content_id']}/suspension"
    await _ok(stage.intake.post(path, {"reason": "possible_minor"}, by=stage.ann))


async def resume(stage: Stage) -> None:
    await _ok(stage.intake.post(f"/v1/content/{stage.content_id}/resumption", by=stage.operator))


async def revoke_key(stage: Stage) -> None:
    # As what both confirmed, the other content rests on this key too: its claim of another organisation keeps it.
    zoe = await stage.intake.member("zoe", organisation="helpline-z")
    yan = await stage.intake.member("yan", organisation="helpline-z")
    fingerprint = {"algorithm": "pdq", "value": pdq(1), "quality": 100}
    await stage.intake.confirmed(by=zoe, confirmer=yan, fingerprints=[fingerprint])
    assert await revoke_key_and_suspend(stage.intake.database, stage.ann.key_id) == (stage.content_id,)


Step = Callable[[Stage], Awaitable[None]]


@pytest.mark.parametrize(
    ("stop", "lift"),
    [
        (withdraw, undo),
        (withdraw_for_good, None),
        (suspend, resume),
        (suspend_by_operations, resume),
        (suspend_for_a_minor, resume),
        (revoke_key, resume),
    ],
)
@pytest.mark.timeout(180)
async def test_a_stop_holds_from_its_answer_on_whoever_hears_of_it(
    fresh_database: str, stop: Step, lift: Step | None
) -> None:
    async with open_stage(fresh_database) as stage:
        await stop(stage)
        await stage.assert_still()
        await stage.world.restart()
        await stage.assert_still()
        if lift is not None:
            since = await stage.intake.database.now()
            await lift(stage)
            await stage.until_attempts(stage.content_id, 2, since)


async def test_a_suspension_decided_at_the_notifier_stops_the_looks_of_reports(fresh_database: str) -> None:
    async with open_stage(fresh_database) as stage, serve_app(stage.world.runtime, stage.world.service) as base:
        path = f"/v1/content/{stage.claim['content_id']}"
        site = stage.world.hosts["site"]
        url = site.show("/reported.png", picture(7))
        async with aiohttp.ClientSession(base, headers=stage.operator.headers) as session:
            asked = {"kind": "suspend", "content_id": str(stage.content_id), "reason": "somebody called"}
            async with session.post("/v1/decisions", json=asked) as answer:
                assert answer.status == 201, await answer.text()
            await stage.assert_still()
            assert (await stage.intake.get(path, by=stage.ann)).json()["state"] == "active", (
                "intake has not heard of it"
            )
            worker = asyncio.create_task(ReportWorker(stage.intake.runtime, LogWriter(stage.intake.log)).run())
            try:
                body = {"url": url, "content_id": stage.claim["content_id"]}
                report = (await stage.intake.post("/v1/reports", body, by=stage.ann, key="r-1")).json()

                async def refused() -> bool:
                    one = await stage.intake.get(f"/v1/reports/{report['report_id']}", by=stage.ann)
                    return bool(one.json()["state"] == "refused")

                await stage.world.until(refused, what="the report refused")
            finally:
                worker.cancel()
                await asyncio.gather(worker, return_exceptions=True)
            assert "/reported.png" not in site.fetched
            since = await stage.intake.database.now()
            async with session.post("/v1/decisions", json=asked | {"kind": "resume"}) as answer:
                assert answer.status == 201, await answer.text()
            await stage.until_attempts(stage.content_id, 2, since)
        (reason,) = await stage.world.rows("SELECT count(*) FROM access.stops")
        assert reason["count"] == 0


async def test_who_cannot_read_the_stops_sends_and_fetches_nothing(fresh_database: str) -> None:
    async with open_stage(fresh_database) as stage:
        site = stage.world.hosts["site"]
        async with stage.world.runtime.database.transaction() as tx:
            await tx.execute("ALTER TABLE access.stops RENAME TO unreadable")
        task = stage.world.service_task
        await asyncio.wait([task], timeout=20)
        assert isinstance(task.exception(), psycopg.errors.UndefinedTable), "and it says why"
        heard, fetched = len(site.received), len(site.fetched)
        since = await stage.intake.database.now()
        await stage.world.restart()
        await asyncio.wait([stage.world.service_task], timeout=20)
        assert (await stage.attempts(stage.content_id, since), await stage.looks(stage.content_id, since)) == (0, 0)
        assert (len(site.received), len(site.fetched)) == (heard, fetched)
        await stage.world.stop()
