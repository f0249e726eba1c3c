"""Intake's pure code: what a content is, given its claims; who must be another person; sightings cut into records."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from services.intake.domain.claims import (
    ClaimFacts,
    ClaimFingerprint,
    SamePerson,
    SuspensionReason,
    TooLateAStart,
    WithdrawalStep,
    WrongState,
    check_confirmation,
    check_not_before,
    claim_assurance,
    derive,
    next_withdrawal_step,
    stronger_reason,
)
from services.intake.domain.schemas import Domain, Jurisdiction
from services.intake.domain.sightings import SightingRefusal, batched, make_sighting, parse_sighting
from services.intake.erasure.worker import as_in_json, without_erasure_events, without_matches, without_sightings
from services.intake.maintenance.retention import heartbeat_keys
from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Assurance, ContentState
from shared.contracts.event import data_of
from shared.contracts.sightings import Sighting, SightingsBatch
from shared.contracts.topics import TOPICS, Topic
from shared.log.partitioner import partition_of
from shared.media.fingerprints import Algorithm, Fingerprint

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def fingerprint(number: int, assurance: Assurance | None, **changes: object) -> ClaimFingerprint:
    values: dict[str, object] = {"quality": None, "origin": "original", "orientation": "identity", **changes}
    return ClaimFingerprint(
        algorithm="md5",
        value=bytes([number]) * 16,
        assurance=assurance,
        **values,  # type: ignore[arg-type]  # the test's own defaults
    )


@st.composite
def claim_facts(draw: st.DrawFn) -> ClaimFacts:
    state = draw(st.sampled_from(ClaimState))
    confirmed = state in (ClaimState.CONFIRMED, ClaimState.WITHDRAWING)
    assurance = draw(st.sampled_from(Assurance)) if confirmed else None
    numbers = draw(st.sets(st.integers(1, 5), max_size=3)) if state is not ClaimState.WITHDRAWN else set()
    return ClaimFacts(
        claim_id=uuid4(),
        organisation_id=draw(st.sampled_from(("a", "b"))),
        state=state,
        assurance=assurance,
        withdrawal_reason=draw(st.sampled_from(WithdrawalReason)) if state is ClaimState.WITHDRAWN else None,
        fingerprints=tuple(fingerprint(number, assurance) for number in numbers),
    )


claim_lists = st.lists(claim_facts(), min_size=1, max_size=5)
suspensions = st.none() | st.sampled_from(SuspensionReason)


@given(claim_lists, suspensions)
def test_what_a_content_is(claims: list[ClaimFacts], suspension: SuspensionReason | None) -> None:
    content = derive(claims, suspension)
    states = {claim.state for claim in claims}
    confirmed = [claim for claim in claims if claim.state is ClaimState.CONFIRMED]
    assert (content.state is ContentState.ACTIVE) == (bool(confirmed) and suspension is None)
    assert (content.state is ContentState.WITHDRAWN) == (states == {ClaimState.WITHDRAWN})
    if not states & {ClaimState.CONFIRMED, ClaimState.WITHDRAWING}:
        assert content.state in (ContentState.AWAITING_CONFIRMATION, ContentState.WITHDRAWN)
        assert content.fingerprints == ()
    # Published fingerprints are the union over confirmed claims, each as strong as its strongest claim.
    union = {one.value for claim in confirmed for one in claim.fingerprints}
    assert {bytes.fromhex(one.value) for one in content.fingerprints} == union
    assert len(content.fingerprints) == len(union)
    for one in content.fingerprints:
        claimed = [
            claim.assurance
            for claim in confirmed
            if claim.assurance and bytes.fromhex(one.value) in {other.value for other in claim.fingerprints}
        ]
        assert one.assurance.sure == any(assurance.sure for assurance in claimed)


@given(claim_lists, claim_facts(), st.sampled_from(SuspensionReason))
def test_no_further_claim_ends_a_suspension(
    claims: list[ClaimFacts], another: ClaimFacts, suspension: SuspensionReason
) -> None:
    assert derive([*claims, another], suspension).state is not ContentState.ACTIVE


@given(claim_lists, suspensions)
def test_the_order_of_claims_does_not_matter(claims: list[ClaimFacts], suspension: SuspensionReason | None) -> None:
    assert derive(claims, suspension).fingerprints == derive(claims[::-1], suspension).fingerprints


def test_the_mildest_reason_stands_when_several_claims_ended() -> None:
    def ended(reason: WithdrawalReason) -> ClaimFacts:
        return ClaimFacts(
            claim_id=uuid4(), organisation_id="a", state=ClaimState.WITHDRAWN, assurance=None, withdrawal_reason=reason
        )

    both = [ended(WithdrawalReason.NOT_NCII), ended(WithdrawalReason.SUBJECT_REQUEST)]
    assert derive(both, None).withdrawn_for == "subject_request"  # nobody is asked to restore it
    assert derive(both[:1], None).withdrawn_for == "not_ncii"


def test_unconfirmed_variants_are_in_no_union() -> None:
    claim = ClaimFacts(
        claim_id=uuid4(),
        organisation_id="a",
        state=ClaimState.CONFIRMED,
        assurance=Assurance.VIEWED,
        withdrawal_reason=None,
        fingerprints=(fingerprint(1, Assurance.VIEWED), fingerprint(2, None, origin="variant")),
    )
    assert [one.value for one in derive([claim], None).fingerprints] == ["01" * 16]


def test_four_eyes() -> None:
    check_confirmation(state=ClaimState.AWAITING_CONFIRMATION, declared_by="ann", person_id="ben")
    with pytest.raises(SamePerson):
        check_confirmation(state=ClaimState.AWAITING_CONFIRMATION, declared_by="ann", person_id="ann")
    with pytest.raises(WrongState):
        check_confirmation(state=ClaimState.CONFIRMED, declared_by="ann", person_id="ben")


def test_a_claim_is_as_sure_as_its_less_sure_step() -> None:
    assert claim_assurance(Assurance.VIEWED, Assurance.UNSEEN) is Assurance.UNSEEN
    assert claim_assurance(Assurance.PARTNER, Assurance.VIEWED_WITH_SUBJECT) is Assurance.PARTNER
    assert claim_assurance(Assurance.VIEWED, Assurance.VIEWED_WITH_SUBJECT) is Assurance.VIEWED


def test_a_start_of_demands_is_at_most_72_hours_away() -> None:
    check_not_before(None, now=NOW, longest=timedelta(hours=72))
    check_not_before(NOW + timedelta(hours=72), now=NOW, longest=timedelta(hours=72))
    with pytest.raises(TooLateAStart):
        check_not_before(NOW + timedelta(hours=72, seconds=1), now=NOW, longest=timedelta(hours=72))


@pytest.mark.parametrize(
    ("state", "asked_by", "person", "step"),
    [
        (ClaimState.AWAITING_CONFIRMATION, None, "ann", WithdrawalStep.FINISH),
        (ClaimState.CONFIRMED, None, "ann", WithdrawalStep.BEGIN),
        (ClaimState.WITHDRAWING, "ann", "ann", WithdrawalStep.NOTHING),
        (ClaimState.WITHDRAWING, "ann", "ben", WithdrawalStep.FINISH),
    ],
)
def test_steps_of_a_withdrawal(state: ClaimState, asked_by: str | None, person: str, step: WithdrawalStep) -> None:
    reason = WithdrawalReason.NOT_NCII
    before = reason if asked_by else None
    found = next_withdrawal_step(state=state, asked_by=asked_by, reason_before=before, person_id=person, reason=reason)
    assert found is step


def test_possible_minor_is_never_weakened() -> None:
    for suspension in SuspensionReason:
        assert stronger_reason(SuspensionReason.POSSIBLE_MINOR, suspension) is SuspensionReason.POSSIBLE_MINOR
        assert stronger_reason(suspension, SuspensionReason.POSSIBLE_MINOR) is SuspensionReason.POSSIBLE_MINOR
        assert stronger_reason(None, suspension) is suspension


class _Words(BaseModel):
    domain: Domain = "example.org"
    jurisdiction: Jurisdiction = "GB"


@pytest.mark.parametrize(
    ("given_", "parsed"), [("Example.ORG.", "example.org"), ("bücher.example", "xn--bcher-kva.example")]
)
def test_domains(given_: str, parsed: str) -> None:
    assert _Words(domain=given_).domain == parsed


@pytest.mark.parametrize(
    "text",
    ["https://example.org", "example.org/path", "example.org:80", "localhost", "[::1]", "10.1", "", "a@b.example"],
)
def test_what_is_no_domain(text: str) -> None:
    with pytest.raises(ValidationError):
        _Words(domain=text)


@pytest.mark.parametrize(
    ("text", "good"), [("gb-sct", True), ("DE", True), ("UK", False), ("EU", False), ("GBR", False), ("GB-LONG", False)]
)
def test_jurisdictions(text: str, good: bool) -> None:
    if good:
        assert _Words(jurisdiction=text).jurisdiction == text.upper()
    else:
        with pytest.raises(ValidationError):
            _Words(jurisdiction=text)


def sighting(number: int, path: str = "") -> Sighting:
    return make_sighting(
        organisation_id="o",
        source="s",
        media_url=f"https://host.example/{number}{path}",
        page_url=None,
        seen_at=NOW,
        fingerprints=[Fingerprint(algorithm=Algorithm.MD5, value=number.to_bytes(16))],
    )


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 300)), max_size=60), st.integers(1, 12))
def test_batches_hold_every_sighting_once_in_its_partition_and_within_the_size(
    numbers: list[tuple[int, int]], partitions: int
) -> None:
    sightings = [sighting(number, "x" * length) for number, length in numbers]
    records = batched(sightings, partitions=partitions, source="intake", now=NOW, max_bytes=2000)
    seen: list[UUID] = []
    for record in records:
        assert len(record.value or b"") <= 2000
        batch = SightingsBatch.model_validate_json(record.value or b"")
        assert batch.sightings
        for one in batch.sightings:
            assert partition_of(one.url_key.encode(), partitions) == record.partition
            seen.append(one.sighting_id)
    assert len(seen) == len(set(seen))
    assert set(seen) == {one.sighting_id for one in sightings}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda c: (
            st.lists(c, max_size=3)
            | st.dictionaries(st.sampled_from(["media_url", "seen_at", "source", "fingerprints", "x"]), c, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_nonsense_is_refused_and_not_echoed(item: object) -> None:
    found = parse_sighting(item, organisation_id="o", now=NOW)
    assert isinstance(found, SightingRefusal)
    assert found.errors


def test_erasing_takes_the_named_url_out_of_a_batch_and_leaves_the_rest() -> None:
    batch = data_of(SightingsBatch(sightings=(sighting(1), sighting(2))))
    key = sighting(1).url_key
    left = without_sightings({key})(batch)
    assert left is not None
    assert [one.url_key for one in SightingsBatch.model_validate_json(left).sightings] == [sighting(2).url_key]
    assert without_sightings({key, sighting(2).url_key})(batch) is None
    assert without_sightings({"https://other.example/"})(batch) == batch
    telling = json.dumps({"url_key": key, "erased_at": "2026-05-01T12:00:00Z"}).encode()
    assert without_sightings({key})(telling) == telling
    assert without_erasure_events({key})(telling) is None
    assert without_erasure_events({key})(batch) == batch
    match = json.dumps({"content_id": "c-1", "url_key": key}).encode()
    assert without_matches({"c-1"})(match) is None
    assert without_matches({"c-2"})(match) == match


def test_a_url_is_searched_for_as_json_writes_it() -> None:
    one = sighting(1, '?q="\\ü')
    assert as_in_json(one.url_key) in data_of(SightingsBatch(sightings=(one,)))


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_a_heartbeat_key_for_every_partition(topic: Topic) -> None:
    keys = heartbeat_keys(topic)
    assert [partition_of(str(key).encode(), topic.partitions) for key in keys] == list(range(topic.partitions))
