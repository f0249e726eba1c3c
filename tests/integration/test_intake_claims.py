"""Claims over HTTP, and what of them reaches the log."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.contracts.content import Assurance, ContentState
from shared.contracts.topics import CLAIMS, CONTENT
from tests.integration.intake_harness import Intake, pdq, running_intake


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


async def test_a_confirmed_claim_puts_its_content_into_the_register(intake: Intake) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    declared = await intake.declare(by=ann)
    assert declared.keys() == {"claim_id", "content_id", "state"}
    assert declared["state"] == "awaiting_confirmation"
    confirmed = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "unseen"}, by=ben)
    assert confirmed.status_code == 200
    assert confirmed.json()["state"] == "confirmed"

    event = await intake.content_when(lambda content: content.state is ContentState.ACTIVE)
    assert event.revision == 1
    assert event.content_id == await intake.real_content_id(declared["content_id"])
    assert str(event.content_id) != declared["content_id"]
    assert event.assurance is Assurance.UNSEEN  # the weaker of the two steps
    assert [(one.algorithm, one.value, one.assurance) for one in event.fingerprints] == [
        ("pdq", pdq(1), Assurance.UNSEEN)
    ]
    await intake.relay_idle()
    (claim,) = await intake.events(CLAIMS.name)
    assert str(claim.claim_id) == declared["claim_id"]  # type: ignore[attr-defined]  # a ClaimChanged
    for record in [*await intake.records(CLAIMS.name), *await intake.records(CONTENT.name)]:
        assert b"HL-2026" not in (record.value or b"")


async def test_the_claimant_cannot_confirm_and_unconfirmed_content_is_not_published(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann)
    response = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "viewed"}, by=ann)
    assert response.status_code == 403
    assert response.headers["content-type"] == "application/problem+json"
    assert (await intake.get(f"/v1/claims/{declared['claim_id']}", by=ann)).json()["state"] == "awaiting_confirmation"
    await intake.relay_idle()
    assert await intake.records(CONTENT.name) == []
    assert await intake.records(CLAIMS.name) == []


async def test_another_key_of_the_same_person_is_the_same_person(intake: Intake) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann)
    intake.members.clear()
    again = await intake.member("ann")
    assert again.key_id != ann.key_id
    response = await intake.post(f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": "viewed"}, by=again)
    assert response.status_code == 403
