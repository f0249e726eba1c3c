"""Sealed segments of a history: frozen columns, sorted by URL, with an index of their values; mapped from files where there is a folder.

    <folder>/rows     the columns, one file (`index/array_file.py`: checksummed, mode 0600)
    <folder>/index/   the index of the values, numbered by row

A segment never changes but for `alive`, which is kept in memory and in the manifest of a snapshot (`state/files.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.matcher.history.memtable import SearchedValue
from services.matcher.index.array_file import BadIndexFile, StoredIndex, read_stored, write_stored
from services.matcher.index.fingerprint_index import FingerprintTable
from services.matcher.index.merging_parts import SearchCounts
from services.matcher.index.protocol import Hashes, Hits
from services.matcher.sightings import columns as columns_module
from services.matcher.sightings.columns import ALGORITHMS, KINDS, WIDTHS, Array, Columns, Mask, Rows
from services.matcher.sightings.sighting import HistoryEntry
from shared.media.fingerprints import Algorithm

_KIND = "history"
_STEPS = 8
"""Entries of one URL that are compared in step; one with more is compared by itself."""
_FILTER_BITS = 16
"""Bits in the filter for each entry: one lookup in so many that has nothing to find searches for it."""


class Segment:
    """`columns` are in the order of `url_low`. Each (URL, fingerprint) is in here once at most."""

    def __init__(
        self, columns: Columns, table: FingerprintTable, *, alive: Mask | None = None, folder: Path | None = None
    ) -> None:
        self.columns = columns
        self.table = table
        self.folder = folder
        self.alive: Mask = np.ones(len(columns), dtype=np.bool_) if alive is None else alive
        self.living = int(np.count_nonzero(self.alive))
        self.has_erased = False
        self._low = columns.url_low
        self._filter, self._shift = _filter_of(self._low)
        self.oldest = self._oldest()

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def memory_bytes(self) -> int:
        """Bytes of memory; what is mapped from files is not counted."""
        mapped = 0 if self.folder is not None else self.columns.nbytes + self.table.nbytes
        return mapped + self.alive.nbytes + self._filter.nbytes

    @property
    def disk_bytes(self) -> int:
        return 0 if self.folder is None else sum(one.stat().st_size for one in self.folder.rglob("*") if one.is_file())

    @property
    def counts(self) -> SearchCounts:
        """Of its index of PDQ values."""
        return self.table.measures()[Algorithm.PDQ].counts

    def unchanging(self) -> Columns:
        return self.columns

    def remembered(self, row: int, partition: int) -> HistoryEntry:
        return self.columns.remembered(row, partition)

    def offsets_of(self, rows: Rows) -> Array:
        """int64[n]: of their last sightings."""
        return self.columns.offset[self.columns.sighting[rows]]

    def _oldest(self) -> int:
        """When what is alive was last appended at the earliest, in µs since 1970; 0 where nothing is."""
        columns = self.columns
        return int(columns.appended_at[columns.sighting[self.alive]].min()) if self.living else 0

    # Finding

    def search(self, algorithm: Algorithm, values: Hashes) -> Hits:
        """(position in `values` int64[m], row int64[m], distance uint8[m]) of all that agree, alive or not."""
        return self.table.search_values(algorithm, values)

    def find(self, entries: SearchedValue) -> Rows:
        """The row here of each of those entries, -1 where there is none."""
        wanted, rows = entries.columns, entries.rows
        found = np.full(len(rows), -1, dtype=np.int64)
        low = wanted.url_low[rows]
        places = np.flatnonzero(self._may_have(low))
        if not len(places):
            return found
        at = np.searchsorted(self._low, low[places])
        for _ in range(_STEPS):
            here = at < len(self._low)
            here[here] = self._low[at[here]] == low[places[here]]
            places, at = places[here], at[here]
            if not len(places):
                return found
            same = self._same(at, wanted, rows[places])
            found[places[same]] = at[same]
            places, at = places[~same], at[~same] + 1
        for place, start in zip(places.tolist(), at.tolist(), strict=True):
            found[place] = self._find_among_many(wanted, int(rows[place]), start)
        return found

    def _may_have(self, low: Array) -> Mask:
        bit = (low >> self._shift).astype(np.int64)
        present: Mask = (self._filter[bit >> 3] >> (bit & 7).astype(np.uint8)) & 1 == 1
        return present

    def _same(self, here: Array | slice, wanted: Columns, there: Array) -> Mask:
        mine = self.columns
        same: Mask = mine.url_high[here] == wanted.url_high[there]
        same &= mine.algorithm[here] == wanted.algorithm[there]
        same &= (mine.value[here] == wanted.value[there]).all(axis=1)
        return same

    def _find_among_many(self, wanted: Columns, row: int, start: int) -> int:
        end = int(np.searchsorted(self._low, wanted.url_low[row], side="right"))
        same = np.flatnonzero(self._same(slice(start, end), wanted, np.array([row])))
        return start + int(same[0]) if len(same) else -1

    def rows_of(self, digest: bytes) -> Rows:
        """Every row of a URL, dead or alive."""
        low, high = np.frombuffer(digest, dtype=np.uint64)
        start, end = (int(np.searchsorted(self._low, low, side=side)) for side in ("left", "right"))
        return np.flatnonzero(self.columns.url_high[start:end] == high) + start

    # Changing

    def kill(self, rows: Rows) -> None:
        """Remove these rows."""
        self.living -= int(np.count_nonzero(self.alive[rows]))
        self.alive[rows] = False

    def forget_before(self, limit: int) -> None:
        """Remove what was last appended at `limit` (µs since 1970) or before."""
        if self.living and self.oldest <= limit:
            self.kill(np.flatnonzero(self.alive & (self.columns.appended_at <= limit)[self.columns.sighting]))
            self.oldest = self._oldest()


def _filter_of(low: Array) -> tuple[npt.NDArray[np.uint8], np.uint64]:
    """A bit for each prefix of a digest, set where an entry has it; and by how much a digest is shifted for its prefix."""
    bits = max(6, int(len(low) * _FILTER_BITS - 1).bit_length())
    shift = np.uint64(64 - bits)
    present = np.zeros(1 << bits, dtype=np.bool_)
    present[(low >> shift).astype(np.int64)] = True
    return np.packbits(present, bitorder="little"), shift


# Building and reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a segment was built from: entry `row[j]` of source `source[j]` is entry j of the segment."""

    segment: Segment
    source: npt.NDArray[np.int32]
    row: Rows


def build(sources: Sequence[tuple[Columns, Mask]], folder: Path | None) -> Built:
    """One segment of what is alive in the sources; written to `folder`, which is made, and mapped from there. Raises OSError."""
    kept = [np.flatnonzero(alive) for _, alive in sources]
    columns = columns_module.joined([one.only(rows) for (one, _), rows in zip(sources, kept, strict=True)])
    order = np.argsort(columns.url_low, kind="stable")
    columns = columns.in_order(order)
    source = np.concatenate([np.full(len(rows), place, dtype=np.int32) for place, rows in enumerate(kept)])[order]
    segment = _sealed(columns, folder)
    return Built(segment=segment, source=source, row=np.concatenate(kept)[order])


def _sealed(columns: Columns, folder: Path | None) -> Segment:
    table = FingerprintTable()
    for code, algorithm in enumerate(ALGORITHMS):
        rows = np.flatnonzero(columns.algorithm == code)
        if len(rows):
            table.add_values(algorithm, rows, np.ascontiguousarray(columns.value[rows, : algorithm.size_bytes]))
    if folder is None:
        return Segment(columns, table)
    folder.mkdir(mode=0o700)
    write_stored(folder / "rows", StoredIndex(kind=_KIND, words=(), arrays=columns.arrays()))
    (folder / "index").mkdir(mode=0o700)
    table.save(folder / "index")
    return read_segment(folder, None)


def read_segment(folder: Path, alive: Mask | None) -> Segment:
    """The segment in a folder, mapped. `alive` None: all of it. Raises BadIndexFile and OSError."""
    columns = read_columns(folder / "rows")
    if alive is not None and len(alive) != len(columns):
        raise BadIndexFile(f"{folder.name} does not belong to this manifest")
    return Segment(columns, FingerprintTable.load(folder / "index"), alive=alive, folder=folder)


def write_columns(path: Path, columns: Columns) -> None:
    """Write columns to a file. Raises OSError."""
    write_stored(path, StoredIndex(kind=_KIND, words=(), arrays=columns.arrays()))


def read_columns(path: Path) -> Columns:
    """The columns in a file. Raises BadIndexFile and OSError."""
    stored = read_stored(path)
    if stored.kind != _KIND:
        raise BadIndexFile(f"{path.name} holds a table of kind {stored.kind!r}")
    sightings, entries = (len(stored.take(name, *KINDS[name])) for name in ("offset", "sighting"))
    taken: dict[str, Array] = {}
    for name, (dtype, dimensions) in KINDS.items():
        count = entries if name in columns_module.OF_ENTRIES else sightings
        shape = (count,) if dimensions == 1 else (count, WIDTHS[name])
        taken[name] = stored.take(name, dtype, dimensions, None if name == "text" else shape)
    return Columns(**taken)
