"""Tasks of a whole content, when several of its takedowns end at once."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from services.notifier.store import tasks
from shared.http.paging import PageAsked
from tests.notifier_world import World, open_world

_TASK = """
INSERT INTO notifier.tasks (task_id, kind, scope, takedown_id, content_id, joined_to, reason, owner, due_at, opened_at)
SELECT %(task_id)s, 'flood', 'content', takedown_id, content_id, %(joined_to)s, 'flood', 'operations', now(), clock_timestamp() FROM made
"""
_TAKEDOWN = """
WITH made AS (
    INSERT INTO notifier.takedowns
        (takedown_id, content_id, target_kind, state, round, sequence, key_version, data, match_basis, holds_released,
        wants_demand, created_at, changed_at)
    VALUES (%(takedown_id)s, %(content_id)s, 'media', 'held', 1, 1, 1, '{}', 'fingerprint', '{}', false, now(), now())
    RETURNING takedown_id, content_id
)
"""


async def open_flood_tasks(world: World, count: int) -> list[UUID]:
    """Of so many takedowns of one content: the first is shown, the others wait behind it."""
    opened = [uuid4() for _ in range(count)]
    content_id = uuid4()
    for number, task_id in enumerate(opened):
        joined_to = opened[0] if number else None
        values = {"task_id": task_id, "takedown_id": uuid4(), "content_id": content_id, "joined_to": joined_to}
        async with world.runtime.database.transaction() as tx:
            await tx.execute(f"{_TAKEDOWN}{_TASK}".encode(), values)
    return opened


async def test_a_task_that_waits_behind_two_that_are_closed_at_once_is_shown(fresh_database: str) -> None:
    async with open_world(fresh_database, start=False) as world:
        first, second, third = await open_flood_tasks(world, 3)

        async def close(task_id: UUID) -> None:
            async with world.runtime.database.transaction() as tx:
                await tasks.close_task(tx, task_id, "removed")

        async with world.runtime.database.transaction() as beside:
            await tasks.close_task(beside, second, "removed")
            closing = asyncio.create_task(close(first))

            async def waits() -> bool:
                return closing.done() or bool(await world.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))

            await world.until(waits)
        await closing
        async with world.runtime.database.transaction() as tx:
            shown = await tasks.list_tasks(
                tx, kind=None, open_=True, organisation=None, live=[], page=PageAsked(limit=10)
            )
        assert [one.task_id for one in shown] == [third]
