"""What a host says of the content holds its other demands, until a person has looked at that; not at something else."""

from __future__ import annotations

from uuid import UUID

import pytest

from shared.access.keys import Role
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from tests.integration.notifier.api_clients import Client, bearer, demanded, faces
from tests.notifier_world import World, open_world, picture


async def widens(operations: Client, content_id: UUID) -> None:
    """A person holds every demand of the content that was not issued yet."""
    hold = {"kind": "hold", "content_id": str(content_id), "reason": "until I have asked"}
    assert (await operations.post("/v1/decisions", hold))[0] == 201


async def says(world: World, item: dict[str, str], reason: str) -> None:
    async with bearer(world, item["token"]) as host:
        answer = await host.post(f"/host/v1/demands/{item['demand_id']}/response", {"reason": reason})
        assert answer[0] == 200


async def held_elsewhere(world: World, content_id: UUID) -> UUID:
    """Another copy, seen while the content is disputed: held, and nobody was asked."""
    second = await world.match(content_id, world.hosts["other"].show("/x.png", picture(1)))
    await world.until_state(second, "held")
    assert world.hosts["other"].received == []
    return second


async def disputes(operations: Client) -> list[dict[str, str]]:
    _, page = await operations.get("/v1/tasks", kind="dispute")
    items: list[dict[str, str]] = page["items"]
    return items


async def test_an_answered_question_does_not_let_go_what_a_dispute_holds(fresh_database: str) -> None:
    """Two copies at one host: of one it asks for more, of the other it says that the person agreed."""
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, _, first = await demanded(world)
        site = world.hosts["site"]
        url = site.show("/m/2.png", picture(1))
        await world.match(content_id, url)
        await world.until(lambda: any(one.item["url"] == url for one in site.received))
        second = next(one.item for one in site.received if one.item["url"] == url)
        await says(world, first, "insufficient_information")
        await says(world, second, "consent_claimed")
        async with faces(world, Role.OPERATIONS) as (operations,):
            await widens(operations, content_id)
            held = await held_elsewhere(world, content_id)
            by_reason = {one["reason"]: one for one in await disputes(operations)}
            assert set(by_reason) == {"insufficient_information", "consent_claimed"}
            release = {"kind": "release", "reason": "answered by mail"}
            question, dispute = (by_reason[one]["task_id"] for one in ("insufficient_information", "consent_claimed"))
            assert (await operations.post("/v1/decisions", release | {"task_id": question}))[0] == 201
            assert await world.value("SELECT new_demands_held FROM notifier.content") == "person"
            assert await world.state(held) == "held"
            assert (await operations.post("/v1/decisions", release | {"task_id": dispute}))[0] == 201
        await world.until(lambda: world.hosts["other"].received, what="the demand goes on")


@pytest.mark.parametrize("kind", ["dismiss", "reject"])
async def test_the_end_of_the_disputed_takedown_is_a_persons_word_too(fresh_database: str, kind: str) -> None:
    """Its task ends with it: what stayed held would be nobody's."""
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        await says(world, item, "consent_claimed")
        async with faces(world, Role.OPERATIONS) as (operations,):
            await widens(operations, content_id)
            await held_elsewhere(world, content_id)
            decision = {"kind": kind, "takedown_id": str(takedown), "reason": "of this one it is true"}
            assert (await operations.post("/v1/decisions", decision))[0] == 201
            assert await disputes(operations) == []
        await world.until_true(
            "SELECT new_demands_held IS NULL FROM notifier.content WHERE content_id = %s", content_id
        )
        if kind == "dismiss":
            await world.until(lambda: world.hosts["other"].received, what="the demand goes on")
        else:  # the same picture is rejected there, too
            await world.until_true(
                "SELECT count(*) = 2 FROM notifier.takedowns WHERE content_id = %s AND state = 'rejected'", content_id
            )


async def test_a_dispute_holds_nobody_elses_demand_unless_a_person_says_so(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, _, item = await demanded(world)
        await says(world, item, "not_ncii")
        await world.match(content_id, world.hosts["other"].show("/x.png", picture(1)))
        await world.until(lambda: world.hosts["other"].received, what="the demand at another host")
        async with faces(world, Role.OPERATIONS) as (operations,):
            await widens(operations, content_id)
            third = await world.match(content_id, world.hosts["other"].show("/y.png", picture(1)))
            await world.until_state(third, "held")
            release = {"kind": "release", "content_id": str(content_id), "reason": "it stands"}
            assert (await operations.post("/v1/decisions", release))[0] == 201
            await world.until_state(third, "open")
            assert (await operations.post("/v1/decisions", release))[0] == 409


async def test_rule_2_an_older_suspension_that_ends_does_not_end_possible_minor(fresh_database: str) -> None:
    """Intake had suspended and resumed for another reason before it heard of what was decided here; that comes here late."""
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, _ = await demanded(world)
        async with faces(world, Role.OPERATIONS) as (operations,):
            suspend = {"kind": "suspend", "content_id": str(content_id), "reason": "possible_minor"}
            assert (await operations.post("/v1/decisions", suspend))[0] == 201
        body = picture(1)

        async def revision(number: int, state: ContentState, reason: str | None = None) -> None:
            await world.content(body, content_id=content_id, revision=number, state=state, suspended_for=reason)

            async def read() -> bool:
                return bool(await world.value("SELECT revision = %s FROM notifier.content", number))

            await world.until(read)

        await revision(2, ContentState.SUSPENDED, "person")
        await revision(3, ContentState.ACTIVE)
        assert await world.state(takedown) == "suspended"
        await revision(4, ContentState.SUSPENDED, "possible_minor")
        await revision(5, ContentState.ACTIVE)
        await world.until_state(takedown, "open")


async def test_rule_2_content_that_did_not_hear_of_it_yet_does_not_let_fetching_go_on(fresh_database: str) -> None:
    """A change of the content for another reason, from before intake knew, says `allowed`; only what follows `stopped` does."""
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, item = await demanded(world)
        await says(world, item, "possible_minor")

        async def revision(number: int, **fields: str) -> None:
            await world.content(picture(1), content_id=content_id, revision=number, **fields)

            async def read() -> bool:
                return bool(await world.value("SELECT revision = %s FROM notifier.content", number))

            await world.until(read)

        due = "SELECT count(*) FROM notifier.due_checks"
        await revision(2)
        assert await world.value(due) == 0
        await revision(3, fetching="stopped")
        assert await world.value(due) == 0
        await revision(4, fetching="allowed")
        assert await world.value(due) == 1
        assert await world.state(takedown) == "open"


async def test_rule_7_what_intake_suspended_and_resumed_while_we_were_away_goes_on(fresh_database: str) -> None:
    """Its content, compacted, is read before its decisions: both are over by then."""
    async with open_world(fresh_database, "site") as world:
        await world.know_hosts()
        await world.outbound()
        content_id, takedown, _ = await demanded(world)
        await world.content(picture(1), content_id=content_id, revision=3)
        for kind in (DecisionKind.SUSPEND, DecisionKind.RESUME):
            await world.intake_decides(content_id, kind, "possible_minor")

        async def read() -> bool:
            return bool(await world.value("SELECT count(*) = 2 FROM notifier.decisions"))

        await world.until(read)
        assert "takedown.suspended" in await world.history(takedown)
        assert await world.state(takedown) == "open"
