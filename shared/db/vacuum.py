"""Frees the space of deleted rows soon after an erasure: autovacuum comes only when many rows are dead, and an erasure deletes few."""

from __future__ import annotations

import psycopg
import structlog
from psycopg import sql

from shared.db.pool import Database, DatabaseUnavailable

log = structlog.get_logger(__name__)


async def vacuum(database: Database, *schemas: str) -> int:
    """VACUUM every table of these schemas, one after the other, outside any transaction; how many it was. Readers and writers go on
    beside it; a table that somebody has locked is left out. What cannot be done now is left to autovacuum, and logged.

    A vacuum makes the space of dead rows free, and what comes next is written over them. It does not write the page anew.
    """
    done = 0
    try:
        async with await database.dedicated() as connection:
            cursor = await connection.execute(
                "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY (%s) ORDER BY 1, 2",
                (list(schemas),),
            )
            for row in await cursor.fetchall():
                table = sql.Identifier(row["schemaname"], row["tablename"])
                await connection.execute(sql.SQL("VACUUM (SKIP_LOCKED) {}").format(table))
                done += 1
    except (DatabaseUnavailable, psycopg.OperationalError) as error:
        log.warning("vacuum.left_out", schemas=schemas, error=type(error).__name__)
    return done
