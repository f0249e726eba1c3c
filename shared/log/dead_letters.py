"""References to records nobody could handle, and the records they refer to."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID, uuid4

from shared.contracts.dead_letters import DeadLetter, Replayed, ReplayRequested
from shared.contracts.event import NAME_CHARACTERS, TEXT_CHARACTERS, data_of, headers_of
from shared.contracts.topics import DEAD_LETTERS, TOPICS
from shared.errors import Poison, TakedownError
from shared.ids import deterministic_id
from shared.log.port import (
    EventLog,
    OffsetOutOfRange,
    OutgoingRecord,
    Record,
    TopicPartition,
    UnknownTopic,
)

CURRENT_ROW_TOPICS = frozenset(topic.name for topic in TOPICS if topic.compacted)
"""A replay of these publishes the owner's current row: the record itself may be compacted away, or older than what followed it."""


def dead_letter_id(group: str, log_id: str, topic: str, partition: int, offset: int) -> UUID:
    """The id of a dead letter: the same failure gets the same id."""
    return deterministic_id(("dead-letter", group, log_id, topic, str(partition), str(offset)))


def letter_of(record: Record, error: BaseException, *, group: str, log_id: str, at: datetime) -> DeadLetter:
    """The dead letter of a record. It contains no value of the record, and no text of an error, which may quote one."""
    reason = error.title if isinstance(error, TakedownError) else ""
    if isinstance(error, Poison):
        reason = str(error)  # names fields, never values
    return DeadLetter(
        dead_letter_id=dead_letter_id(group, log_id, record.topic, record.partition, record.offset),
        group=group,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        log=log_id,
        digest=hashlib.sha256(record.value or b"").hexdigest(),
        key=row_key(record),
        error=type(error).__name__[:NAME_CHARACTERS],
        reason=reason.replace("\0", "")[:TEXT_CHARACTERS],
        at=at,
    )


def row_key(record: Record) -> str | None:
    """The id of the row a record of a compacted topic is about."""
    if record.topic not in CURRENT_ROW_TOPICS or record.key is None:
        return None
    try:
        return str(UUID(record.key.decode()))
    except ValueError:
        return None


def dead_letter_record(letter: DeadLetter, source: str) -> OutgoingRecord:
    """The record of a dead letter; the same letter gives the same `ce_id`."""
    return OutgoingRecord(
        topic=DEAD_LETTERS.name,
        key=letter.topic.encode(),
        value=data_of(letter),
        headers=headers_of(DeadLetter, event_id=letter.dead_letter_id, source=source, time=letter.at),
    )


async def find_record(log: EventLog, request: ReplayRequested) -> Record | None:
    """The record a replay is asked for; None when it is gone (retention, compaction, a topic made anew). Raises LogUnavailable."""
    where = TopicPartition(topic=request.topic, partition=request.partition)
    try:
        log_id = await log.log_id(request.topic)
        if (
            dead_letter_id(request.group, log_id, request.topic, request.partition, request.offset)
            != request.dead_letter_id
        ):
            return None
        if request.offset >= await log.end(where):
            return None
        async with log.reader() as reader:
            await reader.assign({where: request.offset})
            while reader.position(where) <= request.offset:
                for record in await reader.read(timeout_seconds=1.0, max_records=1):
                    return record if record.offset == request.offset else None
    except (OffsetOutOfRange, UnknownTopic):
        return None
    return None


async def publish_outcome(
    log: EventLog, request: ReplayRequested, outcome: str, error: BaseException | None, *, source: str, at: datetime
) -> None:
    """Publish what became of a replay: `handled`, `record_gone` or `failed`. Raises LogUnavailable."""
    replayed = Replayed(
        dead_letter_id=request.dead_letter_id,
        group=request.group,
        outcome=outcome,
        error=None if error is None else type(error).__name__,
        at=at,
    )
    record = OutgoingRecord(
        topic=DEAD_LETTERS.name,
        key=request.topic.encode(),
        value=data_of(replayed),
        headers=headers_of(Replayed, event_id=uuid4(), source=source, time=at),
    )
    async with log.publisher() as publisher:
        await publisher.publish([record])
