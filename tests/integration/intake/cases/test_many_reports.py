"""`POST /v1/reports` with an array: a verdict on each, and sent again it is the same answer."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.intake.cases.test_cases import begun, case_id_of, confirmed, read
from tests.integration.intake.harness import Intake

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def verdicts(intake: Intake, body: list[Any], key: str | None = None) -> list[dict[str, Any]]:
    answer = await intake.post("/v1/reports", body, by=await intake.member("ann"), key=key)
    assert answer.status_code == 202, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_each_of_many_has_a_verdict(intake: Intake, case_ref: str, number: int) -> None:
    ann = await intake.member("ann")
    claim = await confirmed(intake, case_ref, number)
    site = f"https://many-{number}.example"
    many: list[Any] = [
        {"url": f"{site}/1", "case_ref": case_ref},
        {"url": f"hxxps://many-{number}[.]example/1", "case_ref": case_ref},
        {"url": "ftp://many.example/secret", "case_ref": case_ref},
        {"url": f"{site}/2", "case_ref": "no such form"},
        {"url": f"{site}/3", "case_ref": case_ref, "content_id": str(uuid4())},
        {"url": f"{site}/1", "case_ref": case_ref, "content_id": claim["content_id"], "asserted": True},
        {"url": f"{site}/4", "case_ref": case_ref, "unknown": 1},
        "no object",
        {"url": f"{site}/1"},
    ]
    key = uuid4().hex
    said = await verdicts(intake, many, key)
    assert [one["index"] for one in said] == list(range(len(many)))
    expected = ["queued", "known", "refused", "refused", "refused", "queued", "refused", "refused", "queued"]
    assert [one["verdict"] for one in said] == expected
    assert said[1]["report_id"] == said[0]["report_id"]
    assert [[fault["pointer"] for fault in one["errors"]] for one in said if one["verdict"] == "refused"] == [
        ["#/url"],
        ["#/case_ref"],
        ["#/content_id"],
        ["#/unknown"],
        ["#"],
    ]
    assert "secret" not in str(said)
    assert await verdicts(intake, many, key) == said
    reports = await intake.rows("SELECT url FROM intake.reports WHERE url LIKE %s", f"{site}/%%")
    assert len(reports) == 3
    listed = await intake.get("/v1/reports", by=ann, case_ref=case_ref)
    assert len(listed.json()["items"]) == 2


async def test_a_thousand_at_once_and_no_more_and_none(intake: Intake, case_ref: str) -> None:
    ann = await intake.member("ann")
    await begun(intake, ann, case_ref=case_ref)
    many = [{"url": f"https://thousand.example/{one}", "case_ref": case_ref} for one in range(1_001)]
    for wrong in (many, []):
        answer = await intake.post("/v1/reports", wrong, by=ann)
        assert answer.status_code == 422
        assert "1,000" in answer.json()["errors"][0]["detail"]
    assert {one["verdict"] for one in await verdicts(intake, many[:1_000])} == {"queued"}
    assert (await read(intake, ann, await case_id_of(intake, ann, case_ref)))["state"] == "draft"


async def test_one_report_is_answered_as_ever(intake: Intake) -> None:
    ann = await intake.member("ann")
    for body, pointer in (({"url": "no url at all"}, "#/url"), ({}, "#/url"), ("text", "#"), (7, "#")):
        answer = await intake.post("/v1/reports", body, by=ann)
        assert answer.status_code == 422, body
        assert [one["pointer"] for one in answer.json()["errors"]] == [pointer], body
