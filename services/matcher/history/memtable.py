"""The live head of a history: what was seen last, still growing. Sealed, it is frozen into a segment (`segments.py`)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.matcher.index.growable_array import Growing
from services.matcher.index.linear_scan import scan
from services.matcher.index.protocol import Hashes, Hits
from services.matcher.sightings.columns import (
    ALGORITHM_CODES,
    ALGORITHMS,
    KINDS,
    OF_ENTRIES,
    OF_SIGHTINGS,
    VALUE_BYTES,
    WIDTHS,
    Array,
    Columns,
    Mask,
    Rows,
)
from services.matcher.sightings.incoming import Arrivals
from services.matcher.sightings.sighting import HistoryEntry
from shared.media.fingerprints import Algorithm

_NO_TEXT = np.empty(0, dtype=np.uint8)
_TAGS = [bytes([code]) for code in range(len(ALGORITHMS))]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchedValue:
    """Entries to be found elsewhere: `rows` of `columns`, and what a head knows each by."""

    columns: Columns
    rows: Rows
    keys: Sequence[bytes]


class Memtable:
    """Entries by row, one for each (URL, fingerprint): a repeat changes its row in place. `alive` bool, by row."""

    def __init__(self) -> None:
        self._columns = {name: Growing(dtype, WIDTHS.get(name)) for name, (dtype, _) in KINDS.items() if name != "text"}
        self._alive = Growing(np.bool_, None)
        self._texts: list[bytes] = []
        self._text_ends: list[int] = []
        self._text_bytes = 0
        self._rows: dict[bytes, int] = {}
        self._exact: dict[bytes, list[int]] = {}
        """Rows of each value that is no PDQ value; its algorithm's code stands before it."""
        self.living = 0
        self.has_erased = False

    def __len__(self) -> int:
        return self._alive.count

    @property
    def sightings(self) -> int:
        """How many sightings there are, those that were replaced among them."""
        return self._columns["offset"].count

    @property
    def alive(self) -> Mask:
        return self._alive.view()

    @property
    def memory_bytes(self) -> int:
        arrays = sum(one.array.nbytes for one in self._columns.values())
        return arrays + self._alive.array.nbytes + self._text_bytes + 250 * len(self._rows)

    def unchanging(self) -> Columns:
        """The head as it is now, whatever comes later."""
        columns = self._views()
        for name in ("sighting", "quality", "orientation"):
            columns[name] = columns[name].copy()
        return Columns(**columns, text=np.frombuffer(b"".join(self._texts), dtype=np.uint8))

    def _views(self) -> dict[str, Array]:
        return {name: one.view() for name, one in self._columns.items()}

    def remembered(self, row: int, partition: int) -> HistoryEntry:
        columns = self.entries()
        start, end = columns.text_range(int(columns.sighting[row]))
        chunk = bisect_left(self._text_ends, end)
        before = self._text_ends[chunk] - len(self._texts[chunk])
        return columns.remembered(row, partition, self._texts[chunk][start - before : end - before])

    def offsets_of(self, rows: Rows) -> Array:
        """int64[n]: of their last sightings."""
        found: Array = self._columns["offset"].array[self._columns["sighting"].array[rows]]
        return found

    def entries(self) -> Columns:
        """The entries as they are now, without the sightings' texts."""
        return Columns(**self._views(), text=_NO_TEXT)

    @classmethod
    def of(cls, columns: Columns) -> Memtable:
        """A head of these entries, all alive."""
        head = cls()
        for name in OF_SIGHTINGS + OF_ENTRIES:
            head._columns[name].extend(getattr(columns, name))
        head._alive.extend(np.ones(len(columns), dtype=np.bool_))
        head._texts, head._text_bytes, head._text_ends = (
            [columns.text.tobytes()],
            len(columns.text),
            [len(columns.text)],
        )
        head.living = len(columns)
        head._rows = head._keys()
        head._note_exact(0)
        return head

    # What is admitted

    def admit(self, arrived: Arrivals, highest: int) -> SearchedValue:
        """Take in sightings; the entries that are new here. `highest`: the highest offset admitted so far.

        A repeat of what is here replaces the sighting of its row, unless that one stands later. Within one sighting the first of
        two equal values stays (the identity, not its mirror).
        """
        rows, first, before = self._rows, len(self), self.sightings
        fresh: list[int] = []
        keys: list[bytes] = []
        replaced: dict[int, int] = {}  # row -> which of what arrived
        digests, offsets, values = arrived.digest, arrived.offset, arrived.value
        for at, (place, code) in enumerate(zip(arrived.sighting, arrived.algorithm, strict=True)):
            key = digests[place] + _TAGS[code] + values[at]
            row = rows.get(key)
            if row is None:
                rows[key] = first + len(fresh)
                fresh.append(at)
                keys.append(key)
            elif row >= first or row in replaced:
                there = arrived.sighting[fresh[row - first] if row >= first else replaced[row]]
                if place != there and offsets[place] >= offsets[there]:
                    if row >= first:
                        fresh[row - first] = at
                    else:
                        replaced[row] = at
            elif offsets[place] >= highest or offsets[place] >= self._offset_of(row):
                replaced[row] = at
        self._append(arrived, fresh, before)
        self._replace(arrived, replaced, before)
        self._note_exact(first)
        return SearchedValue(columns=self.entries(), rows=np.arange(first, len(self)), keys=keys)

    def _offset_of(self, row: int) -> int:
        return int(self._columns["offset"].array[self._columns["sighting"].array[row]])

    def _append(self, arrived: Arrivals, fresh: list[int], before: int) -> None:
        if not arrived.offset:
            return
        columns = self._columns
        for name in ("offset", "appended_at", "seen_at", "given"):
            columns[name].extend(getattr(arrived, name))
        columns["sighting_id"].extend(np.frombuffer(b"".join(arrived.sighting_id), dtype=np.uint8).reshape(-1, 16))
        columns["text_end"].extend(np.cumsum(list(map(len, arrived.text)), dtype=np.int64) + self._text_bytes)
        self._texts.append(b"".join(arrived.text))
        self._text_bytes += len(self._texts[-1])
        self._text_ends.append(self._text_bytes)
        sightings = [arrived.sighting[at] for at in fresh]
        columns["sighting"].extend(np.array(sightings, dtype=np.int32) + np.int32(before))
        digests = np.frombuffer(b"".join([arrived.digest[one] for one in sightings]), dtype=np.uint64).reshape(-1, 2)
        columns["url_low"].extend(digests[:, 0])
        columns["url_high"].extend(digests[:, 1])
        for name in ("algorithm", "quality", "orientation"):
            given = getattr(arrived, name)
            columns[name].extend([given[at] for at in fresh])
        values = b"".join([arrived.value[at].ljust(VALUE_BYTES, b"\0") for at in fresh])
        columns["value"].extend(np.frombuffer(values, dtype=np.uint8).reshape(-1, VALUE_BYTES))
        self._alive.extend(np.ones(len(fresh), dtype=np.bool_))
        self.living += len(fresh)

    def _replace(self, arrived: Arrivals, replaced: dict[int, int], before: int) -> None:
        for row, at in replaced.items():
            self._columns["sighting"].array[row] = before + arrived.sighting[at]
            self._columns["quality"].array[row] = arrived.quality[at]
            self._columns["orientation"].array[row] = arrived.orientation[at]

    def _note_exact(self, first: int) -> None:
        codes = self._columns["algorithm"].view()[first:]
        for row in (np.flatnonzero(codes != ALGORITHM_CODES[Algorithm.PDQ]) + first).tolist():
            self._exact.setdefault(self._value(row), []).append(row)

    # What is there

    def _value(self, row: int) -> bytes:
        code = int(self._columns["algorithm"].array[row])
        raw: bytes = self._columns["value"].array[row, : ALGORITHMS[code].size_bytes].tobytes()
        return bytes([code]) + raw

    def _key(self, row: int) -> bytes:
        low, high = (self._columns[name].array[row].tobytes() for name in ("url_low", "url_high"))
        return b"".join((low, high, self._value(row)))

    def _keys(self) -> dict[bytes, int]:
        """As `_key` says of each, all at once: its row."""
        columns = self.entries()
        codes = columns.algorithm
        found: dict[bytes, int] = {}
        for code, algorithm in enumerate(ALGORITHMS):
            rows = np.flatnonzero(codes == code)
            digests = np.stack([columns.url_low[rows], columns.url_high[rows]], axis=1).view(np.uint8)
            pieces = [digests, codes[rows, None], columns.value[rows, : algorithm.size_bytes]]
            size, raw = 17 + algorithm.size_bytes, np.concatenate(pieces, axis=1).tobytes()
            found.update(zip((raw[at : at + size] for at in range(0, len(raw), size)), rows.tolist(), strict=True))
        return found

    def search(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """(position in `values` int64[m], row int64[m], distance uint8[m]) of all that agree, alive or not."""
        if algorithm.exact:
            code = bytes([ALGORITHM_CODES[algorithm]])
            pairs = [
                (at, row) for at, value in enumerate(values) for row in self._exact.get(code + value.tobytes(), ())
            ]
            found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
            return found[:, 0], found[:, 1], np.zeros(len(found), dtype=np.uint8)
        return scan(
            values, self._columns["value"].view(), self._columns["algorithm"].view() != ALGORITHM_CODES[algorithm]
        )

    def find(self, wanted: SearchedValue) -> Rows:
        """The row here of each of those entries, -1 where there is none."""
        get = self._rows.get
        return np.fromiter((get(key, -1) for key in wanted.keys), dtype=np.int64, count=len(wanted.keys))

    def rows_of(self, digest: bytes) -> Rows:
        """Every row of a URL, dead or alive."""
        low, high = np.frombuffer(digest, dtype=np.uint64)
        return np.flatnonzero((self._columns["url_low"].view() == low) & (self._columns["url_high"].view() == high))

    def kill(self, rows: Rows) -> None:
        """Remove these rows."""
        alive = self._alive.array
        for row in rows.tolist():
            if alive[row]:
                alive[row] = False
                self.living -= 1
                del self._rows[self._key(row)]

    def forget_before(self, limit: int) -> None:
        """Remove what was last appended at `limit` (µs since 1970) or before."""
        appended_at = self._columns["appended_at"].view()[self._columns["sighting"].view()]
        self.kill(np.flatnonzero(self.alive & (appended_at <= limit)))
