"""The join: which content and which sighting agree, which of several agreements is published, and whether it still holds.

The order that makes each pair meet at least once (add before you look, on both sides) is `consumer/session.py`'s; how a partition is taken
over is `consumer/assignment.py`'s.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from uuid import UUID

import numpy as np

from services.matcher.history.history import History
from services.matcher.index.protocol import Numbers
from services.matcher.join.derived_orientations import DerivedOf
from services.matcher.register.negative_list import NegativeList
from services.matcher.register.register import Register
from services.matcher.register.view import RegisterView, ViewEntry
from services.matcher.sightings.batch import SeenBatch
from services.matcher.sightings.sighting import StoredSighting, Url
from shared import agreement as rules
from shared.contracts.event import Event, data_of, headers_of
from shared.contracts.matches import Guard, MatchFound, SightingUnmatched
from shared.contracts.topics import MATCHES
from shared.ids import deterministic_id, match_event_id, takedown_id
from shared.log.port import OutgoingRecord
from shared.media.fingerprints import Algorithm, Fingerprint, Orientation, fingerprint_ref
from shared.policy import Policy

SOURCE = "matcher"

NONE = DerivedOf()

Subject = tuple[UUID, Url, UUID]
"""What one match is about: (content, URL), which is the takedown, and the sighting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """A register entry and a sighting's fingerprint that agree. `traceparent` is that of the event that made them meet.

    `derived`: not the fingerprint itself agrees, but what follows from its bits for the picture turned so.
    """

    entry: ViewEntry
    seen: StoredSighting
    fingerprint: Fingerprint
    distance: int
    guards: tuple[Guard, ...]
    traceparent: str | None = None
    derived: Orientation | None = None

    @property
    def orientation(self) -> str:
        """How the sighting's picture and the register's lie to each other, for a person to read."""
        if self.derived is not None:
            return f"derived:{self.derived}"
        turned = self.fingerprint.orientation
        return turned if turned is not Orientation.IDENTITY else self.entry.fingerprint.orientation

    @property
    def subject(self) -> Subject:
        return (self.entry.content_id, self.seen.url, self.seen.sighting_id)


def match_against_register(
    register: RegisterView, batches: Sequence[SeenBatch], derived_of: DerivedOf = NONE
) -> list[Agreement]:
    """Every agreement of these sightings with the register: one query an algorithm for all. Changes nothing."""
    agreements = [found for algorithm in Algorithm for found in _match_against_register(register, batches, algorithm)]
    if derived_of.sources:
        agreements.extend(_match_derived(register, batches, derived_of))
    return agreements


def _match_against_register(
    register: RegisterView, batches: Sequence[SeenBatch], algorithm: Algorithm
) -> Iterator[Agreement]:
    wanted = [(batch, batch.columns[algorithm]) for batch in batches if algorithm in batch.columns]
    if not wanted:
        return
    starts = list(accumulate((len(column) for _, column in wanted), initial=0))
    hits = register.search_values(algorithm, np.concatenate([column.values for _, column in wanted]))
    entries = _entries_of(register, hits[1])
    for row, number, distance in zip(*(column.tolist() for column in hits), strict=True):
        if number not in entries:
            continue  # it left the register since it was found
        at = bisect_right(starts, row) - 1
        batch, column = wanted[at]
        sighting, place = column.rows[row - starts[at]], column.places[row - starts[at]]
        seen, fingerprint = batch[int(sighting)], batch.fingerprint(int(sighting), int(place))
        yield _agreement(entries[number], seen, fingerprint, distance, seen.traceparent)


def _match_derived(register: RegisterView, batches: Sequence[SeenBatch], derived_of: DerivedOf) -> Iterator[Agreement]:
    wanted = [
        (asked, seen, given, turned)
        for batch in batches
        for row, data in enumerate(batch.data)
        if derived_of.wants(data["source"])
        for seen in (batch[row],)
        for asked, given, turned in derived_of.of_sighting(seen)
    ]
    hits = register.search([asked for asked, *_ in wanted])
    entries = _entries_of(register, np.array([hit.number for hit in hits], dtype=np.int64))
    for hit in hits:
        if hit.number in entries:
            _, seen, given, turned = wanted[hit.row]
            yield _agreement(entries[hit.number], seen, given, hit.distance, seen.traceparent, turned)


def _entries_of(register: RegisterView, numbers: Numbers) -> dict[int, ViewEntry]:
    return {entry.number: entry for entry in register.entries(np.unique(numbers))}


def match_against_history(
    history: History, entries: Sequence[ViewEntry], derived_of: DerivedOf = NONE
) -> list[Agreement]:
    """Every agreement of these entries with what one partition remembers: one query for all. Changes nothing."""
    wanted: list[tuple[Fingerprint, ViewEntry, Orientation | None]] = [
        (entry.fingerprint, entry, None) for entry in entries
    ]
    if derived_of.sources:
        wanted.extend((asked, entry, turned) for entry in entries for asked, turned in derived_of.of_entry(entry))
    agreements = []
    for hit in history.search([asked for asked, *_ in wanted]):
        _, entry, turned = wanted[hit.row]
        remembered = history.entry(hit.number)
        if turned is None or derived_of.counts(remembered, turned):
            agreements.append(
                _agreement(entry, remembered.seen, remembered.fingerprint, hit.distance, entry.traceparent, turned)
            )
    return agreements


def _agreement(
    entry: ViewEntry,
    seen: StoredSighting,
    fingerprint: Fingerprint,
    distance: int,
    traceparent: str | None,
    derived: Orientation | None = None,
) -> Agreement:
    return Agreement(
        entry=entry,
        seen=seen,
        fingerprint=fingerprint,
        distance=distance,
        guards=rules.guards(
            entry.fingerprint, fingerprint, distance, limit=entry.max_distance, derived=derived is not None
        ),
        traceparent=traceparent,
        derived=derived,
    )


def with_negative_list(agreements: Sequence[Agreement], negative_list: NegativeList) -> list[Agreement]:
    """The same, each with the guard `negative_list` where its fingerprint is nearer to a known harmless hash than to the content."""
    if not len(negative_list):
        return list(agreements)
    nearest = negative_list.nearest([agreement.fingerprint for agreement in agreements])
    return [_guarded(one, nearest.get(one.fingerprint)) for one in agreements]


def _guarded(agreement: Agreement, harmless_distance: int | None) -> Agreement:
    if not rules.is_harmless(agreement.distance, harmless_distance):
        return agreement
    return replace(agreement, guards=(*agreement.guards, Guard.NEGATIVE_LIST))


def one_for_each(agreements: Iterable[Agreement], policy: Policy) -> list[Agreement]:
    """One agreement for each (takedown, sighting): the one that weighs most (`shared.agreement`). One that nobody may act on never
    hides one that may be."""
    best: dict[Subject, Agreement] = {}
    for agreement in agreements:
        known = best.get(agreement.subject)
        if known is None or _rank(agreement, policy) < _rank(known, policy):
            best[agreement.subject] = agreement
    return list(best.values())


def _rank(agreement: Agreement, policy: Policy) -> tuple[object, ...]:
    """What weighs most, and among equals always the same one."""
    fingerprint = agreement.fingerprint
    return (
        *rules.weight(fingerprint.algorithm, agreement.entry.assurance, agreement.distance, agreement.guards, policy),
        agreement.derived or "",
        fingerprint.orientation is not Orientation.IDENTITY,
        fingerprint.algorithm,
        fingerprint.value,
        agreement.entry.number,
    )


def not_to_be_sent(agreement: Agreement, register: Register, history: History) -> str | None:
    """Why this match must not be sent after all, as far as is known here and now; None when it stands."""
    if not register.contains(agreement.entry):
        return "content_not_active"
    if history.erased_after(agreement.seen):
        return "url_erased"
    return None


# What is published


def match_record(agreement: Agreement, *, revision: int, fingerprint_key: bytes, now: datetime) -> OutgoingRecord:
    """The match on the wire. No fingerprint travels, only its keyed digest; target is the media, its page an attribute."""
    seen, entry, fingerprint = agreement.seen, agreement.entry, agreement.fingerprint
    takedown = takedown_id(entry.content_id, "media", seen.url_key, key_version=seen.key_version)
    found = MatchFound(
        takedown_id=takedown,
        content_id=entry.content_id,
        content_revision=revision,
        basis="fingerprint",
        target_kind="media",
        url=seen.media_url,
        url_key=seen.url_key,
        key_version=seen.key_version,
        page_url=seen.page_url,
        sighting_id=seen.sighting_id,
        report_id=seen.report_id,
        seen_at=seen.seen_at,
        observed_by=seen.source,
        algorithm=fingerprint.algorithm.value,
        distance=agreement.distance,
        orientation=agreement.orientation,
        quality=fingerprint.quality,
        fingerprint_ref=fingerprint_ref(fingerprint_key, fingerprint),
        assurance=entry.assurance,
        guards=agreement.guards,
        reported_by=seen.reported_by,
    )
    event_id = match_event_id(takedown, seen.sighting_id)
    if Guard.NEGATIVE_LIST in agreement.guards:
        # An id of its own: published again once the entry is removed, it must not count as known.
        event_id = deterministic_id((str(takedown), str(seen.sighting_id), Guard.NEGATIVE_LIST))
    return _record(found, key=takedown, event_id=event_id, now=now, traceparent=agreement.traceparent)


def unmatched_record(seen: StoredSighting, report_id: UUID, *, now: datetime) -> OutgoingRecord:
    """The event for a reported sighting that agrees with nothing. Of a record that is delivered again it has the same id."""
    event = SightingUnmatched(sighting_id=seen.sighting_id, report_id=report_id)
    event_id = deterministic_id(("unmatched", str(seen.sighting_id), str(report_id)))
    return _record(event, key=report_id, event_id=event_id, now=now, traceparent=seen.traceparent)


def _record(event: Event, *, key: UUID, event_id: UUID, now: datetime, traceparent: str | None) -> OutgoingRecord:
    return OutgoingRecord(
        topic=MATCHES.name,
        key=str(key).encode(),
        value=data_of(event),
        headers=headers_of(type(event), event_id=event_id, source=SOURCE, time=now, traceparent=traceparent),
    )
