"""`takedown.matches`: content and sighting that agree. No fingerprint travels, only its keyed digest."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.content import Algorithm, Assurance
from shared.contracts.event import Count, Event, Hex, Moment, Name, Number, UrlText
from shared.ids import FIRST_KEY_VERSION

TargetKind = Literal["media", "page"]


class Guard(StrEnum):
    """Why a match must not, or must not alone, be acted on."""

    LOW_QUALITY = "low_quality"
    QUALITY_UNKNOWN = "quality_unknown"
    OVER_THRESHOLD = "over_threshold"
    NEGATIVE_LIST = "negative_list"
    DERIVED_ORIENTATION = "derived_orientation"


NEVER_ACTED_ON = frozenset({Guard.LOW_QUALITY, Guard.OVER_THRESHOLD, Guard.NEGATIVE_LIST})
"""Guards with which a match is published, and no takedown follows."""


class MatchFound(Event):
    """One match for each (takedown, sighting or report): exact first, then the least distance.

    `distance` is in bits (0-31; 0 for exact algorithms; None for `basis: person`). `assurance` is the matched register
    entry's. `asserted_by` is the opaque person id of a `basis: person` match. `reported_by` stands for the API key that the sighting or
    report came by (`KeyRing.reported_by_of`); older records lack it.
    """

    TYPE: ClassVar[str] = "takedown.match.v1"

    takedown_id: UUID
    content_id: UUID
    content_revision: Count
    basis: Literal["fingerprint", "person"]
    target_kind: TargetKind
    url: UrlText
    url_key: UrlText
    key_version: Number = FIRST_KEY_VERSION
    page_url: UrlText | None = None
    sighting_id: UUID | None = None
    report_id: UUID | None = None
    seen_at: Moment
    observed_by: Name
    algorithm: Algorithm | None = None
    distance: Number | None = None
    orientation: Name | None = None
    quality: Number | None = None
    fingerprint_ref: Hex | None = None
    assurance: Assurance
    guards: tuple[Guard, ...] = ()
    asserted_by: Name | None = None
    reported_by: Hex | None = None


class SightingUnmatched(Event):
    """A reported sighting that agrees with nothing in the register at this time."""

    TYPE: ClassVar[str] = "takedown.sighting_unmatched.v1"

    sighting_id: UUID
    report_id: UUID


MODELS: dict[str, type[Event]] = {MatchFound.TYPE: MatchFound, SightingUnmatched.TYPE: SightingUnmatched}
