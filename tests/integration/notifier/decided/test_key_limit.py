"""So many first demands by the word of one API key, whatever the content and the host, and the rest behind one task."""

from __future__ import annotations

from uuid import UUID

from shared.access.keys import Role, create_key
from shared.contracts.content import ContentState
from shared.policy import HOUR
from tests.notifier_world import FAST, World, open_world, picture

LIMITED = FAST.model_copy(
    update={"first_demands_per_key_hour": 3, "observation_max_age": 100 * HOUR, "clock_scale": 1 / 60}
)
"""An hour is a minute."""


async def seen(world: World, contents: dict[int, UUID], name: str, reported_by: str | None) -> list[UUID]:
    """Matches of each content at each host."""
    return [
        await world.match(content_id, host.show(f"/{name}{number}.png", picture(number)), reported_by=reported_by)
        for number, content_id in contents.items()
        for host in world.hosts.values()
    ]


async def test_the_rest_waits_behind_one_task_of_the_key(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", "other", policy=LIMITED) as world:
        await world.know_hosts()
        await world.outbound()
        async with world.runtime.database.transaction() as tx:
            key, _ = await create_key(tx, person_id="crawler", organisation_id="crawlers", role=Role.CRAWLER)
        by_key = world.runtime.keys.reported_by_of(key.key_id)
        contents = {number: await world.confirmed(picture(number)) for number in (1, 2)}
        for takedown in await seen(world, {1: contents[1]}, "first", by_key):
            await world.until_state(takedown, "open")
        for takedown in await seen(world, {2: contents[2]}, "third", by_key):
            await _until_decided(world, takedown)
        late = await seen(world, contents, "late", by_key)
        for takedown in late:
            await world.until_state(takedown, "held")
        others = await seen(world, {1: contents[1]}, "other", "cd" * 8)
        for takedown in [*others, *await seen(world, contents, "old", None)]:
            await world.until_state(takedown, "open")

        _, listed = await world.ask("GET", "/v1/tasks?kind=key_limit")
        (task,) = listed["items"]
        assert (task["scope"], task["key_id"]) == ("key", str(key.key_id))
        _, shown_to_readers = await world.ask("GET", "/v1/tasks?kind=key_limit", role=Role.READER)
        assert [one["key_id"] for one in shown_to_readers["items"]] == [None]
        status, problem = await world.decide(takedown_id=late[0], kind="recheck")
        assert (status, problem["reason"]) == (409, "needs_release")
        assert (await world.decide(task_id=task["task_id"], kind="release"))[0] == 201
        for takedown in [*late, *await seen(world, contents, "more", by_key)]:
            await world.until_state(takedown, "open")
        assert (await world.ask("GET", "/v1/tasks?kind=key_limit"))[1]["items"] == []

        await world.withdraw_everything()
        kept = "SELECT NOT EXISTS (SELECT 1 FROM notifier.{} WHERE reported_by IS NOT NULL OR {})"
        await world.until_true(kept.format("takedowns", "data -> 'match' ->> 'reported_by' IS NOT NULL"))
        await world.until_true(kept.format("tasks", "closed_at IS NULL"))


async def _until_decided(world: World, takedown: UUID) -> None:
    await world.until_true("SELECT state IN ('open', 'held') FROM notifier.takedowns WHERE takedown_id = %s", takedown)


async def test_another_is_shown_when_the_first_that_waits_is_withdrawn(fresh_database: str) -> None:
    async with open_world(fresh_database, "site", policy=LIMITED) as world:
        await world.know_hosts()
        await world.outbound()
        contents = {number: await world.confirmed(picture(number)) for number in (1, 2)}
        for name in ("a", "b"):
            for takedown in await seen(world, contents, name, "ab" * 8):
                await _until_decided(world, takedown)
        early, late = await seen(world, contents, "d", "ab" * 8)
        for takedown in (early, late):
            await world.until_state(takedown, "held")
        (task,) = (await world.ask("GET", "/v1/tasks?kind=key_limit"))[1]["items"]
        gone = UUID(task["content_id"])
        await world.content(
            None, content_id=gone, revision=2, state=ContentState.WITHDRAWN, withdrawn_for="subject_request"
        )
        await world.until_state(late if gone == contents[2] else early, "withdrawn")
        (other,) = (await world.ask("GET", "/v1/tasks?kind=key_limit"))[1]["items"]
        assert other["content_id"] == str(contents[1] if gone == contents[2] else contents[2])
        assert (await world.decide(task_id=other["task_id"], kind="release"))[0] == 201
        await world.until_state(early if gone == contents[2] else late, "open")
