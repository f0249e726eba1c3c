"""How much is fetched at once: no more than the join gets through in a moment."""

from __future__ import annotations

AIM_SECONDS = 0.15
"""Of handling what one poll brought. Longer ones save little; what comes next (a change of ownership, a stop) waits for it."""
MOST_RECORDS = 64
"""About 10,000 sightings, or at the most 64 MB."""
_FIRST_RECORDS = 8
_GROWTH = 2


class Pace:
    """`records`: how many to ask for next. Grows at most twofold a step; falls at once."""

    def __init__(self) -> None:
        self.records = _FIRST_RECORDS

    def took(self, records: int, seconds: float) -> None:
        """What the last ones took, from being read to being committed."""
        affordable = MOST_RECORDS if seconds <= 0 else int(records * AIM_SECONDS / seconds)
        if records < self.records and affordable > self.records:
            return  # fewer came than were asked for: says nothing of more
        self.records = max(1, min(affordable, _GROWTH * self.records, MOST_RECORDS))
