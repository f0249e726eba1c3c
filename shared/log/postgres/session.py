"""One connection of the log on PostgreSQL: single statements, prepared, made anew when lost; errors in the port's words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import psycopg
from psycopg import errors

from shared.db.pool import Database, DatabaseUnavailable, Row, Tx
from shared.errors import NotPrepared, TakedownError
from shared.log.port import CommitRefused, LogUnavailable, PublisherFenced, RecordRefused, TopicPartition, UnknownTopic


class StaleTopic(UnknownTopic):
    """The topic has changed since it was looked up: it has to be looked up again."""


_OF_A_VALUE = ("22", "54")
"""SQLSTATE classes: a value that cannot be stored, or that is over a limit of the program. Trying again changes nothing."""
_BY_STATE: Mapping[str, type[TakedownError]] = {"TK001": PublisherFenced, "TK002": StaleTopic, "TK003": CommitRefused}


class MemberSession:
    """A connection outside the pool, opened when first used. One statement at a time, each its own transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: Tx | None = None
        self._lock = asyncio.Lock()

    async def fetch(self, query: str, parameters: Sequence[object] = ()) -> list[Row]:
        """All rows of one statement. Raises LogUnavailable (the outcome is then unknown), NotPrepared and the port's errors."""
        async with self._lock:
            connection = await self._open()
            try:
                cursor = await connection.execute(query.encode(), parameters, binary=True)
                rows = await cursor.fetchall() if cursor.description is not None else []
            except psycopg.Error as error:
                if connection.broken or isinstance(error, psycopg.InterfaceError):
                    await self._drop()
                raise _named(error) from error
            except BaseException:
                if connection.broken:
                    await self._drop()
                raise
        return rows

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    async def _open(self) -> Tx:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = await self._database.dedicated()
            except DatabaseUnavailable as error:
                raise LogUnavailable(error.detail) from error
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


def _named(error: psycopg.Error) -> TakedownError:
    """The port's error for PostgreSQL's. The server's text stays out of the message: it may quote values."""
    state = error.sqlstate or ""
    known = _BY_STATE.get(state)
    if known is not None:
        return known()
    if state.startswith(_OF_A_VALUE):  # no outage, though psycopg calls some of them operational
        return RecordRefused(f"{type(error).__name__} {state}")
    if isinstance(error, errors.ForeignKeyViolation):
        return StaleTopic()
    if isinstance(error, errors.UndefinedTable | errors.UndefinedFunction | errors.InvalidSchemaName):
        return NotPrepared("event log")
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return LogUnavailable(type(error).__name__)
    return TakedownError(f"event log: {type(error).__name__} {error.sqlstate or ''}".strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicRow:
    """A topic as it stands; `partition_ids` in the order of the partitions."""

    name: str
    topic_id: UUID
    partition_ids: tuple[int, ...]
    compacted: bool
    retention: timedelta | None
    min_compaction_lag: timedelta
    delete_retention: timedelta


class Catalogue:
    """The topics this process has met. A partition's id dies with its topic, so what is stale here is noticed, not misread."""

    def __init__(self, session: MemberSession, schema: str) -> None:
        self._session = session
        self._query = f"""
            SELECT t.name, t.topic_id, t.retention, t.min_compaction_lag, t.delete_retention,
                (SELECT array_agg(p.partition_id ORDER BY p.partition) FROM {schema}.partition AS p
                 WHERE p.topic = t.name) AS partition_ids
            FROM {schema}.topic AS t WHERE t.name = %b
        """
        self._known: dict[str, TopicRow] = {}
        self._asking = asyncio.Lock()

    async def topic(self, name: str, *, fresh: bool = False) -> TopicRow:
        """The topic of this name. Raises UnknownTopic."""
        if fresh:
            self._known.pop(name, None)
        if name in self._known:
            return self._known[name]
        async with self._asking:  # many ask at once at the start; one query answers them
            return await self._ask(name)

    async def _ask(self, name: str) -> TopicRow:
        if name not in self._known:
            rows = await self._session.fetch(self._query, (name,))
            if not rows:
                raise UnknownTopic(name)
            (row,) = rows
            self._known[name] = TopicRow(
                name=name,
                topic_id=row["topic_id"],
                partition_ids=tuple(row["partition_ids"]),
                compacted=row["retention"] is None,
                retention=row["retention"],
                min_compaction_lag=row["min_compaction_lag"],
                delete_retention=row["delete_retention"],
            )
        return self._known[name]

    async def partition_id(self, partition: TopicPartition, *, fresh: bool = False) -> int:
        """The id of a partition. Raises UnknownTopic, also for a partition that the topic does not have."""
        ids = (await self.topic(partition.topic, fresh=fresh)).partition_ids
        if not 0 <= partition.partition < len(ids):
            raise UnknownTopic(f"{partition.topic}/{partition.partition}")
        return ids[partition.partition]
