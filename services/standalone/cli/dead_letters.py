"""Dead letters as an operator sees them: read from the topic itself, replayed by asking the group that failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from shared.clock import system_clock
from shared.contracts.dead_letters import MODELS, DeadLetter, Replayed, ReplayRequested
from shared.contracts.event import Event, data_of, decode, headers_of
from shared.contracts.topics import DEAD_LETTERS
from shared.errors import Permanent
from shared.log.port import EventLog, OutgoingRecord, Reader, TopicPartition

SOURCE = "standalone"
UNANSWERED = "unanswered"


class NoSuchDeadLetter(Permanent):
    """There is no dead letter with this id. `takedown dead-letters list` shows them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDeadLetter:
    """A dead letter and what became of its last replay: `handled`, `failed`, `record_gone`, `asked`, or empty."""

    letter: DeadLetter
    outcome: str = ""

    def as_json(self) -> dict[str, Any]:
        return {**self.letter.model_dump(mode="json"), "replay": self.outcome or None}


async def read(log: EventLog) -> list[ListedDeadLetter]:
    """All dead letters still kept, oldest first. Raises UnknownTopic, LogUnavailable."""
    entries: dict[UUID, ListedDeadLetter] = {}
    async with log.reader() as reader:
        partitions = await _partitions(log)
        ends = {partition: await log.end(partition) for partition in partitions}
        await reader.assign({partition: await log.beginning(partition) for partition in partitions})
        while any(reader.position(partition) < end for partition, end in ends.items()):
            async for event in _events(reader, timeout_seconds=0.5):
                _apply(entries, event)
    return sorted(entries.values(), key=lambda entry: entry.letter.at)


async def find(log: EventLog, dead_letter_id: UUID) -> ListedDeadLetter:
    """The dead letter of this id. Raises NoSuchDeadLetter."""
    for entry in await read(log):
        if entry.letter.dead_letter_id == dead_letter_id:
            return entry
    raise NoSuchDeadLetter()


async def ask_for_replay(log: EventLog, dead_letter_id: UUID, *, requested_by: str, wait_seconds: float) -> str:
    """Ask for a replay and wait: `handled`, `failed: …`, `record_gone`, or `unanswered`.

    Raises NoSuchDeadLetter.
    """
    letter = (await find(log, dead_letter_id)).letter
    asked = ReplayRequested(
        dead_letter_id=letter.dead_letter_id,
        group=letter.group,
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        key=letter.key,
        requested_by=requested_by,
        at=system_clock(),
    )
    record = OutgoingRecord(
        topic=DEAD_LETTERS.name,
        key=letter.topic.encode(),
        value=data_of(asked),
        headers=headers_of(ReplayRequested, event_id=uuid4(), source=SOURCE, time=asked.at),
    )
    async with log.reader() as reader:
        await reader.assign({partition: await log.end(partition) for partition in await _partitions(log)})
        async with log.publisher() as publisher:
            await publisher.publish([record])
        try:
            async with asyncio.timeout(wait_seconds):
                return await _answer(reader, dead_letter_id)
        except TimeoutError:
            return UNANSWERED


def said(outcome: str) -> str:
    """The sentence for an outcome of `replay` that is not `handled`."""
    if outcome == UNANSWERED:
        return "No service answered in time. Check that it is running, and try again."
    if outcome == "record_gone":
        return "The log no longer keeps it, so it cannot be replayed."
    return f"It failed again ({outcome.partition(': ')[2] or outcome}). Mend the cause first; the log of the service names it."


async def _answer(reader: Reader, dead_letter_id: UUID) -> str:
    while True:
        async for event in _events(reader, timeout_seconds=1.0):
            if isinstance(event, Replayed) and event.dead_letter_id == dead_letter_id:
                return event.outcome if event.error is None else f"{event.outcome}: {event.error}"


async def _partitions(log: EventLog) -> list[TopicPartition]:
    count = await log.partitions_of(DEAD_LETTERS.name)
    return [TopicPartition(topic=DEAD_LETTERS.name, partition=number) for number in range(count)]


async def _events(reader: Reader, *, timeout_seconds: float) -> AsyncIterator[Event]:
    for record in await reader.read(timeout_seconds=timeout_seconds):
        event = decode(MODELS, value=record.value, headers=record.headers).event
        if event is not None:
            yield event


def _apply(entries: dict[UUID, ListedDeadLetter], event: Event) -> None:
    if isinstance(event, DeadLetter):
        entries[event.dead_letter_id] = ListedDeadLetter(
            letter=event
        )  # failed again after a replay: a new letter of the same id
        return
    if isinstance(event, ReplayRequested | Replayed) and event.dead_letter_id in entries:
        outcome = event.outcome if isinstance(event, Replayed) else "asked"
        entries[event.dead_letter_id] = ListedDeadLetter(letter=entries[event.dead_letter_id].letter, outcome=outcome)
