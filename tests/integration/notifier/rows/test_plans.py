"""What is due is found by an index, however many rows are not due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.notifier.store.checks import DUE_CHECKS
from services.notifier.store.messages import MESSAGES
from services.notifier.store.timers import TIMERS
from shared.db.due_rows import DueTable, Room
from tests.notifier_world import World, open_world
from tests.plans import assert_index_is_asked, plan_of

ROWS = 100_000
DUE = 60
LEASE = timedelta(minutes=1)
TABLES: dict[str, DueTable[Any]] = {"due_checks": DUE_CHECKS, "messages": MESSAGES, "timers": TIMERS}

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


async def fill(world: World) -> None:
    async with world.runtime.database.transaction() as tx:
        await tx.execute(_TAKEDOWNS, (ROWS,))
        await tx.execute(_NUMBERED, (DUE,))
        await tx.execute(_CHECKS)
        await tx.execute(_TIMERS)
        await tx.execute(_MESSAGES, (DUE,))
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
