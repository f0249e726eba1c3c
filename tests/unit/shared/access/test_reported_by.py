"""Which API key a sighting or a match came by: a keyed digest, which records from before lack."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.access.keyring import KeyRing
from shared.contracts.content import Assurance
from shared.contracts.event import MalformedEvent, data_of, read_event
from shared.contracts.matches import MatchFound
from shared.contracts.sightings import Sighting, SightingsBatch, read_sightings
from tests.matcher_world import NOW, seen_value, sighting

KEY = UUID(int=7)
RING = KeyRing.from_root(b"r" * 32)


def test_it_tells_keys_apart_and_tells_none() -> None:
    told = RING.reported_by_of(KEY)
    assert told == RING.reported_by_of(KEY)
    assert told != RING.reported_by_of(uuid4())
    assert told != KeyRing.from_root(b"s" * 32).reported_by_of(KEY)
    assert len(told) == 16
    assert told not in KEY.hex


def sightings(**changes: Any) -> bytes:
    """The data of a record with one sighting; a field that is None is left out."""
    one = sighting("https://h.test/a.jpg", seen_value(b"v" * 32))
    data = json.loads(data_of(SightingsBatch(sightings=(one,))))
    data["sightings"][0] |= changes
    data["sightings"][0] = {name: value for name, value in data["sightings"][0].items() if value is not None}
    return json.dumps(data).encode()


def test_a_sighting_carries_it_and_one_from_before_is_taken() -> None:
    (new,) = read_sightings(sightings(reported_by="ab" * 8))
    assert new.get("reported_by") == "ab" * 8
    (old,) = read_sightings(sightings(reported_by=None))
    assert old.get("reported_by") is None
    before: Sighting = read_event(SightingsBatch, sightings(reported_by=None)).sightings[0]
    assert before.reported_by is None


def test_a_slow_way_of_reading_loses_nothing() -> None:
    (read,) = read_sightings(sightings(reported_by="ab" * 8, sighting_id=uuid4().hex))  # an id that models alone know
    assert read.get("reported_by") == "ab" * 8


def test_it_is_no_secret() -> None:
    with pytest.raises(MalformedEvent):
        read_sightings(sightings(reported_by="tdk_secret"))


def test_a_match_from_before_is_taken() -> None:
    match = MatchFound(
        takedown_id=uuid4(),
        content_id=uuid4(),
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url="https://h.test/a.jpg",
        url_key="https://h.test/a.jpg",
        seen_at=NOW,
        observed_by="crawler",
        assurance=Assurance.VIEWED,
        reported_by="ab" * 8,
    )
    data = json.loads(data_of(match))
    assert read_event(MatchFound, json.dumps(data).encode()).reported_by == "ab" * 8
    del data["reported_by"]
    assert read_event(MatchFound, json.dumps(data).encode()).reported_by is None
