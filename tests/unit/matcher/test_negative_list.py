"""The negative list in the matcher: what it covers, what it never hides, how records change it."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.matcher.consumer.decoding import apply_content
from services.matcher.join.matching import Agreement, match_record, with_negative_list
from services.matcher.register.negative_list import NegativeList
from services.matcher.register.register import Register
from services.matcher.register.view import ViewEntry
from services.matcher.sightings.sighting import StoredSighting
from shared.contracts.content import Assurance, NegativeEntry
from shared.contracts.event import MalformedEvent
from shared.contracts.matches import Guard
from shared.contracts.topics import CONTENT
from shared.log.port import OutgoingRecord, Record
from shared.media.fingerprints import Algorithm, Fingerprint, hamming
from tests.matcher_world import content, content_record, near, negative_entry, negative_record, registered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HARMLESS = random.Random(1).randbytes(32)
values = st.binary(min_size=32, max_size=32).filter(lambda value: 32 <= int.from_bytes(value).bit_count() <= 224)


def pdq(value: bytes) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.PDQ, value=value, quality=90)


def agreement(value: bytes, distance: int) -> Agreement:
    entry = ViewEntry(
        number=1,
        content_id=UUID(int=1),
        offset=0,
        fingerprint=pdq(random.randbytes(32)),
        assurance=Assurance.VIEWED,
        max_distance=31,
    )
    seen = StoredSighting(
        partition=0,
        offset=0,
        appended_at=NOW,
        sighting_id=UUID(int=2),
        url_key="https://h.test/",
        key_version=1,
        media_url="https://h.test/",
        page_url=None,
        source="crawler",
        seen_at=NOW,
        report_id=None,
        fingerprints=(pdq(HARMLESS), pdq(value)),
    )
    return Agreement(entry=entry, seen=seen, fingerprint=pdq(value), distance=distance, guards=())


def the_list(*entries: NegativeEntry) -> NegativeList:
    found = NegativeList()
    for one in entries:
        found.apply(one)
    return found


def guards(value: bytes, distance: int, of: NegativeList) -> tuple[Guard, ...]:
    (one,) = with_negative_list([agreement(value, distance)], of)
    return one.guards


@pytest.mark.parametrize(
    ("harmless", "distance", "guarded"),
    [(0, 1, True), (12, 20, True), (30, 31, True), (20, 20, False), (21, 20, False), (31, 10, False), (32, 31, False)],
)
def test_what_is_nearer_to_an_entry_than_to_the_content_is_guarded(harmless: int, distance: int, guarded: bool) -> None:
    found = guards(near(HARMLESS, harmless), distance, the_list(negative_entry(HARMLESS)))
    assert found == ((Guard.NEGATIVE_LIST,) if guarded else ())


def test_another_fingerprint_of_the_sighting_hides_nothing() -> None:
    """A crawler that adds a harmless hash to a sighting must not hide what agrees."""
    far = near(HARMLESS, 100)
    assert guards(far, 5, the_list(negative_entry(HARMLESS))) == ()


def test_what_equals_content_is_never_guarded() -> None:
    md5 = Fingerprint(algorithm=Algorithm.MD5, value=b"v" * 16)
    exact = replace(agreement(HARMLESS, 0), fingerprint=md5)
    (one,) = with_negative_list([exact], the_list(negative_entry(md5.value, "md5")))
    assert one.guards == ()


@given(st.lists(values, max_size=8), st.lists(values, max_size=4), st.data())
def test_it_agrees_with_a_look_at_each(entries: list[bytes], asked: list[bytes], data: st.DataObject) -> None:
    kept = [negative_entry(value) for value in entries]
    found = the_list(*kept, *kept)
    for one in data.draw(st.permutations(kept))[: len(kept) // 2]:
        assert found.remove(one.entry_id)
        assert not found.remove(one.entry_id)
        kept.remove(one)
    assert (len(found), set(found.entries())) == (len(kept), set(kept))
    wanted = [*asked, *entries]
    nearest = {
        pdq(value): min(apart)
        for value in wanted
        if (apart := [d for one in kept if (d := hamming(value, bytes.fromhex(one.value))) <= 31])
    }
    assert found.nearest([pdq(value) for value in wanted]) == nearest


def test_of_several_entries_the_nearest_counts() -> None:
    asked, (near_by, farther) = pdq(HARMLESS), (negative_entry(near(HARMLESS, bits)) for bits in (5, 25))
    for entries in ((near_by, farther), (farther, near_by)):
        assert the_list(*entries).nearest([asked]) == {asked: 5}
        assert guards(HARMLESS, 20, the_list(*entries)) == (Guard.NEGATIVE_LIST,)


@pytest.mark.parametrize("distance", [30, 31])
def test_at_the_edge_what_is_as_near_to_the_content_is_not_guarded(distance: int) -> None:
    asked = near(HARMLESS, distance)
    assert guards(asked, distance, the_list(negative_entry(HARMLESS))) == ()
    if distance > 30:
        assert guards(near(HARMLESS, 30), distance, the_list(negative_entry(HARMLESS))) == (Guard.NEGATIVE_LIST,)


def event_id_of(one: Agreement) -> bytes:
    return dict(match_record(one, revision=1, fingerprint_key=b"k" * 32, now=NOW).headers)["ce_id"]


def test_each_guarded_telling_has_an_id_of_its_own() -> None:
    """One more sighting, or the same of another content, is not taken for a delivery of the first again; the same is."""
    listed = the_list(negative_entry(HARMLESS))
    first = agreement(HARMLESS, 5)
    again = replace(first, seen=replace(first.seen, sighting_id=UUID(int=3)))
    elsewhere = replace(first, entry=replace(first.entry, content_id=UUID(int=9)))
    guarded = with_negative_list([first, again, elsewhere], listed)
    assert all(one.guards == (Guard.NEGATIVE_LIST,) for one in guarded)
    assert len(set(map(event_id_of, guarded))) == 3
    assert [event_id_of(one) for one in with_negative_list([first], listed)] == [event_id_of(guarded[0])]


def test_the_guarded_telling_has_an_id_of_its_own() -> None:
    """Told again once the entry is removed, it is news to who reads it."""
    plain = agreement(HARMLESS, 5)
    (guarded,) = with_negative_list([plain], the_list(negative_entry(HARMLESS)))
    ids = {
        dict(match_record(one, revision=1, fingerprint_key=b"k" * 32, now=NOW).headers)["ce_id"]
        for one in (plain, guarded)
    }
    assert len(ids) == 2


def applied(register: Register, offset: int, record: OutgoingRecord) -> tuple[ViewEntry, ...]:
    read = Record(
        topic=CONTENT.name,
        partition=0,
        offset=offset,
        append_time=NOW,
        key=record.key,
        value=record.value,
        headers=record.headers,
    )
    return apply_content(register, read)


def test_records_add_and_remove_entries_and_leave_content_alone() -> None:
    register, content_id = Register(log_id="log", started_at=NOW), uuid4()
    entry = negative_entry(HARMLESS)
    assert len(applied(register, 0, content_record(content(content_id, 1, registered(random.randbytes(32)))))) == 1
    assert applied(register, 1, negative_record(entry)) == ()
    assert register.negative_list.entries() == (entry,)
    applied(register, 2, OutgoingRecord(topic=CONTENT.name, key=str(content_id).encode(), value=None))
    assert register.negative_list.entries() == (entry,)
    applied(register, 3, OutgoingRecord(topic=CONTENT.name, key=str(entry.entry_id).encode(), value=None))
    assert len(register.negative_list) == 0
    for useless in (b"\0" * 32, b"v" * 31):
        with pytest.raises(MalformedEvent):
            applied(register, 4, negative_record(negative_entry(useless)))
    assert len(register.negative_list) == 0
