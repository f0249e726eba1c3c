"""The notifier's HTTP face to hosts: what a host asks and answers, and what a demand's token reaches."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.access.keys import Role
from tests.integration.notifier.api_clients import bearer, demanded, faces
from tests.notifier_world import FAST, World, open_world, picture


async def test_a_host_asks_and_answers(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts(site={"bound_by": "uk_osa_20a"})
        await world.outbound()
        _, takedown, item = await demanded(world)
        _, _, other = await demanded(world, "/m/2.png", 2)
        async with bearer(world, other["token"]) as host:
            status, _ = await host.post(f"/host/v1/demands/{other['demand_id']}/acknowledgement")
            assert status == 200, "there is nothing that an acknowledgement must say"
        path = f"/host/v1/demands/{item['demand_id']}"
        async with bearer(world, item["token"]) as host:
            status, shown = await host.get(path)
            assert status == 200
            assert shown["state"] == "delivered"
            assert shown["demand"]["url"] == item["url"]
            assert item["token"] not in str(shown)
            assert (await host.get(f"/host/v1/demands/{other['demand_id']}"))[0] == 401

            first = await host.post(f"{path}/acknowledgement", {"ticket_ref": "T-1"})
            again = await host.post(f"{path}/acknowledgement", {"ticket_ref": "T-1"})
            assert first == again
            assert first[0] == 200
            assert (await host.get(path))[1]["state"] == "acknowledged"
            assert (await world.history(takedown)).count("host.acknowledgement") == 1

            assert (await host.post(f"{path}/removal", {"method": "vanished", "at": "2026-01-01T00:00:00Z"}))[0] == 422
            site = world.hosts["site"]
            looks = len(site.fetched)
            body = {"at": datetime.now(UTC).isoformat(), "method": "deleted", "scope": "url"}
            assert (await host.post(f"{path}/removal", body))[0] == 200
            await world.until(lambda: len(site.fetched) > looks, what="a look at once")
            await world.until(lambda: "demand.still_present" in site.kinds(), what="it is still there")
        async with bearer(world, "wrong") as nobody:
            assert (await nobody.get(path))[0] == 401
            status, known = await nobody.get("/.well-known/takedown.json")
            assert status == 200
            assert known["organisation"] == world.runtime.settings.organisation_name


async def test_possible_minor_again_undoes_no_persons_decision(fresh_database: str) -> None:
    """The same recipient's same word is counted and shown, and stops nothing a second time; in other words neither."""
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        path = f"/host/v1/demands/{item['demand_id']}/response"
        resume = {"kind": "resume_fetching", "content_id": str(content_id), "reason": "an adult"}
        told = "SELECT count(*) FROM notifier.decisions WHERE kind = 'stop_fetching' AND content_id = %s"
        async with bearer(world, item["token"]) as host, faces(world, Role.OPERATIONS) as (operations,):
            for answer in ({}, {}, {"text": "really"}):
                assert (await host.post(path, {"reason": "possible_minor"} | answer))[0] == 200
            assert await world.value(told, content_id) == 1
            assert await world.value("SELECT count(*) FROM notifier.due_checks") == 0
            assert (await operations.post("/v1/decisions", resume))[0] == 201
            await world.until(lambda: looks_again(world), what="it is looked at again")
            for answer in ({}, {"text": "really"}, {"text": "really and truly"}):
                assert (await host.post(path, {"reason": "possible_minor"} | answer))[0] == 200
            assert await world.value(told, content_id) == 1
            assert await looks_again(world)
            _, shown = await operations.get(f"/v1/takedowns/{takedown}")
            assert [one["times"] for one in shown["answers"]] == [3, 2, 1]
            assert (await operations.get("/v1/tasks", kind="possible_minor"))[1]["items"] == []


async def looks_again(world: World) -> bool:
    return bool(await world.value("SELECT count(*) FROM notifier.due_checks"))


async def test_possible_minor_stops_our_looks_at_once_and_nothing_else(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        second = await world.match(content_id, world.hosts["site"].show("/m/9.png", picture(1)))
        await world.until(lambda: len(world.hosts["site"].received) == 2)
        async with bearer(world, item["token"]) as host:
            answer = await host.post(f"/host/v1/demands/{item['demand_id']}/response", {"reason": "possible_minor"})
            assert answer[0] == 200
        # At once: in the transaction of the answer, for every takedown of the content.
        assert {await world.state(takedown), await world.state(second)} == {"open"}
        assert await world.value("SELECT count(*) FROM notifier.due_checks") == 0
        assert await world.value("SELECT count(*) FROM notifier.timers") > 0, "clocks go on"
        third = await world.match(content_id, world.hosts["other"].show("/x.png", picture(1)))
        await world.until_state(third, "held")
        assert world.hosts["other"].fetched == []
        published = await world.rows("SELECT kind, person_id FROM notifier.decisions WHERE content_id = %s", content_id)
        assert [(row["kind"], row["person_id"]) for row in published] == [("stop_fetching", "host:site")]
        async with faces(world, Role.OPERATIONS, Role.HELPLINE) as (operations, helpline):
            for person, sees in ((operations, True), (helpline, False)):
                _, page = await person.get("/v1/takedowns")
                assert len(page["items"]) == 3
                assert {"url" in one for one in page["items"]} == {sees}
                _, whole = await person.get(f"/v1/takedowns/{takedown}")
                assert ("url" in whole, {"final_url" in one for one in whole["checks"]}) == (sees, {sees})
            _, page = await operations.get("/v1/tasks", kind="possible_minor")
            (task,) = page["items"]
            # A person looked: the content goes on, here at once, and intake hears of it.
            decision = {"kind": "resume_fetching", "task_id": task["task_id"], "reason": "an adult"}
            assert (await operations.post("/v1/decisions", decision))[0] == 201
            assert (await operations.get("/v1/tasks", kind="possible_minor"))[1]["items"] == []
        await world.until_state(third, "open")


async def test_a_closed_demands_token_reads_and_answers_are_bounded(fresh_database: str) -> None:
    policy = FAST.model_copy(update={"answers_per_demand": 3})
    async with open_world(fresh_database, "site", policy=policy) as world:
        await world.know_hosts()
        await world.outbound()
        _, takedown, item = await demanded(world)
        path = f"/host/v1/demands/{item['demand_id']}"
        async with bearer(world, item["token"]) as host, faces(world, Role.OPERATIONS) as (operations,):
            for number in range(3):
                assert (await host.post(f"{path}/acknowledgement", {"ticket_ref": str(number)}))[0] == 200
            status, refused = await host.post(f"{path}/acknowledgement", {"ticket_ref": "one too many"})
            assert (status, refused["reason"]) == (409, "too_many_answers")
            assert (await host.post(f"{path}/acknowledgement", {"ticket_ref": "0"}))[0] == 200, (
                "the same one is none more"
            )
            dismiss = {"kind": "dismiss", "takedown_id": str(takedown), "reason": "over"}
            assert (await operations.post("/v1/decisions", dismiss))[0] == 201
            status, refused = await host.post(f"{path}/response", {"reason": "possible_minor"})
            assert (status, refused["reason"]) == (409, "demand_closed")
            assert (await host.get(path))[0] == 200
            assert len((await host.get(path))[1]["answers"]) == 3
