"""Transactions on a real server: cancellation, and connections that died while they lay idle."""

from __future__ import annotations

import asyncio

import pytest

from shared.db.pool import Database
from tests.integration.intake_harness import running_intake


@pytest.mark.parametrize("milliseconds", range(0, 120, 10))
async def test_a_service_that_is_stopped_amid_its_first_transactions_ends(
    fresh_database: str, milliseconds: int
) -> None:
    async def start_and_stop() -> None:
        async with running_intake(fresh_database) as intake:
            await intake.client.get("/openapi.json")
            await asyncio.sleep(milliseconds / 1000)  # each time amid something else

    await asyncio.wait_for(start_and_stop(), timeout=20)


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
