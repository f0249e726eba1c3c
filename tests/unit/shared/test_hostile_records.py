"""What no column takes is refused as a record is parsed, and by nothing but Poison; the matcher's own readers go on behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.matcher.consumer.decoding import admit_record, apply_content, decode_sightings
from services.matcher.history.history import History
from services.matcher.register.register import Register
from shared.agreement import best_agreement
from shared.contracts.content import ContentChanged
from shared.contracts.event import EARLIEST, LATEST, URL_CHARACTERS, Event, data_of, decode, json_bytes, read_event
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.sightings import SightingsBatch, read_sightings
from shared.contracts.topics import BY_NAME, CONTENT, SIGHTINGS
from shared.errors import Poison
from shared.log.dead_letters import letter_of
from shared.log.port import OutgoingRecord, Record
from shared.media.fingerprints import Algorithm, Fingerprint
from shared.policy import Policy
from shared.urls import MAX_URL_CHARACTERS
from tests.hostile_records import NOW, PDQ, changed, events, record_of

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.datetimes().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def as_read(one: OutgoingRecord, offset: int = 0) -> Record:
    return Record(
        topic=one.topic, partition=0, offset=offset, append_time=NOW, key=one.key, value=one.value, headers=one.headers
    )


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def fits_columns(event: Event) -> None:
    for leaf in leaves(event.model_dump()):
        if isinstance(leaf, str):
            assert "\0" not in leaf
            assert len(leaf) <= 8_192
        elif isinstance(leaf, int):
            assert -(2**63) <= leaf < 2**63
        elif isinstance(leaf, datetime):
            assert EARLIEST <= leaf < LATEST
    assert read_event(type(event), data_of(event)) == event


@pytest.mark.parametrize("topic", sorted(BY_NAME))
def test_a_changed_record_is_refused_or_fits_its_columns(topic: str) -> None:
    for one in changed(topic):
        try:
            envelope = decode(MODELS_BY_TOPIC[topic], value=one.record.value, headers=one.record.headers)
        except Poison as error:
            fits_columns(letter_of(as_read(one.record), error, group="group", log_id="log", at=NOW))
            continue
        assert envelope.event is not None
        fits_columns(envelope.event)
        assert len(envelope.id) <= 255
        assert len(envelope.traceparent or "") <= 255


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(which=st.integers(0, 12), name=st.text(max_size=10) | st.just(None), value=ANYTHING)
def test_anything_in_a_field_is_refused_or_fits(which: int, name: str | None, value: Any) -> None:
    made = list(events())
    topic, key, event = made[which % len(made)]
    data = event.model_dump(mode="json")
    at = name if name is not None else sorted(data)[which % len(data)]
    try:
        raw = json_bytes(data | {at: value})
    except UnicodeEncodeError:
        return
    try:
        decoded = decode(MODELS_BY_TOPIC[topic], value=raw, headers=record_of(topic, key, event).headers).event
    except Poison:
        return
    assert decoded is not None
    fits_columns(decoded)


def test_both_readers_of_sightings_take_the_same() -> None:
    for one in changed(SIGHTINGS.name):
        headers = dict(one.record.headers)
        if headers.get("ce_type") != SightingsBatch.TYPE.encode() or one.record.value is None:
            continue
        outcomes = []
        for read in (read_sightings, lambda raw: read_event(SightingsBatch, raw)):
            try:
                read(one.record.value)
                outcomes.append("read")
            except Poison:
                outcomes.append("refused")
        assert outcomes[0] == outcomes[1], one


def test_the_matcher_goes_on_behind_any_record() -> None:
    register = Register(log_id="log", started_at=NOW)
    history = History(log_id="log", position=0, kept=timedelta(days=180), erasures_known_at=NOW)
    offset = 0
    for one in changed(CONTENT.name, SIGHTINGS.name):
        offset += 1
        record = as_read(one.record, offset)
        try:
            if record.topic == CONTENT.name:
                with register.gathering():
                    apply_content(register, record)
            else:
                admit_record(history, offset, decode_sightings(record))
        except Poison:
            continue
    for topic, key, event in events():
        if isinstance(event, ContentChanged):
            with register.gathering():
                entries = apply_content(register, as_read(record_of(topic, key, event), offset + 1))
            assert [entry.content_id for entry in entries] == [event.content_id]
            assert register.revision_of(event.content_id) == 1
        elif isinstance(event, SightingsBatch):
            before = history.admitted
            admit_record(history, offset + 2, decode_sightings(as_read(record_of(topic, key, event), offset + 2)))
            assert history.admitted == before + 1


class Breaking(Register):
    def apply(self, *_: Any, **__: Any) -> Any:
        raise OverflowError("a value of the record")


def test_what_nobody_foresaw_is_poison_too_and_quotes_nothing() -> None:
    register = Breaking(log_id="log", started_at=NOW)
    topic, key, event = next(iter(events()))
    with pytest.raises(Poison) as raised:
        apply_content(register, as_read(record_of(topic, key, event)))
    assert "OverflowError" in str(raised.value)
    assert "a value" not in str(raised.value)


@pytest.mark.parametrize("value", ["", "a", "abc", PDQ[:-1], PDQ + "00", "00"])
def test_a_registered_value_of_another_length_hides_no_other(value: str) -> None:
    content = next(iter(events()))[2]
    assert isinstance(content, ContentChanged)
    good = content.fingerprints[0]
    seen = Fingerprint(algorithm=Algorithm.PDQ, value=bytes.fromhex(PDQ), quality=90)
    found = best_agreement([seen], [good.model_copy(update={"value": value}), good], (), Policy())
    assert found is not None
    assert found.distance == 0


def test_a_url_is_as_long_here_as_where_it_is_parsed() -> None:
    assert URL_CHARACTERS == MAX_URL_CHARACTERS
