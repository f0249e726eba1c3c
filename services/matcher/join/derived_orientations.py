"""Derived orientations: what a PDQ value would roughly have been, had its picture been turned or mirrored first.

For sources that send a picture's hash alone. A match found so is marked (`derived:…`, and a guard): the true pixels, hashed by our own
check, have the last word. Costs up to seven further queries a value, so it is done for the sources the policy names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.matcher.register.view import ViewEntry
from services.matcher.sightings.sighting import HistoryEntry, StoredSighting
from shared.media.fingerprints import (
    PDQ_MIN_QUALITY,
    Algorithm,
    Fingerprint,
    Orientation,
    derive_orientations,
)

ALL_SOURCES = "*"


@dataclass(frozen=True, slots=True)
class DerivedOf:
    """Of which sources' sightings derived orientations are looked up."""

    sources: tuple[str, ...] = ()

    @property
    def queries_for_one(self) -> int:
        """How many values are looked up for one, at most."""
        return len(Orientation) if self.sources else 1

    def of_sighting(self, seen: StoredSighting) -> Iterator[tuple[Fingerprint, Fingerprint, Orientation]]:
        """(what is looked up, the fingerprint it is derived from, as what): for each orientation the sighting does not give."""
        if not self.wants(seen.source):
            return
        missing = missing_orientations(seen)
        for fingerprint in seen.fingerprints if missing else ():
            if _derivable(fingerprint):
                values = derive_orientations(fingerprint.value)
                for turned in missing:
                    yield replace(fingerprint, value=values[turned]), fingerprint, turned

    def of_entry(self, entry: ViewEntry) -> Iterator[tuple[Fingerprint, Orientation]]:
        """(what is looked up in a history, as what a hit counts): the entry turned the opposite way is as far from what was seen
        as the entry is from what was seen, turned. `counts` says whether a hit does."""
        if self.sources and _derivable(entry.fingerprint):
            values = derive_orientations(entry.fingerprint.value)
            for turned in Orientation:
                if turned is not Orientation.IDENTITY:
                    yield replace(entry.fingerprint, value=values[turned.opposite]), turned

    def counts(self, remembered: HistoryEntry, turned: Orientation) -> bool:
        """Whether this orientation would have been derived from what was seen."""
        wanted = self.wants(remembered.seen.source) and turned not in remembered.given
        return wanted and _derivable(remembered.fingerprint) and turned in missing_orientations(remembered.seen)

    def wants(self, source: str) -> bool:
        return source in self.sources or ALL_SOURCES in self.sources


def missing_orientations(seen: StoredSighting) -> tuple[Orientation, ...]:
    """The orientations of which a sighting has no PDQ value. True pixels were hashed for the others, and count alone."""
    given = {one.orientation for one in seen.fingerprints if one.algorithm is Algorithm.PDQ}
    return tuple(one for one in Orientation if one not in given)


def _derivable(fingerprint: Fingerprint) -> bool:
    """A PDQ value of the picture as it is, good enough to be acted on."""
    return (
        fingerprint.algorithm is Algorithm.PDQ
        and fingerprint.orientation is Orientation.IDENTITY
        and (fingerprint.quality is None or fingerprint.quality >= PDQ_MIN_QUALITY)
    )
