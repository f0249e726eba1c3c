"""Reading a stretch of a partition beside what is being followed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from shared.log.port import EventLog, OffsetOutOfRange, Record, TopicPartition

_WAIT_SECONDS = 0.1
"""Holes at the end of a stretch bring no record; the position tells that it is read."""
_RECORDS = 200

Take = Callable[[Sequence[Record], int], Awaitable[None]]
"""Is given the next records and the position after them."""


async def read_stretch(log: EventLog, partition: TopicPartition, *, start: int, upto: int, take: Take) -> None:
    """Hand every kept record from `start` to below `upto` to `take`, in order. Ends when the position says so, never on a record.

    What retention cuts off meanwhile is left out. Raises LogUnavailable.
    """
    if start >= upto:
        return
    async with log.reader() as reader:
        await reader.assign({partition: start})
        while (position := reader.position(partition)) < upto:
            try:
                records = await reader.read(timeout_seconds=_WAIT_SECONDS, max_records=_RECORDS)
            except OffsetOutOfRange:
                kept = await log.beginning(partition)
                if kept <= position:
                    raise
                await reader.assign({partition: kept})
                continue
            wanted = [record for record in records if record.offset < upto]
            await take(wanted, min(reader.position(partition), upto))
