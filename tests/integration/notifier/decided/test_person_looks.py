"""A person's look over HTTP: a row among the checks, a demand that says so, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from shared.access.keys import Role
from tests.notifier_world import World, open_world, picture


async def look(
    world: World, takedown: UUID, *, role: Role = Role.OPERATIONS, ago: float = 0, **body: str
) -> tuple[int, str | None]:
    """Status and reason of the answer."""
    at = datetime.now(UTC) - timedelta(seconds=ago)
    asked = {"seen": "present", "seen_at": at.isoformat(), "how": "signed_in"} | body
    status, answer = await world.ask("POST", f"/v1/takedowns/{takedown}/looks", asked, role=role)
    return status, answer.get("reason")


async def test_a_person_sees_what_a_login_hides_from_us(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        site = world.hosts["site"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        takedown = await world.match(content_id, site.show("/x.png", b"", status=403))
        await world.until_true("SELECT count(*) > 0 FROM notifier.checks WHERE takedown_id = %s", takedown)

        assert (await look(world, takedown, role=Role.READER))[0] == 403
        assert (await look(world, takedown, ago=-3600))[0] == 422
        assert (await look(world, takedown, ago=3600))[0] == 422  # a day is 24 s here
        assert (await look(world, takedown, seen="perhaps"))[0] == 422
        assert (await world.decide(takedown_id=takedown, kind="looked"))[0] == 422
        assert await look(world, takedown) == (201, None)
        rows = await world.rows("SELECT outcome, detail, reason FROM notifier.checks WHERE vantage = 'person'")
        assert rows == [{"outcome": "present", "detail": "signed_in", "reason": "person"}]
        assert site.received == []

        task = await world.value(
            "SELECT task_id FROM notifier.tasks WHERE kind = 'seen_by_person' AND closed_at IS NULL"
        )
        status, problem = await world.decide(task_id=task, kind="release")
        assert (status, problem["reason"]) == (409, "own_look")
        assert (await world.decide(task_id=task, kind="release", person="person-2"))[0] == 201
        await world.until(lambda: site.kinds() == ["demand.issued"], what="the demand")
        assert site.received[0].item["observed"]["seen_by"] == "person"

        assert (await world.decide(content_id=content_id, kind="stop_fetching"))[0] == 201
        assert await look(world, takedown) == (409, "fetching_stopped")
