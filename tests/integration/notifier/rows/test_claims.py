"""What is due is claimed: by one process once, and no place's backlog hides another's row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.checks.worker import CheckWorker
from services.notifier.delivery.timer_worker import TimerWorker
from services.notifier.delivery.worker import MessageWorker
from shared.db.due_rows import Claimed, Room
from shared.db.pool import Tx
from tests.notifier_world import World, open_world

_TAKEDOWNS = """
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, key_version, data, match_basis,
    holds_released, wants_demand, created_at, changed_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'media', 'open', 1, 1, 1, '{}', 'fingerprint', '{}', false, now(), now()
FROM generate_series(1, %s)
"""
_CHECKS = """
INSERT INTO notifier.due_checks (takedown_id, due_at, reason, host)
SELECT takedown_id, now() - interval '1 h' + number * interval '1 s', 'scheduled', 'h' || least(number / %s, 99)
FROM (SELECT takedown_id, row_number() OVER () AS number FROM notifier.takedowns) AS t
"""
_MESSAGES = """
INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
SELECT gen_random_uuid(), takedown_id, gen_random_uuid(), host, 'demand.issued', 1, 'due', due_at FROM notifier.due_checks
"""

_TIMERS = """
INSERT INTO notifier.timers (takedown_id, kind, demand_id, number, due_at)
SELECT takedown_id, 'deadline', gen_random_uuid(), number, due_at FROM notifier.due_checks, generate_series(1, 3) AS number
"""

Claim = Callable[[Tx, Room], Awaitable[Claimed[Any]]]


async def prepare(world: World, *, rows: int, of_a_place: int) -> Mapping[str, Claim]:
    """Due checks and messages, so many of each place, one place after the other; how each is claimed."""
    async with world.runtime.database.transaction() as tx:
        await tx.execute(_TAKEDOWNS, (rows,))
        await tx.execute(_CHECKS, (of_a_place,))
        await tx.execute(_MESSAGES)
        await tx.execute(_TIMERS)
        await tx.execute("UPDATE notifier.outbound SET is_on = true")
    units_of_work = UnitOfWorkFactory(world.runtime)
    return {
        "checks": CheckWorker(units_of_work).due.claim,
        "messages": MessageWorker(units_of_work).due.claim,
        "timers": TimerWorker(units_of_work).due.claim,
    }


@pytest.mark.parametrize("what", ["checks", "messages"])
async def test_several_processes_claim_each_row_once(fresh_database: str, what: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        claim = (await prepare(world, rows=2000, of_a_place=20))[what]
        claimed: Counter[object] = Counter()

        async def process() -> None:
            idle = 0
            while idle < 3:
                async with world.runtime.database.transaction() as tx:
                    jobs = (await claim(tx, Room(free=16, per_place=4, busy={}))).jobs
                idle = 0 if jobs else idle + 1
                claimed.update(job.takedown_id for job in jobs)

        await asyncio.gather(*(process() for _ in range(4)))
        assert len(claimed) == 2000
        assert set(claimed.values()) == {1}


async def test_of_several_timers_of_a_takedown_the_oldest_is_claimed_first_and_alone(fresh_database: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        claim = (await prepare(world, rows=10, of_a_place=1))["timers"]
        await world.rows("UPDATE notifier.timers SET due_at = due_at - number * interval '1 s' RETURNING 1")
        async with world.runtime.database.transaction() as tx:
            first = (await claim(tx, Room(free=32, per_place=1, busy={}))).jobs
        assert {job.number for job in first} == {3}
        assert len({job.takedown_id for job in first}) == len(first) == 10
        busy = {str(job.takedown_id): 1 for job in first}
        async with world.runtime.database.transaction() as tx:
            assert (await claim(tx, Room(free=32, per_place=1, busy=busy))).jobs == []


@pytest.mark.parametrize("what", ["checks", "messages"])
async def test_a_places_backlog_hides_no_other_places_row(fresh_database: str, what: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        claim = (await prepare(world, rows=1001, of_a_place=1001))[what]
        async with world.runtime.database.transaction() as tx:
            jobs = (await claim(tx, Room(free=16, per_place=4, busy={"h0": 3}))).jobs
        places = Counter(job.host if what == "checks" else job.recipient for job in jobs)
        assert places == {"h0": 1, "h1": 1}
