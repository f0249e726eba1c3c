"""A person can undo: withdrawal suspends at once, can be undone, then erases; other claims keep a content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.intake.maintenance.retention import Sweeps
from shared.contracts.claims import ClaimChanged
from shared.contracts.content import ContentState
from shared.contracts.topics import CLAIMS, CONTENT
from shared.policy import Policy
from tests.integration.intake.harness import Intake, Member, md5, pdq, running_intake, until

SUBJECT = {"reason": "subject_request"}


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


@pytest.fixture
async def pair(intake: Intake) -> tuple[Member, Member]:
    return await intake.member("ann"), await intake.member("ben")


@pytest.fixture
async def other_pair(intake: Intake) -> tuple[Member, Member]:
    return await intake.member("zoe", organisation="helpline-z"), await intake.member("yan", organisation="helpline-z")


async def state_of(intake: Intake, state: ContentState, *, revision: int | None = None) -> Any:
    return await intake.content_when(
        lambda content: content.state is state and (revision is None or content.revision == revision)
    )


async def nothing_left(intake: Intake, claim_id: str) -> None:
    (row,) = await intake.rows("SELECT case_ref, declaration, state FROM intake.claims WHERE claim_id = %s", claim_id)
    assert (row["case_ref"], row["declaration"], row["state"]) == (None, None, "withdrawn")
    assert await intake.rows("SELECT 1 FROM intake.fingerprints WHERE claim_id = %s", claim_id) == []


async def test_withdrawing_the_last_claim_suspends_at_once_and_a_second_person_makes_it_final(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/claims/{claim['claim_id']}/withdrawal"
    await state_of(intake, ContentState.ACTIVE)

    begun = await intake.post(path, SUBJECT, by=ann)
    assert (begun.status_code, begun.json()["state"]) == (200, "withdrawing")
    suspended = await state_of(intake, ContentState.SUSPENDED)
    assert suspended.suspended_for == "withdrawing"
    assert suspended.fingerprints == ()

    again = await intake.post(path, SUBJECT, by=ann)  # the same person's word counts once
    assert again.json()["state"] == "withdrawing"
    other_reason = await intake.post(path, {"reason": "not_ncii"}, by=ben)
    assert other_reason.status_code == 409
    final = await intake.post(path, SUBJECT, by=ben)
    assert (final.status_code, final.json()["state"]) == (200, "withdrawn")
    withdrawn = await state_of(intake, ContentState.WITHDRAWN)
    assert withdrawn.withdrawn_for == "subject_request"
    assert withdrawn.revision == 3
    assert withdrawn.fingerprints == ()
    await nothing_left(intake, claim["claim_id"])
    assert (await intake.post(f"{path}/undo", by=ann)).status_code == 409
    await intake.relay_idle()
    claims = [event for event in await intake.events(CLAIMS.name) if isinstance(event, ClaimChanged)]
    assert claims[-1].state == "withdrawn"
    assert claims[-1].withdrawal_reason == "subject_request"
    assert [event.revision for event in claims] == sorted({event.revision for event in claims})


async def test_a_withdrawal_is_undone(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/claims/{claim['claim_id']}/withdrawal"
    await intake.post(path, SUBJECT, by=ann)
    await state_of(intake, ContentState.SUSPENDED)
    undone = await intake.post(f"{path}/undo", by=ben)
    assert undone.json()["state"] == "confirmed"
    assert undone.json()["withdrawal"] is None
    active = await state_of(intake, ContentState.ACTIVE, revision=3)
    assert [one.value for one in active.fingerprints] == [pdq(1)]


async def test_a_withdrawal_becomes_final_by_itself(fresh_database: str) -> None:
    policy = Policy(withdrawal_undo=timedelta(seconds=2))
    async with running_intake(fresh_database, policy=policy) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": "not_ncii"}, by=ann)
        assert (await state_of(intake, ContentState.SUSPENDED)).revision == 2
        withdrawn = await state_of(intake, ContentState.WITHDRAWN)
        assert withdrawn.withdrawn_for == "not_ncii"
        await nothing_left(intake, claim["claim_id"])
        (row,) = await intake.rows("SELECT person_id FROM access.audit WHERE action = 'claim.withdrawn'")
        assert row["person_id"] == "takedown"


async def test_with_another_live_claim_only_its_own_fingerprints_leave(
    intake: Intake, pair: tuple[Member, Member], other_pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    zoe, yan = other_pair
    shared = {"algorithm": "md5", "value": md5(1)}
    first = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[shared, {"algorithm": "md5", "value": md5(2)}])
    await intake.confirmed(by=zoe, confirmer=yan, case_ref="ZZ-20260001", fingerprints=[shared])
    for person in pair:
        response = await intake.post(f"/v1/claims/{first['claim_id']}/withdrawal", SUBJECT, by=person)
        assert response.status_code == 200
    await intake.relay_idle()
    contents = await intake.contents()
    assert {content.state for content in contents} == {ContentState.ACTIVE}
    assert [one.value for one in contents[-1].fingerprints] == [md5(1)]
    await nothing_left(intake, first["claim_id"])
    # A withdrawn claim reads nothing more of the content that stays.
    assert (await intake.get(f"/v1/content/{first['content_id']}", by=ann)).status_code == 404


async def test_an_unconfirmed_claim_is_withdrawn_at_once_and_never_published(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, _ = pair
    claim = await intake.declare(by=ann)
    response = await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", SUBJECT, by=ann)
    assert response.json()["state"] == "withdrawn"
    await nothing_left(intake, claim["claim_id"])
    await intake.relay_idle()
    assert await intake.records(CONTENT.name) == []
    assert await intake.records(CLAIMS.name) == []


async def test_an_unconfirmed_claim_outlives_the_withdrawal_of_anothers_confirmed_one(
    intake: Intake, pair: tuple[Member, Member], other_pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    zoe, yan = other_pair
    first = await intake.confirmed(by=ann, confirmer=ben)
    waiting = await intake.declare(by=zoe, case_ref="ZZ-20260001")
    old_content = await intake.real_content_id(waiting["content_id"])
    for person in pair:
        await intake.post(f"/v1/claims/{first['claim_id']}/withdrawal", SUBJECT, by=person)
    assert (await state_of(intake, ContentState.WITHDRAWN)).content_id == old_content

    seen = await intake.get(f"/v1/claims/{waiting['claim_id']}", by=zoe)
    assert seen.json()["content_id"] == waiting["content_id"]  # nothing tells of the other claim
    confirmed = await intake.post(f"/v1/claims/{waiting['claim_id']}/confirmation", {"assurance": "viewed"}, by=yan)
    assert confirmed.status_code == 200
    active = await state_of(intake, ContentState.ACTIVE)
    assert active.content_id != old_content  # what is withdrawn never comes back under its id
    assert [one.value for one in active.fingerprints] == [pdq(1)]


async def test_what_may_depict_a_minor_stays_held_for_the_claim_that_goes_on(
    intake: Intake, pair: tuple[Member, Member], other_pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    zoe, yan = other_pair
    first = await intake.confirmed(by=ann, confirmer=ben)
    waiting = await intake.declare(by=zoe, case_ref="ZZ-20260001")
    await intake.post(f"/v1/content/{first['content_id']}/suspension", {"reason": "possible_minor"}, by=ann)
    for person in pair:
        await intake.post(f"/v1/claims/{first['claim_id']}/withdrawal", SUBJECT, by=person)
    await intake.post(f"/v1/claims/{waiting['claim_id']}/confirmation", {"assurance": "viewed"}, by=yan)
    shown = (await intake.get(f"/v1/content/{waiting['content_id']}", by=zoe)).json()
    assert (shown["state"], shown["suspended_for"]) == ("suspended", "possible_minor")


async def test_a_start_of_demands_is_looked_at_again_when_the_claim_is_confirmed(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    soon = (intake.runtime.clock() + timedelta(hours=71)).isoformat()
    claim = await intake.declare(by=ann, demands_not_before=soon)
    confirmation = f"/v1/claims/{claim['claim_id']}/confirmation"
    late = "UPDATE intake.claims SET demands_not_before = now() + %s::interval RETURNING 1"
    await intake.rows(late, timedelta(hours=73))
    refused = await intake.post(confirmation, {"assurance": "viewed"}, by=ben)
    assert refused.json()["errors"][0]["pointer"] == "#/demands_not_before"
    await intake.rows(late, timedelta(hours=71))
    assert (await intake.post(confirmation, {"assurance": "viewed"}, by=ben)).status_code == 200
    await intake.relay_idle()
    (event,) = await intake.events(CLAIMS.name)
    assert isinstance(event, ClaimChanged)
    assert event.demands_not_before is not None


async def test_what_is_kept_for_a_time_goes_after_it(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, _ = pair
    await intake.declare(by=ann)
    await intake.post("/v1/reports", {"url": "https://host.example/a.jpg"}, by=ann)
    sweeps = Sweeps(intake.database, Policy())
    await sweeps.end_retention()
    for table, age in (("idempotency", timedelta(days=7)), ("reports", timedelta(days=180))):
        assert len(await intake.rows(f"SELECT 1 FROM intake.{table}")) == 1
        aged = f"UPDATE intake.{table} SET created_at = now() - %s::interval RETURNING 1"
        await intake.rows(aged, age - timedelta(minutes=1))
        await sweeps.end_retention()
        assert len(await intake.rows(f"SELECT 1 FROM intake.{table}")) == 1
        await intake.rows(aged, age + timedelta(minutes=1))
        await sweeps.end_retention()
        assert await intake.rows(f"SELECT 1 FROM intake.{table}") == []


async def test_a_claim_confirmed_while_the_last_one_is_withdrawn_keeps_the_content(
    intake: Intake, pair: tuple[Member, Member], other_pair: tuple[Member, Member]
) -> None:
    zoe, yan = other_pair
    first = await intake.confirmed(by=pair[0], confirmer=pair[1])
    path = f"/v1/claims/{first['claim_id']}/withdrawal"
    await intake.post(path, SUBJECT, by=pair[0])
    await intake.confirmed(by=zoe, confirmer=yan, case_ref="ZZ-20260001")
    active = await state_of(intake, ContentState.ACTIVE, revision=3)
    await intake.post(path, SUBJECT, by=pair[1])
    await intake.relay_idle()
    assert (await intake.contents())[-1] == active


async def test_unconfirmed_claims_are_erased_after_their_time(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, ben = pair
    old = await intake.declare(by=ann)
    young = await intake.declare(by=ann, fingerprints=[{"algorithm": "md5", "value": md5(5)}])
    kept = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(6)}])
    for claim in (old, kept):
        await intake.rows(
            "UPDATE intake.claims SET created_at = now() - interval '14 days 1 minute' WHERE claim_id = %s RETURNING 1",
            claim["claim_id"],
        )
    await Sweeps(intake.database, Policy()).end_retention()
    left = {str(row["claim_id"]) for row in await intake.rows("SELECT claim_id FROM intake.claims")}
    assert left == {young["claim_id"], kept["claim_id"]}
    assert len(await intake.rows("SELECT 1 FROM intake.content")) == 2
    assert await intake.rows("SELECT 1 FROM intake.fingerprints WHERE algorithm = 'pdq'") == []


async def test_the_last_unconfirmed_claim_takes_the_reports_of_its_content_with_it(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    first, last = await intake.declare(by=ann), await intake.declare(by=ben)
    asked = {"url": "https://uploads.invalid/1.jpg", "content_id": last["content_id"]}
    assert (await intake.post("/v1/reports", asked, by=ben)).status_code == 202
    withdrawal = f"/v1/claims/{first['claim_id']}/withdrawal"
    assert (await intake.post(withdrawal, {"reason": "subject_request"}, by=ann)).status_code == 200
    assert len(await intake.rows("SELECT 1 FROM intake.reports")) == 1
    await intake.rows("UPDATE intake.claims SET created_at = now() - interval '14 days 1 minute' RETURNING 1")
    await Sweeps(intake.database, Policy()).end_retention()
    assert await intake.rows("SELECT 1 FROM intake.reports") == []


async def test_withdrawn_content_is_buried_after_ninety_days(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, _ = pair
    claim = await intake.confirmed(by=ann, confirmer=pair[1])
    for person in pair:
        await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", SUBJECT, by=person)
    content_id = (await state_of(intake, ContentState.WITHDRAWN)).content_id
    sweeps = Sweeps(intake.database, Policy())
    await sweeps.end_retention()
    await intake.relay_idle()
    assert [record.value for record in await intake.records(CONTENT.name)].count(None) == 0
    await intake.rows("UPDATE intake.claims SET withdrawn_at = now() - interval '91 days' RETURNING 1")
    await intake.rows("UPDATE intake.content SET withdrawn_at = now() - interval '91 days' RETURNING 1")
    await sweeps.end_retention()
    await intake.relay_idle()
    for topic, key in ((CONTENT, str(content_id)), (CLAIMS, claim["claim_id"])):
        last = (await intake.records(topic.name))[-1]
        assert (last.key, last.value) == (key.encode(), None)
    for table in ("claims", "content", "content_alias"):
        assert await intake.rows(f"SELECT 1 FROM intake.{table}") == []


async def test_the_heartbeat_reaches_every_partition_and_names_no_content(intake: Intake) -> None:
    await Sweeps(intake.database, Policy()).beat()
    await intake.relay_idle()
    for topic in (CONTENT, CLAIMS):
        records = await intake.records(topic.name)
        assert {record.partition for record in records} == set(range(topic.partitions))
        assert {record.value for record in records} == {None}


async def test_only_the_newest_state_is_published(intake: Intake, pair: tuple[Member, Member]) -> None:
    """Whatever the relay publishes late, it is the content's row as it is then."""
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/claims/{claim['claim_id']}/withdrawal"
    for _ in range(5):
        await intake.post(path, SUBJECT, by=ann)
        await intake.post(f"{path}/undo", by=ann)

    async def caught_up() -> bool:
        (row,) = await intake.rows("SELECT revision FROM intake.content")
        return bool((await intake.contents())[-1].revision == row["revision"])

    await until(caught_up)
    revisions = [content.revision for content in await intake.contents()]
    assert revisions == sorted(revisions)


async def test_a_second_persons_word_counts_whatever_idempotency_key_it_comes_with(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path, body = f"/v1/claims/{claim['claim_id']}/withdrawal", {"reason": "subject_request"}
    for _ in range(2):
        assert (await intake.post(path, body, by=ann, key="one-key")).json()["state"] == "withdrawing"
    assert (await intake.post(path, body, by=ben, key="one-key")).json()["state"] == "withdrawn"
