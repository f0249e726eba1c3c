"""How much is fetched and handled at once: no more than the join gets through in a moment, and than fits into the memory meant for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.log.port import Record

AIM_SECONDS = 0.15
"""How long the handling of one poll's records should take. Longer ones save little, and what comes next (a change of ownership, a stop)
waits."""
MOST_RECORDS = 64
"""About 10,000 sightings as intake cuts them."""
MOST_BYTES = 4 << 20
"""Of values that are decoded at once: so many records of the 64 KiB that intake cuts at. A record may have 1 MB, and as models
several times that."""
_FIRST_RECORDS = 8
_GROWTH = 2


class BatchSize:
    """`records`: how many to ask for next. Grows at most twofold a step; falls at once.

    Records that are larger than those before may be more than `MOST_BYTES` once, as sizes are known when they are there; `in_parts`
    is for what is done with them.
    """

    def __init__(self, *, most: int = MOST_RECORDS) -> None:
        self._most = most
        self.records = min(_FIRST_RECORDS, most)

    def took(self, records: Sequence[Record], seconds: float) -> None:
        """Learn from the last records, which took so long from being read to being committed."""
        count, size = len(records), sum(map(_size, records))
        affordable = self._most if seconds <= 0 else int(count * AIM_SECONDS / seconds)
        if size:
            affordable = min(affordable, count * MOST_BYTES // size)
        if count < self.records and affordable > self.records:
            return  # fewer came than were asked for: says nothing of more
        self.records = max(1, min(affordable, _GROWTH * self.records, self._most))


def in_parts(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """The records in order, in parts of `MOST_BYTES` at most, an empty one where there are none; one that is larger is a part by itself."""
    start = size = 0
    for place, record in enumerate(records):
        size += _size(record)
        if size > MOST_BYTES and place > start:
            yield records[start:place]
            start, size = place, _size(record)
    yield records[start:]


def _size(record: Record) -> int:
    return len(record.value or b"")
