"""What is asked of the log beside following it: which logs these are, and a stretch of a partition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from services.matcher.consumer.batch_size import BatchSize
from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.partitions import StartOver
from shared.contracts.topics import CONTENT, SIGHTINGS
from shared.log.port import EventLog, OffsetOutOfRange, Record, TopicPartition

_WAIT_SECONDS = 0.1
"""Holes at the end of a stretch bring no record; the position tells that it is read."""
_MOST_RECORDS = 200
"""At once; fewer where they are large (`batch_size.py`)."""

Take = Callable[[Sequence[Record], int], Awaitable[None]]
"""Takes the next records and the position after them."""


async def current_logs(log: EventLog) -> LogIdentities:
    """The logs' identities as they are now. Raises UnknownTopic, LogUnavailable."""
    return LogIdentities(content=await log.log_id(CONTENT.name), sightings=await log.log_id(SIGHTINGS.name))


async def read_stretch(log: EventLog, partition: TopicPartition, *, start: int, upto: int, take: Take) -> None:
    """Hand every kept record from `start` to below `upto` to `take`, in order. Ends when the position says so, never on a record.

    What retention cuts off meanwhile is left out. Raises LogUnavailable, StartOver.
    """
    if start >= upto:
        return
    pace = BatchSize(most=_MOST_RECORDS)
    async with log.reader() as reader:
        await reader.assign({partition: start})
        while (position := reader.position(partition)) < upto:
            try:
                records = await reader.read(timeout_seconds=_WAIT_SECONDS, max_records=pace.records)
            except OffsetOutOfRange as error:
                kept = await log.beginning(partition)
                if kept <= position:
                    raise StartOver("the position is past the end: the log was made anew") from error
                await reader.assign({partition: kept})
                continue
            pace.took(records, seconds=0.0)
            wanted = [record for record in records if record.offset < upto]
            await take(wanted, min(reader.position(partition), upto))
