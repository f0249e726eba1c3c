"""Transactions on a real server: cancellation, and connections that died while they lay idle."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from shared.db.pool import Database, Tx
from tests.integration.intake.harness import running_intake, until


@pytest.mark.parametrize("table", ["intake.reports", "intake.erasures", "intake.claims", "intake.outbox"])
async def test_a_service_that_is_stopped_amid_a_statement_ends(fresh_database: str, table: str) -> None:
    async with running_intake(fresh_database, workers=False):
        pass  # its tables are there now

    async def start_and_stop(watching: Tx) -> None:
        async with running_intake(fresh_database):

            async def waits() -> bool:
                cursor = await watching.execute(
                    "SELECT count(*) AS n FROM pg_locks JOIN pg_database AS d ON d.oid = database"
                    " WHERE NOT granted AND d.datname = current_database()"
                )
                row = await cursor.fetchone()
                return row is not None and row["n"] > 0

            await until(waits)

    async with Database(fresh_database) as database, database.transaction() as held:
        await held.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        await asyncio.wait_for(start_and_stop(held), timeout=60)


async def test_a_cancellation_that_a_statement_swallowed_ends_its_task(fresh_database: str) -> None:
    """As `asyncio.wait_for` may before Python 3.12, when what it waits for ends in the same moment."""
    turns = 0
    async with Database(fresh_database) as database:
        under_way = asyncio.Event()

        async def work() -> None:
            nonlocal turns
            for turns in (1, 2):
                async with database.transaction():
                    under_way.set()
                    if turns == 1:
                        with suppress(asyncio.CancelledError):
                            await asyncio.Event().wait()

        task = asyncio.create_task(work())
        await under_way.wait()
        task.cancel()
        await asyncio.wait([task])
        assert (task.cancelled(), turns) == (True, 1)


async def test_connections_that_died_while_idle_are_replaced_unnoticed(fresh_database: str) -> None:
    async with Database(fresh_database) as database:
        held = [database.transaction() for _ in range(4)]
        for one in held:
            await one.__aenter__()
        for one in held:
            await one.__aexit__(None, None, None)
        async with Database(fresh_database) as another, another.transaction() as tx:
            await tx.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        for _ in range(4):
            async with database.transaction() as tx:
                assert await (await tx.execute("SELECT 1 AS one")).fetchone() == {"one": 1}
