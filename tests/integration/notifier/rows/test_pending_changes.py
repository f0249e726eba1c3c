"""A content has many takedowns: what stops them is one row, and each of them hears of it, or fails to, alone."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID, uuid4

from services.notifier.application.unit_of_work import APPLIED_AT_ONCE
from shared.contracts.claims import ClaimState
from shared.contracts.content import ContentState
from tests.notifier_world import World, open_world, picture

MANY = APPLIED_AT_ONCE + 15

# One open takedown with a delivered demand, copied to other places: enough of them for what one transaction does not tell.
_COPY = """
WITH one AS (SELECT * FROM notifier.takedowns WHERE takedown_id = %(takedown_id)s),
copies AS (SELECT gen_random_uuid() AS takedown_id FROM generate_series(1, %(many)s))
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, host, url, url_key, key_version,
    distance, fingerprint_ref, match_basis, last_outcome, holds_released, wants_demand, data, created_at, changed_at)
SELECT c.takedown_id, o.content_id, o.target_kind, o.state, o.round, o.sequence, o.host, o.url || c.takedown_id, o.url_key || c.takedown_id,
    o.key_version, o.distance, o.fingerprint_ref, o.match_basis, o.last_outcome, o.holds_released, o.wants_demand,
    jsonb_set(jsonb_set(jsonb_set(o.data, '{takedown_id}', to_jsonb(c.takedown_id)), '{demands}', '[]'), '{tasks}', '[]'),
    o.created_at, o.changed_at
FROM one o, copies c
"""


async def many_takedowns(world: World) -> tuple[UUID, UUID]:
    """A content and one takedown of it that is open, beside many more."""
    site = world.hosts["site"]
    await world.know_hosts()
    await world.outbound()
    content_id = await world.confirmed(picture(1))
    takedown_id = await world.match(content_id, site.show("/x.png", picture(1)))
    await world.until_state(takedown_id, "open")
    await world.until(lambda: site.kinds() == ["demand.issued"], what="the demand")
    async with world.runtime.database.transaction() as tx:
        await tx.execute(_COPY, {"takedown_id": takedown_id, "many": MANY})
    return content_id, takedown_id


async def states(world: World, content_id: UUID) -> set[str]:
    rows = await world.rows("SELECT DISTINCT state FROM notifier.takedowns WHERE content_id = %s", content_id)
    return {row["state"] for row in rows}


async def test_one_that_fails_keeps_no_withdrawal_from_the_others(fresh_database: str) -> None:
    """Its failure is its own: counted, tried again, from the third on a person's; and the record is no dead letter."""
    async with open_world(fresh_database, "site") as world:
        content_id, takedown_id = await many_takedowns(world)
        await world.run(
            "UPDATE notifier.takedowns SET data = '{\"version\": 99}' WHERE takedown_id = ("
            "SELECT takedown_id FROM notifier.takedowns WHERE takedown_id <> %s ORDER BY takedown_id LIMIT 1)",
            takedown_id,
        )
        await world.content(
            None, content_id=content_id, revision=2, state=ContentState.WITHDRAWN, withdrawn_for="not_ncii"
        )
        await world.until_true("SELECT count(*) = %s FROM notifier.takedowns WHERE state = 'withdrawn'", MANY)
        assert await world.value("SELECT count(*) FROM notifier.takedowns WHERE url IS NOT NULL") == 1
        await world.until(lambda: site_heard(world), what="who was asked hears of it")
        for _ in range(2):
            await world.until_true("SELECT count(*) = 1 FROM notifier.untold WHERE failures >= 1 AND lease_id IS NULL")
            await world.run("UPDATE notifier.untold SET lease_until = NULL, failures = 2 WHERE failures >= 1")
        await world.until_true(
            "SELECT count(*) = 1 FROM notifier.tasks WHERE kind = 'telling_fails' AND closed_at IS NULL"
        )
        assert not await world.rows(
            "SELECT 1 FROM eventlog.record JOIN eventlog.partition USING (partition_id) WHERE topic = 'takedown.dead-letters'"
        )


def site_heard(world: World) -> bool:
    return world.hosts["site"].kinds()[-1] == "demand.retracted"


async def test_what_is_suspended_and_resumed_is_so_for_all(fresh_database: str) -> None:
    async with open_world(fresh_database, "site") as world:
        content_id, _ = await many_takedowns(world)
        await world.content(
            picture(1), content_id=content_id, revision=2, state=ContentState.SUSPENDED, suspended_for="person"
        )
        await world.until_true("SELECT count(*) = 0 FROM notifier.takedowns WHERE state <> 'suspended'")
        await world.content(picture(1), content_id=content_id, revision=3)
        await world.until_true("SELECT count(*) = 0 FROM notifier.takedowns WHERE state = 'suspended'")
        await world.until_true("SELECT count(*) = 0 FROM notifier.untold")


async def test_nothing_is_looked_at_or_sent_before_all_have_heard(fresh_database: str) -> None:
    """The stop is the content's row: takedowns that nobody tells (their teller is away) do nothing either."""
    async with open_world(fresh_database, "site") as world:
        content_id, _ = await many_takedowns(world)
        site = world.hosts["site"]
        await world.run("UPDATE notifier.outbound SET is_on = false")
        # Whoever tells finds nothing to tell, since every row is another's.
        await world.run(
            "CREATE FUNCTION leased() RETURNS trigger AS $$ BEGIN NEW.lease_until := now() + interval '1 hour'; RETURN NEW; END $$"
            " LANGUAGE plpgsql"
        )
        await world.run("CREATE TRIGGER leased BEFORE INSERT ON notifier.untold FOR EACH ROW EXECUTE FUNCTION leased()")
        await world.content(
            picture(1), content_id=content_id, revision=2, state=ContentState.SUSPENDED, suspended_for="person"
        )
        await world.until_true("SELECT state = 'suspended' FROM notifier.content WHERE content_id = %s", content_id)
        untold = await world.rows("SELECT takedown_id FROM notifier.untold")
        assert len(untold) == MANY + 1
        fetched, received = len(site.fetched), len(site.received)
        await world.run(
            "INSERT INTO notifier.due_checks (takedown_id, due_at, reason, host)"
            " SELECT takedown_id, now(), 'routine', 'site.test' FROM notifier.untold ON CONFLICT (takedown_id) DO UPDATE SET due_at = now()"
        )
        await world.run("UPDATE notifier.outbound SET is_on = true")
        other = await world.match(await world.confirmed(picture(2)), site.show("/other.png", picture(2)))
        await world.until_state(other, "open")  # by then the others would have been looked at
        await world.until(lambda: len(site.received) > received, what="another content's demand")
        assert site.fetched[fetched:] == ["/other.png"]
        assert len(site.received) == received + 1


async def test_matches_that_waited_are_received_one_by_one(fresh_database: str) -> None:
    """Many matches overtook their content's claim; one of them cannot be received."""
    async with open_world(fresh_database, "site") as world:
        content_id = await world.content(picture(1))
        await asyncio.gather(*(world.match(content_id, f"http://nowhere.test/{number}.png") for number in range(MANY)))
        await world.until_true("SELECT count(*) = %s FROM notifier.waiting_matches", MANY)
        await world.run(
            "UPDATE notifier.waiting_matches SET data = convert_to(replace(convert_from(data, 'UTF8'), 'http://nowhere.test/7.png',"
            " 'mailto:x'), 'UTF8') WHERE convert_from(data, 'UTF8') LIKE '%%/7.png%%'"
        )
        await world.claim(content_id, state=ClaimState.CONFIRMED)
        await world.until_true("SELECT count(*) = %s FROM notifier.takedowns", MANY - 1)
        await world.until_true("SELECT count(*) = 1 FROM notifier.waiting_matches WHERE failures > 0")


async def test_a_decision_on_a_task_of_many_is_each_ones(fresh_database: str) -> None:
    """A release of the one task that many wait for is answered at once, and each of them goes on."""
    async with open_world(fresh_database, "site") as world:
        content_id, takedown_id = await many_takedowns(world)
        await world.run("UPDATE notifier.takedowns SET data = jsonb_set(data, '{demands}', '[]')")
        await world.run("DELETE FROM notifier.due_checks")
        ids = sorted(
            (row["takedown_id"] for row in await world.rows("SELECT takedown_id FROM notifier.takedowns")),
            key=takedown_id.__ne__,
        )
        head = uuid4()
        for one in ids:
            task_id = head if one == takedown_id else uuid4()
            await world.run(
                "INSERT INTO notifier.tasks (task_id, kind, scope, takedown_id, content_id, joined_to, reason, owner, due_at, opened_at)"
                " VALUES (%s, 'flood', 'content', %s, %s, %s, 'flood', 'operations', now(), now())",
                task_id,
                one,
                content_id,
                None if task_id == head else head,
            )
            await world.run(
                "UPDATE notifier.takedowns SET state = 'held', held_for = 'flood', data = data || jsonb_build_object('state', 'held',"
                " 'held_for', 'flood', 'tasks', jsonb_build_array("
                " jsonb_build_object('task_id', %s::uuid, 'kind', 'flood', 'scope', 'content')))"
                " WHERE takedown_id = %s",
                task_id,
                one,
            )
        begun = time.monotonic()
        assert (await world.decide(task_id=head, kind="release"))[0] == 201
        assert time.monotonic() - begun < 2
        await world.until_true("SELECT count(*) = 0 FROM notifier.takedowns WHERE state = 'held'")
        assert await world.value("SELECT count(*) FROM notifier.tasks WHERE kind = 'flood' AND closed_at IS NULL") == 0
