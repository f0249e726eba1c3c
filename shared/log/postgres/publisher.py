"""Publishing on PostgreSQL: calls that come while a transaction is under way share the next one (one wait for the disk)."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

from shared.db.pool import Database
from shared.errors import TakedownError
from shared.log.partitioner import partition_of
from shared.log.port import (
    MAX_RECORD_BYTES,
    LogUnavailable,
    OutgoingRecord,
    RecordRefused,
    RecordTooLarge,
    TopicPartitionOffset,
    UnknownTopic,
)
from shared.log.postgres.session import Catalogue, MemberSession, StaleTopic

_TRANSACTION_RECORDS = 1000
_TRANSACTION_BYTES = 4 * 1024 * 1024


def encode_headers(headers: Sequence[tuple[str, bytes]]) -> str:
    """JSON array of [name, value]; Latin-1 takes any bytes."""
    return json.dumps([(name, value.decode("latin-1")) for name, value in headers], separators=(",", ":"))


def decode_headers(text: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode("latin-1")) for name, value in json.loads(text))


@dataclass(slots=True, kw_only=True)
class _Call:
    """One `publish` and its places: the partition number and id of each record."""

    records: Sequence[OutgoingRecord]
    places: Sequence[tuple[int, int]]
    bytes_: int
    done: asyncio.Future[tuple[TopicPartitionOffset, ...]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class PostgresPublisher:
    """Publishes on PostgreSQL."""

    def __init__(
        self, session: MemberSession, catalogue: Catalogue, schema: str, fence: tuple[str, int] | None
    ) -> None:
        self._session = session
        self._catalogue = catalogue
        self._append = f"SELECT * FROM {schema}.append(%b::int[], %b::bytea[], %b::bytea[], %b::text[], %b, %b::bigint)"
        self._fence = fence
        self._waiting: deque[_Call] = deque()
        self._filled = asyncio.Event()
        self._closed = False

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        if not records:
            return ()
        sizes = [record.size_bytes for record in records]
        if max(sizes) > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"{max(sizes)} bytes")
        for fresh in (False, True):
            call = _Call(records=records, places=await self._places(records, fresh=fresh), bytes_=sum(sizes))
            if self._closed:
                raise LogUnavailable("the publisher is closed")
            self._waiting.append(call)
            self._filled.set()
            with suppress(StaleTopic):
                return await call.done
        raise UnknownTopic(records[0].topic)

    async def _places(self, records: Sequence[OutgoingRecord], *, fresh: bool) -> list[tuple[int, int]]:
        topics = {name: await self._catalogue.topic(name, fresh=fresh) for name in {r.topic for r in records}}
        places = []
        for record in records:
            topic = topics[record.topic]
            if topic.compacted and record.key is None:
                raise RecordRefused(record.topic)
            partition = record.partition
            if partition is None:
                partition = partition_of(record.key, len(topic.partition_ids))
            if not 0 <= partition < len(topic.partition_ids):
                raise UnknownTopic(f"{record.topic}/{partition}")
            places.append((partition, topic.partition_ids[partition]))
        return places

    async def run(self) -> None:
        """Append what waits, until cancelled."""
        try:
            while True:
                await self._filled.wait()
                self._filled.clear()
                while self._waiting:
                    await self._append_together(self._take())
        finally:
            self._closed = True
            _fail(self._waiting, LogUnavailable("the publisher is closed"))

    def _take(self) -> list[_Call]:
        calls = [self._waiting.popleft()]
        records, bytes_ = len(calls[0].records), calls[0].bytes_
        while self._waiting:
            records += len(self._waiting[0].records)
            bytes_ += self._waiting[0].bytes_
            if records > _TRANSACTION_RECORDS or bytes_ > _TRANSACTION_BYTES:
                break
            calls.append(self._waiting.popleft())
        return calls

    async def _append_together(self, calls: list[_Call]) -> None:
        records = [record for call in calls for record in call.records]
        places = [place for call in calls for place in call.places]
        transactional_id, epoch = self._fence or (None, None)
        try:
            rows = await self._session.fetch(
                self._append,
                (
                    [partition_id for _, partition_id in places],
                    [record.key for record in records],
                    [record.value for record in records],
                    [encode_headers(record.headers) for record in records],
                    transactional_id,
                    epoch,
                ),
            )
        except RecordRefused as error:
            if len(calls) == 1:
                _fail(calls, error)
                return
            for call in calls:  # the others' records are not to blame
                await self._append_together([call])
            return
        except TakedownError as error:
            _fail(calls, error)
            return
        except BaseException:
            _fail(calls, LogUnavailable("cut off"))
            raise
        offsets = {row["out_partition"]: count(row["out_first"]) for row in rows}
        for call in calls:
            stood = tuple(
                TopicPartitionOffset(topic=record.topic, partition=partition, offset=next(offsets[partition_id]))
                for record, (partition, partition_id) in zip(call.records, call.places, strict=True)
            )
            if not call.done.done():
                call.done.set_result(stood)


def _fail(calls: Sequence[_Call] | deque[_Call], error: TakedownError) -> None:
    for call in calls:
        if not call.done.done():
            call.done.set_exception(error)


@asynccontextmanager
async def open_publisher(
    database: Database, catalogue: Catalogue, schema: str, transactional_id: str | None
) -> AsyncIterator[PostgresPublisher]:
    """A publisher with a connection of its own. A transactional id fences whoever published under it before."""
    session = MemberSession(database)
    try:
        fence = None
        if transactional_id is not None:
            (row,) = await session.fetch(
                f"INSERT INTO {schema}.publisher AS p (transactional_id, epoch) VALUES (%b, 1)"
                " ON CONFLICT (transactional_id) DO UPDATE SET epoch = p.epoch + 1 RETURNING epoch",
                (transactional_id,),
            )
            fence = (transactional_id, row["epoch"])
        publisher = PostgresPublisher(session, catalogue, schema, fence)
        task = asyncio.create_task(publisher.run())
        try:
            yield publisher
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    finally:
        await session.close()
