"""When two fingerprints agree, and when that is sure: tables of the rules, and properties that hold of any values."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.agreement import (
    REDUCED_DRIFT_BITS,
    REDUCED_QUALITY_DRIFT,
    Comparison,
    Grade,
    best_agreement,
    grade,
    guards,
    is_clear,
    is_harmless,
    limit,
    reach,
    weight,
)
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.contracts.matches import NEVER_ACTED_ON, Guard
from shared.media.fingerprints import PDQ_MIN_QUALITY, Algorithm, Fingerprint, hamming
from shared.policy import Policy

POLICY = Policy()
BASE = bytes(range(32))
assurances = st.sampled_from(Assurance)
distances = st.integers(0, 31)
qualities = st.none() | st.integers(0, 100)
some_guards = st.frozensets(st.sampled_from(Guard)).map(tuple)


def flipped(value: bytes, places: set[int]) -> bytes:
    """The value with these of its bits turned over."""
    mask = sum(1 << place for place in places)
    return (int.from_bytes(value) ^ mask).to_bytes(len(value))


def near(bits: int, start: int = 0) -> bytes:
    return flipped(BASE, set(range(start, start + bits)))


def pdq(value: bytes = BASE, quality: int | None = 90) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.PDQ, value=value, quality=quality)


def sha(value: bytes = BASE) -> Fingerprint:
    return Fingerprint(algorithm=Algorithm.SHA256, value=value)


def entry(
    value: bytes = BASE,
    *,
    quality: int | None = 90,
    assurance: Assurance = Assurance.VIEWED,
    max_distance: int | None = None,
) -> RegisteredFingerprint:
    return RegisteredFingerprint(
        algorithm="pdq", value=value.hex(), quality=quality, assurance=assurance, max_distance=max_distance
    )


# The limit


@pytest.mark.parametrize(
    ("algorithm", "asked", "most"),
    [
        (Algorithm.PDQ, None, 31),
        (Algorithm.PDQ, 10, 10),
        (Algorithm.PDQ, 0, 0),
        (Algorithm.PDQ, 60, 31),
        (Algorithm.SHA256, None, 0),
        (Algorithm.MD5, 31, 0),
    ],
)
def test_an_entry_may_ask_for_less_than_its_algorithm_and_never_for_more(
    algorithm: Algorithm, asked: int | None, most: int
) -> None:
    assert limit(algorithm, asked) == most


# Guards


@pytest.mark.parametrize(
    ("entrys", "seen", "distance", "most", "expected"),
    [
        (90, 50, 31, 31, ()),
        (90, 49, 0, 31, (Guard.LOW_QUALITY,)),
        (49, 90, 0, 31, (Guard.LOW_QUALITY,)),
        (90, None, 3, 31, (Guard.QUALITY_UNKNOWN,)),
        (None, 90, 3, 31, (Guard.QUALITY_UNKNOWN,)),
        (None, 49, 3, 31, (Guard.LOW_QUALITY, Guard.QUALITY_UNKNOWN)),
        (90, 90, 10, 10, ()),
        (90, 90, 11, 10, (Guard.OVER_THRESHOLD,)),
        (90, None, 11, 10, (Guard.QUALITY_UNKNOWN, Guard.OVER_THRESHOLD)),
    ],
)
def test_guards(entrys: int | None, seen: int | None, distance: int, most: int, expected: tuple[Guard, ...]) -> None:
    assert guards(pdq(quality=entrys), pdq(quality=seen), distance, limit=most) == expected
    assert guards(sha(), sha(), 0, limit=0) == ()


@given(qualities, qualities, distances, st.booleans(), st.none() | st.integers(0, 64))
def test_each_guard_stands_for_its_own_reason_alone(
    entrys: int | None, seen: int | None, distance: int, derived: bool, harmless: int | None
) -> None:
    found = guards(
        pdq(quality=entrys), pdq(quality=seen), distance, limit=20, derived=derived, harmless_distance=harmless
    )
    known = [one for one in (entrys, seen) if one is not None]
    assert (Guard.LOW_QUALITY in found) == any(one < PDQ_MIN_QUALITY for one in known)
    assert (Guard.QUALITY_UNKNOWN in found) == (len(known) < 2)
    assert (Guard.OVER_THRESHOLD in found) == (distance > 20)
    assert (Guard.DERIVED_ORIENTATION in found) == derived
    assert (Guard.NEGATIVE_LIST in found) == is_harmless(distance, harmless)
    assert guards(sha(), sha(), 0, limit=0, derived=derived, harmless_distance=harmless) == ()


@pytest.mark.parametrize(
    ("distance", "harmless", "taken"),
    [
        (1, 0, True),
        (20, 12, True),
        (31, 30, True),
        (20, 20, False),
        (20, 21, False),
        (31, None, False),
        (40, 32, False),
    ],
)
def test_nearer_to_a_harmless_hash_than_to_the_content(distance: int, harmless: int | None, taken: bool) -> None:
    assert is_harmless(distance, harmless) is taken


# Sure


@pytest.mark.parametrize(
    ("assurance", "standing", "furthest"),
    [
        (Assurance.VIEWED, (), 31),
        (Assurance.VIEWED_WITH_SUBJECT, (), 31),
        (Assurance.PARTNER, (), 10),
        (Assurance.UNSEEN, (), 10),
        (Assurance.VIEWED, (Guard.QUALITY_UNKNOWN,), 10),
        (Assurance.UNSEEN, (Guard.QUALITY_UNKNOWN,), 10),
    ],
)
def test_how_far_a_machine_may_act(assurance: Assurance, standing: tuple[Guard, ...], furthest: int) -> None:
    assert reach(assurance, standing, POLICY) == furthest
    assert grade(assurance, furthest, standing, POLICY) is Grade.SURE
    assert grade(assurance, furthest + 1, standing, POLICY) is Grade.UNSURE


@given(assurances, distances, some_guards, st.sampled_from(Guard))
def test_a_guard_never_lets_more_happen(
    assurance: Assurance, distance: int, standing: tuple[Guard, ...], more: Guard
) -> None:
    assert grade(assurance, distance, (*standing, more), POLICY) >= grade(assurance, distance, standing, POLICY)


@given(assurances, distances, distances, some_guards)
def test_nearer_is_never_worse(assurance: Assurance, one: int, other: int, standing: tuple[Guard, ...]) -> None:
    nearer, farther = sorted((one, other))
    assert grade(assurance, nearer, standing, POLICY) <= grade(assurance, farther, standing, POLICY)


@given(assurances, distances, some_guards)
def test_what_is_sure(assurance: Assurance, distance: int, standing: tuple[Guard, ...]) -> None:
    """In the words of rule 4, apart from the code."""
    unknown = Guard.QUALITY_UNKNOWN in standing
    expected = not set(standing) - {Guard.QUALITY_UNKNOWN} and (
        distance <= 10 or (assurance in (Assurance.VIEWED, Assurance.VIEWED_WITH_SUBJECT) and not unknown)
    )
    assert (grade(assurance, distance, standing, POLICY) is Grade.SURE) == expected
    assert (grade(assurance, distance, standing, POLICY) is Grade.NEVER) == (not NEVER_ACTED_ON.isdisjoint(standing))


# The order of agreements

compared = st.builds(
    Comparison,
    algorithm=st.just(Algorithm.PDQ),
    distance=distances,
    limit=st.just(31),
    assurance=assurances,
    guards=some_guards,
) | st.builds(
    Comparison,
    algorithm=st.sampled_from([one for one in Algorithm if one.exact]),
    distance=st.just(0),
    limit=st.just(0),
    assurance=assurances,
)


@given(compared, compared)
def test_what_allows_more_never_weighs_less(one: Comparison, other: Comparison) -> None:
    """But for a derived orientation within reach, which our own look settles."""
    if Guard.DERIVED_ORIENTATION in (*one.guards, *other.guards):
        return
    if one.grade(POLICY) < other.grade(POLICY):
        assert one.weight(POLICY) < other.weight(POLICY)


@given(compared, compared)
def test_of_the_same_grade_exact_comes_first_and_then_the_nearer(one: Comparison, other: Comparison) -> None:
    if one.grade(POLICY) is not other.grade(POLICY) or Guard.DERIVED_ORIENTATION in (*one.guards, *other.guards):
        return
    if Grade.NEVER not in (one.grade(POLICY), other.grade(POLICY)) and one.algorithm.exact != other.algorithm.exact:
        assert (one.weight(POLICY) < other.weight(POLICY)) == one.algorithm.exact
    elif one.grade(POLICY) is Grade.SURE and one.algorithm.exact == other.algorithm.exact:
        assert (one.weight(POLICY) < other.weight(POLICY)) >= (one.distance < other.distance)


def test_a_derived_orientation_comes_after_a_true_one_within_the_same_reach() -> None:
    derived = (Guard.DERIVED_ORIENTATION,)
    true, turned = (weight(Algorithm.PDQ, Assurance.VIEWED, 9, one, POLICY) for one in ((), derived))
    assert true < turned < weight(Algorithm.PDQ, Assurance.UNSEEN, 20, (), POLICY)


# The best agreement of a look

values = st.lists(st.sets(st.integers(0, 63), max_size=40).map(lambda places: flipped(BASE, places)), max_size=4)
entries = st.lists(
    st.builds(
        entry,
        st.sets(st.integers(0, 63), max_size=40).map(lambda places: flipped(BASE, places)),
        quality=qualities,
        assurance=assurances,
        max_distance=st.none() | st.integers(0, 40),
    ),
    max_size=4,
)


@given(st.lists(st.builds(pdq, values.map(lambda some: (*some, BASE)[0]), qualities), max_size=4), entries, values)
def test_the_best_is_one_that_agrees_and_none_weighs_more(
    seen: list[Fingerprint], registered: list[RegisteredFingerprint], harmless: list[bytes]
) -> None:
    """Beside a look at each pair, in plain words."""
    pairs = []
    for one, of in itertools.product(seen, registered):
        apart = hamming(one.value, bytes.fromhex(of.value))
        most = 31 if of.max_distance is None else min(31, of.max_distance)
        low = any(quality is not None and quality < 50 for quality in (one.quality, of.quality))
        nearer = any(hamming(one.value, value) < min(apart, 32) for value in harmless)
        if apart <= most and not low and not nearer:
            sure = apart <= 10 or (of.assurance.sure and None not in (one.quality, of.quality))
            pairs.append((not sure, apart))
    found = best_agreement(seen, registered, harmless, POLICY)
    if found is None:
        assert pairs == []
    else:
        assert (found.grade(POLICY) is not Grade.SURE, found.distance) == min(pairs)
        assert NEVER_ACTED_ON.isdisjoint(found.guards)


def test_an_entry_of_unknown_quality_keeps_its_guard_and_gives_way_to_one_that_is_sure() -> None:
    unknown, known = entry(near(20), quality=None), entry(near(25))
    far = best_agreement([pdq()], [unknown], (), POLICY)
    assert far is not None
    assert (far.distance, far.guards, far.grade(POLICY)) == (20, (Guard.QUALITY_UNKNOWN,), Grade.UNSURE)
    both = best_agreement([pdq()], [unknown, known], (), POLICY)
    assert both is not None
    assert (both.distance, both.grade(POLICY)) == (25, Grade.SURE)


def test_equal_bytes_agree_whatever_is_on_the_negative_list() -> None:
    registered = RegisteredFingerprint(algorithm="sha256", value=BASE.hex(), assurance=Assurance.UNSEEN)
    found = best_agreement([sha()], [registered], [BASE], POLICY)
    assert found is not None
    assert (found.distance, found.guards, found.grade(POLICY)) == (0, (), Grade.SURE)


def test_a_placeholder_agrees_with_nothing_and_a_copy_beside_it_does() -> None:
    content, placeholder = entry(near(28)), near(4, start=100)
    assert best_agreement([pdq()], [content], [placeholder], POLICY) is None
    copy = near(25)
    found = best_agreement([pdq(), pdq(copy)], [content], [placeholder], POLICY)
    assert found is not None
    assert found.distance == 3


# A smaller scale


@pytest.mark.parametrize(
    ("distance", "most", "assurance", "quality", "clear"),
    [
        (15, 31, Assurance.VIEWED, 100, True),
        (16, 31, Assurance.VIEWED, 100, False),
        (0, 31, Assurance.UNSEEN, 100, False),
        (15, 30, Assurance.VIEWED, 100, False),
        (3, 31, Assurance.VIEWED, 59, False),
        (3, 31, Assurance.VIEWED, 60, True),
    ],
)
def test_what_is_clear_at_a_smaller_scale(
    distance: int, most: int, assurance: Assurance, quality: int, clear: bool
) -> None:
    found = Comparison(algorithm=Algorithm.PDQ, distance=distance, limit=most, assurance=assurance, quality=quality)
    assert is_clear(found, POLICY) == clear
    assert is_clear(replace(found, algorithm=Algorithm.SHA256, distance=0, quality=None), POLICY)


drift = st.integers(-REDUCED_DRIFT_BITS, REDUCED_DRIFT_BITS)


@given(
    distances,
    st.integers(0, 31),
    assurances,
    st.integers(50, 100),
    qualities,
    st.none() | st.integers(0, 128),
    drift,
    drift,
)
def test_what_is_clear_at_a_smaller_scale_is_sure_at_the_full_one(
    distance: int,
    most: int,
    assurance: Assurance,
    quality: int,
    entrys: int | None,
    harmless: int | None,
    moved: int,
    harmless_moved: int,
) -> None:
    """However far the value and its quality move within what was measured."""

    def of(distance: int, harmless: int | None, quality: int) -> Comparison:
        standing = guards(pdq(quality=entrys), pdq(quality=quality), distance, limit=most, harmless_distance=harmless)
        return Comparison(
            algorithm=Algorithm.PDQ,
            distance=distance,
            limit=most,
            assurance=assurance,
            quality=quality,
            guards=standing,
            harmless_distance=harmless,
        )

    small = of(distance, harmless, quality)
    if small.grade(POLICY) is Grade.NEVER or not is_clear(small, POLICY):
        return
    full = of(
        max(0, distance + moved),
        None if harmless is None else max(0, harmless + harmless_moved),
        max(0, quality - REDUCED_QUALITY_DRIFT),
    )
    assert full.grade(POLICY) is Grade.SURE
