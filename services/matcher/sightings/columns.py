"""Sightings, and the fingerprints they were seen with, as columns: what is remembered costs no Python object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from services.matcher.sightings.sighting import HistoryEntry, StoredSighting
from shared.ids import FIRST_KEY_VERSION
from shared.media.fingerprints import Algorithm, Fingerprint, Orientation

ALGORITHMS = (Algorithm.PDQ, Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256)
ORIENTATIONS = (
    Orientation.IDENTITY,
    Orientation.ROTATE90,
    Orientation.ROTATE180,
    Orientation.ROTATE270,
    Orientation.MIRROR,
    Orientation.FLIP,
    Orientation.TRANSPOSE,
    Orientation.TRANSVERSE,
)
"""Stored as their places here: new words go to the end."""
ALGORITHM_CODES: Mapping[Algorithm, int] = {one: code for code, one in enumerate(ALGORITHMS)}
ORIENTATION_CODES: Mapping[Orientation, int] = {one: code for code, one in enumerate(ORIENTATIONS)}
VALUE_BYTES = max(one.size_bytes for one in ALGORITHMS)
UNKNOWN_QUALITY = -1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIELDS = 8
_AS_JSON = "\x01"

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Of each sighting, in the order they came (s of them): `offset`, `appended_at`, `seen_at` int64 (times in µs since 1970),
    `sighting_id` uint8[s, 16], `given` uint8 (a bit for each orientation of which it has a PDQ value), and `text_end` int64:
    its text ends there in `text` uint8, and begins where the one before ends.

    Of each entry, a fingerprint at a URL (n of them): `sighting` int32 says which was its last; `url_low`, `url_high` uint64 are
    the URL's digest; `algorithm`, `orientation` uint8, `quality` int8, `value` uint8[n, 32] (shorter values are padded with zeros).
    """

    offset: Array
    appended_at: Array
    seen_at: Array
    sighting_id: Array
    given: Array
    text_end: Array
    text: Array
    sighting: Array
    url_low: Array
    url_high: Array
    algorithm: Array
    quality: Array
    orientation: Array
    value: Array

    def __len__(self) -> int:
        return len(self.sighting)

    def arrays(self) -> dict[str, Array]:
        return {name: getattr(self, name) for name in KINDS}

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self.arrays().values())

    def remembered(self, row: int, partition: int, text: bytes | None = None) -> HistoryEntry:
        """The entry's fingerprint and last sighting, as values. `text`: the sighting's, where it is not in the column."""
        place = int(self.sighting[row])
        algorithm = ALGORITHMS[self.algorithm[row]]
        quality = int(self.quality[row])
        fingerprint = Fingerprint(
            algorithm=algorithm,
            value=self.value[row, : algorithm.size_bytes].tobytes(),
            quality=None if quality == UNKNOWN_QUALITY else quality,
            orientation=ORIENTATIONS[self.orientation[row]],
        )
        if text is None:
            text = self.text[slice(*self.text_range(place))].tobytes()
        url_key, media_url, page_url, source, traceparent, report_id, key_version, reported_by = _fields_of(text)
        seen = StoredSighting(
            partition=partition,
            offset=int(self.offset[place]),
            appended_at=from_micros(int(self.appended_at[place])),
            sighting_id=UUID(bytes=self.sighting_id[place].tobytes()),
            url_key=url_key,
            key_version=int(key_version) if key_version else FIRST_KEY_VERSION,
            media_url=media_url or url_key,
            page_url=page_url or None,
            source=source,
            seen_at=from_micros(int(self.seen_at[place])),
            report_id=UUID(report_id) if report_id else None,
            fingerprints=(fingerprint,),
            reported_by=reported_by or None,
            traceparent=traceparent or None,
        )
        bits = int(self.given[place])
        given = frozenset(one for code, one in enumerate(ORIENTATIONS) if bits >> code & 1)
        return HistoryEntry(fingerprint=fingerprint, seen=seen, given=given)

    def text_range(self, sighting: int) -> tuple[int, int]:
        return int(self.text_end[sighting - 1]) if sighting else 0, int(self.text_end[sighting])

    def only(self, rows: Mask | Rows) -> Columns:
        """These entries, in this order, and no sighting that none of them has as its last."""
        sighting = self.sighting[rows]
        used = np.zeros(len(self.offset), dtype=np.bool_)
        used[sighting] = True
        lengths = np.diff(self.text_end, prepend=0)[used]
        return Columns(
            offset=self.offset[used],
            appended_at=self.appended_at[used],
            seen_at=self.seen_at[used],
            sighting_id=self.sighting_id[used],
            given=self.given[used],
            text_end=np.cumsum(lengths, dtype=np.int64),
            text=_texts(self.text, self.text_end, used),
            sighting=(np.cumsum(used, dtype=np.int32) - np.int32(1))[sighting],
            url_low=self.url_low[rows],
            url_high=self.url_high[rows],
            algorithm=self.algorithm[rows],
            quality=self.quality[rows],
            orientation=self.orientation[rows],
            value=self.value[rows],
        )

    def in_order(self, rows: Rows) -> Columns:
        """The same entries in another order."""
        return replace(self, **{name: getattr(self, name)[rows] for name in OF_ENTRIES})


KINDS: Mapping[str, tuple[npt.DTypeLike, int]] = {
    "offset": (np.int64, 1),
    "appended_at": (np.int64, 1),
    "seen_at": (np.int64, 1),
    "sighting_id": (np.uint8, 2),
    "given": (np.uint8, 1),
    "text_end": (np.int64, 1),
    "text": (np.uint8, 1),
    "sighting": (np.int32, 1),
    "url_low": (np.uint64, 1),
    "url_high": (np.uint64, 1),
    "algorithm": (np.uint8, 1),
    "quality": (np.int8, 1),
    "orientation": (np.uint8, 1),
    "value": (np.uint8, 2),
}
"""Type and dimensions of each column."""
OF_SIGHTINGS = ("offset", "appended_at", "seen_at", "sighting_id", "given", "text_end")
OF_ENTRIES = ("sighting", "url_low", "url_high", "algorithm", "quality", "orientation", "value")
WIDTHS = {"sighting_id": 16, "value": VALUE_BYTES}


def empty() -> Columns:
    shapes = {name: (0,) if name not in WIDTHS else (0, WIDTHS[name]) for name in KINDS}
    return Columns(**{name: np.empty(shapes[name], dtype=dtype) for name, (dtype, _) in KINDS.items()})


def joined(pieces: Sequence[Columns]) -> Columns:
    """One after the other."""
    if len(pieces) == 1:
        return pieces[0]
    columns: dict[str, Array] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in KINDS if name != "text_end"
    }
    sightings = texts = 0
    ends = []
    place = 0
    for piece in pieces:
        ends.append(piece.text_end + texts)
        columns["sighting"][place : place + len(piece)] += np.int32(sightings)
        place += len(piece)
        sightings += len(piece.offset)
        texts += len(piece.text)
    return Columns(**columns, text_end=np.concatenate(ends))


def _texts(text: Array, ends: Array, used: Mask) -> Array:
    """The texts of the sightings that are used, one after the other: copied in runs, which are long when most are used."""
    edges = np.flatnonzero(np.diff(used, prepend=False, append=False)).reshape(-1, 2)
    if not len(edges):
        return np.empty(0, dtype=np.uint8)
    starts = np.where(edges[:, 0] > 0, ends[edges[:, 0] - 1], 0)
    pieces = zip(starts.tolist(), ends[edges[:, 1] - 1].tolist(), strict=True)
    return np.concatenate([text[start:end] for start, end in pieces])


# One sighting's text


def text_of(
    url_key: str,
    media_url: str,
    page_url: str | None,
    source: str,
    traceparent: str | None,
    report_id: str,
    key_version: int,
    reported_by: str | None,
) -> bytes:
    """URLs, source and what else is text. A media URL that is its own key is left out. `report_id`: 32 digits, or none."""
    media = "" if media_url == url_key else media_url
    version = "" if key_version == FIRST_KEY_VERSION else str(key_version)
    last = (page_url or "", source, traceparent or "", report_id, version, reported_by or "")
    text = f"{url_key}\0{media}\0{last[0]}\0{source}\0{last[2]}\0{report_id}\0{version}\0{last[5]}"
    if text.count("\0") != _FIELDS - 1 or text.startswith(_AS_JSON):  # a character that no URL has
        text = _AS_JSON + json.dumps((url_key, media, *last))
    return text.encode("utf-8", "surrogatepass")


def _fields_of(raw: bytes) -> Sequence[str]:
    text = raw.decode("utf-8", "surrogatepass")
    if text.startswith(_AS_JSON):
        fields: list[str] = json.loads(text[1:])
        return fields
    return text.split("\0")


def to_micros(when: datetime) -> int:
    """µs since 1970."""
    since = when - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    return _EPOCH + micros * _MICROSECOND
