"""Sightings on their way into a history: plain lists of what is kept of each, whichever form they come in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.matcher.sightings.batch import SeenBatch
from services.matcher.sightings.columns import (
    ALGORITHM_CODES,
    ORIENTATION_CODES,
    UNKNOWN_QUALITY,
    text_of,
    to_micros,
)
from services.matcher.sightings.sighting import StoredSighting, url_digest
from shared.contracts.sightings import SightingData
from shared.ids import FIRST_KEY_VERSION
from shared.media.fingerprints import Algorithm

_PDQ = ALGORITHM_CODES[Algorithm.PDQ]
_CODE_OF_WORD = {one.value: code for one, code in ORIENTATION_CODES.items()}


@dataclass(slots=True, eq=False)
class Arrivals:
    """Of each sighting: `offset`, `appended_at`, `seen_at` (µs since 1970), `sighting_id` (16 bytes), `text`, `digest` of its URL and
    `given`, a bit for each orientation of which it has a PDQ value.

    Of each fingerprint, those of a sighting and algorithm in its order: `sighting` (which of these), `algorithm`, `value`, `quality`,
    `orientation` (the codes of `columns.py`).
    """

    offset: list[int] = field(default_factory=list)
    appended_at: list[int] = field(default_factory=list)
    seen_at: list[int] = field(default_factory=list)
    sighting_id: list[bytes] = field(default_factory=list)
    text: list[bytes] = field(default_factory=list)
    digest: list[bytes] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    sighting: list[int] = field(default_factory=list)
    algorithm: list[int] = field(default_factory=list)
    value: list[bytes] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)
    orientation: list[int] = field(default_factory=list)

    def add(self, sighting: int, algorithm: int, value: bytes, quality: int | None, orientation: int) -> None:
        self.sighting.append(sighting)
        self.algorithm.append(algorithm)
        self.value.append(value)
        self.quality.append(UNKNOWN_QUALITY if quality is None else quality)
        self.orientation.append(orientation)
        if algorithm == _PDQ:
            self.given[sighting] |= 1 << orientation


def arrivals_of(sightings: Sequence[StoredSighting], counts: Callable[[bytes, int], bool]) -> Arrivals:
    """`counts(digest of the URL, offset)`: whether a sighting is to be kept."""
    if isinstance(sightings, SeenBatch):
        return _of_batch(sightings, counts)
    found = Arrivals()
    for seen in sightings:
        digest = url_digest(seen.key_version, seen.url_key)
        if not seen.fingerprints or not counts(digest, seen.offset):
            continue
        place = len(found.offset)
        found.offset.append(seen.offset)
        found.appended_at.append(to_micros(seen.appended_at))
        found.seen_at.append(to_micros(seen.seen_at))
        found.sighting_id.append(seen.sighting_id.bytes)
        report_id = "" if seen.report_id is None else seen.report_id.hex
        urls = (seen.url_key, seen.media_url, seen.page_url)
        found.text.append(text_of(*urls, seen.source, seen.traceparent, report_id, seen.key_version, seen.reported_by))
        found.digest.append(digest)
        found.given.append(0)
        for one in seen.fingerprints:
            orientation = ORIENTATION_CODES[one.orientation]
            found.add(place, ALGORITHM_CODES[one.algorithm], one.value, one.quality, orientation)
    return found


def _of_batch(batch: SeenBatch, counts: Callable[[bytes, int], bool]) -> Arrivals:
    """The same from the data of a record: a sighting is not made a value for this."""
    found = Arrivals()
    digests = [url_digest(one.get("key_version", FIRST_KEY_VERSION), one["url_key"]) for one in batch.data]
    usable = {row for column in batch.columns.values() for row in column.rows.tolist()}
    place_of = [-1] * len(batch.data)
    for row, (one, digest) in enumerate(zip(batch.data, digests, strict=True)):
        if row in usable and counts(digest, batch.offset):
            place_of[row] = len(found.digest)
            found.seen_at.append(to_micros(one["seen_at"]))
            found.sighting_id.append(bytes.fromhex(one["sighting_id"].replace("-", "")))
            found.text.append(_text(one, batch.traceparent))
            found.digest.append(digest)
    count = len(found.digest)
    found.offset = [batch.offset] * count
    found.appended_at = [to_micros(batch.appended_at)] * count
    found.given = [0] * count
    for algorithm, column in batch.columns.items():
        code, size, raw = ALGORITHM_CODES[algorithm], algorithm.size_bytes, column.values.tobytes()
        at = 0
        for row, place in zip(column.rows.tolist(), column.places.tolist(), strict=True):
            value = raw[at : at + size]
            at += size
            if place_of[row] >= 0:
                given = batch.data[row]["fingerprints"][place]
                orientation = _CODE_OF_WORD[given.get("orientation", "identity")]
                found.add(place_of[row], code, value, given.get("quality"), orientation)
    return found


def _text(one: SightingData, traceparent: str | None) -> bytes:
    report_id = one.get("report_id")
    return text_of(
        one["url_key"],
        one["media_url"],
        one.get("page_url"),
        one["source"],
        traceparent,
        "" if report_id is None else UUID(report_id).hex,
        one.get("key_version", FIRST_KEY_VERSION),
        one.get("reported_by"),
    )
