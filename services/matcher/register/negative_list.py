"""The negative list: known harmless hashes (blank images, platform placeholders), as `takedown.content` has them.

An entry holds back what is nearer to it than to the content it agrees with, and never more: intake keeps entries and content
at least 32 bits apart, so a copy of content is nearer to its content, and is not hidden by an entry that happens to lie within
reach of both. Of a sighting the agreeing fingerprint alone counts: another one beside it is a crawler's word.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from services.matcher.index.fingerprint_index import FingerprintTable
from shared.contracts.content import NegativeEntry
from shared.contracts.event import MalformedEvent
from shared.media.fingerprints import BadFingerprint, Fingerprint, parse_fingerprint


class NegativeList:
    """Changed and asked between two awaits, so no lock is needed. A few hundred entries: a scan is enough."""

    def __init__(self) -> None:
        self._table = FingerprintTable()
        self._numbers: dict[UUID, int] = {}
        self._entries: dict[int, NegativeEntry] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> tuple[NegativeEntry, ...]:
        """What is on it, for a snapshot; `apply` each to have it again."""
        return tuple(self._entries.values())

    def apply(self, event: NegativeEntry) -> None:
        """Take in an entry; one that is there already stays. Raises MalformedEvent for a value that cannot be used."""
        if event.entry_id in self._numbers:
            return
        fingerprint = _parsed(event)
        number, self._next_number = self._next_number, self._next_number + 1
        self._numbers[event.entry_id] = number
        self._entries[number] = event
        self._table.add([(number, fingerprint)])

    def remove(self, entry_id: UUID) -> bool:
        """False when it was not on it."""
        number = self._numbers.pop(entry_id, None)
        if number is None:
            return False
        self._table.remove(number, _parsed(self._entries.pop(number)))
        return True

    def nearest(self, fingerprints: Collection[Fingerprint]) -> dict[Fingerprint, int]:
        """Of these fingerprints those that agree with an entry, and how many bits apart the nearest is (0 for exact hashes)."""
        wanted = list(dict.fromkeys(fingerprints))
        found: dict[Fingerprint, int] = {}
        for hit in self._table.search(wanted):
            asked = wanted[hit.row]
            found[asked] = min(hit.distance, found.get(asked, hit.distance))
        return found


def _parsed(event: NegativeEntry) -> Fingerprint:
    try:
        return parse_fingerprint(event.algorithm, event.value)
    except BadFingerprint as error:
        raise MalformedEvent(f"/value: {error.title}") from None
