"""Cuts what was read into parts, so that nothing else waits long for its turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.matcher.register.register import Register
from services.matcher.sightings.batch import SeenBatch

ENTRIES_AT_ONCE = 1_000
"""Entries that come or go between two turns of the event loop: some 15 ms. A record of the largest size brings a few times as many."""
_RECORD = 2
"""A record's own cost, in entries."""


class Turn:
    """Counts what a register takes in at once. `records`: how many so far."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._before = register.turnover
        self.records = 0

    def over(self) -> bool:
        """Whether the next record has to wait for another turn; if not, it is counted."""
        if self._register.turnover - self._before + _RECORD * self.records >= ENTRIES_AT_ONCE:
            return True
        self.records += 1
        return False


def chunks_of(batches: Sequence[SeenBatch], fingerprints: int) -> Iterable[list[SeenBatch]]:
    """Parts of about so many fingerprints."""
    part: list[SeenBatch] = []
    size = 0
    for batch in batches:
        part.append(batch)
        size += batch.fingerprints
        if size >= fingerprints:
            yield part
            part, size = [], 0
    if part:
        yield part
