"""Soon after an erasure the tables are vacuumed, beside whoever works in them."""

from __future__ import annotations

import psycopg

from shared.db.pool import Database
from shared.db.vacuum import vacuum
from tests.integration.intake.harness import running_intake, until

_VACUUMED = """
SELECT count(*) AS tables FROM pg_stat_user_tables
WHERE vacuum_count > 0 AND (schemaname, relname) IN (('intake', 'fingerprints'), ('intake', 'reports'), ('eventlog', 'record'))
"""


async def test_a_withdrawal_that_is_final_is_followed_by_a_vacuum(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        for person in (ann, ben):
            answer = await intake.post(
                f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": "subject_request"}, by=person
            )
            assert answer.status_code == 200, answer.text

        async def vacuumed() -> bool:
            row = await intake.database.read_one(_VACUUMED)
            return row is not None and row["tables"] == 3

        await until(vacuumed)


async def test_dead_rows_are_freed_and_a_locked_table_is_left_out(fresh_database: str) -> None:
    async with Database(fresh_database) as database:
        async with database.transaction() as tx:
            await tx.execute("CREATE SCHEMA desk")
            for name in ("free", "locked"):
                await tx.execute(f"CREATE TABLE desk.{name} AS SELECT n FROM generate_series(1, 100) n".encode())
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM desk.free")
        async with await psycopg.AsyncConnection.connect(fresh_database) as beside:
            await beside.execute("LOCK TABLE desk.locked IN ACCESS EXCLUSIVE MODE")
            assert await vacuum(database, "desk") == 2
        row = await database.read_one(
            "SELECT pg_relation_size('desk.free') AS free, pg_relation_size('desk.locked') AS locked"
        )
        assert row is not None
        assert (row["free"], row["locked"] > 0) == (0, True)


async def test_what_cannot_be_vacuumed_now_is_left_to_autovacuum() -> None:
    gone = Database("host=/nowhere dbname=nothing connect_timeout=1")
    assert await vacuum(gone, "intake") == 0
