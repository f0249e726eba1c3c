"""The notifier's HTTP face: who may see and do what, decisions, the directory, what a host asks and answers."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.access.keys import Role
from shared.contracts.content import Assurance
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.ids import content_alias
from tests.integration.notifier.api_clients import bearer, demanded, faces
from tests.notifier_world import open_world, picture, secret


async def test_roles_see_what_they_may(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        other_content, other, _ = await demanded(world, "/m/2.png", 2, organisation_id="another-helpline")
        async with faces(world, Role.OPERATIONS, Role.READER, Role.HELPLINE, Role.CRAWLER) as clients:
            operations, reader, helpline, crawler = clients

            status, page = await operations.get("/v1/takedowns")
            assert status == 200
            assert {one["takedown_id"] for one in page["items"]} == {str(takedown), str(other)}
            assert {one["url"] for one in page["items"]} == {world.hosts["site"].url(f"/m/{n}.png") for n in (1, 2)}

            for path in ("/v1/takedowns", f"/v1/takedowns/{takedown}", "/v1/tasks"):
                status, shown = await reader.get(path)
                assert (await reader.get("/v1/takedowns", host="site.test"))[0] == 403, "a filter tells it too"
                assert status == 200
                assert "site.test" not in str(shown)
                assert "127.0.1." not in str(shown)
                assert "recipient" not in str(shown), "a key of the directory may be the host's name"
                assert (await crawler.get(path))[0] == 403

            status, page = await helpline.get("/v1/takedowns")
            assert [one["takedown_id"] for one in page["items"]] == [str(takedown)]
            alias = content_alias(content_id, "helpline")
            assert page["items"][0]["content_id"] == str(alias)
            assert (await helpline.get("/v1/takedowns", content_id=str(alias)))[1]["items"]
            for hidden in (content_id, other_content):
                assert (await helpline.get("/v1/takedowns", content_id=str(hidden)))[1]["items"] == []
            assert (await helpline.get(f"/v1/takedowns/{other}"))[0] == 404
            assert str(content_id) not in str(await helpline.get(f"/v1/takedowns/{takedown}"))

            status, shown = await operations.get(f"/v1/takedowns/{takedown}")
            assert [one["outcome"] for one in shown["checks"]] == ["present"]
            assert [one["outcome"] for one in shown["attempts"]] == ["accepted"]
            assert [one["sequence"] for one in shown["time_line"]] == list(range(1, len(shown["time_line"]) + 1))
            assert item["token"] not in str(shown)


async def test_lists_filter_and_turn_pages(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        body = picture(1)
        content_id = await world.content(body)
        claim_id = await world.claim(content_id)
        takedowns = {str(await world.match(content_id, world.hosts["site"].url(f"/m/{n}.png"))) for n in range(5)}

        async def all_removed() -> bool:
            return bool(await world.value("SELECT count(*) = 5 FROM notifier.takedowns WHERE state = 'removed'"))

        await world.until(all_removed)
        async with faces(world, Role.OPERATIONS) as (operations,):
            seen: list[str] = []
            cursor: dict[str, str] = {}
            while True:
                _, page = await operations.get("/v1/takedowns", limit=2, **cursor)
                seen += [one["takedown_id"] for one in page["items"]]
                if page["next"] is None:
                    break
                cursor = {"cursor": page["next"]}
            assert len(seen) == 5
            assert set(seen) == takedowns
            for query, number in (
                ({"state": "removed"}, 5),
                ({"state": "open"}, 0),
                ({"host": "site.test"}, 5),
                ({"host": "test"}, 5),
                ({"host": "ite.test"}, 0),
                ({"claim_id": str(claim_id)}, 5),
                ({"claim_id": str(uuid4())}, 0),
                ({"overdue": "true"}, 0),
            ):
                _, page = await operations.get("/v1/takedowns", **query)
                assert len(page["items"]) == number, query
            assert (await operations.get("/v1/takedowns", cursor="nonsense"))[0] == 422
            for path in ("/v1/takedowns", "/v1/tasks"):
                status, problem = await operations.get(path, stat="open")
                assert (status, [one["parameter"] for one in problem["errors"]]) == (422, ["stat"])


async def test_what_a_decision_names_belongs_together(fresh_database: str) -> None:
    """A task of one content with a takedown, a content or a demand of another: refused, and nothing changes."""
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        other_content, other, other_item = await demanded(world, "/m/2.png", 2)
        async with bearer(world, item["token"]) as host:
            path = f"/host/v1/demands/{item['demand_id']}/response"
            assert (await host.post(path, {"reason": "insufficient_information"}))[0] == 200
        async with faces(world, Role.OPERATIONS) as (operations,):
            _, page = await operations.get("/v1/tasks", kind="dispute")
            (task,) = page["items"]
            dismiss = {"kind": "dismiss", "task_id": task["task_id"], "reason": "x"}
            for mixed in (
                {"takedown_id": str(other)},
                {"content_id": str(other_content)},
                {"demand_id": other_item["demand_id"]},
            ):
                assert (await operations.post("/v1/decisions", dismiss | mixed))[0] == 422
            assert await world.value("SELECT count(*) FROM notifier.decisions") == 0
            assert "dismissed" not in (await world.state(takedown), await world.state(other))
        # The same from the log: known, and without effect.
        mixed_up = DecisionTaken(
            decision_id=uuid4(),
            kind=DecisionKind.DISMISS,
            takedown_id=other,
            task_id=UUID(task["task_id"]),
            person_id="person-2",
            organisation_id="helpline",
            reason="x",
            decided_at=datetime.now(UTC),
        )
        await world.publish(DECISIONS, str(other), mixed_up)

        async def read() -> bool:
            return bool(await world.value("SELECT count(*) FROM notifier.decisions"))

        await world.until(read, what="the decision is read")
        assert "dismissed" not in (await world.state(takedown), await world.state(other))
        async with faces(world, Role.OPERATIONS) as (operations,):
            agreed = dismiss | {"takedown_id": str(takedown), "content_id": str(content_id)}
            assert (await operations.post("/v1/decisions", agreed))[0] == 201
        assert await world.state(takedown) == "dismissed"


async def test_a_hold_of_new_demands_ends_with_a_persons_word(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        async with bearer(world, item["token"]) as host:
            path = f"/host/v1/demands/{item['demand_id']}/response"
            assert (await host.post(path, {"reason": "consent_claimed", "text": "she said so"}))[0] == 200
        other = world.hosts["other"]
        async with faces(world, Role.OPERATIONS) as (operations,):
            _, page = await operations.get("/v1/tasks", kind="dispute")
            (task,) = page["items"]
            hold = {"kind": "hold", "task_id": task["task_id"], "reason": "for every copy"}
            assert (await operations.post("/v1/decisions", hold))[0] == 201
            second = await world.match(content_id, other.show("/x.png", picture(1)))
            await world.until_state(second, "held")
            assert other.received == []
            assert (await operations.get("/v1/tasks", kind="dispute"))[1]["items"] == [task], "a hold settles nothing"
            decision = {"kind": "dismiss", "task_id": task["task_id"], "reason": "looked at it"}
            _, shown = await operations.get(f"/v1/takedowns/{takedown}")
            assert "she said so" in str(shown["answers"])
            refused = await operations.post("/v1/decisions", {**decision, "kind": "reroute"})
            assert refused[0] == 422
            status, answer = await operations.post("/v1/decisions", {**decision, "kind": "release"})
            assert status == 201, answer
            assert (await operations.get("/v1/tasks", kind="dispute"))[1]["items"] == []
        await world.until(lambda: other.received, what="the demand goes on")


async def test_a_rejection_covers_every_url_and_survives(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        ref = "ab" * 32
        sites = (world.hosts["site"], world.hosts["other"])
        takedowns = [
            await world.match(content_id, one.show("/x.png", picture(1)), fingerprint_ref=ref, distance=4)
            for one in sites
        ]
        await world.until(lambda: all(one.received for one in sites))
        async with faces(world, Role.OPERATIONS) as (operations,):
            body = {"kind": "reject", "takedown_id": str(takedowns[0]), "reason": "another person"}
            first = await operations.post("/v1/decisions", body, idempotency_key="once")
            assert first[0] == 201, first
            assert await operations.post("/v1/decisions", body, idempotency_key="once") == first
            other = await operations.post("/v1/decisions", {**body, "reason": "else"}, idempotency_key="once")
            assert other[0] == 422
        for takedown in takedowns:
            await world.until_state(takedown, "rejected")
        await world.until(lambda: all("demand.retracted" in one.kinds() for one in sites), what="sent in error")
        assert all("url" not in one.received[-1].item for one in sites)
        third = await world.match(content_id, sites[0].show("/again.png", picture(1)), fingerprint_ref=ref)
        await world.until_state(third, "rejected")
        assert "demand.issued" not in sites[0].kinds()[1:]
        assert await world.value("SELECT count(*) FROM access.audit WHERE action = 'decision.reject'") == 1


async def test_a_key_of_one_reroute_is_not_taken_for_another(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other", "third") as world:
        await world.know_hosts()
        await world.outbound()
        _, takedown, _ = await demanded(world)
        async with faces(world, Role.OPERATIONS) as (operations,):
            body = {"kind": "reroute", "takedown_id": str(takedown), "recipient": "other", "reason": "it has moved"}
            first = await operations.post("/v1/decisions", body, idempotency_key="once")
            assert first[0] == 201, first
            assert await operations.post("/v1/decisions", body, idempotency_key="once") == first
            status, problem = await operations.post(
                "/v1/decisions", {**body, "recipient": "third"}, idempotency_key="once"
            )
            assert (status, problem["type"]) == (422, "urn:takedown:problem:idempotency-key-reused")
        await world.until(lambda: world.hosts["other"].received, what="the demand of the reroute")


async def test_the_directory_is_imported_whole_or_not_at_all(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world, faces(world, Role.OPERATIONS, Role.HELPLINE) as clients:
        operations, helpline = clients
        site = world.hosts["site"]
        header = "organisation,domains,webhook_url,webhook_secrets,next_rung,posture"
        bad = f"{header}\nsite,site.test,{site.webhook_url},{site.secret},nobody,normal\nother,x.test,,,,friendly"
        status, problem = await operations.post("/v1/hosts", text=bad)
        assert status == 422
        assert {(one["line"], one["column"]) for one in problem["lines"]} == {(2, "next_rung"), (3, "posture")}
        assert (await operations.get("/v1/hosts"))[1]["items"] == []

        good = f"{header}\nsite,site.test,{site.webhook_url},{site.secret} {secret()},,normal\n"
        assert (await helpline.post("/v1/hosts", text=good))[0] == 403
        assert await operations.post("/v1/hosts", text=good) == (200, {"added": 1, "changed": 0, "unchanged": 0})
        assert await operations.post("/v1/hosts", text=good) == (200, {"added": 0, "changed": 0, "unchanged": 1})
        assert (await operations.post("/v1/hosts", text=good.replace("normal", "hostile")))[1]["changed"] == 1
        status, refused = await operations.post("/v1/hosts/site/test")
        assert (status, refused["reason"]) == (409, "outbound_off")
        assert (await operations.post("/v1/outbound", {"on": True}))[0] == 200
        status, refused = await operations.post("/v1/hosts/site/test")
        assert (status, refused["reason"]) == (409, "hostile")
        assert site.kinds() == [], "rule 5: who may be the perpetrator hears nothing of us"
        (shown,) = (await operations.get("/v1/hosts"))[1]["items"]
        assert shown["posture"] == "hostile"
        assert shown["webhook_secrets"] == 2
        assert site.secret not in str(shown)
        stored = await world.value("SELECT webhook_secrets FROM notifier.hosts")
        assert all(site.secret.encode() not in bytes(one) for one in stored)

        await operations.post("/v1/hosts", text=good)
        assert (await operations.post("/v1/hosts/test/hold"))[0] == 200
        status, refused = await operations.post("/v1/hosts/site/test")
        assert (status, refused["reason"]) == (409, "held")
        assert (await operations.post("/v1/hosts/test/release"))[0] == 200
        status, tested = await operations.post("/v1/hosts/site/test")
        assert (status, tested["outcome"], tested["status"]) == (200, "accepted", 204)
        assert site.kinds() == ["host.test"]
        assert (await operations.post("/v1/hosts/nobody/test"))[0] == 404


async def test_low_assurance_waits_for_a_person(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        body = picture(1)
        content_id = await world.content(body, assurance=Assurance.UNSEEN)
        await world.claim(content_id)
        takedown = await world.match(
            content_id, world.hosts["site"].show("/x.png", body), distance=20, assurance=Assurance.UNSEEN
        )
        await world.until_state(takedown, "held")
        assert world.hosts["site"].fetched == []
        async with faces(world, Role.OPERATIONS) as (operations,):
            (task,) = (await operations.get("/v1/tasks", kind="low_assurance"))[1]["items"]
            decision = {"kind": "release", "task_id": task["task_id"], "reason": "compared"}
            assert (await operations.post("/v1/decisions", decision))[0] == 201
            assert (await operations.post("/v1/decisions", decision))[0] == 409
        await world.until(lambda: world.hosts["site"].received, what="the demand")


async def test_the_switch_and_the_holds(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world, faces(world, Role.OPERATIONS, Role.HELPLINE) as clients:
        operations, helpline = clients
        site = world.hosts["site"]
        await world.know_hosts()
        assert (await operations.get("/v1/outbound"))[1] == {"on": False, "holds": []}
        assert (await helpline.post("/v1/outbound", {"on": True}))[0] == 403
        assert (await operations.post("/v1/hosts/Site.TEST/hold"))[1] == {
            "domain": "site.test",
            "held": True,
            "known": True,
        }
        assert (await operations.post("/v1/outbound", {"on": True})) == (200, {"on": True})
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, site.show("/x.png", picture(1)))
        await world.until_state(takedown, "open")
        assert (await operations.get("/v1/outbound"))[1] == {"on": True, "holds": ["site.test"]}
        assert site.received == []
        assert (await operations.post("/v1/hosts/site.test/release"))[0] == 200
        assert (await operations.post("/v1/hosts/site.test/release"))[0] == 404
        await world.until(lambda: site.received, seconds=2)
        actions = await world.rows("SELECT action FROM access.audit ORDER BY audit_id")
        assert [row["action"] for row in actions] == ["host.held", "outbound.on", "host.released"]


async def test_without_a_public_url_nothing_goes_out(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", public_url=None) as world:
        await world.know_hosts()
        await world.outbound()
        takedown = await world.match(await world.confirmed(picture(1)), world.hosts["site"].show("/x.png", picture(1)))
        await world.until_state(takedown, "open")
        async with faces(world, Role.OPERATIONS) as (operations,):
            assert (await operations.post("/v1/outbound", {"on": True}))[0] == 409
        assert world.hosts["site"].received == []
