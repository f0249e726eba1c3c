"""The sightings of one record, as columns.

Of the many sightings of a stream few agree with anything. So a record is read into columns, and a sighting becomes a value of
its own only when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import overload
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.matcher.sightings.sighting import StoredSighting
from shared.contracts.sightings import SeenFingerprintData, SightingData
from shared.ids import FIRST_KEY_VERSION
from shared.media.fingerprints import (
    Algorithm,
    BadFingerprint,
    Fingerprint,
    Orientation,
    none_degenerate,
    parse_fingerprint,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The usable fingerprints of one algorithm, in the order of the record.

    `values` uint8[n, size]; `rows` int64[n]: the sighting of each; `places` int64[n]: which of that sighting's `fingerprints` it is.
    """

    values: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)


class SeenBatch(Sequence[StoredSighting]):
    """The sightings of one record. As a sequence it gives each as a `Seen`, always the same one.

    `data` are the sightings as they were validated; `columns` the fingerprints that can be used, of each algorithm that has any.
    """

    __slots__ = ("_made", "appended_at", "columns", "data", "offset", "partition", "traceparent")

    def __init__(
        self,
        data: Sequence[SightingData],
        *,
        partition: int,
        offset: int,
        appended_at: datetime,
        traceparent: str | None = None,
    ) -> None:
        self.data = data
        self.partition = partition
        self.offset = offset
        self.appended_at = appended_at
        self.traceparent = traceparent
        self.columns = _columns_of(data)
        self._made: dict[int, StoredSighting] = {}

    def __len__(self) -> int:
        return len(self.data)

    @overload
    def __getitem__(self, row: int) -> StoredSighting: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[StoredSighting]: ...
    def __getitem__(self, row: int | slice) -> StoredSighting | Sequence[StoredSighting]:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self.data)))]
        made = self._made.get(row)
        if made is None:
            made = self._made[row] = self._make(self.data[row])
        return made

    def __iter__(self) -> Iterator[StoredSighting]:
        return map(self.__getitem__, range(len(self.data)))

    def fingerprint(self, row: int, place: int) -> Fingerprint:
        """That of a `Column`. Raises BadFingerprint for one that cannot be used."""
        return _parse(self.data[row]["fingerprints"][place])

    @property
    def fingerprints(self) -> int:
        """How many can be used."""
        return sum(map(len, self.columns.values()))

    def reported(self) -> list[StoredSighting]:
        """Those that answer a report."""
        return [self[row] for row, one in enumerate(self.data) if one.get("report_id") is not None]

    def _make(self, one: SightingData) -> StoredSighting:
        report_id = one.get("report_id")
        return StoredSighting(
            partition=self.partition,
            offset=self.offset,
            appended_at=self.appended_at,
            sighting_id=UUID(one["sighting_id"]),
            url_key=one["url_key"],
            key_version=one.get("key_version", FIRST_KEY_VERSION),
            media_url=one["media_url"],
            page_url=one.get("page_url"),
            source=one["source"],
            seen_at=one["seen_at"],
            report_id=None if report_id is None else UUID(report_id),
            fingerprints=_usable(one),
            reported_by=one.get("reported_by"),
            traceparent=self.traceparent,
        )


def _usable(one: SightingData) -> tuple[Fingerprint, ...]:
    found = []
    for seen in one["fingerprints"]:
        try:
            found.append(_parse(seen))
        except BadFingerprint:
            continue
    return tuple(found)


def _parse(seen: SeenFingerprintData) -> Fingerprint:
    orientation = seen.get("orientation", Orientation.IDENTITY)
    return parse_fingerprint(seen["algorithm"], seen["value"], seen.get("quality"), orientation=orientation)


_SIZES: Mapping[str, int] = {algorithm.value: 2 * algorithm.size_bytes for algorithm in Algorithm}
_ORIENTATIONS = frozenset(one.value for one in Orientation)


def _columns_of(data: Sequence[SightingData]) -> Mapping[Algorithm, Column]:
    """By the rules of `parse_fingerprint`, for all at once."""
    found: dict[str, tuple[list[str], list[int], list[int]]] = {}
    for row, one in enumerate(data):
        for place, seen in enumerate(one["fingerprints"]):
            algorithm, value, quality = seen["algorithm"], seen["value"], seen.get("quality")
            if len(value) != _SIZES[algorithm] or seen.get("orientation", "identity") not in _ORIENTATIONS:
                continue
            if quality is not None and (algorithm != "pdq" or not 0 <= quality <= 100):
                continue
            column = found.get(algorithm)
            if column is None:
                column = found[algorithm] = ([], [], [])
            column[0].append(value)
            column[1].append(row)
            column[2].append(place)
    columns = {algorithm: _column(algorithm, *found[algorithm]) for algorithm in Algorithm if algorithm in found}
    return {algorithm: column for algorithm, column in columns.items() if len(column)}


def _column(algorithm: Algorithm, digits: list[str], rows: list[int], places: list[int]) -> Column:
    values = np.frombuffer(bytes.fromhex("".join(digits)), dtype=np.uint8).reshape(-1, algorithm.size_bytes)
    of_row, of_place = np.array(rows, dtype=np.int64), np.array(places, dtype=np.int64)
    good = none_degenerate(algorithm, values)
    if good.all():
        return Column(values=values, rows=of_row, places=of_place)
    return Column(values=values[good], rows=of_row[good], places=of_place[good])
