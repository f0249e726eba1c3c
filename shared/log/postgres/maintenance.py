"""Retention and compaction of the log on PostgreSQL, as Kafka does them (`LogCleaner`, KIP-58, KIP-354, KIP-534).

- The head, everything younger than `min.compaction.lag`, is never compacted. Below it the newest record of each key stays.
- A tombstone stays for `delete.retention` after the first compaction that saw it, so that a slow reader still meets it.
- Retention waits, with an alarm, for every group that has ever read the partition; compaction waits for nobody.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from shared.db.pool import Database, Row, Tx
from shared.process.metrics import RETENTION_WAITING

log = structlog.get_logger(__name__)

_ADVISORY_LOCK = 0x6C6F6720  # "log "


async def maintain(database: Database, schema: str, now: datetime) -> None:
    """Apply retention and compaction as of `now`; does nothing while another process is at it. Raises DatabaseUnavailable."""
    async with database.transaction() as guard:
        row = await (await guard.execute("SELECT pg_try_advisory_xact_lock(%s) AS got", (_ADVISORY_LOCK,))).fetchone()
        if row is None or not row["got"]:
            return
        cursor = await guard.execute(
            f"SELECT p.partition_id, p.topic, p.partition, p.cleaned_to, t.retention, t.min_compaction_lag,"
            f" t.delete_retention FROM {schema}.partition AS p JOIN {schema}.topic AS t ON t.name = p.topic"
            f" ORDER BY p.partition_id"
        )
        for partition in await cursor.fetchall():
            if partition["retention"] is None:
                await _compact(database, schema, partition, now)
            else:
                await _retain(database, schema, partition, now)


async def _retain(database: Database, schema: str, partition: Row, now: datetime) -> None:
    number = partition["partition_id"]
    async with database.transaction() as tx:
        expired = await _first_offset_at(tx, schema, number, now - partition["retention"])
        cursor = await tx.execute(
            f"SELECT min(coalesce(o.committed_offset, p.start_offset)) AS position FROM {schema}.ownership AS o"
            f" JOIN {schema}.partition AS p USING (partition_id) WHERE o.partition_id = %s",
            (number,),
        )
        row = await cursor.fetchone()
        slowest = row["position"] if row is not None else None
        start = expired if slowest is None else min(expired, slowest)
        RETENTION_WAITING.labels(partition["topic"], str(partition["partition"])).set(expired - start)
        if start < expired:
            log.warning(
                "log.retention_waits",
                topic=partition["topic"],
                partition=partition["partition"],
                records=expired - start,
            )
        # The start moves first: whoever reads from below is told so instead of finding a hole.
        await tx.execute(
            f"UPDATE {schema}.partition SET start_offset = %s WHERE partition_id = %s AND start_offset < %s",
            (start, number, start),
        )
    async with database.transaction() as tx:
        await tx.execute(f"DELETE FROM {schema}.record WHERE partition_id = %s AND record_offset < %s", (number, start))


async def _compact(database: Database, schema: str, partition: Row, now: datetime) -> None:
    number = partition["partition_id"]
    async with database.transaction() as tx:
        head = await _first_offset_at(tx, schema, number, now - partition["min_compaction_lag"])
        if head > partition["cleaned_to"]:
            await tx.execute(
                f"DELETE FROM {schema}.record AS r USING (SELECT record_offset AS old, row_number()"
                f" OVER (PARTITION BY key ORDER BY record_offset DESC) AS age FROM {schema}.record"
                f" WHERE partition_id = %(number)s AND record_offset < %(head)s) AS ranked"
                f" WHERE r.partition_id = %(number)s AND r.record_offset = ranked.old AND ranked.age > 1",
                {"number": number, "head": head},
            )
            await tx.execute(
                f"UPDATE {schema}.record SET delete_after = %s WHERE partition_id = %s AND record_offset < %s"
                " AND value IS NULL AND delete_after IS NULL",
                (now + partition["delete_retention"], number, head),
            )
        await tx.execute(
            f"DELETE FROM {schema}.record WHERE partition_id = %s AND value IS NULL AND delete_after <= %s",
            (number, now),
        )
        if head > partition["cleaned_to"]:
            await tx.execute(f"UPDATE {schema}.partition SET cleaned_to = %s WHERE partition_id = %s", (head, number))


async def _first_offset_at(tx: Tx, schema: str, partition_id: int, moment: datetime) -> int:
    row = await (
        await tx.execute(f"SELECT {schema}.first_offset_at(%s, %s) AS position", (partition_id, moment))
    ).fetchone()
    assert row is not None
    position: int = row["position"]
    return position
