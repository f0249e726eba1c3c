"""So many demands for one content at one host, and the rest behind one task, which one release lifts."""

from __future__ import annotations

from datetime import timedelta

from shared.policy import HOUR
from tests.notifier_world import FAST, open_world, picture

LIMITED = FAST.model_copy(
    update={"first_demands_per_host_hour": 3, "observation_max_age": 100 * HOUR, "clock_scale": 1 / 60}
)
"""An hour is a minute."""


async def test_the_rest_waits_behind_one_task(fresh_database: str) -> None:
    assert LIMITED.scaled(HOUR) == timedelta(minutes=1)
    async with open_world(fresh_database, "site", "other", policy=LIMITED) as world:
        site, other = world.hosts["site"], world.hosts["other"]
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        early = [await world.match(content_id, site.show(f"/{number}.png", picture(1))) for number in range(3)]
        await world.until(lambda: len(site.received) == len(early), what="the first demands")
        late = [await world.match(content_id, site.show(f"/late{number}.png", picture(1))) for number in range(4)]
        for takedown in late:
            await world.until_state(takedown, "held")
        elsewhere = await world.match(content_id, other.show("/x.png", picture(1)))
        await world.until_state(elsewhere, "open")
        assert len(site.received) == len(early)

        _, listed = await world.ask("GET", "/v1/tasks?kind=demand_limit")
        (task,) = listed["items"]
        status, problem = await world.decide(takedown_id=late[0], kind="recheck")
        assert (status, problem["reason"]) == (409, "needs_release")
        assert (await world.decide(task_id=task["task_id"], kind="release"))[0] == 201
        await world.until(lambda: len(site.received) == len(early) + len(late), what="the demands that waited")
        more = await world.match(content_id, site.show("/more.png", picture(1)))
        await world.until_state(more, "open")
        await world.until(lambda: len(site.received) == len(early) + len(late) + 1, what="what came later")
