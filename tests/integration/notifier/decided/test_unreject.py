"""A rejection is undone for every takedown it ended; and both are told to intake, with all that the picture agrees by."""

from __future__ import annotations

from datetime import timedelta

from shared.policy import Policy
from tests.notifier_world import FAST, World, open_world, picture

SLOW_LETTERS = FAST.model_copy(update={"rejection_undone_alone": timedelta(hours=20)})
"""Twenty seconds, while an hour is one."""


async def told(world: World, kind: str) -> list[dict[str, object]]:
    """The decisions of this kind on the log."""
    rows = await world.rows(
        "SELECT convert_from(value, 'UTF8')::json AS event FROM eventlog.record JOIN eventlog.partition USING (partition_id)"
        " WHERE topic = 'takedown.decisions' AND convert_from(value, 'UTF8')::json ->> 'kind' = %s",
        kind,
    )
    return [row["event"] for row in rows]


async def test_a_rejection_is_undone_wherever_it_reached(fresh_database: str) -> None:
    """Two places matched by one value, and a third by another of the same picture."""
    async with open_world(fresh_database, "one", "two", "three", policy=SLOW_LETTERS) as world:
        await world.know_hosts()
        await world.outbound()
        content_id = await world.confirmed(picture(1))
        urls = [host.show("/x.png", picture(1)) for host in world.hosts.values()]
        refs = ["ab" * 32, "ab" * 32, "cd" * 32]
        takedowns = [
            await world.match(content_id, url, fingerprint_ref=ref) for url, ref in zip(urls, refs, strict=True)
        ]
        for takedown in takedowns:
            await world.until_state(takedown, "open")
        await world.until(lambda: all(host.received for host in world.hosts.values()), what="the demands")

        assert (await world.decide(takedown_id=takedowns[0], kind="reject"))[0] == 201
        for takedown in takedowns:
            await world.until_state(takedown, "rejected")
        await world.until_true(
            "SELECT count(*) = 3 FROM notifier.messages WHERE kind = 'demand.retracted' AND state = 'due'"
        )
        status, problem = await world.decide(takedown_id=takedowns[1], kind="reject")
        assert (status, problem["reason"]) == (409, "own_rejection")

        assert (await world.decide(takedown_id=takedowns[1], kind="unreject"))[0] == 201
        for takedown in takedowns:
            await world.until_state(takedown, "open")
            assert await world.value("SELECT round FROM notifier.takedowns WHERE takedown_id = %s", takedown) == 2
        await world.until(
            lambda: all(host.kinds() == ["demand.issued"] * 2 for host in world.hosts.values()),
            what="demands of the new round",
        )
        assert await world.value("SELECT count(*) FROM notifier.rejections") == 0

        (rejected,), (unrejected,) = await told(world, "reject"), await told(world, "unreject")
        assert rejected["content_id"] == unrejected["content_id"] == str(content_id)
        seen = set(rejected["fingerprint_refs"])  # type: ignore[call-overload]  # JSON of our own making
        assert "ab" * 32 in seen
        assert len(seen) >= 4  # PDQ, and the three exact hashes that the look saw
        assert seen <= set(unrejected["fingerprint_refs"])  # type: ignore[call-overload]  # the same


async def test_later_it_takes_another_person(fresh_database: str) -> None:
    policy: Policy = FAST
    async with open_world(fresh_database, "one", policy=policy) as world:
        host = world.hosts["one"]
        await world.know_hosts()
        await world.outbound()
        takedown = await world.match(await world.confirmed(picture(1)), host.show("/x.png", picture(1)))
        await world.until(lambda: host.kinds() == ["demand.issued"], what="the demand")
        assert (await world.decide(takedown_id=takedown, kind="reject"))[0] == 201
        await world.until(lambda: host.kinds()[-1] == "demand.retracted", what="sent in error")
        status, problem = await world.decide(takedown_id=takedown, kind="unreject")
        assert (status, problem["reason"]) == (409, "own_rejection")
        assert (await world.decide(takedown_id=takedown, kind="unreject", person="person-2"))[0] == 201
        await world.until(lambda: host.kinds()[2:] == ["demand.issued"], what="the demand of the new round")
