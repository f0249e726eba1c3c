"""Transactions on a real server: cancellation, connections that died while they lay idle, and what an error of the database means."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import psycopg
import pytest

from shared.db.pool import Database, DatabaseUnavailable, Tx, is_passing
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


def _raise(state: str) -> bytes:
    return f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$".encode()


@pytest.mark.parametrize(
    "state", ["57P01", "57P02", "57P03", "57P05", "53300", "53100", "40001", "40P01", "55P03", "08006"]
)
async def test_what_passes_is_tried_again(fresh_database: str, state: str) -> None:
    async with Database(fresh_database, max_connections=1) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as tx:
                await tx.execute(_raise(state))


@pytest.mark.parametrize("state", ["57014", "53200", "53400", "54000", "54001", "55000", "58030", "55P04"])
async def test_what_a_statement_does_by_itself_is_its_own_failure(fresh_database: str, state: str) -> None:
    async with Database(fresh_database, max_connections=1) as database:
        with pytest.raises(psycopg.OperationalError) as failed:
            async with database.transaction() as tx:
                await tx.execute(_raise(state))
        assert failed.value.sqlstate == state
        with pytest.raises(psycopg.OperationalError):
            await database.read_one(_raise(state).decode())


async def test_a_real_time_out_of_a_statement_is_its_own_failure(fresh_database: str) -> None:
    async with Database(fresh_database) as database:

        async def too_slow() -> None:
            async with database.transaction() as tx:
                await tx.execute("SET LOCAL statement_timeout = '20ms'")
                await tx.execute("SELECT pg_sleep(20)")

        with pytest.raises(psycopg.errors.QueryCanceled):
            await too_slow()


async def test_a_real_deadlock_and_a_lost_connection_pass(fresh_database: str) -> None:
    async with Database(fresh_database) as database:
        async with database.transaction() as tx:
            await tx.execute("CREATE TABLE t AS SELECT generate_series(1, 2) AS n")
        both = asyncio.Barrier(2)

        async def lock(first: int, second: int) -> None:
            async with database.transaction() as tx:
                await tx.execute("SELECT 1 FROM t WHERE n = %s FOR UPDATE", (first,))
                await both.wait()
                await tx.execute("SELECT 1 FROM t WHERE n = %s FOR UPDATE", (second,))

        ended = await asyncio.gather(lock(1, 2), lock(2, 1), return_exceptions=True)
        assert sorted(type(one).__name__ for one in ended) == ["DatabaseUnavailable", "NoneType"]
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction() as tx:
                await tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")


def test_an_error_without_a_state_is_a_lost_connection() -> None:
    assert is_passing(psycopg.OperationalError("server closed the connection unexpectedly"))
