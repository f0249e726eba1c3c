"""Looks over HTTP that name times of their own: one person ends nothing at once, and an old look makes no demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from tests.notifier_world import World, open_world, picture


async def look(
    world: World, takedown: UUID, seen: str, at: datetime, person: str = "person-1"
) -> tuple[int, dict[str, Any]]:
    asked = {"seen": seen, "seen_at": at.isoformat(), "how": "signed_in"}
    return await world.ask("POST", f"/v1/takedowns/{takedown}/looks", asked, person=person)


async def test_times_that_a_look_names(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, site.show("/x.png", picture(1)))
        before = datetime.now(UTC)
        await world.until_state(takedown, "open", seconds=20)
        await world.until(lambda: site.kinds() == ["demand.issued"], what="the demand")

        status, problem = await look(world, takedown, "gone", before - timedelta(seconds=10))
        assert (status, problem["reason"]) == (409, "seen_since")
        assert "look again" in problem["detail"]
        assert (await look(world, takedown, "gone", datetime.now(UTC) + timedelta(seconds=60)))[0] == 422

        saw = datetime.now(UTC)
        site.remove("/x.png", 404)
        assert (await world.decide(takedown_id=takedown, kind="recheck"))[0] == 201
        await world.until_state(takedown, "removed", seconds=20)
        assert (await look(world, takedown, "present", saw))[0] == 201
        (task,) = await world.rows(
            "SELECT task_id, reason FROM notifier.tasks WHERE kind = 'seen_by_person' AND closed_at IS NULL"
        )
        assert task["reason"] == "before_our_own_look"
        assert (await world.decide(task_id=task["task_id"], kind="release", person="person-2"))[0] == 201
        assert (await world.state(takedown), "demand.reappeared" in site.kinds()) == ("removed", False)
