"""The history of one sightings partition: what was seen where, kept to be met by content confirmed later.

One entry for each (URL, fingerprint), with its last sighting. That bounds what is *stored*; it says nothing of what is matched:
every sighting read is matched, also when its entry was there already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from services.matcher.fingerprint_table import FingerprintTable, Hit
from services.matcher.seen import Remembered, Seen, Url, url_digest
from shared.fingerprints import Algorithm, Fingerprint

_Key = tuple[Url, Algorithm, bytes]


class History:
    """`position`: everything of the partition below it is in here (what has expired or was erased left out)."""

    def __init__(self, *, log_id: str, position: int, kept: timedelta) -> None:
        self.log_id = log_id
        self.position = position
        self._kept = kept
        self._table = FingerprintTable()
        self._numbers: dict[_Key, int] = {}
        self._entries: dict[int, Remembered] = {}  # in order of the last sighting
        self._of_url: dict[Url, set[int]] = {}
        self._erased: dict[bytes, int] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._entries)

    # What the log says

    def admit(self, sightings: Sequence[Seen]) -> None:
        """Remember sightings, in order. A repeat refreshes its entry: last seen *and* which sighting."""
        fresh: list[tuple[int, Fingerprint]] = []
        for seen in sightings:
            if self.erased_after(seen):
                continue
            for fingerprint in seen.fingerprints:
                key = (seen.url, fingerprint.algorithm, fingerprint.value)
                number = self._numbers.get(key)
                if number is not None:
                    self._refresh(number, seen, fingerprint)
                    continue
                number, self._next_number = self._next_number, self._next_number + 1
                self._numbers[key] = number
                self._entries[number] = Remembered(fingerprint=fingerprint, seen=seen)
                self._of_url.setdefault(seen.url, set()).add(number)
                fresh.append((number, fingerprint))
        self._table.add(fresh)

    def _refresh(self, number: int, seen: Seen, fingerprint: Fingerprint) -> None:
        entry = self._entries[number]
        # Read again from below a kept history: what is older than the entry says nothing new. Within one sighting the first
        # of two equal values stays (the identity, not its mirror).
        if seen.offset < entry.seen.offset or seen is entry.seen:
            return
        del self._entries[number]
        self._entries[number] = Remembered(fingerprint=fingerprint, seen=seen)

    def erase(self, url: Url, offset: int) -> None:
        """Forget every sighting of `url` that stands below `offset`; one below it that is read later does not count either."""
        mark = url_digest(*url)
        self._erased[mark] = max(offset, self._erased.get(mark, offset))
        self._forget([number for number in self._of_url.get(url, ()) if self._entries[number].seen.offset < offset])

    def expire(self, now: datetime) -> None:
        """Forget what was last seen longer ago than it is kept, by the log's append time."""
        gone = []
        for number, entry in self._entries.items():
            if entry.seen.appended_at > now - self._kept:
                break
            gone.append(number)
        self._forget(gone)

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            entry = self._entries.pop(number)
            url = entry.seen.url
            del self._numbers[(url, entry.fingerprint.algorithm, entry.fingerprint.value)]
            self._table.remove(number, entry.fingerprint)
            left = self._of_url[url]
            left.discard(number)
            if not left:
                del self._of_url[url]

    def drop_marks(self, below: int) -> None:
        """Forget erasures below a committed position: nothing before them is read again."""
        self._erased = {mark: offset for mark, offset in self._erased.items() if offset >= below}

    # What is asked of it

    def search(self, wanted: Sequence[Fingerprint]) -> list[Hit]:
        return self._table.search(wanted)

    def entry(self, number: int) -> Remembered:
        """Raises KeyError."""
        return self._entries[number]

    def erased_after(self, seen: Seen) -> bool:
        """Its URL was erased after it was seen."""
        return self._erased.get(url_digest(*seen.url), -1) > seen.offset
