"""Decode, handle, commit: how a service consumes as a member of a group.

- Each owned partition has a lane that handles its records one after the other; lanes go on beside one another. With `together` a
  lane handles so many next records at once, as long as no key comes twice: the order of each key is kept.
- A transient failure is tried again, for ever, with backoff and jitter: its lane waits, the others go on.
- A poison record, a permanent failure, or an unexpected one after `ATTEMPTS` tries is referenced once in the dead letters.
- A position is committed when everything below it has had its effect (or is referenced in the dead letters), several at once.
- Delivery is at least once: handlers mark events in their inbox.
- A replay is asked for on `takedown.dead-letters`; the failed group's own runner reads it there (group `<group>.replays`), finds the
  record by its offset and hands it over again, out of its partition's order.
"""

from __future__ import annotations

import asyncio
import random
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import structlog

from shared.clock import Clock, system_clock
from shared.contracts.dead_letters import ReplayRequested
from shared.contracts.event import Envelope, decode
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.topics import DEAD_LETTERS as DEAD_LETTERS_TOPIC
from shared.errors import Permanent, Transient
from shared.log.dead_letters import (
    CURRENT_ROW_TOPICS,
    dead_letter_record,
    find_record,
    letter_of,
    publish_outcome,
)
from shared.log.port import (
    HEARTBEAT_KEY,
    Commit,
    CommitRefused,
    EventLog,
    GroupReader,
    LogUnavailable,
    OffsetOutOfRange,
    Polled,
    Record,
    TopicPartition,
)
from shared.process.metrics import DEAD_LETTERS, LAG, RECORD_SECONDS, RECORDS_HANDLED

__all__ = ["Handler", "Runner", "backoff_seconds", "dead_letter_record"]

log = structlog.get_logger(__name__)

Handler = Callable[[Envelope, Record], Awaitable[None]]
"""Handles an event: its effect is durable when it returns. Raises Transient (tried again), Permanent or Poison (dead letter)."""

ATTEMPTS = 5
"""Tries of a record whose handler fails unexpectedly."""

COMMIT_SECONDS = 0.1
_POLL_SECONDS = 1.0
_LANE_RECORDS = 500
"""A lane with so many records waiting is paused."""
_CONCURRENT_RECORDS = 8
_LAG_SECONDS = 5.0


def backoff_seconds(attempt: int, fraction: float, *, first: float = 0.1, longest: float = 10.0) -> float:
    """Full jitter over a doubling limit; `fraction` in [0, 1) is the randomness, `attempt` counts from 1."""
    return fraction * min(longest, first * 2.0 ** min(attempt - 1, 30))


@dataclass(slots=True, kw_only=True)
class _Lane:
    """One owned partition: what waits, and the position below which everything is done."""

    partition: TopicPartition
    done: int
    committed: int
    waiting: deque[Record] = field(default_factory=deque)
    filled: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Runner:
    """`run` it as a task. `member_id` is the static membership id; `source` names the service in its dead letters."""

    def __init__(
        self,
        log_: EventLog,
        group: str,
        topics: Collection[str],
        handler: Handler,
        *,
        member_id: str,
        source: str,
        clock: Clock = system_clock,
        attempts: int = ATTEMPTS,
        retry_first_seconds: float = 0.1,
        answers_replays: bool = True,
        together: int = 1,
    ) -> None:
        self._together = together
        self._log = log_
        self._group = group
        self._topics = tuple(topics)
        self._handler = handler
        self._member_id = member_id
        self._source = source
        self._clock = clock
        self._attempts = attempts
        self._retry_first_seconds = retry_first_seconds
        self._lanes: dict[TopicPartition, _Lane] = {}
        self._places = asyncio.Semaphore(_CONCURRENT_RECORDS)
        self._dirty = asyncio.Event()
        self._replays: Runner | None = None
        if answers_replays:
            self._replays = Runner(
                log_,
                f"{group}.replays",
                (DEAD_LETTERS_TOPIC.name,),
                self._answer,
                member_id=f"{member_id}.replays",
                source=source,
                clock=clock,
                answers_replays=False,
            )

    async def run(self) -> None:
        """Consume, and answer replays, until cancelled. A log out of reach is waited for, and the group joined anew.

        Raises UnknownTopic, and MemberReplaced when another process runs under this member id.
        """
        if self._replays is None:
            return await self._run()
        answering = asyncio.create_task(self._replays.run())
        consuming = asyncio.create_task(self._run())
        try:
            done, _ = await asyncio.wait({answering, consuming}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await _end([answering, consuming])

    async def _run(self) -> None:
        attempt = 0
        while True:
            try:
                async with self._log.group_reader(
                    group=self._group, topics=self._topics, member_id=self._member_id
                ) as reader:
                    attempt = 0
                    await self._consume(reader)
            except Transient as error:
                attempt += 1
                log.warning("runner.interrupted", group=self._group, error=type(error).__name__)
                await asyncio.sleep(backoff_seconds(attempt, random.random(), first=0.5))  # noqa: S311 - jitter

    async def _consume(self, reader: GroupReader) -> None:
        beside = [
            asyncio.create_task(self._commit_for_ever(reader)),
            asyncio.create_task(self._measure_for_ever(reader)),
        ]
        try:
            while True:
                try:
                    polled = await reader.poll(timeout_seconds=_POLL_SECONDS)
                except OffsetOutOfRange as error:
                    await self._seek_kept(reader, error)
                    continue
                await self._take(reader, polled)
                for task in [*beside, *(lane.task for lane in self._lanes.values())]:
                    if task is not None and task.done():
                        task.result()  # raises: a lane ends only by cancellation or by an error of the log
        finally:
            await _end(beside)
            await _end([lane.task for lane in self._lanes.values() if lane.task is not None])
            await self._commit_last(reader)
            self._lanes.clear()

    async def _take(self, reader: GroupReader, polled: Polled) -> None:
        for partition in polled.revoked:
            lane = self._lanes.pop(partition, None)
            if lane is not None and lane.task is not None:
                await _end([lane.task])
        for partition in polled.assigned:
            try:
                position = reader.position(partition)
            except KeyError:  # lost meanwhile: the next poll tells
                continue
            lane = _Lane(partition=partition, done=position, committed=position)
            lane.task = asyncio.create_task(self._work(lane, reader))
            self._lanes[partition] = lane
        if polled.assigned:
            reader.resume(polled.assigned)
        for record in polled.records:
            owner = self._lanes.get(record.topic_partition)
            if owner is not None:
                owner.waiting.append(record)
                owner.filled.set()
        reader.pause([partition for partition, lane in self._lanes.items() if len(lane.waiting) >= _LANE_RECORDS])

    async def _seek_kept(self, reader: GroupReader, error: OffsetOutOfRange) -> None:
        """Read on from the first record that is kept, since the committed position is gone (retention, or a log made anew)."""
        if error.partition is None:
            raise error
        kept = await self._log.beginning(error.partition)
        log.error(
            "runner.position_lost",
            group=self._group,
            topic=error.partition.topic,
            partition=error.partition.partition,
            reads_on_from=kept,
        )
        await reader.seek(error.partition, kept)
        lane = self._lanes.get(error.partition)
        if lane is not None:
            lane.done = kept
            self._dirty.set()

    # A lane

    async def _work(self, lane: _Lane, reader: GroupReader) -> None:
        while True:
            while not lane.waiting:
                lane.filled.clear()
                reader.resume([lane.partition])
                await lane.filled.wait()
            records = self._next_records(lane)
            await self._handle_all(records)
            for _ in records:
                lane.waiting.popleft()
            lane.done = records[-1].offset + 1
            self._dirty.set()

    def _next_records(self, lane: _Lane) -> list[Record]:
        """The first that wait: `together` at most, and none behind a record without a key or of a key that is among them."""
        records = [lane.waiting[0]]
        keys = {records[0].key}
        for record in islice(lane.waiting, 1, self._together):
            if None in keys or record.key is None or record.key in keys:
                break
            records.append(record)
            keys.add(record.key)
        return records

    async def _handle_all(self, records: Sequence[Record]) -> None:
        if len(records) == 1:
            return await self._handle(records[0])
        handling = [asyncio.create_task(self._handle(record)) for record in records]
        try:
            await asyncio.gather(*handling)
        finally:
            await _end(handling)

    async def _handle(self, record: Record) -> None:
        """Handle one record to its end: done, or referenced in the dead letters."""
        labels = (self._group, record.topic)
        with RECORD_SECONDS.labels(*labels).time():
            error = await self._attempt(record)
        if error is not None:
            await self._dead_letter(record, error)
        RECORDS_HANDLED.labels(*labels, "handled" if error is None else "dead_letter").inc()

    async def _attempt(self, record: Record) -> BaseException | None:
        """Decode and hand over, again after transient failures; the error that ended it, or None."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._places:
                    await self._hand_over(record)
                return None
            except Transient as error:
                delay = error.after_seconds
                outcome: BaseException = error
            except Permanent as error:
                return error
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except (
                BaseException
            ) as error:  # what fails is the record's outcome; some libraries raise what is no Exception
                if _is_being_cancelled():
                    raise
                self._log_failure(record, error, attempt)
                if attempt >= self._attempts:
                    return error
                delay, outcome = None, error
            RECORDS_HANDLED.labels(self._group, record.topic, "retried").inc()
            if delay is None:
                delay = backoff_seconds(attempt, random.random(), first=self._retry_first_seconds)  # noqa: S311 - jitter
            log.info("record.tried_again", **self._where(record), error=type(outcome).__name__, attempt=attempt)
            await asyncio.sleep(delay)

    async def _hand_over(self, record: Record) -> None:
        if record.value is None and record.key == HEARTBEAT_KEY:
            return
        envelope = decode(MODELS_BY_TOPIC[record.topic], value=record.value, headers=record.headers)
        with structlog.contextvars.bound_contextvars(group=self._group, traceparent=envelope.traceparent):
            await self._handler(envelope, record)

    def _log_failure(self, record: Record, error: BaseException, attempt: int) -> None:
        """Log where handling a record failed; not the error's text, which may quote a URL or a hash."""
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        log.error("record.failed", **self._where(record), error=type(error).__name__, at=at, attempt=attempt)

    def _where(self, record: Record) -> dict[str, object]:
        return {"group": self._group, "topic": record.topic, "partition": record.partition, "offset": record.offset}

    async def _dead_letter(self, record: Record, error: BaseException) -> None:
        attempt = 0
        while True:
            try:
                log_id = await self._log.log_id(record.topic)
                letter = letter_of(record, error, group=self._group, log_id=log_id, at=self._clock())
                async with self._log.publisher() as publisher:  # rare: none is kept open for it
                    await publisher.publish([dead_letter_record(letter, self._source)])
                break
            except Transient:
                attempt += 1
                await asyncio.sleep(backoff_seconds(attempt, random.random()))  # noqa: S311 - jitter
        DEAD_LETTERS.labels(self._group, record.topic).inc()
        log.error(
            "record.dead_lettered", **self._where(record), error=letter.error, dead_letter_id=str(letter.dead_letter_id)
        )

    async def _answer(self, envelope: Envelope, _: Record) -> None:
        """Handle a record again because a person asked this group to. For a compacted topic its owner answers (see replays.py)."""
        request = envelope.event
        if not isinstance(request, ReplayRequested) or request.group != self._group:
            return
        if request.topic not in self._topics or request.topic in CURRENT_ROW_TOPICS:
            return
        record = await find_record(self._log, request)
        error = None if record is None else await self._attempt(record)
        outcome = "record_gone" if record is None else "handled" if error is None else "failed"
        await publish_outcome(self._log, request, outcome, error, source=self._source, at=self._clock())

    # Commits

    async def _commit_for_ever(self, reader: GroupReader) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(COMMIT_SECONDS)
            self._dirty.clear()
            try:
                await self._commit(reader)
            except CommitRefused:
                log.warning("runner.commit_refused", group=self._group)  # the next poll tells what is lost
            except LogUnavailable:
                self._dirty.set()

    async def _commit(self, reader: GroupReader) -> None:
        moved = {lane.partition: lane.done for lane in self._lanes.values() if lane.done != lane.committed}
        await reader.commit({partition: Commit(offset=offset) for partition, offset in moved.items()})
        for partition, offset in moved.items():
            if partition in self._lanes:
                self._lanes[partition].committed = offset

    async def _commit_last(self, reader: GroupReader) -> None:
        try:
            async with asyncio.timeout(2):
                await self._commit(reader)
        except (CommitRefused, LogUnavailable, TimeoutError) as error:
            log.info("runner.last_commit_missed", group=self._group, error=type(error).__name__)

    async def _measure_for_ever(self, reader: GroupReader) -> None:
        while True:
            for partition, lane in list(self._lanes.items()):
                try:
                    end = await self._log.end(partition)
                except LogUnavailable:
                    break
                lag = LAG.labels(self._group, partition.topic, str(partition.partition))
                with suppress(KeyError):  # lost meanwhile: the next poll tells
                    at_end = not lane.waiting and reader.position(partition) >= end
                    lag.set(0 if at_end else max(0, end - lane.done))
            await asyncio.sleep(_LAG_SECONDS)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
