"""Each route of a case, its claims and its reports x each role x whose it is: another organisation's is as if it were not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from shared.access.keys import Role
from tests.integration.intake.cases.test_cases import case_id_of, confirmed
from tests.integration.intake.harness import Intake, Member, claim_body, md5

pytestmark = pytest.mark.asyncio(loop_scope="module")

# method, path, body, what helpline staff are answered: of their own, of another's, of what is not there
ROUTES: tuple[tuple[str, str, Any, int, int, int], ...] = (
    ("GET", "/v1/cases", None, 200, 200, 200),
    ("POST", "/v1/cases", {"depicts_minor": "no"}, 201, 201, 201),
    ("GET", "/v1/cases/{case}", None, 200, 404, 404),
    ("PATCH", "/v1/cases/{case}", {"version": 1, "notes": "x"}, 200, 404, 404),
    ("POST", "/v1/cases/{case}/pause", {}, 200, 404, 404),
    ("POST", "/v1/cases/{case}/resumption", {}, 200, 404, 404),
    ("GET", "/v1/cases/ended?case_ref={ref}", None, 404, 404, 404),
    ("GET", "/v1/claims?case_ref={ref}", None, 200, 200, 200),
    ("POST", "/v1/claims", claim_body(fingerprints=[{"algorithm": "md5", "value": md5(1)}]), 201, 201, 201),
    ("GET", "/v1/claims/{claim}", None, 200, 404, 404),
    ("POST", "/v1/claims/{claim}/confirmation", {"assurance": "viewed"}, 409, 404, 404),
    ("GET", "/v1/reports?case_ref={ref}", None, 200, 200, 200),
    ("POST", "/v1/reports", {"url": "https://who.example/1", "case_ref": "HL-888888"}, 202, 202, 202),
    ("GET", "/v1/reports/{report}", None, 200, 404, 404),
    ("POST", "/v1/claims/{claim}/withdrawal", {"reason": "subject_request"}, 200, 404, 404),
    ("POST", "/v1/claims/{claim}/withdrawal/undo", {}, 200, 404, 404),
)


async def asked(intake: Intake, method: str, path: str, body: Any, by: Member | None) -> tuple[int, Any]:
    headers = {"Idempotency-Key": uuid4().hex, **({} if by is None else by.headers)}
    answer = await intake.client.request(method, path, json=body, headers=headers)
    return answer.status_code, answer.json()


def nothing() -> Mapping[str, str]:
    return {name: str(uuid4()) for name in ("case", "claim", "report")} | {"ref": "HL-555555"}


async def test_each_route_by_each_role_of_own_other_and_nothing(intake: Intake, case_ref: str, number: int) -> None:
    ann = await intake.member("ann")
    zoe = await intake.member("zoe", organisation="helpline-z")
    roles = [role for role in Role if role is not Role.HELPLINE]
    others = [await intake.member(f"{role}-1", role) for role in roles]
    claim = await confirmed(intake, case_ref, number)
    report = await intake.post("/v1/reports", {"url": "https://who.example/", "case_ref": case_ref}, by=ann)
    there = {
        "case": await case_id_of(intake, ann, case_ref),
        "claim": claim["claim_id"],
        "report": report.json()["report_id"],
        "ref": case_ref,
    }
    for method, path, body, own, other, none in ROUTES:
        here, nowhere = path.format(**there), path.format(**nothing())
        for by in (None, *others):
            said = await asked(intake, method, here, body, by)
            assert said[0] == (401 if by is None else 403), (method, path, by)
            assert said == await asked(intake, method, nowhere, body, by)
        assert (await asked(intake, method, nowhere, body, ann))[0] == none, (method, path)
        foreign = await asked(intake, method, here, body, zoe)
        missing = await asked(intake, method, nowhere, body, zoe)
        assert foreign[0] == other, (method, path)
        if method == "GET" or other == 404:
            assert foreign == missing, (method, path, "a neighbour sees nothing")
        status, said_to_own = await asked(intake, method, here, body, ann)
        assert status == own, (method, path, said_to_own)
        if method == "GET" and "{ref}" in path and own == 200:
            assert said_to_own["items"] != [], path
