"""`takedown.sightings`: batches of sightings for one partition, and erasures of a URL. Partition by `url_key`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, ClassVar, NotRequired
from uuid import UUID

from pydantic import StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from shared.contracts.content import Algorithm
from shared.contracts.event import Event, Hex, Moment, Name, Number, UrlText, Value, read_event
from shared.ids import FIRST_KEY_VERSION


class SeenFingerprint(Value):
    """A fingerprint of seen media. `orientation` says of which true pixels (`identity`, `mirror`, …)."""

    algorithm: Algorithm
    value: Hex
    quality: Number | None = None
    orientation: Name = "identity"


class Sighting(Value):
    """Media seen at a URL (and the page it is on). `reported_by` stands for the API key it came by (`KeyRing.reported_by_of`); older
    records lack it."""

    sighting_id: UUID
    organisation_id: Name
    source: Name
    media_url: UrlText
    url_key: UrlText
    key_version: Number = FIRST_KEY_VERSION
    page_url: UrlText | None = None
    seen_at: Moment
    report_id: UUID | None = None
    reported_by: Hex | None = None
    fingerprints: tuple[SeenFingerprint, ...]


class SightingsBatch(Event):
    """Sightings of one partition, in one record."""

    TYPE: ClassVar[str] = "takedown.sightings.v1"

    sightings: tuple[Sighting, ...]


ERASURE_PUBLISHED_FOR = timedelta(hours=12)
"""How long an erasure stays on a log that can be redacted: it names the URL. Whoever keeps sightings and has not read the log
for longer must read it anew: the URL's sightings are gone from it."""


class UrlErased(Event):
    """Everything known of this URL is forgotten: a sighting read before it no longer counts."""

    TYPE: ClassVar[str] = "takedown.url_erased.v1"

    url_key: UrlText
    key_version: Number = FIRST_KEY_VERSION
    erased_at: Moment


MODELS: dict[str, type[Event]] = {SightingsBatch.TYPE: SightingsBatch, UrlErased.TYPE: UrlErased}


# The same data for a reader of many: plain dicts cost half of what models do.

CanonicalUuid = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]


class SeenFingerprintData(TypedDict):
    """As `SeenFingerprint`; what is absent has its default."""

    algorithm: Algorithm
    value: Hex
    quality: NotRequired[Number | None]
    orientation: NotRequired[Name]


class SightingData(TypedDict):
    """As `Sighting`; what is absent has its default."""

    sighting_id: CanonicalUuid
    organisation_id: Name
    source: Name
    media_url: UrlText
    url_key: UrlText
    key_version: NotRequired[Number]
    page_url: NotRequired[UrlText | None]
    seen_at: Moment
    report_id: NotRequired[CanonicalUuid | None]
    reported_by: NotRequired[Hex | None]
    fingerprints: list[SeenFingerprintData]


class _BatchData(TypedDict):
    """The data of a batch, as `SightingsBatch`."""

    sightings: list[SightingData]


_BATCH_DATA = TypeAdapter(_BatchData)


def read_sightings(value: bytes) -> Sequence[SightingData]:
    """The sightings of a batch's JSON data: what `SightingsBatch` accepts, no more and no less. Raises MalformedEvent."""
    try:
        return _BATCH_DATA.validate_json(value)["sightings"]
    except ValidationError:
        batch = read_event(SightingsBatch, value)  # it knows more ways to write an id, and says what is wrong
        return [_data_of(sighting) for sighting in batch.sightings]


def _data_of(sighting: Sighting) -> SightingData:
    return SightingData(
        sighting_id=str(sighting.sighting_id),
        organisation_id=sighting.organisation_id,
        source=sighting.source,
        media_url=sighting.media_url,
        url_key=sighting.url_key,
        key_version=sighting.key_version,
        page_url=sighting.page_url,
        seen_at=sighting.seen_at,
        report_id=None if sighting.report_id is None else str(sighting.report_id),
        reported_by=sighting.reported_by,
        fingerprints=[
            SeenFingerprintData(
                algorithm=one.algorithm, value=one.value, quality=one.quality, orientation=one.orientation
            )
            for one in sighting.fingerprints
        ],
    )
