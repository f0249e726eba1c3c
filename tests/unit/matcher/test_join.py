"""Which agreement is told: guards, and one for each (takedown, sighting)."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from uuid import UUID, uuid4

from services.matcher.history.history import History
from services.matcher.join.matching import (
    Agreement,
    match_record,
    not_to_be_sent,
    one_for_each,
    unmatched_record,
)
from services.matcher.register.register import Register
from services.matcher.register.view import ViewEntry
from services.matcher.sightings.sighting import StoredSighting
from shared.agreement import guards
from shared.contracts.content import Assurance
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.media.fingerprints import Algorithm, Fingerprint, Orientation, fingerprint_ref
from shared.policy import Policy
from tests.matcher_world import content, registered

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = Policy()
KEY = b"k" * 32
CONTENT = UUID(int=1)
numbers = itertools.count()


def entry(
    algorithm: Algorithm = Algorithm.PDQ,
    *,
    quality: int | None = 90,
    assurance: Assurance = Assurance.VIEWED,
    max_distance: int | None = None,
) -> ViewEntry:
    return ViewEntry(
        number=next(numbers),
        content_id=CONTENT,
        offset=0,
        fingerprint=fingerprint(algorithm, quality=quality),
        assurance=assurance,
        max_distance=algorithm.max_distance if max_distance is None else max_distance,
    )


def fingerprint(
    algorithm: Algorithm = Algorithm.PDQ, *, quality: int | None = 90, orientation: Orientation = Orientation.IDENTITY
) -> Fingerprint:
    return Fingerprint(
        algorithm=algorithm,
        value=b"v" * algorithm.size_bytes,
        quality=None if algorithm.exact else quality,
        orientation=orientation,
    )


SEEN = StoredSighting(
    partition=0,
    offset=7,
    appended_at=NOW,
    sighting_id=UUID(int=2),
    url_key="https://h.test/a",
    key_version=1,
    media_url="https://h.test/a?",
    page_url="https://h.test/",
    source="crawler",
    seen_at=NOW,
    report_id=UUID(int=3),
    fingerprints=(),
    traceparent="00-aa-bb-01",
)


def agreement(distance: int, of: ViewEntry | None = None, **seen: object) -> Agreement:
    of = of or entry()
    mine = fingerprint(of.fingerprint.algorithm, **seen)  # type: ignore[arg-type]  # quality and orientation alone
    return Agreement(
        entry=of,
        seen=SEEN,
        fingerprint=mine,
        distance=distance,
        guards=guards(of.fingerprint, mine, distance, limit=of.max_distance),
        traceparent="t",
    )


def best(*agreements: Agreement) -> Agreement:
    for order in itertools.permutations(agreements):
        assert one_for_each(order, POLICY) == one_for_each(agreements, POLICY)
    (chosen,) = one_for_each(agreements, POLICY)
    return chosen


def test_exact_first_then_the_least_distance() -> None:
    near, far, exact = agreement(3), agreement(20), agreement(0, entry(Algorithm.SHA1))
    assert best(near, far) is near
    assert best(far, exact, near, agreement(0)) is exact


def test_what_nobody_may_act_on_hides_nothing() -> None:
    over, guarded = agreement(11, entry(max_distance=10)), agreement(2, quality=40)
    unseen, viewed = agreement(15, entry(assurance=Assurance.UNSEEN)), agreement(25)
    assert best(over, guarded, viewed) is viewed
    assert best(unseen, viewed) is viewed
    close = agreement(9, entry(assurance=Assurance.UNSEEN))
    assert best(close, viewed) is close
    at_the_edge = agreement(10, entry(assurance=Assurance.UNSEEN))
    assert best(at_the_edge, viewed) is at_the_edge


def test_equal_ones_prefer_the_picture_as_it_is_and_the_stronger_assurance() -> None:
    mirrored, plain = agreement(4, orientation=Orientation.MIRROR), agreement(4)
    assert best(mirrored, plain) is plain
    assert best(agreement(4, entry(assurance=Assurance.PARTNER)), plain) is plain


def test_the_record_of_a_match() -> None:
    told = agreement(12, orientation=Orientation.MIRROR)
    record = match_record(told, revision=4, fingerprint_key=KEY, now=NOW)
    event = decode(MODELS, value=record.value, headers=record.headers).event
    assert isinstance(event, MatchFound)
    assert record.key == str(event.takedown_id).encode()
    assert (event.url, event.url_key, event.page_url) == ("https://h.test/a?", "https://h.test/a", "https://h.test/")
    assert (event.content_revision, event.distance, event.orientation) == (4, 12, "mirror")
    assert event.fingerprint_ref == fingerprint_ref(KEY, told.fingerprint)
    assert record.value is not None
    assert told.fingerprint.hex.encode() not in record.value
    assert dict(record.headers)["ce_traceparent"] == b"t"


def test_a_report_is_answered_with_the_same_id_again() -> None:
    report = UUID(int=3)
    first, second = (unmatched_record(SEEN, report, now=NOW) for _ in "12")
    assert first == second
    assert first.key == str(report).encode()


def test_a_match_stands_while_content_is_active_and_the_url_is_not_erased() -> None:
    register, history = (
        Register(log_id="l", started_at=NOW),
        History(log_id="l", position=0, kept=POLICY.history_kept, erasures_known_at=NOW),
    )
    content_id = uuid4()
    (brought,) = register.apply(0, content(content_id, 1, registered(b"v" * 32)))
    told = agreement(0, brought)
    assert not_to_be_sent(told, register, history) is None
    history.erase(SEEN.url, SEEN.offset + 1)
    assert not_to_be_sent(told, register, history) == "url_erased"
    register.apply(1, content(content_id, 2))
    assert not_to_be_sent(told, register, history) == "content_not_active"
