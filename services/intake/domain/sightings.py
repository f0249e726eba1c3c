"""Sightings: each is parsed, and accepted or refused, by itself; those accepted are batched by partition and cut at 64 KiB. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from services.intake.domain.schemas import SightingRequest
from shared.contracts.event import data_of, headers_of
from shared.contracts.json_pointer import pointer_of
from shared.contracts.sightings import SeenFingerprint, Sighting, SightingsBatch
from shared.contracts.topics import SIGHTINGS, SIGHTINGS_RECORD_BYTES
from shared.field_errors import field_errors
from shared.ids import sighting_id, sightings_event_id
from shared.log.partitioner import partition_of
from shared.log.port import OutgoingRecord
from shared.media.fingerprints import Fingerprint
from shared.urls import UrlKey, canonical

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far ahead of ours a crawler's clock may be."""

_BATCH_FRAME = data_of(SightingsBatch(sightings=()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SightingRefusal:
    """Why one sighting is refused: (JSON Pointer within it, reason) for each bad field. Never a value."""

    errors: tuple[tuple[str, str], ...]


def parse_sighting(
    item: Any, *, organisation_id: str, now: datetime, reported_by: str | None = None
) -> Sighting | SightingRefusal:
    """One item of the request. `reported_by` stands for its API key."""
    try:
        asked = SightingRequest.model_validate(item)
    except ValidationError as error:
        return SightingRefusal(errors=tuple((pointer_of(one.location), one.text) for one in field_errors(error)))
    if asked.seen_at > now + CLOCKS_DIFFER:
        return SightingRefusal(errors=(("#/seen_at", "This time is in the future. Check the clock of the crawler."),))
    return make_sighting(
        organisation_id=organisation_id,
        source=asked.source,
        media_url=asked.media_url.url,
        key=asked.media_url.key,
        page_url=asked.page_url,
        seen_at=asked.seen_at,
        fingerprints=[one.parsed() for one in asked.fingerprints],
        reported_by=reported_by,
    )


def make_sighting(
    *,
    organisation_id: str,
    source: str,
    media_url: str,
    page_url: str | None,
    seen_at: datetime,
    fingerprints: Iterable[Fingerprint],
    report_id: UUID | None = None,
    reported_by: str | None = None,
    key: UrlKey | None = None,
) -> Sighting:
    """A sighting with its id and key (`key`: that of `media_url`, where it is known already). Raises BadUrl."""
    seen = tuple(
        SeenFingerprint(
            algorithm=one.algorithm.value, value=one.hex, quality=one.quality, orientation=one.orientation.value
        )
        for one in fingerprints
    )
    key = key or canonical(media_url)
    return Sighting(
        sighting_id=sighting_id(
            organisation_id, source, media_url, page_url, seen_at, [(one.algorithm, one.value) for one in seen]
        ),
        organisation_id=organisation_id,
        source=source,
        media_url=media_url,
        url_key=key.url_key,
        key_version=key.key_version,
        page_url=page_url,
        seen_at=seen_at,
        report_id=report_id,
        reported_by=reported_by,
        fingerprints=seen,
    )


def batched(
    sightings: Sequence[Sighting],
    *,
    partitions: int,
    source: str,
    now: datetime,
    max_bytes: int = SIGHTINGS_RECORD_BYTES,
) -> list[OutgoingRecord]:
    """The records of these sightings: each for one partition (by `url_key`) and at most `max_bytes` of data long.

    A sighting that comes twice is written once. A single sighting over `max_bytes` gets a record of its own.
    """
    by_partition: defaultdict[int, dict[UUID, Sighting]] = defaultdict(dict)
    for one in sightings:
        by_partition[partition_of(one.url_key.encode(), partitions)].setdefault(one.sighting_id, one)
    records = []
    for partition, members in sorted(by_partition.items()):
        batch: dict[UUID, bytes] = {}
        size = len(_BATCH_FRAME)
        for one in members.values():
            data = one.model_dump_json(exclude_none=True).encode()
            if batch and size + len(data) + 1 > max_bytes:
                records.append(_record(batch, partition, source, now))
                batch, size = {}, len(_BATCH_FRAME)
            batch[one.sighting_id] = data
            size += len(data) + 1
        records.append(_record(batch, partition, source, now))
    return records


def _record(batch: Mapping[UUID, bytes], partition: int, source: str, now: datetime) -> OutgoingRecord:
    event_id = sightings_event_id(batch)
    return OutgoingRecord(
        topic=SIGHTINGS.name,
        key=None,
        value=_BATCH_FRAME.replace(b"[]", b"[" + b",".join(batch.values()) + b"]"),  # as `data_of`, each written once
        headers=headers_of(SightingsBatch, event_id=event_id, source=source, time=now),
        partition=partition,
    )
