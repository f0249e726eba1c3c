"""Suspension by staff, by a decision on the log, by the revocation of a key; variants and their four eyes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.intake.claims import claim_steps
from services.intake.claims.decisions import DecisionsHandler
from services.intake.claims.keys import revoke_key_and_suspend, suspend_content_of_key
from shared.access.keys import Principal, Role
from shared.contracts.claims import WithdrawalReason
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.db.pool import Tx
from tests.integration.intake.harness import Intake, Member, md5, pdq, running_intake, until


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


@pytest.fixture
async def pair(intake: Intake) -> tuple[Member, Member]:
    return await intake.member("ann"), await intake.member("ben")


@pytest.fixture
async def operator(intake: Intake) -> Member:
    return await intake.member("ops", Role.OPERATIONS, "operations")


def decision(kind: DecisionKind, content_id: UUID, *, reason: str = "person", person: str = "olga") -> DecisionTaken:
    return DecisionTaken(
        decision_id=uuid4(),
        kind=kind,
        content_id=content_id,
        person_id=person,
        organisation_id="operations",
        reason=reason,
        decided_at=datetime.now(UTC),
    )


async def revision(intake: Intake, number: int) -> Any:
    return await intake.content_when(lambda content: content.revision == number)


async def test_helpline_suspends_and_resumes_its_own_content(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, ben = pair
    zoe = await intake.member("zoe", organisation="helpline-z")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/content/{claim['content_id']}"
    real = await intake.real_content_id(claim["content_id"])
    for stranger_path in (path, f"/v1/content/{real}"):
        assert (await intake.post(f"{stranger_path}/suspension", by=zoe)).status_code == 404
    response = await intake.post(f"{path}/suspension", by=ann)
    assert (response.status_code, response.json()["state"]) == (200, "suspended")
    suspended = await revision(intake, 2)
    assert (suspended.state, suspended.suspended_for) == (ContentState.SUSPENDED, "person")
    response = await intake.post(f"{path}/resumption", by=ben)
    assert response.json()["state"] == "active"
    assert (await revision(intake, 3)).state is ContentState.ACTIVE
    assert (await intake.post(f"{path}/resumption", by=ben)).status_code == 409
    await intake.relay_idle()
    decisions = [event for event in await intake.events(DECISIONS.name) if isinstance(event, DecisionTaken)]
    assert [(one.kind, one.content_id, one.person_id) for one in decisions] == [
        (DecisionKind.SUSPEND, real, "ann"),
        (DecisionKind.RESUME, real, "ben"),
    ]


async def test_our_own_decision_read_back_late_does_not_undo_what_came_after_it(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:  # nobody reads until we do
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        path = f"/v1/content/{claim['content_id']}"
        await intake.post(f"{path}/suspension", by=ann)
        await intake.post(f"{path}/resumption", by=ann)
        query = "SELECT data FROM intake.outbox WHERE topic = %s ORDER BY sequence"
        first, _ = await intake.rows(query, DECISIONS.name)
        suspension = DecisionTaken.model_validate_json(bytes(first["data"]))
        assert suspension.kind is DecisionKind.SUSPEND
        await DecisionsHandler(intake.database).apply_once(suspension)
        assert (await intake.get(path, by=ann)).json()["state"] == "active"


async def everything_read(intake: Intake) -> None:
    """Wait until the decisions group has handled all that is on the log."""
    await intake.relay_idle()
    sent: list[str] = []
    while len(sent) < 20 * DECISIONS.partitions:  # enough that each partition has one
        marker = decision(DecisionKind.SUSPEND, uuid4())
        await intake.append(DECISIONS.name, str(marker.content_id), marker)
        sent.append(str(marker.decision_id))

    async def handled() -> bool:
        rows = await intake.rows("SELECT 1 FROM intake.inbox WHERE event_id = ANY (%s)", sent)
        return len(rows) == len(sent)

    await until(handled)


async def test_possible_minor_is_not_undone_by_another_claim_nor_by_the_helpline(
    intake: Intake, pair: tuple[Member, Member], operator: Member
) -> None:
    ann, ben = pair
    zoe = await intake.member("zoe", organisation="helpline-z")
    yan = await intake.member("yan", organisation="helpline-z")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/content/{claim['content_id']}"
    await intake.post(f"{path}/suspension", {"reason": "possible_minor"}, by=ann)
    assert (await revision(intake, 2)).suspended_for == "possible_minor"
    assert (await intake.post(f"{path}/suspension", {"reason": "person"}, by=ann)).status_code == 200

    other = await intake.confirmed(by=zoe, confirmer=yan, case_ref="ZZ-20260001")
    assert other["state"] == "confirmed"
    await intake.relay_idle()
    assert {content.state for content in await intake.contents() if content.revision > 1} == {ContentState.SUSPENDED}
    assert (await intake.post(f"{path}/resumption", by=ann)).status_code == 403

    real = await intake.real_content_id(claim["content_id"])
    resumed = await intake.post(f"/v1/content/{real}/resumption", by=operator)
    assert (resumed.status_code, resumed.json()["state"]) == (200, "active")
    await intake.content_when(lambda content: content.state is ContentState.ACTIVE)
    shown = await intake.get(f"/v1/content/{real}", by=operator)
    assert shown.json().keys() == {"content_id", "state", "suspended_for"}


@pytest.mark.parametrize("kind", [DecisionKind.STOP_FETCHING, DecisionKind.SUSPEND])
async def test_a_hosts_possible_minor_on_the_log_stops_fetching_and_a_host_resumes_nothing(
    intake: Intake, pair: tuple[Member, Member], kind: DecisionKind
) -> None:
    """Only a person suspends: what an earlier version wrote for a host stops fetching, too."""
    claim = await intake.confirmed(by=pair[0], confirmer=pair[1])
    real = await intake.real_content_id(claim["content_id"])
    stop = decision(kind, real, reason="possible_minor", person="host:site.example")
    for _ in range(2):  # redelivered
        await intake.append(DECISIONS.name, str(real), stop)
    stopped = await revision(intake, 2)
    assert (stopped.state, stopped.suspended_for, stopped.fetching) == (ContentState.ACTIVE, None, "stopped")
    assert stopped.fingerprints, "it stays in the register"
    for by_host in (DecisionKind.RESUME, DecisionKind.RESUME_FETCHING):
        await intake.append(DECISIONS.name, str(real), decision(by_host, real, person="host:site.example"))
    await everything_read(intake)
    assert (await intake.contents())[-1].revision == 2
    await intake.append(DECISIONS.name, str(real), decision(DecisionKind.RESUME_FETCHING, real))
    assert (await revision(intake, 3)).fetching == "allowed"
    await intake.append(DECISIONS.name, str(real), stop)  # the same decision once more, late
    await everything_read(intake)
    assert (await intake.contents())[-1].revision == 3
    people = await intake.rows("SELECT person_id FROM access.audit WHERE action LIKE 'content.%%' ORDER BY audit_id")
    assert [row["person_id"] for row in people] == ["host:site.example", "olga"]


async def test_revoking_a_key_suspends_what_rests_on_it_alone(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, ben = pair
    cid, dan = await intake.member("cid"), await intake.member("dan")
    by_ann = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(1)}])
    by_confirmer = await intake.confirmed(by=cid, confirmer=ann, fingerprints=[{"algorithm": "md5", "value": md5(2)}])
    by_others = await intake.confirmed(by=cid, confirmer=dan, fingerprints=[{"algorithm": "md5", "value": md5(3)}])
    held_twice = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(4)}])
    await intake.confirmed(by=cid, confirmer=dan, fingerprints=[{"algorithm": "md5", "value": md5(4)}])
    suspended = await revoke_key_and_suspend(intake.database, ann.key_id)
    assert set(suspended) == {await intake.real_content_id(one["content_id"]) for one in (by_ann, by_confirmer)}
    assert (await intake.get("/v1/claims", by=ann)).status_code == 401
    states = {}
    for name, claim in (("others", by_others), ("twice", held_twice), ("ann", by_ann)):
        states[name] = (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()
    assert (states["others"]["state"], states["twice"]["state"]) == ("active", "active")
    assert (states["ann"]["state"], states["ann"]["suspended_for"]) == ("suspended", "key")
    await intake.relay_idle()
    decisions = [event for event in await intake.events(DECISIONS.name) if isinstance(event, DecisionTaken)]
    assert {one.content_id for one in decisions} == set(suspended)


async def test_revoking_a_key_finds_what_it_was_confirming(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, ben = pair
    declared = await intake.declare(by=ann)
    real = await intake.real_content_id(declared["content_id"])
    async with intake.database.transaction() as tx:
        await tx.execute("SELECT 1 FROM intake.content WHERE content_id = %s FOR UPDATE", (real,))
        path = f"/v1/claims/{declared['claim_id']}/confirmation"
        confirming = asyncio.create_task(intake.post(path, {"assurance": "viewed"}, by=ben))
        await until(partial(waiting_for_a_lock, tx, 1))
        revoking = asyncio.create_task(revoke_key_and_suspend(intake.database, ben.key_id))
        await until(partial(waiting_for_a_lock, tx, 2))
    assert (await confirming).status_code == 200
    assert await revoking == (real,)
    content = (await intake.get(f"/v1/content/{declared['content_id']}", by=ann)).json()
    assert (content["state"], content["suspended_for"]) == ("suspended", "key")


async def test_what_comes_to_rest_on_a_revoked_key_later_is_suspended(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    cid, dan, eve = [await intake.member(name) for name in ("cid", "dan", "eve")]
    once, twice, third = ([{"algorithm": "md5", "value": md5(number)}] for number in (1, 2, 3))
    awaiting = await intake.declare(by=ann, fingerprints=once)
    await intake.confirmed(by=ann, confirmer=ben, fingerprints=twice)
    trusted = await intake.confirmed(by=cid, confirmer=dan, fingerprints=twice)
    await intake.confirmed(by=ann, confirmer=ben, fingerprints=third)
    await intake.confirmed(by=eve, confirmer=dan, fingerprints=third)
    assert await revoke_key_and_suspend(intake.database, ann.key_id) == ()

    async def state_of(claim: dict[str, Any]) -> tuple[str, str | None]:
        content = (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()
        return content["state"], content["suspended_for"]

    confirmation = f"/v1/claims/{awaiting['claim_id']}/confirmation"
    assert (await intake.post(confirmation, {"assurance": "viewed"}, by=dan)).status_code == 200
    assert await state_of(awaiting) == ("suspended", "key")

    assert await state_of(trusted) == ("active", None)
    withdrawal = f"/v1/claims/{trusted['claim_id']}/withdrawal"
    assert (await intake.post(withdrawal, {"reason": "subject_request"}, by=cid)).status_code == 200
    assert await state_of(trusted) == ("suspended", "key")

    suspended = await revoke_key_and_suspend(intake.database, eve.key_id)
    assert len(suspended) == 1, "both claims of it are of revoked keys now"


async def test_revoking_a_key_waits_for_a_withdrawal_that_leaves_its_claim_alone(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    cid, dan = await intake.member("cid"), await intake.member("dan")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    other = await intake.confirmed(by=cid, confirmer=dan)
    real = await intake.real_content_id(claim["content_id"])
    withdrawer = Principal(
        key_id=cid.key_id, person_id=cid.person_id, organisation_id=cid.organisation_id, role=Role.HELPLINE
    )
    async with intake.database.transaction() as tx:
        await claim_steps.withdraw_claim(
            tx,
            withdrawer,
            UUID(other["claim_id"]),
            WithdrawalReason.SUBJECT_REQUEST,
            undo_within=timedelta(hours=24),
        )
        revoking = asyncio.create_task(revoke_key_and_suspend(intake.database, ann.key_id))

        async def waits_or_is_done() -> bool:
            return revoking.done() or await waiting_for_a_lock(tx, 1)

        await until(waits_or_is_done)
    assert await revoking == (real,)
    content = (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()
    assert (content["state"], content["suspended_for"]) == ("suspended", "key")


async def test_what_was_resumed_is_suspended_again_once_it_comes_to_rest_on_a_revoked_key_anew(
    intake: Intake, pair: tuple[Member, Member], operator: Member
) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    (real,) = await revoke_key_and_suspend(intake.database, ann.key_id)
    assert (await intake.post(f"/v1/content/{real}/resumption", by=operator)).status_code == 200
    again = await intake.confirmed(by=ben, confirmer=await intake.member("cid"))
    withdrawal = f"/v1/claims/{again['claim_id']}/withdrawal"
    content = (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()
    assert (again["content_id"], content["state"]) == (claim["content_id"], "active")
    assert (await intake.post(withdrawal, {"reason": "subject_request"}, by=ben)).status_code == 200
    assert (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()["state"] == "suspended"


async def waiting_for_a_lock(tx: Tx, count: int) -> bool:
    cursor = await tx.execute(
        "SELECT count(DISTINCT pid) AS n FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    row = await cursor.fetchone()
    return row is not None and row["n"] == count


@pytest.mark.parametrize("revoked", ["adder", "confirmer"])
async def test_revoking_a_key_suspends_content_with_variants_of_it(
    intake: Intake, pair: tuple[Member, Member], revoked: str
) -> None:
    ann, ben = pair
    members = {"adder": await intake.member("cid"), "confirmer": await intake.member("dan")}
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/content/{claim['content_id']}/fingerprints"
    body = {"fingerprints": [{"algorithm": "md5", "value": md5(9)}], "assurance": "viewed"}
    added = (await intake.post(path, body, by=members["adder"])).json()
    async with intake.database.transaction() as tx:  # nobody confirmed them: they are in no register
        assert await suspend_content_of_key(tx, members["adder"].key_id) == ()
    confirmation = f"{path}/{added['variant_id']}/confirmation"
    assert (await intake.post(confirmation, {"assurance": "viewed"}, by=members["confirmer"])).status_code == 200
    real = await intake.real_content_id(claim["content_id"])
    assert await revoke_key_and_suspend(intake.database, members[revoked].key_id) == (real,)
    assert (await intake.get(f"/v1/content/{claim['content_id']}", by=ann)).json()["suspended_for"] == "key"


async def test_revoking_a_key_suspends_what_an_undone_withdrawal_would_bring_back(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    withdrawal = f"/v1/claims/{claim['claim_id']}/withdrawal"
    assert (await intake.post(withdrawal, {"reason": "subject_request"}, by=ben)).status_code == 200
    assert len(await revoke_key_and_suspend(intake.database, ann.key_id)) == 1
    assert (await intake.post(f"{withdrawal}/undo", by=ben)).status_code == 200
    content = (await intake.get(f"/v1/content/{claim['content_id']}", by=ben)).json()
    assert (content["state"], content["suspended_for"]) == ("suspended", "key")


async def test_a_variant_nobody_confirmed_ties_no_other_claim_to_its_content(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    zoe, yan = (
        await intake.member("zoe", organisation="helpline-z"),
        await intake.member("yan", organisation="helpline-z"),
    )
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/content/{claim['content_id']}"
    other = [{"algorithm": "md5", "value": md5(7)}]
    assert (
        await intake.post(f"{path}/fingerprints", {"fingerprints": other, "assurance": "viewed"}, by=ann)
    ).is_success
    theirs = await intake.confirmed(by=zoe, confirmer=yan, fingerprints=other)
    assert (await intake.post(f"{path}/suspension", by=ann)).status_code == 200
    content = (await intake.get(f"/v1/content/{theirs['content_id']}", by=zoe)).json()
    assert content["state"] == "active"


async def test_variants_count_once_another_person_has_confirmed_them(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    path = f"/v1/content/{claim['content_id']}/fingerprints"
    body = {"fingerprints": [{"algorithm": "pdq", "value": pdq(7), "origin": "variant"}], "assurance": "viewed"}
    added = await intake.post(path, body, by=ann)
    assert (added.status_code, added.json()["state"]) == (201, "awaiting_confirmation")
    await intake.relay_idle()
    assert (await intake.contents())[-1].revision == 1
    confirmation = f"{path}/{added.json()['variant_id']}/confirmation"
    assert (await intake.post(confirmation, {"assurance": "viewed"}, by=ann)).status_code == 403
    assert (await intake.post(confirmation, {"assurance": "unseen"}, by=ben)).status_code == 200
    event = await revision(intake, 2)
    assert {(one.value, one.origin, one.assurance.value) for one in event.fingerprints} == {
        (pdq(1), "original", "viewed"),
        (pdq(7), "variant", "unseen"),
    }
    assert (await intake.post(confirmation, {"assurance": "viewed"}, by=ben)).status_code == 409
    assert (await intake.post(path, body, by=ann)).status_code == 409  # known already
    shown = (await intake.get(f"/v1/claims/{claim['claim_id']}", by=ann)).json()
    assert [(one["state"], one["fingerprint_count"]) for one in shown["variants"]] == [("confirmed", 1)]


async def test_variants_need_a_confirmed_claim_of_ones_own(intake: Intake, pair: tuple[Member, Member]) -> None:
    ann, _ = pair
    waiting = await intake.declare(by=ann)
    path = f"/v1/content/{waiting['content_id']}/fingerprints"
    body = {"fingerprints": [{"algorithm": "md5", "value": md5(7)}], "assurance": "viewed"}
    assert (await intake.post(path, body, by=ann)).status_code == 409
    assert await intake.rows("SELECT 1 FROM intake.variants") == []


async def test_one_person_who_declares_a_known_fingerprint_holds_and_resumes_nothing(
    intake: Intake, pair: tuple[Member, Member]
) -> None:
    ann, ben = pair
    zoe = await intake.member("zoe", organisation="helpline-z")
    known = [{"algorithm": "md5", "value": md5(1)}]
    claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=known)
    waiting = await intake.declare(by=zoe, fingerprints=known, case_ref="ZZ-20260001")
    assert (await intake.post(f"/v1/content/{waiting['content_id']}/suspension", by=zoe)).status_code == 404
    path = f"/v1/content/{claim['content_id']}"
    assert (await intake.get(path, by=ann)).json()["state"] == "active"
    assert (await intake.post(f"{path}/suspension", by=ann)).status_code == 200
    assert (await intake.post(f"/v1/content/{waiting['content_id']}/resumption", by=zoe)).status_code == 404
    assert (await intake.get(path, by=ann)).json()["state"] == "suspended"


async def test_what_a_revoked_key_held_is_resumed_by_operations_alone(
    intake: Intake, pair: tuple[Member, Member], operator: Member
) -> None:
    ann, ben = pair
    claim = await intake.confirmed(by=ann, confirmer=ben)
    (real,) = await revoke_key_and_suspend(intake.database, ann.key_id)
    assert (await intake.post(f"/v1/content/{claim['content_id']}/resumption", by=ben)).status_code == 403
    resumed = await intake.post(f"/v1/content/{real}/resumption", by=operator)
    assert (resumed.status_code, resumed.json()["state"]) == (200, "active")
