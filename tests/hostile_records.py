"""Records that nobody meant: a valid one of each type, changed in one place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.claims import ClaimChanged, ClaimState
from shared.contracts.content import Assurance, ContentChanged, ContentState, NegativeEntry, RegisteredFingerprint
from shared.contracts.dead_letters import DeadLetter, Replayed, ReplayRequested
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Event, data_of, headers_of
from shared.contracts.lifecycle import TakedownHappened
from shared.contracts.matches import MatchFound, SightingUnmatched
from shared.contracts.sightings import SeenFingerprint, Sighting, SightingsBatch, UrlErased
from shared.contracts.targets import TargetChanged
from shared.contracts.topics import CLAIMS, CONTENT, DEAD_LETTERS, DECISIONS, LIFECYCLE, MATCHES, SIGHTINGS, TARGETS
from shared.log.port import OutgoingRecord
from shared.urls import canonical

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PDQ = "f8f8f0cc0f4ed0b1e2b0f0a91e5bcab4c3a7c6b9c0b1f6d3a8c95c6c6cc5f09a"
URL = canonical("https://host.example/media/1.jpg").url_key

NESTED: Any = []
for _ in range(400):
    NESTED = [NESTED]

HOSTILE: tuple[Any, ...] = (
    *(2**31, 2**63 - 1, 2**63, 2**64, -1, -(2**31) - 1, -(2**63) - 1, 10**400),
    *("\0", "a\0b", "\ud800", "x\udfff", "", "é" * 3_000, "x" * 300_000, "a" * 8_001, "0" * 63),
    *("2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"),
    *("9999-12-31T23:59:59Z", "2999-12-31T23:59:59Z", 1e308, 253402300800, -62135596800),
    *(float("nan"), float("inf"), -0.5, True, None, [], {}, [None], {"a": NESTED}, NESTED),
    *("https://../x", "http://256.256.256.256../", "javascript:alert(1)", "http://[", "//a:99999999/"),
)
"""Ends of columns and what is over them, what no column holds, times outside calendars, what JSON has no word for, other types,
depth, length, and URLs that are none."""


def events() -> Iterator[tuple[str, str, Event]]:
    """(topic, key, event): one of each type, every field set. Ids are new each time."""
    content_id, takedown_id = uuid4(), uuid4()
    yield from _of_intake(content_id)
    yield from _of_the_matcher(content_id, takedown_id)
    yield from _of_people(content_id, takedown_id)
    yield from _of_crawlers()
    yield from _told(content_id, takedown_id)


def _of_intake(content_id: UUID) -> Iterator[tuple[str, str, Event]]:
    fingerprint = RegisteredFingerprint(
        algorithm="pdq", value=PDQ, quality=90, assurance=Assurance.VIEWED, max_distance=31
    )
    content = ContentChanged(
        content_id=content_id,
        revision=1,
        state=ContentState.ACTIVE,
        suspended_for="person",
        withdrawn_for="unconfirmed",
        assurance=Assurance.VIEWED,
        fingerprints=(fingerprint,),
        changed_at=NOW,
    )
    yield CONTENT.name, str(content_id), content
    entry = NegativeEntry(entry_id=uuid4(), algorithm="pdq", value=PDQ[::-1], confirmed_at=NOW)
    yield CONTENT.name, str(entry.entry_id), entry
    claim = ClaimChanged(
        claim_id=uuid4(),
        content_id=content_id,
        revision=1,
        state=ClaimState.CONFIRMED,
        organisation_id="helpline",
        assurance=Assurance.VIEWED,
        subject_jurisdictions=("GB",),
        do_not_contact=("host.example",),
        demands_not_before=NOW,
        declared_as="subject",
        changed_at=NOW,
    )
    yield CLAIMS.name, str(claim.claim_id), claim


def _of_the_matcher(content_id: UUID, takedown_id: UUID) -> Iterator[tuple[str, str, Event]]:
    match = MatchFound(
        takedown_id=takedown_id,
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url=URL,
        url_key=URL,
        page_url="https://host.example/page/1",
        sighting_id=uuid4(),
        report_id=uuid4(),
        seen_at=NOW,
        observed_by="crawler-1",
        algorithm="pdq",
        distance=4,
        orientation="identity",
        quality=90,
        fingerprint_ref="ab" * 32,
        assurance=Assurance.VIEWED,
        asserted_by="person-1",
    )
    yield MATCHES.name, str(takedown_id), match
    yield MATCHES.name, str(takedown_id), SightingUnmatched(sighting_id=uuid4(), report_id=uuid4())


def _of_people(content_id: UUID, takedown_id: UUID) -> Iterator[tuple[str, str, Event]]:
    decision = DecisionTaken(
        decision_id=uuid4(),
        kind=DecisionKind.SUSPEND,
        content_id=content_id,
        takedown_id=takedown_id,
        demand_id=uuid4(),
        task_id=uuid4(),
        person_id="person-1",
        organisation_id="helpline",
        reason="person",
        recipient="host",
        decided_at=NOW,
    )
    yield DECISIONS.name, str(content_id), decision
    yield DECISIONS.name, str(content_id), decision.model_copy(update={"takedown_id": None, "decision_id": uuid4()})


def _of_crawlers() -> Iterator[tuple[str, str, Event]]:
    seen = SeenFingerprint(algorithm="pdq", value=PDQ, quality=90)
    sighting = Sighting(
        sighting_id=uuid4(),
        organisation_id="helpline",
        source="crawler-1",
        media_url=URL,
        url_key=URL,
        page_url="https://host.example/page/1",
        seen_at=NOW,
        report_id=uuid4(),
        fingerprints=(seen,),
    )
    yield SIGHTINGS.name, URL, SightingsBatch(sightings=(sighting,))
    yield SIGHTINGS.name, URL, UrlErased(url_key=URL, erased_at=NOW)


def _told(content_id: UUID, takedown_id: UUID) -> Iterator[tuple[str, str, Event]]:
    happened = TakedownHappened(
        takedown_id=takedown_id,
        content_id=content_id,
        sequence=1,
        kind="check.present",
        state="open",
        round=1,
        at=NOW,
        facts={"status": 200, "reason": "first"},
    )
    yield LIFECYCLE.name, str(takedown_id), happened
    target = TargetChanged(
        takedown_id=takedown_id,
        content_id=content_id,
        target_kind="media",
        url=URL,
        url_key=URL,
        page_url=URL,
        changed_at=NOW,
    )
    yield TARGETS.name, str(takedown_id), target
    where = {"group": "matcher", "topic": CONTENT.name, "partition": 0, "key": str(content_id), "at": NOW}
    letter = {"dead_letter_id": uuid4(), "log": "a/b", "digest": "ab" * 32, "error": "MalformedEvent", "reason": "/url"}
    yield DEAD_LETTERS.name, CONTENT.name, DeadLetter.model_validate({**where, **letter, "offset": 7})
    asked = {"dead_letter_id": uuid4(), "offset": 7, "requested_by": "person-1"}
    yield DEAD_LETTERS.name, CONTENT.name, ReplayRequested.model_validate({**where, **asked})
    yield (
        DEAD_LETTERS.name,
        CONTENT.name,
        Replayed(dead_letter_id=uuid4(), group="matcher", outcome="failed", error="Timeout", at=NOW),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A record, and where it was changed to what."""

    record: OutgoingRecord
    place: str
    value: Any

    def __str__(self) -> str:
        return f"{self.record.topic}{self.place} = {repr(self.value)[:60]}"


def record_of(topic: str, key: str, event: Event) -> OutgoingRecord:
    headers = headers_of(type(event), event_id=uuid4(), source="test", time=NOW)
    return OutgoingRecord(topic=topic, key=key.encode(), value=data_of(event), headers=headers)


def changed(*topics: str) -> Iterator[Changed]:
    """Each field of each type on these topics, changed to each of `HOSTILE`; what is in the place of the whole value last."""
    for topic, key, event in events():
        if topic not in topics:
            continue
        good = record_of(topic, key, event)
        data = json.loads(data_of(event))
        for place in [*_places(data), ()]:
            for value in HOSTILE:
                raw = json.dumps(_with(data, place, value)).encode()
                yield Changed(record=replace(good, value=raw), place="/" + "/".join(map(str, place)), value=value)
        for raw in (b"", b"\xff\xfe", b"{", b"null", b'{"content_id": ' * 9_000, json.dumps(data).encode("utf-16")):
            yield Changed(record=replace(good, value=raw), place="", value=raw[:20])
        for name, header in HEADERS:
            others = tuple(one for one in good.headers if one[0] != name)
            yield Changed(record=replace(good, headers=(*others, (name, header))), place=f" {name}", value=header)


HEADERS = (
    ("ce_id", b"x" * 9_000),
    ("ce_id", b"\0"),
    ("ce_id", b"\xff\xfe"),
    ("ce_id", b""),
    ("ce_time", b"0001-01-01T00:00:00+23:59"),
    ("ce_time", b"\0"),
    ("ce_type", b"\0" * 300),
    ("ce_traceparent", b"\0"),
    ("ce_traceparent", b"x" * 100_000),
)


def _places(data: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(data, Mapping):
        inner = iter(data.items())
    elif isinstance(data, list):
        inner = iter(enumerate(data))
    for name, value in inner:
        yield (*above, name)
        yield from _places(value, (*above, name))


def _with(data: Any, place: tuple[str | int, ...], value: Any) -> Any:
    if not place:
        return value
    other = copy.deepcopy(data)
    inner = other
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return other
