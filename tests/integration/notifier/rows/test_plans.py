"""What is due is found by an index, however many rows are not due."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from services.notifier.store.checks import DUE_CHECKS
from services.notifier.store.messages import MESSAGES
from services.notifier.store.timers import TIMERS
from shared.db.due_rows import PLACES, WINDOW, DueTable, Room
from tests.notifier_world import World, open_world
from tests.plans import assert_index_is_asked, plan_of

ROWS = 100_000
DUE = 60
BACKLOG = 20_000
LEASE = timedelta(minutes=1)
TABLES: dict[str, DueTable[Any]] = {"due_checks": DUE_CHECKS, "messages": MESSAGES, "timers": TIMERS}
BY_PLACE: dict[str, DueTable[Any]] = {"due_checks": DUE_CHECKS, "messages": MESSAGES}

_TAKEDOWNS = """
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, key_version, host, match_basis,
    holds_released, wants_demand, data, created_at, changed_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'media', 'open', 1, 1, 1, 'h' || number %% 1000, 'fingerprint', '{}', false, '{}', now(), now()
FROM generate_series(1, %s) AS number
"""
# A few are due, the others in the course of a year.
_NUMBERED = """
CREATE TEMPORARY TABLE numbered ON COMMIT DROP AS
SELECT takedown_id, host, number,
    now() + CASE WHEN number <= %s THEN interval '-1 s' ELSE number * interval '300 s' END AS due_at
FROM (SELECT takedown_id, host, row_number() OVER () AS number FROM notifier.takedowns) AS t
"""
_CHECKS = """
INSERT INTO notifier.due_checks (takedown_id, due_at, reason, host) SELECT takedown_id, due_at, 'scheduled', host FROM numbered
"""
_TIMERS = """
INSERT INTO notifier.timers (takedown_id, kind, demand_id, number, due_at)
SELECT takedown_id, 'deadline', gen_random_uuid(), 1, due_at FROM numbered
"""
_MESSAGES = """
INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
SELECT gen_random_uuid(), takedown_id, gen_random_uuid(), host, 'demand.issued', 1,
    CASE WHEN number > %s AND number %% 2 = 0 THEN 'accepted' ELSE 'due' END, due_at FROM numbered
"""

_LARGE = """
WITH host AS (INSERT INTO notifier.hosts (organisation, name, rung, posture) VALUES ('large', 'Large', 'site', 'normal'))
INSERT INTO notifier.host_domains (domain, organisation) VALUES ('a.test', 'large')
"""


async def fill(world: World, *, rows: int = ROWS, due: int = DUE) -> None:
    """`due` of the rows are due, the hosts taking turns."""
    async with world.runtime.database.transaction() as tx:
        await tx.execute(_TAKEDOWNS, (rows,))
        await tx.execute(_NUMBERED, (due,))
        await tx.execute(_CHECKS)
        await tx.execute(_TIMERS)
        await tx.execute(_MESSAGES, (due,))
        await tx.execute("UPDATE notifier.outbound SET is_on = true")
    async with world.runtime.database.transaction() as tx:
        await tx.execute("ANALYZE notifier.takedowns, notifier.due_checks, notifier.timers, notifier.messages")


async def test_what_is_due_is_claimed_by_an_index(fresh_database: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        await fill(world)
        database = world.runtime.database
        for name, table in TABLES.items():
            for busy in ({}, {"h1": 4, "h2": 1}):
                room = Room(free=16, per_place=4, busy=busy)
                async with database.transaction() as tx, tx.transaction(force_rollback=True):
                    claimed = await table.claim(tx, room, owner="0", lease=LEASE)
                assert len(claimed.rows) == 16
                assert claimed.next_seconds is not None
                values = table.claim_values(room, owner="0", lease=LEASE)
                assert_index_is_asked(await plan_of(database, table.claim_statement, values), name, "due_at")
            assert_index_is_asked(await plan_of(database, table.next_statement), name, "due_at")


async def test_of_a_places_backlog_no_more_is_read_than_is_claimed(fresh_database: str) -> None:
    room = Room(free=64, per_place=8, busy={})
    async with open_world(fresh_database, start=False) as world:
        await fill(world, rows=BACKLOG, due=BACKLOG)
        database = world.runtime.database
        async with database.transaction() as tx:
            for name, place in (("due_checks", "host"), ("messages", "recipient")):
                await tx.execute(f"UPDATE notifier.{name} SET {place} = 'large' WHERE {place} > 'h10'".encode())
                await tx.execute(f"ANALYZE notifier.{name}".encode())
        for hold, expected in (
            (None, {"h0": 8, "h1": 8, "h10": 8, "large": 8}),
            ("test", {"h0": 8, "h1": 8, "h10": 8}),
        ):
            if hold is not None:
                async with database.transaction() as tx:
                    await tx.execute(_LARGE)
                    await tx.execute("INSERT INTO notifier.holds (domain, held_by) VALUES (%s, 'p')", (hold,))
            for name, table in BY_PLACE.items():
                values = table.claim_values(room, owner="0", lease=LEASE)
                plan = await plan_of(database, table.claim_statement, values)
                assert_index_is_asked(plan, name, "due_at")
                assert max(node["Actual Rows"] * node["Actual Loops"] for node in plan) <= 2 * WINDOW, plan
                async with database.transaction() as tx, tx.transaction(force_rollback=True):
                    claimed = await table.claim(tx, room, owner="0", lease=LEASE)
                # A hold stops messages; checks go on.
                assert Counter(row.place for row in claimed.rows) == {
                    **expected,
                    **({"large": 8} if name == "due_checks" else {}),
                }


async def test_many_places_make_no_claim_slow_and_none_is_left_out(fresh_database: str) -> None:
    room = Room(free=64, per_place=1, busy={})
    async with open_world(fresh_database, start=False) as world:
        await fill(world, rows=BACKLOG, due=BACKLOG)
        database = world.runtime.database
        async with database.transaction() as tx:
            await tx.execute("UPDATE notifier.due_checks SET host = substr(md5(takedown_id::text), 1, 12)")
            await tx.execute("ANALYZE notifier.due_checks")
        values = DUE_CHECKS.claim_values(room, owner="0", lease=LEASE, start="8")
        plan = await plan_of(database, DUE_CHECKS.claim_statement, values)
        assert max(node["Actual Rows"] * node["Actual Loops"] for node in plan) <= 2 * PLACES, plan
        firsts = []
        for start in ("", "8", "zz"):
            async with database.transaction() as tx, tx.transaction(force_rollback=True):
                claimed = await DUE_CHECKS.claim(tx, room, owner="0", lease=LEASE, start=start)
            assert len(claimed.rows) == 64
            firsts.append(min(row.place for row in claimed.rows))
        assert firsts[0][0] == firsts[2][0] == "0", "after the last comes the first"
        assert firsts[1][0] == "8"
