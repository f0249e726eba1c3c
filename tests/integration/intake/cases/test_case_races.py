"""What two people do to one case at the same moment: whichever comes first, nothing goes on that was stopped, and no case is lost."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.intake.cases.test_cases import case_id_of, changed, confirmed, fingerprint
from tests.integration.intake.harness import Intake

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUNDS = 6


async def test_a_picture_confirmed_as_its_case_is_paused_is_stopped_or_not_confirmed(
    intake: Intake, number: int
) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    for turn in range(ROUNDS):
        case_ref = f"RA-{number}{turn:03d}"
        claim = await intake.declare(
            by=ann, case_ref=case_ref, fingerprints=[fingerprint(50_000 + number * 100 + turn)]
        )
        case_id = await case_id_of(intake, ann, case_ref)
        path = f"/v1/claims/{claim['claim_id']}/confirmation"
        said, paused = await asyncio.gather(
            intake.post(path, {"assurance": "viewed"}, by=ben), intake.post(f"/v1/cases/{case_id}/pause", by=ann)
        )
        assert paused.status_code == 200, paused.text
        content_id = await intake.real_content_id(claim["content_id"])
        stopped = await intake.rows("SELECT 1 FROM access.stops WHERE content_id = %s", content_id)
        assert said.status_code in (200, 409), said.text
        assert bool(stopped) == (said.status_code == 200), "confirmed and stopped, or refused"


async def test_a_claim_declared_as_the_last_one_ends_has_its_case(intake: Intake, number: int) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    for turn in range(ROUNDS):
        case_ref = f"RB-{number}{turn:03d}"
        claim = await confirmed(intake, case_ref, 60_000 + number * 100 + turn)
        path = f"/v1/claims/{claim['claim_id']}/withdrawal"
        assert (await intake.post(path, {"reason": "subject_request"}, by=ann)).status_code == 200
        ended, _ = await asyncio.gather(
            intake.post(path, {"reason": "subject_request"}, by=ben),
            intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(70_000 + number * 100 + turn)]),
        )
        assert ended.status_code == 200, ended.text
        live = await intake.rows("SELECT 1 FROM intake.claims WHERE case_ref = %s", case_ref)
        cases = await intake.rows("SELECT opened_at FROM intake.cases WHERE case_ref = %s", case_ref)
        assert (len(live), [row["opened_at"] is not None for row in cases]) == (1, [True])


async def test_changes_of_one_case_at_once_neither_wait_for_each_other_for_ever_nor_are_lost(
    intake: Intake, case_ref: str, number: int
) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    for extra in range(3):
        await confirmed(intake, case_ref, 80_000 + number * 100 + extra)
    case_id = await case_id_of(intake, ann, case_ref)
    for turn in range(ROUNDS):
        answers = await asyncio.gather(
            intake.post(f"/v1/cases/{case_id}/pause", by=ann),
            intake.client.patch(
                f"/v1/cases/{case_id}",
                json={"version": 1, "do_not_contact": [f"site-{turn}.example"]},
                headers=ben.headers,
            ),
            intake.post(f"/v1/cases/{case_id}/resumption", by=ben),
            intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(90_000 + number * 100 + turn)]),
        )
        assert {one.status_code for one in answers[:3]} <= {200, 409}
    await changed(intake, ann, case_id, do_not_contact=["last.example"])
    told = await intake.rows("SELECT do_not_contact FROM intake.claims WHERE case_ref = %s", case_ref)
    assert len(told) == 3 + ROUNDS
    assert all("last.example" in row["do_not_contact"] for row in told)
