"""Publishes a schema's outbox. One relay leads for each schema (session advisory lock); the others wait for its end.

Rows of one key are published in their order, and deleted after the log has acknowledged them: at least once, the repeat with the
same `ce_id`. A row without data is rendered from the owner's current row, under its row lock, held until the log has
acknowledged: nothing can be published over a newer state. A row that can never be sent is parked with its reason, and with it
the later rows of its key alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import structlog
from psycopg import errors

from shared.contracts.event import Event, data_of, headers_of, headers_of_tombstone
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.topics import BY_NAME
from shared.db.pool import Database, Row, Tx
from shared.db.wakeups import Subscription, Wakeups
from shared.errors import Permanent, Poison, Transient
from shared.log.port import (
    HEARTBEAT_KEY,
    MAX_RECORD_BYTES,
    EventLog,
    LogUnavailable,
    OutgoingRecord,
    Publisher,
    PublisherFenced,
    RecordRefused,
    RecordTooLarge,
    UnknownTopic,
)
from shared.log.replays import current_row_replays
from shared.outbox import outbox
from shared.process.metrics import OUTBOX_PARKED, OUTBOX_PENDING

log = structlog.get_logger(__name__)

Rendered = Event | None
"""A key's current event; None: a tombstone."""

Renderer = Callable[[Tx, str], Awaitable[Rendered]]
"""Reads the key's current row under its row lock (`FOR SHARE`, or `FOR UPDATE` where it changes it). Raises Permanent when it cannot."""

_BATCH = 500
_POLL_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_GAUGE_SECONDS = 5.0
_LOCKED_SECONDS = 0.05
_PATIENT, _HASTY = "100ms", "1ms"
"""How long a lock is waited for. Both are well before the deadlock check: a writer may wait for a row we hold while we wait for its row."""
_HEARTBEAT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ready:
    """A record ready to be published. `sequences` are the rows it stands for: a key rendered once speaks for all its rows."""

    sequences: list[int]
    record: OutgoingRecord


class Relay:
    """`run` it once in each process of the service. `transactional_ids`: topics whose publisher fences an older one.
    `gather_seconds`: how long it lets rows gather once it is woken, where nobody waits for them: a batch costs as much as a row."""

    def __init__(
        self,
        database: Database,
        wakeups: Wakeups,
        schema: str,
        log_: EventLog,
        *,
        source: str,
        renderers: Mapping[str, Renderer] | None = None,
        transactional_ids: Mapping[str, str] | None = None,
        gather_seconds: float = 0.0,
    ) -> None:
        self._database = database
        self._wakeups = wakeups
        self._schema = schema
        self._log = log_
        self._source = source
        self._renderers = dict(renderers or {})
        self._transactional_ids = dict(transactional_ids or {})
        self._gather_seconds = gather_seconds
        self._gauge_due = 0.0

    async def run(self) -> None:
        """Publish until cancelled. A lost database, log or lock is waited for."""
        while True:
            try:
                await self._lead()
            except (Transient, PublisherFenced, psycopg.OperationalError) as error:
                log.warning("relay.interrupted", schema=self._schema, error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _lead(self) -> None:
        """Publish, if this connection gets the lock. Returns at once where another relay has it."""
        connection = await self._database.dedicated()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(connection)
            cursor = await connection.execute(
                "SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", (f"relay {self._schema}",)
            )
            row = await cursor.fetchone()
            if row is None or not row["got"]:
                return
            subscription = stack.enter_context(self._wakeups.subscribe(outbox.wakeup(self._schema)))
            publishers: dict[str | None, Publisher] = {}
            for transactional_id in {None, *self._transactional_ids.values()}:
                publishers[transactional_id] = await stack.enter_async_context(
                    self._log.publisher(transactional_id=transactional_id)
                )
            await connection.execute(f"SET lock_timeout = '{_PATIENT}'")
            log.info("relay.leads", schema=self._schema)
            beside = [asyncio.create_task(self._answer_replays()), asyncio.create_task(self._beat(publishers))]
            try:
                await self._publish_for_ever(connection, publishers, subscription)
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    async def _answer_replays(self) -> None:
        """Answer replays of topics whose rows we own by publishing the row as it is now. One relay leads, so one member id will do."""
        if not self._renderers:
            return
        replays = current_row_replays(
            self._log,
            group=f"{self._schema}.current-rows",
            topics=frozenset(self._renderers),
            republish=self.republish,
            member_id=f"{self._schema}.relay",
            source=self._source,
        )
        while True:
            try:
                await replays.run()
            except UnknownTopic:
                log.error("relay.no_dead_letters_topic", schema=self._schema)
                await asyncio.sleep(_POLL_SECONDS)

    async def republish(self, topic: str, key: str) -> None:
        """Queue the key's current row. Raises DatabaseUnavailable."""
        async with self._database.transaction() as tx:
            await outbox.put_current(tx, self._schema, BY_NAME[topic], key=key, event_id=uuid4())

    async def _beat(self, publishers: Mapping[str | None, Publisher]) -> None:
        """Write a tombstone of nothing, hourly, to each partition of our compacted topics, where the log needs that to compact them."""
        while self._log.needs_heartbeat:
            for topic in sorted(self._renderers):
                try:
                    count = await self._log.partitions_of(topic)
                    await publishers[self._transactional_ids.get(topic)].publish(
                        [
                            OutgoingRecord(
                                topic=topic,
                                key=HEARTBEAT_KEY,
                                value=None,
                                partition=number,
                                headers=self._beat_headers(),
                            )
                            for number in range(count)
                        ]
                    )
                except (LogUnavailable, UnknownTopic, PublisherFenced) as error:
                    # The publishing beside us meets it too, and says more.
                    log.warning("relay.heartbeat_missed", topic=topic, error=type(error).__name__)
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    def _beat_headers(self) -> tuple[tuple[str, bytes], ...]:
        return headers_of_tombstone(event_id=uuid4(), source=self._source, time=datetime.now(UTC))

    async def _publish_for_ever(
        self, connection: Tx, publishers: Mapping[str | None, Publisher], subscription: Subscription
    ) -> None:
        while True:
            await self._measure(connection)
            topics = await self._topics(connection)
            for topic in topics:
                publisher = publishers[self._transactional_ids.get(topic)]
                try:
                    await self._drain(connection, topic, publisher)
                except UnknownTopic:
                    # `topics ensure` will make it; meanwhile the other topics go on.
                    log.error("relay.unknown_topic", schema=self._schema, topic=topic)
                    await asyncio.sleep(_RETRY_SECONDS)
            if not topics and await subscription.wait(_POLL_SECONDS):
                await asyncio.sleep(self._gather_seconds)

    async def _topics(self, connection: Tx) -> list[str]:
        """Topics with rows to send, the longest waiting first."""
        cursor = await connection.execute(
            f"SELECT topic FROM {self._schema}.outbox AS o WHERE {self._free()} GROUP BY topic ORDER BY min(sequence)"
        )
        return [row["topic"] for row in await cursor.fetchall()]

    def _free(self) -> str:
        """A condition for rows that are neither parked nor behind a parked row of their key."""
        return (
            f"o.parked_at IS NULL AND NOT EXISTS (SELECT 1 FROM {self._schema}.outbox AS parked"
            " WHERE parked.parked_at IS NOT NULL AND parked.topic = o.topic AND parked.key = o.key)"
        )

    async def _drain(self, connection: Tx, topic: str, publisher: Publisher) -> None:
        """Publish one batch of a topic; single rows when the log refuses the batch, to find the row that it refuses. Hardly ever is a row
        locked by a writer: only then is each row rendered in a savepoint of its own."""
        try:
            try:
                moved = await self._publish_batch(connection, topic, publisher, limit=_BATCH)
            except errors.LockNotAvailable:
                moved = await self._publish_batch(connection, topic, publisher, limit=_BATCH, some_locked=True)
        except (RecordTooLarge, RecordRefused):
            moved = await self._publish_batch(connection, topic, publisher, limit=1, some_locked=True)
        if not moved:
            await asyncio.sleep(_LOCKED_SECONDS)  # all that is left waits for a writer

    async def _publish_batch(
        self, connection: Tx, topic: str, publisher: Publisher, *, limit: int, some_locked: bool = False
    ) -> bool:
        """Render and publish rows of a topic. Raises LockNotAvailable unless `some_locked`: then rows that a writer has locked are left for
        later."""
        async with connection.transaction():
            rows = await self._rows(connection, topic, limit)
            if some_locked:  # a writer may hold many, and all that wait behind them would wait once for each
                await connection.execute(f"SET LOCAL lock_timeout = '{_HASTY}'")
            ready, parked = await self._make_ready(connection, topic, rows, some_locked=some_locked)
            if some_locked:
                await connection.execute(f"SET LOCAL lock_timeout = '{_PATIENT}'")
            if ready:
                try:
                    await publisher.publish([one.record for one in ready])
                except (RecordTooLarge, RecordRefused) as error:
                    if limit > 1:
                        raise
                    # Parked here, for another row may be the oldest a moment later.
                    await self._park(connection, ready[0].sequences[0], topic, error)
                    return True
                done = [sequence for one in ready for sequence in one.sequences]
                await connection.execute(f"DELETE FROM {self._schema}.outbox WHERE sequence = ANY (%s)", (done,))
            return bool(ready) or parked > 0

    async def _rows(self, connection: Tx, topic: str, limit: int) -> list[Row]:
        cursor = await connection.execute(
            f"SELECT sequence, outbox_id, key, type, data, traceparent, created_at FROM {self._schema}.outbox AS o"
            f" WHERE topic = %s AND {self._free()} ORDER BY sequence LIMIT %s",
            (topic, limit),
        )
        return await cursor.fetchall()

    async def _make_ready(
        self, connection: Tx, topic: str, rows: Sequence[Row], *, some_locked: bool
    ) -> tuple[list[_Ready], int]:
        """The records that can be published now, and how many rows were parked. A key whose row a writer has locked is left for later."""
        ready: list[_Ready] = []
        parked = 0
        blocked: set[str] = set()
        rendered: dict[str, _Ready] = {}
        for row in rows:
            key, sequence = row["key"], row["sequence"]
            if key in blocked:
                continue
            if row["data"] is None and key in rendered:
                rendered[key].sequences.append(sequence)  # the row as it is now says this one too
                continue
            try:
                if row["data"] is None:
                    record = await self._current(connection, topic, row, savepoint=some_locked)
                else:
                    record = self._stored(topic, row)
                if record.size_bytes > MAX_RECORD_BYTES:
                    raise RecordTooLarge(f"{record.size_bytes} bytes")
            except (Permanent, ValueError) as error:
                blocked.add(key)
                parked += 1
                await self._park(connection, sequence, topic, error)
                continue
            except errors.LockNotAvailable:
                if not some_locked:
                    raise
                blocked.add(key)
                continue
            ready.append(_Ready(sequences=[sequence], record=record))
            if row["data"] is None:
                rendered[key] = ready[-1]
            else:
                rendered.pop(key, None)
        return ready, parked

    def _stored(self, topic: str, row: Row) -> OutgoingRecord:
        model = MODELS_BY_TOPIC.get(topic, {}).get(row["type"])
        if model is None:
            raise Poison(f"no model {row['type']} for {topic}")
        return self._record(topic, row, model, bytes(row["data"]))

    async def _current(self, connection: Tx, topic: str, row: Row, *, savepoint: bool) -> OutgoingRecord:
        renderer = self._renderers.get(topic)
        if renderer is None:
            raise Poison(f"no renderer for {topic}")
        # A savepoint: giving way to one writer keeps what is rendered.
        async with connection.transaction() if savepoint else nullcontext():
            event = await renderer(connection, row["key"])
        if event is None:
            headers = headers_of_tombstone(event_id=row["outbox_id"], source=self._source, time=row["created_at"])
            return OutgoingRecord(topic=topic, key=row["key"].encode(), value=None, headers=headers)
        return self._record(topic, row, type(event), data_of(event))

    def _record(self, topic: str, row: Row, model: type[Event], data: bytes) -> OutgoingRecord:
        outbox_id: UUID = row["outbox_id"]
        headers = headers_of(
            model, event_id=outbox_id, source=self._source, time=row["created_at"], traceparent=row["traceparent"]
        )
        return OutgoingRecord(topic=topic, key=row["key"].encode(), value=data, headers=headers)

    async def _park(self, connection: Tx, sequence: int, topic: str, error: Exception) -> None:
        # A ValueError's text may quote what it refused.
        reason = str(error) if isinstance(error, Permanent) else type(error).__name__
        await connection.execute(
            f"UPDATE {self._schema}.outbox SET parked_at = now(), reason = %s WHERE sequence = %s", (reason, sequence)
        )
        self._gauge_due = 0.0
        log.error("relay.row_parked", schema=self._schema, topic=topic, sequence=sequence, error=type(error).__name__)

    async def _measure(self, connection: Tx) -> None:
        if time.monotonic() < self._gauge_due:
            return
        self._gauge_due = time.monotonic() + _GAUGE_SECONDS
        cursor = await connection.execute(
            f"SELECT count(*) AS pending, count(parked_at) AS parked FROM {self._schema}.outbox"
        )
        row = await cursor.fetchone()
        if row is not None:
            OUTBOX_PENDING.labels(self._schema).set(row["pending"] - row["parked"])
            OUTBOX_PARKED.labels(self._schema).set(row["parked"])
