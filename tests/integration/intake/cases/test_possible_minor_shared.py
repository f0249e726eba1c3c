"""A case that was paused since somebody may be a minor stays so, also where another organisation has declared the same picture."""

from __future__ import annotations

import pytest

from tests.integration.intake.cases.test_cases import case_id_of, fingerprint
from tests.integration.intake.harness import Intake

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_of_a_picture_that_others_declared_too_it_is_not_resumed_here(
    intake: Intake, case_ref: str, number: int
) -> None:
    ann, zoe = await intake.member("ann"), await intake.member("zoe", organisation="helpline-z")
    same = [fingerprint(number + 30_000)]
    await intake.declare(by=ann, case_ref=case_ref, fingerprints=same)
    await intake.declare(by=zoe, case_ref=f"Z{case_ref}", fingerprints=same)
    case_id = await case_id_of(intake, ann, case_ref)
    paused = await intake.post(f"/v1/cases/{case_id}/pause", {"reason": "possible_minor"}, by=ann)
    assert paused.status_code == 200
    assert (await intake.post(f"/v1/cases/{case_id}/resumption", by=ann)).status_code == 403
    assert (await intake.get(f"/v1/cases/{case_id}", by=ann)).json()["paused_for"] == "possible_minor"
