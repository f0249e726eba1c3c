"""The end of a case: erased with its last claim, and all that is kept is a digest that its own organisation can ask for."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.intake.maintenance.retention import Sweeps
from shared.policy import Policy
from tests.integration.intake.cases.test_cases import (
    WORDS,
    begun,
    case_id_of,
    changed,
    confirmed,
    everything,
    fingerprint,
    read,
)
from tests.integration.intake.harness import Intake

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def withdrawn(intake: Intake, claim_id: str) -> None:
    for name in ("ann", "ben"):
        by = await intake.member(name)
        answer = await intake.post(f"/v1/claims/{claim_id}/withdrawal", {"reason": "subject_request"}, by=by)
        assert answer.status_code == 200, answer.text


async def test_a_case_is_erased_with_its_last_claim_and_its_caller_can_be_told(
    intake: Intake, case_ref: str, number: int
) -> None:
    ann = await intake.member("ann")
    zoe = await intake.member("zoe", organisation="helpline-z")
    claims = [await confirmed(intake, case_ref, number + extra) for extra in (0, 10_000)]
    case_id = await case_id_of(intake, ann, case_ref)
    await changed(intake, ann, case_id, safe_contact=WORDS, owner="ben")
    await withdrawn(intake, claims[0]["claim_id"])
    assert (await read(intake, ann, case_id))["confirmed"] == 1, "another claim of it is live"
    assert (await intake.get("/v1/cases/ended", by=ann, case_ref=case_ref)).status_code == 404
    await withdrawn(intake, claims[1]["claim_id"])

    assert (await intake.get(f"/v1/cases/{case_id}", by=ann)).status_code == 404
    told = await intake.get("/v1/cases/ended", by=ann, case_ref=case_ref)
    assert told.status_code == 200
    assert told.json()["reason"] == "subject_request"
    assert case_ref.lower() not in await everything(intake)
    unknown = await intake.get("/v1/cases/ended", by=ann, case_ref="HL-777777")
    neighbour = await intake.get("/v1/cases/ended", by=zoe, case_ref=case_ref)
    assert (neighbour.status_code, neighbour.json()) == (404, unknown.json()), "as if there never was one"
    # Coming back is a new case.
    assert (await begun(intake, ann, case_ref=case_ref))["case_id"] != case_id
    await intake.rows("UPDATE intake.ended_cases SET ended_at = now() - interval '731 days' RETURNING 1")
    await Sweeps(intake.database, Policy()).end_retention()
    assert (await intake.get("/v1/cases/ended", by=ann, case_ref=case_ref)).status_code == 404


async def test_a_case_that_nobody_confirmed_ends_with_its_claim(intake: Intake, case_ref: str, number: int) -> None:
    ann = await intake.member("ann")
    declared = await intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(number)])
    case_id = await case_id_of(intake, ann, case_ref)
    await intake.rows(
        "UPDATE intake.claims SET created_at = now() - interval '15 days' WHERE claim_id = %s RETURNING 1",
        UUID(declared["claim_id"]),
    )
    await Sweeps(intake.database, Policy()).end_retention()
    assert (await intake.get(f"/v1/cases/{case_id}", by=ann)).status_code == 404
    told = (await intake.get("/v1/cases/ended", by=ann, case_ref=case_ref)).json()
    assert told["reason"] == "unconfirmed"


async def test_reports_live_as_long_as_their_case(intake: Intake, case_ref: str, number: int) -> None:
    ann = await intake.member("ann")
    claim = await confirmed(intake, case_ref, number)
    for ref in (case_ref, None):
        body = {"url": f"https://old.example/{number}.jpg", **({"case_ref": ref} if ref else {})}
        assert (await intake.post("/v1/reports", body, by=ann)).status_code == 202
    await intake.rows("UPDATE intake.reports SET created_at = now() - interval '400 days' RETURNING 1")
    await Sweeps(intake.database, Policy()).end_retention()
    left = await intake.rows("SELECT case_ref FROM intake.reports")
    assert [row["case_ref"] for row in left] == [case_ref]
    await withdrawn(intake, claim["claim_id"])
    assert await intake.rows("SELECT 1 FROM intake.reports") == []
