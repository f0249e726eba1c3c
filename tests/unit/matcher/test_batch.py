"""The sightings of a record as columns: the same as each sighting by itself, and nothing more or less is accepted than its model does."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matcher.consumer.decoding import decode_sightings
from services.matcher.sightings.batch import SeenBatch
from shared.contracts.event import MalformedEvent
from shared.contracts.sightings import (
    SeenFingerprint,
    SeenFingerprintData,
    Sighting,
    SightingData,
    SightingsBatch,
    read_sightings,
)
from shared.errors import Poison
from shared.log.port import Record
from shared.media.fingerprints import Algorithm, BadFingerprint, Fingerprint, parse_fingerprint
from tests.matcher_world import NOW, sighting, sightings_record

VALUES = [
    "7" * 64,
    "0" * 64,
    "f" * 64,
    "00" * 28 + "ffffff7f",  # 31 bits: one too few for PDQ, fine for SHA-256
    "00" * 28 + "ffffffff",
    "7" * 62,
    "7" * 40,
    "7" * 32,
    "",
    *(new(b"", usedforsecurity=False).hexdigest() for new in (hashlib.md5, hashlib.sha1, hashlib.sha256)),
]
fingerprints = st.fixed_dictionaries(
    {"algorithm": st.sampled_from(["pdq", "pdq", "md5", "sha1", "sha256"]), "value": st.sampled_from(VALUES)},
    optional={
        "quality": st.sampled_from([None, -1, 0, 49, 100, 101]),
        "orientation": st.sampled_from(["identity", "mirror", "askew", ""]),
    },
)
TOLD = st.characters(codec="utf-8", exclude_characters="\0")
"""What a text on the log may hold."""
sightings = st.fixed_dictionaries(
    {
        "sighting_id": st.uuids().map(str),
        "organisation_id": st.just("o"),
        "source": st.just("crawler"),
        "media_url": st.text(TOLD, max_size=5),
        "url_key": st.text(TOLD, max_size=5),
        "seen_at": st.sampled_from(["2026-03-01T00:00:00Z", "2026-03-01T01:02:03.000004+02:00"]),
        "fingerprints": st.lists(fingerprints, max_size=4),
    },
    optional={
        "key_version": st.sampled_from([1, 2]),
        "page_url": st.sampled_from([None, "p"]),
        "report_id": st.none() | st.uuids().map(str),
        "later": st.just({"field": 1}),
    },
)
ODD: list[Any] = [None, "", "x", -1, 1.5, True, [], {}, "2026-13-01T00:00:00Z", "2026-03-01T00:00:00", "A" * 64]


def batch_of(data: list[dict[str, Any]]) -> SeenBatch:
    record = sightings_record(sighting("u"))
    decoded = decode_sightings(
        Record(
            topic=record.topic,
            partition=3,
            offset=7,
            append_time=NOW,
            key=None,
            value=json.dumps({"sightings": data}).encode(),
            headers=(*record.headers, ("ce_traceparent", b"t")),
        )
    )
    assert isinstance(decoded, SeenBatch)
    return decoded


def plainly(one: SeenFingerprint) -> Fingerprint | None:
    try:
        return parse_fingerprint(one.algorithm, one.value, one.quality, orientation=one.orientation)
    except BadFingerprint:
        return None


@given(st.lists(sightings, max_size=5))
def test_each_sighting_is_what_its_model_says(data: list[dict[str, Any]]) -> None:
    batch = batch_of(data)
    models = [Sighting.model_validate_json(json.dumps(one)) for one in data]
    assert len(batch) == len(models)
    for seen, model in zip(batch, models, strict=True):
        assert (seen.partition, seen.offset, seen.appended_at, seen.traceparent) == (3, 7, NOW, "t")
        for name in (
            "sighting_id",
            "url_key",
            "key_version",
            "media_url",
            "page_url",
            "source",
            "seen_at",
            "report_id",
        ):
            assert getattr(seen, name) == getattr(model, name)
        assert seen.fingerprints == tuple(filter(None, map(plainly, model.fingerprints)))
    assert batch.reported() == [seen for seen in batch if seen.report_id is not None]


@given(st.lists(sightings, max_size=5))
def test_the_columns_hold_every_usable_fingerprint_and_no_other(data: list[dict[str, Any]]) -> None:
    batch = batch_of(data)
    found = {
        (row, place): fingerprint
        for row, one in enumerate(data)
        for place, given in enumerate(one["fingerprints"])
        if (fingerprint := plainly(SeenFingerprint.model_validate(given))) is not None
    }
    assert batch.fingerprints == len(found)
    told = {}
    for algorithm, column in batch.columns.items():
        assert len(column) > 0
        for value, row, place in zip(column.values, column.rows.tolist(), column.places.tolist(), strict=True):
            told[row, place] = batch.fingerprint(row, place)
            assert (algorithm, value.tobytes()) == (told[row, place].algorithm, told[row, place].value)
    assert told == found


def test_a_sighting_is_always_the_same_value() -> None:
    batch = batch_of([json.loads(sighting("u").model_dump_json())])
    assert batch[0] is batch[0] is next(iter(batch)) is batch[:1][0]


@given(one=sightings, data=st.data())
def test_what_is_accepted_is_what_the_model_accepts(one: dict[str, Any], data: st.DataObject) -> None:
    """One field odd or missing: both take it and agree, or both refuse it in the same words."""
    wrong = json.loads(json.dumps(one))
    place: Any = wrong
    if wrong["fingerprints"] and data.draw(st.booleans()):
        place = data.draw(st.sampled_from(wrong["fingerprints"]))
    name = data.draw(
        st.sampled_from(
            sorted(SeenFingerprintData.__annotations__ if place is not wrong else SightingData.__annotations__)
        )
    )
    if data.draw(st.booleans()):
        place.pop(name, None)
    else:
        place[name] = data.draw(st.sampled_from(ODD))
    value = json.dumps({"sightings": [wrong]}).encode()
    try:
        model = SightingsBatch.model_validate_json(value)
    except ValueError:
        with pytest.raises(MalformedEvent) as refused:
            read_sightings(value)
        assert name in str(refused.value)
    else:
        assert SightingsBatch.model_validate({"sightings": read_sightings(value)}) == model


def test_another_way_to_write_an_id_is_understood() -> None:
    number = uuid4()
    written = json.loads(sighting("u", report_id=number).model_dump_json())
    written |= {"sighting_id": number.hex.upper(), "report_id": f"urn:uuid:{number}"}
    (seen,) = batch_of([written])
    assert seen.sighting_id == seen.report_id == UUID(number.hex)


@pytest.mark.parametrize("value", [b"{}", b"", b"\xff", b"[]", b'{"sightings": {}}', b'{"sightings": [1]}'])
def test_poison_is_told_from_good(value: bytes) -> None:
    record = sightings_record(sighting("u"))
    with pytest.raises(Poison):
        decode_sightings(
            Record(topic="", partition=0, offset=0, append_time=NOW, key=None, value=value, headers=record.headers)
        )


def test_the_two_descriptions_have_the_same_fields() -> None:
    assert set(SightingData.__annotations__) == set(Sighting.model_fields)
    assert set(SeenFingerprintData.__annotations__) == set(SeenFingerprint.model_fields)
    assert set(SeenFingerprint.model_fields) >= {"algorithm", "value"}
    assert set(Algorithm) == {"pdq", "md5", "sha1", "sha256"}
