"""`takedown.sightings`: batches of sightings for one partition, and erasures of a URL. Partition by `url_key`."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.contracts.content import Algorithm
from shared.contracts.event import Event, Hex, Moment, Value
from shared.ids import KEY_VERSION


class SeenFingerprint(Value):
    """A fingerprint of seen media. `orientation` says of which true pixels (`identity`, `mirror`, …)."""

    algorithm: Algorithm
    value: Hex
    quality: int | None = None
    orientation: str = "identity"


class Sighting(Value):
    """Media seen at a URL (and the page it is on)."""

    sighting_id: UUID
    organisation_id: str
    source: str
    media_url: str
    url_key: str
    key_version: int = KEY_VERSION
    page_url: str | None = None
    seen_at: Moment
    report_id: UUID | None = None
    fingerprints: tuple[SeenFingerprint, ...]


class SightingsBatch(Event):
    TYPE: ClassVar[str] = "takedown.sightings.v1"

    sightings: tuple[Sighting, ...]


class UrlErased(Event):
    """Everything known of this URL is forgotten: a sighting read before it no longer counts."""

    TYPE: ClassVar[str] = "takedown.url_erased.v1"

    url_key: str
    key_version: int = KEY_VERSION
    erased_at: Moment


MODELS: dict[str, type[Event]] = {SightingsBatch.TYPE: SightingsBatch, UrlErased.TYPE: UrlErased}
