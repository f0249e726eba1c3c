"""The register: only what is active now, by the highest revision, and what changed is told."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.matcher.index.growable_array import Growing
from services.matcher.register.register import MAX_AGE, Register
from shared.contracts.content import ContentChanged, ContentState
from shared.media.fingerprints import Algorithm, Fingerprint
from tests.matcher_world import content, registered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
VALUES = [random.Random(number).randbytes(32) for number in range(4)]


def a_register() -> Register:
    return Register(log_id="log", started_at=NOW)


def found(register: Register, value: bytes) -> set[UUID]:
    hits = register.view().search([Fingerprint(algorithm=Algorithm.PDQ, value=value)])
    return {register.entry(hit.number).content_id for hit in hits}


def test_suspended_content_leaves_and_returns_as_new() -> None:
    register, content_id = a_register(), uuid4()
    (first,) = register.apply(0, content(content_id, 1, registered(VALUES[0])))
    assert found(register, VALUES[0]) == {content_id}
    suspended = content(content_id, 2, registered(VALUES[0]), state=ContentState.SUSPENDED)
    assert register.apply(1, suspended) == ()
    assert found(register, VALUES[0]) == set()
    assert not register.contains(first)
    (again,) = register.apply(2, content(content_id, 3, registered(VALUES[0])))
    assert (again.offset, tuple(register.entries_from(0))) == (2, (again,))
    assert not register.contains(first)


def test_only_what_changed_is_told() -> None:
    register, content_id = a_register(), uuid4()
    one, two = registered(VALUES[0]), registered(VALUES[1])
    (kept,) = register.apply(0, content(content_id, 1, one))
    (added,) = register.apply(1, content(content_id, 2, one, two))
    assert added.fingerprint.value == VALUES[1]
    (stricter,) = register.apply(2, content(content_id, 3, one, registered(VALUES[1], max_distance=10)))
    assert (stricter.max_distance, stricter.offset) == (10, 2)
    assert register.contains(kept)
    assert not register.contains(added)
    assert tuple(register.entries_from(1)) == (stricter,)


def test_an_older_revision_brings_nothing_back() -> None:
    register, content_id = a_register(), uuid4()
    register.apply(0, content(content_id, 1, registered(VALUES[0])))
    register.apply(1, content(content_id, 2, state=ContentState.WITHDRAWN))
    assert register.apply(2, content(content_id, 1, registered(VALUES[0]))) == ()
    assert register.apply(3, content(content_id, 2, registered(VALUES[0]))) == ()
    assert found(register, VALUES[0]) == set()


def test_a_tombstone_is_for_good() -> None:
    register, known, unknown = a_register(), uuid4(), uuid4()
    register.apply(0, content(known, 1, registered(VALUES[0])))
    for content_id in (known, unknown):
        register.apply_tombstone(content_id)
        assert register.apply(1, content(content_id, 99, registered(VALUES[0]))) == ()
    assert found(register, VALUES[0]) == set()


def test_content_that_cannot_be_read_does_not_match_until_it_can() -> None:
    register, content_id = a_register(), uuid4()
    register.apply(0, content(content_id, 1, registered(VALUES[0])))
    register.apply_unreadable(content_id)
    assert found(register, VALUES[0]) == set()
    register.apply(1, content(content_id, 2, registered(VALUES[0])))
    assert found(register, VALUES[0]) == {content_id}


def test_a_degenerate_fingerprint_never_matches() -> None:
    register, content_id = a_register(), uuid4()
    (entry,) = register.apply(0, content(content_id, 1, registered(bytes(32)), registered(VALUES[0])))
    assert (entry.fingerprint.value, register.refused) == (VALUES[0], 1)


def test_age_counts_from_the_end_of_the_log() -> None:
    register = a_register()
    assert not register.too_old(NOW + MAX_AGE)
    assert register.too_old(NOW + MAX_AGE + timedelta(seconds=1))
    register.at_end_at = NOW + timedelta(days=1)
    assert not register.too_old(NOW + MAX_AGE + timedelta(days=1))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_it_holds_what_the_highest_revisions_say(seed: int) -> None:
    """Any events in any order; and every entry now searchable was told when it came."""
    rng = random.Random(seed)
    register = a_register()
    newest: dict[UUID, ContentChanged] = {}
    told: set[int] = set()
    ids = [UUID(int=number) for number in range(3)]
    for offset in range(30):
        values = rng.sample(VALUES, rng.randrange(4))
        event = content(
            rng.choice(ids),
            rng.randrange(1, 12),
            *(registered(value, max_distance=rng.choice([None, 5])) for value in values),
            state=rng.choice([ContentState.ACTIVE, ContentState.ACTIVE, ContentState.SUSPENDED]),
        )
        entries = register.apply(offset, event)
        told.update(entry.number for entry in entries)
        assert {entry.offset for entry in entries} <= {offset}
        if event.content_id not in newest or event.revision > newest[event.content_id].revision:
            newest[event.content_id] = event
        else:
            assert entries == ()
    for value in VALUES:
        assert found(register, value) == {
            event.content_id
            for event in newest.values()
            if event.state is ContentState.ACTIVE and value.hex() in {one.value for one in event.fingerprints}
        }
    everything = tuple(register.entries_from(0))
    assert {entry.number for entry in everything} <= told
    assert [entry.offset for entry in everything] == sorted(entry.offset for entry in everything)
    assert tuple(register.entries_from(15)) == tuple(entry for entry in everything if entry.offset >= 15)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_what_is_gathered_is_as_if_applied_one_by_one(seed: int) -> None:
    rng = random.Random(seed)
    one_by_one, gathered = a_register(), a_register()
    ids = [UUID(int=number) for number in range(5)]
    offset = 0
    while offset < 40:
        group = range(offset, offset + rng.choice([1, 3, 12]))
        offset = group.stop
        events = [
            content(
                rng.choice(ids),
                rng.randrange(1, 12),
                *(registered(value, max_distance=rng.choice([None, 5])) for value in rng.sample(VALUES, 2)),
                state=rng.choice([ContentState.ACTIVE, ContentState.ACTIVE, ContentState.WITHDRAWN]),
            )
            for _ in group
        ]
        told = []
        with gathered.gathering():
            for at, event in zip(group, events, strict=True):
                if rng.random() < 0.1:
                    gathered.apply_tombstone(event.content_id)
                    one_by_one.apply_tombstone(event.content_id)
                told.append(gathered.apply(at, event, traceparent=str(at)))
                assert told[-1] == one_by_one.apply(at, event, traceparent=str(at))
        for one in (gathered, one_by_one):
            if rng.random() < 0.2:
                one.upkeep()
        there = [entry for entries in told for entry in entries if gathered.contains(entry)]
        assert there == list(gathered.entries_from(group.start)), "read back as they were told"
        assert tuple(gathered.entries_from(0)) == tuple(one_by_one.entries_from(0))
        assert gathered.sizes() == one_by_one.sizes()
        assert [found(gathered, value) for value in VALUES] == [found(one_by_one, value) for value in VALUES]


def test_a_thousand_contents_are_taken_in_with_a_few_appends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Appending to a column costs a microsecond for one row and for a thousand; a register from the log has a million rows."""
    register, appends = a_register(), Counter[str]()
    extend = Growing.extend

    def counted(self: Growing, more: Any) -> None:
        appends["all"] += 1
        extend(self, more)

    monkeypatch.setattr(Growing, "extend", counted)
    with register.gathering():
        for number in range(1_000):
            register.apply(number, content(UUID(int=number), 1, registered(VALUES[number % 4])))
    assert len(register.entries_from(0)) == 1_000
    assert appends["all"] <= 20
