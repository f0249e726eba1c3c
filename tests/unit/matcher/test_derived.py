"""Derived orientations: for whom they are looked up, and that both orders of content and sighting find the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.history.history import History
from services.matcher.join.derived_orientations import DerivedOf
from services.matcher.join.matching import (
    Agreement,
    match_against_history,
    match_against_register,
    match_record,
    one_for_each,
)
from services.matcher.register.register import Register
from services.matcher.sightings.sighting import StoredSighting
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, Guard, MatchFound
from shared.media.fingerprints import (
    Algorithm,
    Fingerprint,
    Orientation,
    derive_orientations,
    fingerprint_ref,
    hamming,
)
from shared.policy import Policy
from tests.matcher_world import as_batch, content, near, registered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = b"k" * 32
CRAWLER = DerivedOf(("crawler",))
TURNED = tuple(one for one in Orientation if one is not Orientation.IDENTITY)


def pdq(value: bytes, *, quality: int | None = 90, orientation: Orientation = Orientation.IDENTITY) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.PDQ, value=value, quality=quality, orientation=orientation)


def seen(*fingerprints: Fingerprint, source: str = "crawler") -> StoredSighting:
    return StoredSighting(
        partition=0,
        offset=1,
        appended_at=NOW,
        sighting_id=UUID(int=2),
        url_key="https://h.test/a",
        key_version=1,
        media_url="https://h.test/a",
        page_url=None,
        source=source,
        seen_at=NOW,
        report_id=None,
        fingerprints=fingerprints,
    )


def met(value: bytes, sighting: StoredSighting, derived_of: DerivedOf) -> list[Agreement]:
    """What the register and the sighting make of each other, whichever comes first; both orders must say the same."""
    register = Register(log_id="l", started_at=NOW)
    entries = register.apply(0, content(UUID(int=1), 1, registered(value)))
    history = History(log_id="l", position=0, kept=Policy().history_kept, erasures_known_at=NOW)
    history.admit([sighting])
    one, other = (
        match_against_register(register.view(), [as_batch(sighting)], derived_of),
        match_against_history(history, entries, derived_of),
    )

    def facts(agreements: list[Agreement]) -> set[tuple[object, ...]]:
        return {(a.fingerprint, a.distance, a.orientation, a.guards, a.subject) for a in agreements}

    assert facts(one) == facts(other)
    assert len(one) == len(other)
    return one


@settings(max_examples=60, deadline=None)
@given(value=st.binary(min_size=32, max_size=32), turned=st.sampled_from(TURNED), bits=st.integers(0, 40))
def test_both_orders_find_a_turned_picture_by_its_hash_alone(value: bytes, turned: Orientation, bits: int) -> None:
    if not 32 <= int.from_bytes(value).bit_count() <= 224:
        value = bytes(range(32))
    sent = near(derive_orientations(value)[turned.opposite], bits)
    agreements = met(value, seen(pdq(sent)), CRAWLER)
    expected = {
        ("identity" if name is Orientation.IDENTITY else f"derived:{name}"): hamming(derived, value)
        for name, derived in derive_orientations(sent).items()
        if hamming(derived, value) <= 31
    }
    assert {one.orientation: one.distance for one in agreements} == expected
    assert (f"derived:{turned}" in expected) == (bits <= 31)
    for one in agreements:
        assert (Guard.DERIVED_ORIENTATION in one.guards) == (one.derived is not None)
    assert met(value, seen(pdq(sent), source="other"), CRAWLER) == [one for one in agreements if one.derived is None]
    assert len(met(value, seen(pdq(sent), source="other"), DerivedOf(("*",)))) == len(agreements)


@pytest.mark.parametrize("turned", TURNED)
def test_the_hash_of_true_pixels_counts_alone_for_its_orientation(turned: Orientation) -> None:
    value = random.randbytes(32)
    sent = pdq(derive_orientations(value)[turned.opposite])
    assert [one.derived for one in met(value, seen(sent), CRAWLER)] == [turned]
    true = pdq(random.randbytes(32), orientation=turned)  # says that the picture turned so is another
    assert met(value, seen(sent, true), CRAWLER) == []


def test_what_could_not_be_acted_on_is_not_derived() -> None:
    value = random.randbytes(32)
    mirrored = derive_orientations(value)[Orientation.MIRROR]
    assert met(value, seen(pdq(mirrored, quality=49)), CRAWLER) == []
    assert met(value, seen(pdq(mirrored, orientation=Orientation.FLIP)), CRAWLER) == []
    (unknown,) = met(value, seen(pdq(mirrored, quality=None)), CRAWLER)
    assert unknown.guards == (Guard.QUALITY_UNKNOWN, Guard.DERIVED_ORIENTATION)
    exact = Fingerprint(algorithm=Algorithm.SHA256, value=mirrored)
    assert met(value, seen(exact), CRAWLER) == []


def test_a_true_orientation_is_told_before_a_derived_one() -> None:
    value = random.randbytes(32)
    derived = pdq(derive_orientations(value)[Orientation.MIRROR])
    true = pdq(near(value, 30), orientation=Orientation.FLIP)
    agreements = met(value, seen(derived, true), CRAWLER)
    assert {one.orientation for one in agreements} == {"derived:mirror", "flip"}
    for order in (agreements, agreements[::-1]):
        (told,) = one_for_each(order, Policy())
        assert told.orientation == "flip"


def test_the_record_names_the_orientation_and_the_fingerprint_as_it_was_sent() -> None:
    value = random.randbytes(32)
    sent = pdq(derive_orientations(value)[Orientation.ROTATE90])
    (agreement,) = met(value, seen(sent), CRAWLER)
    record = match_record(agreement, revision=1, fingerprint_key=KEY, now=NOW)
    event = decode(MODELS, value=record.value, headers=record.headers).event
    assert isinstance(event, MatchFound)
    assert (event.orientation, event.distance) == ("derived:rotate270", 0)
    assert event.guards == (Guard.DERIVED_ORIENTATION,)
    assert event.fingerprint_ref == fingerprint_ref(KEY, sent)  # what a rejection of it will be remembered by
