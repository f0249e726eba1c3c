"""The log on PostgreSQL: tables in one schema (`shared/db/schemas/eventlog`), for one machine.

Publishing takes its offsets under the partition's row lock, so they become visible in order; reading is one query for all
partitions, woken by NOTIFY with the topic's name as the channel (one for each topic of a transaction), with a poll as fallback.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from shared.contracts.topics import Topic
from shared.db.migrations import Schema
from shared.db.pool import Database, DatabaseUnavailable
from shared.db.wakeups import Wakeups
from shared.errors import BadSettings
from shared.log.port import GroupReader, LogUnavailable, Publisher, Reader, TopicPartition, UnknownTopic
from shared.log.postgres import maintenance
from shared.log.postgres.publisher import open_publisher
from shared.log.postgres.readers import LEASE, PostgresGroupReader, PostgresReader
from shared.log.postgres.session import Catalogue, MemberSession

log = structlog.get_logger(__name__)

SCHEMA = Schema(name="eventlog", folder=Path(__file__).parents[2] / "db" / "schemas" / "eventlog")
"""For `migrate`."""

MAINTENANCE_SECONDS = 600.0


class PostgresLog:
    """`wakeups` must be running (`wakeups.run()`), else every read waits for its poll. `close` it when done."""

    def __init__(
        self, database: Database, wakeups: Wakeups, *, schema: str = SCHEMA.name, lease: timedelta = LEASE
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._schema = schema
        self._lease = lease
        self._session = MemberSession(database)
        self._catalogue = Catalogue(self._session, schema)

    @property
    def redacts(self) -> bool:
        return True

    @property
    def needs_heartbeat(self) -> bool:
        return False

    # Topics

    async def ensure_topics(self, topics: Collection[Topic]) -> None:
        for topic in sorted(topics, key=lambda one: one.name):
            rows = await self._session.fetch(
                f"""
                WITH made AS (
                    INSERT INTO {self._schema}.topic AS t
                        (name, partitions, retention, min_compaction_lag, delete_retention)
                    VALUES (%b, %b::int, %b, %b, %b)
                    ON CONFLICT (name) DO UPDATE SET retention = excluded.retention,
                        min_compaction_lag = excluded.min_compaction_lag, delete_retention = excluded.delete_retention
                    RETURNING name, partitions, xmax = 0 AS fresh
                ), filled AS (
                    INSERT INTO {self._schema}.partition (topic, partition)
                    SELECT made.name, n FROM made, generate_series(0, made.partitions - 1) AS n WHERE made.fresh
                )
                SELECT partitions FROM made
                """,
                (topic.name, topic.partitions, topic.retention, topic.min_compaction_lag, topic.delete_retention),
            )
            if rows[0]["partitions"] != topic.partitions:
                raise BadSettings(
                    f"The topic {topic.name} has {rows[0]['partitions']} partitions and must have {topic.partitions}."
                    " The number is fixed once a topic exists: use an empty log, or the version that made this one."
                )

    async def missing_topics(self, topics: Collection[Topic]) -> tuple[str, ...]:
        rows = await self._session.fetch(f"SELECT name FROM {self._schema}.topic")
        present = {row["name"] for row in rows}
        return tuple(topic.name for topic in topics if topic.name not in present)

    async def partitions_of(self, topic: str) -> int:
        return len((await self._catalogue.topic(topic, fresh=True)).partition_ids)

    async def log_id(self, topic: str) -> str:
        rows = await self._session.fetch(
            f"SELECT c.cluster_id, t.topic_id FROM {self._schema}.cluster AS c, {self._schema}.topic AS t WHERE t.name = %b",
            (topic,),
        )
        if not rows:
            raise UnknownTopic(topic)
        return f"{rows[0]['cluster_id']}/{rows[0]['topic_id']}"

    # Offsets

    async def beginning(self, partition: TopicPartition) -> int:
        return await self._bound(partition, "start_offset")

    async def end(self, partition: TopicPartition) -> int:
        return await self._bound(partition, "next_offset")

    async def _bound(self, partition: TopicPartition, column: str) -> int:
        rows = await self._session.fetch(
            f"SELECT {column} AS position FROM {self._schema}.partition WHERE topic = %b AND partition = %b::int",
            (partition.topic, partition.partition),
        )
        if not rows:
            raise UnknownTopic(f"{partition.topic}/{partition.partition}")
        position: int = rows[0]["position"]
        return position

    async def offset_at(self, partition: TopicPartition, moment: datetime) -> int:
        number = await self._catalogue.partition_id(partition, fresh=True)
        rows = await self._session.fetch(
            f"SELECT {self._schema}.first_offset_at(%b::int, %b::timestamptz) AS position", (number, moment)
        )
        position: int = rows[0]["position"]
        return position

    # Publishing and reading

    def publisher(self, *, transactional_id: str | None = None) -> AbstractAsyncContextManager[Publisher]:
        return open_publisher(self._database, self._catalogue, self._schema, transactional_id)

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[Reader]:
        session = MemberSession(self._database)
        reader = PostgresReader(session, self._catalogue, self._schema, self._wakeups)
        try:
            yield reader
        finally:
            reader.close()
            await session.close()

    @asynccontextmanager
    async def group_reader(self, *, group: str, topics: Collection[str], member_id: str) -> AsyncIterator[GroupReader]:
        session = MemberSession(self._database)
        reader = PostgresGroupReader(
            session,
            self._catalogue,
            self._schema,
            self._wakeups,
            group=group,
            topics=topics,
            member_id=member_id,
            lease=self._lease,
        )
        try:
            await reader.join()
            keeper = asyncio.create_task(reader.keep())
            keeper.add_done_callback(reader.keeper_ended)
            try:
                yield reader
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)
        finally:
            await reader.leave()
            await session.close()

    # Maintenance

    async def redact(
        self, topic: str, *, containing: Collection[bytes], rewrite: Callable[[bytes], bytes | None]
    ) -> int:
        needles = [needle for needle in containing if needle]
        if not needles:
            return 0
        ids = (await self._catalogue.topic(topic, fresh=True)).partition_ids
        changed = 0
        try:
            async with self._database.transaction() as tx:
                found = await tx.execute(
                    f"SELECT partition_id, record_offset, value FROM {self._schema}.record"
                    " WHERE partition_id = ANY (%s) AND EXISTS"
                    " (SELECT 1 FROM unnest(%s::bytea[]) AS needle WHERE position(needle IN value) > 0) FOR UPDATE",
                    (list(ids), needles),
                )
                for row in await found.fetchall():
                    value = rewrite(row["value"])
                    where = (row["partition_id"], row["record_offset"])
                    if value is None:
                        await tx.execute(
                            f"DELETE FROM {self._schema}.record WHERE partition_id = %s AND record_offset = %s", where
                        )
                    elif value != row["value"]:
                        await tx.execute(
                            f"UPDATE {self._schema}.record SET value = %s WHERE partition_id = %s AND record_offset = %s",
                            (value, *where),
                        )
                    else:
                        continue
                    changed += 1
        except DatabaseUnavailable as error:
            raise LogUnavailable(error.detail) from error
        return changed

    async def maintain(self, now: datetime) -> None:
        """Retention and compaction as of `now`. Raises DatabaseUnavailable."""
        await maintenance.maintain(self._database, self._schema, now)

    async def run_maintenance(self) -> None:
        while True:
            try:
                await self.maintain(await self._database.now())
            except DatabaseUnavailable as error:
                log.warning("log.maintenance_put_off", error=error.detail)
            await asyncio.sleep(MAINTENANCE_SECONDS)

    async def close(self) -> None:
        await self._session.close()
