"""A case over HTTP: begun, read, changed, paused, ended; what is written in it is nowhere in the clear."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from services.intake.maintenance.retention import Sweeps
from shared.access import stops
from shared.policy import Policy
from tests.integration.intake.harness import Intake, Member, pdq

pytestmark = pytest.mark.asyncio(loop_scope="module")

WORDS = "text only, never ring after nine"


async def begun(intake: Intake, by: Member, **fields: Any) -> dict[str, Any]:
    answer = await intake.post("/v1/cases", {"depicts_minor": "no", **fields}, by=by)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def read(intake: Intake, by: Member, case_id: str) -> dict[str, Any]:
    answer = await intake.get(f"/v1/cases/{case_id}", by=by)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def changed(intake: Intake, by: Member, case_id: str, expect: int = 200, **fields: Any) -> dict[str, Any]:
    if "version" not in fields:
        fields["version"] = (await read(intake, by, case_id))["version"]
    answer = await intake.client.patch(f"/v1/cases/{case_id}", json=fields, headers=by.headers)
    assert answer.status_code == expect, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def listed(intake: Intake, by: Member, **asked: str) -> list[str]:
    answer = await intake.get("/v1/cases", by=by, **asked)
    assert answer.status_code == 200, answer.text
    return [one["case_ref"] for one in answer.json()["items"]]


def fingerprint(number: int) -> dict[str, Any]:
    return {"algorithm": "pdq", "value": pdq(number), "quality": 100}


async def confirmed(intake: Intake, case_ref: str, number: int) -> dict[str, Any]:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim: dict[str, Any] = await intake.confirmed(
        by=ann, confirmer=ben, case_ref=case_ref, fingerprints=[fingerprint(number)]
    )
    return claim


async def case_id_of(intake: Intake, by: Member, case_ref: str) -> str:
    answer = await intake.get("/v1/cases", by=by, case_ref=case_ref)
    (found,) = answer.json()["items"]
    return str(found["case_id"])


async def everything(intake: Intake) -> str:
    """Every row of intake and of the audit, as text, with what its bytes say."""
    tables = await intake.rows(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables WHERE schemaname IN ('intake', 'access', 'eventlog')"
    )
    texts = []
    for table in tables:
        rows = await intake.rows(f"SELECT r::text AS text FROM {table['name']} r")
        texts += [row["text"] for row in rows]
    return "\n".join(texts).lower()


async def test_what_is_written_in_a_case_is_sealed_and_none_of_it_needs_to_be_asked(
    intake: Intake, case_ref: str
) -> None:
    ann = await intake.member("ann")
    made = await begun(intake, ann, safe_contact=WORDS, urgent=["threat"], known_by="bluebell")
    draft = await read(intake, ann, made["case_id"])
    assert (draft["state"], draft["case_ref"], draft["owner"], draft["urgency"]) == ("draft", None, "ann", 2)
    assert draft["words"]["safe_contact"] == WORDS
    assert {name for name, value in draft["words"].items() if value is not None} == {
        "safe_contact",
        "urgent",
        "known_by",
    }
    await changed(intake, ann, made["case_id"], case_ref=case_ref, notes="She wrote to us.", urgent=[])
    after = await read(intake, ann, made["case_id"])
    assert (after["words"]["urgent"], after["urgency"], after["words"]["safe_contact"]) == ([], 0, WORDS)
    assert after["words"]["police"] is None, "not asked"
    kept = await everything(intake)
    for written in (WORDS, "bluebell", "She wrote", "never ring"):
        assert written.lower() not in kept, written
        assert written.encode().hex() not in kept, written
    assert (await intake.rows("SELECT sealed FROM intake.cases WHERE sealed IS NOT NULL")) != []


async def test_of_somebody_under_18_nothing_is_kept(intake: Intake, case_ref: str) -> None:
    ann = await intake.member("ann")
    before = await intake.rows("SELECT count(*) AS n FROM intake.cases")
    for said in ("yes", "unknown", None, True):
        body = {"depicts_minor": said, "case_ref": case_ref, "notes": "written before", "no_such": 1}
        answer = await intake.post("/v1/cases", body, by=ann, key=f"minor-{said}")
        assert answer.status_code == 422
        assert answer.json()["where_to_go"], said
    assert (await intake.post("/v1/cases", {"case_ref": case_ref}, by=ann)).status_code == 422
    assert await intake.rows("SELECT count(*) AS n FROM intake.cases") == before
    assert await intake.rows("SELECT 1 FROM intake.idempotency WHERE answer::text LIKE '%%where_to_go%%'") == []


async def test_a_colleagues_change_is_not_written_over(intake: Intake, case_ref: str) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    made = await begun(intake, ann, case_ref=case_ref)
    assert (await changed(intake, ben, made["case_id"], version=1, notes="Ben's"))["version"] == 2
    await changed(intake, ann, made["case_id"], version=1, notes="Ann's", expect=409)
    assert (await read(intake, ann, made["case_id"]))["words"]["notes"] == "Ben's"
    # A reference is one case's, whoever asks; an owner is somebody of the organisation.
    again = await intake.post("/v1/cases", {"depicts_minor": "no", "case_ref": case_ref}, by=ben)
    assert again.status_code == 409
    other = await begun(intake, ben)
    await changed(intake, ben, other["case_id"], case_ref=case_ref, expect=409)
    await intake.member("zoe", organisation="helpline-z")
    for nobody in ("zoe", "nobody"):
        await changed(intake, ben, other["case_id"], owner=nobody, expect=422)
    await changed(intake, ben, other["case_id"], owner=None, expect=422)


async def test_a_claim_finds_its_case_and_fixes_its_reference(intake: Intake, case_ref: str, number: int) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    made = await begun(intake, ann, case_ref=case_ref, notes="kept")
    await intake.declare(by=ben, case_ref=case_ref, fingerprints=[fingerprint(number)])
    case = await read(intake, ann, made["case_id"])
    assert (case["state"], case["waiting"], case["waiting_for_you"], case["owner"]) == ("open", 1, 1, "ann")
    assert (await read(intake, ben, made["case_id"]))["waiting_for_you"] == 0
    assert case["words"]["notes"] == "kept"
    await changed(intake, ann, made["case_id"], case_ref="HL-999999", expect=409)


async def test_a_site_not_to_be_written_to_is_so_for_each_claim_at_once(
    intake: Intake, case_ref: str, number: int
) -> None:
    ann = await intake.member("ann")
    claim = await confirmed(intake, case_ref, number)
    told = await intake.rows("SELECT revision FROM intake.claims WHERE claim_id = %s", UUID(claim["claim_id"]))
    case_id = await case_id_of(intake, ann, case_ref)
    await changed(intake, ann, case_id, do_not_contact=["Ex-Site.example"])
    now = (await intake.get(f"/v1/claims/{claim['claim_id']}", by=ann)).json()
    assert now["do_not_contact"] == ["ex-site.example"]
    again = await intake.rows("SELECT revision FROM intake.claims WHERE claim_id = %s", UUID(claim["claim_id"]))
    assert again[0]["revision"] == told[0]["revision"] + 1, "the notifier is told"
    await changed(intake, ann, case_id, do_not_contact=[])
    await changed(intake, ann, case_id, evidence_wanted=True, subject_jurisdictions=["gb-sct"])
    await changed(intake, ann, case_id, evidence_wanted=None, notes="not asked takes nothing away")
    now = (await intake.get(f"/v1/claims/{claim['claim_id']}", by=ann)).json()
    assert now["do_not_contact"] == ["ex-site.example"]
    assert (now["evidence_wanted"], now["subject_jurisdictions"]) == (True, ["GB-SCT"])


async def test_lists_show_the_most_urgent_first_and_page_through(intake: Intake) -> None:
    cal = await intake.member("cal", organisation="helpline-lists")
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    late = (datetime.now(UTC) + timedelta(days=9)).isoformat()
    await begun(intake, cal, case_ref="LI-0001", next_contact_at=late)
    await begun(intake, cal, case_ref="LI-0002", next_contact_at=soon)
    await begun(intake, cal, case_ref="LI-0003", next_contact_at=late, urgent=["danger_to_life"])
    await begun(intake, cal, case_ref="LI-0004", next_contact_at=soon, urgent=["spreading"])
    order = ["LI-0003", "LI-0004", "LI-0002", "LI-0001"]
    assert await listed(intake, cal, mine="true") == order
    assert await listed(intake, cal, urgent="true") == order[:2]
    assert await listed(intake, cal, to_confirm="true") == []
    found, cursor = [], None
    while True:
        asked = {"limit": "1", **({"cursor": cursor} if cursor else {})}
        page = (await intake.get("/v1/cases", by=cal, **asked)).json()
        found += [one["case_ref"] for one in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == order
    # To confirm: by how long it waits, the urgent first.
    for number, case_ref in enumerate(("LI-0001", "LI-0004", "LI-0003"), start=500):
        await intake.declare(by=cal, case_ref=case_ref, fingerprints=[fingerprint(number)])
    assert await listed(intake, cal, to_confirm="true") == ["LI-0003", "LI-0004", "LI-0001"]


async def test_a_case_is_found_by_its_links_and_their_sites(intake: Intake) -> None:
    dee = await intake.member("dee", organisation="helpline-search")
    await begun(intake, dee, case_ref="SE-0001")
    url = "https://img.finds.example/a.jpg?x=1"
    report = await intake.post("/v1/reports", {"url": url, "case_ref": "SE-0001"}, by=dee)
    assert report.status_code == 202
    for asked in ({"url": url}, {"url": "hxxps://img.finds[.]example/a.jpg?x=1"}, {"host": "finds.example"}):
        assert await listed(intake, dee, **asked) == ["SE-0001"], asked
    assert await listed(intake, dee, host="inds.example") == []
    assert await listed(intake, dee, url="https://img.finds.example/a.jpg") == []
    other = await intake.member("zoe", organisation="helpline-z")
    assert await listed(intake, other, host="finds.example") == []
    assert (await intake.get("/v1/cases", by=dee, host="no host")).status_code == 422


async def test_a_paused_case_stops_at_once_and_goes_on(intake: Intake, case_ref: str, number: int) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim = await confirmed(intake, case_ref, number)
    content_id = await intake.real_content_id(claim["content_id"])
    waits = await intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(number + 10_000)])
    case_id = await case_id_of(intake, ann, case_ref)
    assert (await intake.post(f"/v1/cases/{case_id}/pause", by=ben)).status_code == 200
    assert (await intake.post(f"/v1/cases/{case_id}/pause", by=ben)).status_code == 409
    case = await read(intake, ann, case_id)
    assert (case["state"], case["paused_for"]) == ("paused", "caller")
    asked_again = datetime.fromisoformat(case["next_contact_at"]) - datetime.now(UTC)
    assert timedelta(days=6) < asked_again <= timedelta(days=7)
    async with intake.database.transaction() as tx:
        assert await stops.reasons_of(tx, content_id) == {"person"}
    path = f"/v1/claims/{waits['claim_id']}/confirmation"
    refused = await intake.post(path, {"assurance": "viewed"}, by=ben)
    assert refused.status_code == 409
    assert "paused" in refused.json()["detail"]

    assert (await intake.post(f"/v1/cases/{case_id}/resumption", by=ann)).status_code == 200
    async with intake.database.transaction() as tx:
        assert await stops.reasons_of(tx, content_id) == set()
    assert (await intake.post(path, {"assurance": "viewed"}, by=ben)).status_code == 200
    assert (await intake.post(f"/v1/cases/{case_id}/resumption", by=ann)).status_code == 409


async def test_what_two_paused_cases_hold_goes_on_with_the_second(intake: Intake, number: int) -> None:
    ann = await intake.member("ann")
    refs = [f"TW-{number}001", f"TW-{number}002"]
    claims = [await confirmed(intake, ref, number) for ref in refs]
    content_id = await intake.real_content_id(claims[0]["content_id"])
    cases = [await case_id_of(intake, ann, ref) for ref in refs]
    for case_id in cases:
        assert (await intake.post(f"/v1/cases/{case_id}/pause", by=ann)).status_code == 200
    for case_id, left in zip(cases, ({"person"}, set()), strict=True):
        assert (await intake.post(f"/v1/cases/{case_id}/resumption", by=ann)).status_code == 200
        async with intake.database.transaction() as tx:
            assert await stops.reasons_of(tx, content_id) == left


async def test_a_case_paused_since_somebody_may_be_a_minor_is_not_gone_on_with_here(
    intake: Intake, case_ref: str, number: int
) -> None:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim = await confirmed(intake, case_ref, number)
    await intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(number + 10_000)])
    content_id = await intake.real_content_id(claim["content_id"])
    case_id = await case_id_of(intake, ann, case_ref)
    assert (await intake.post(f"/v1/cases/{case_id}/pause", by=ben)).status_code == 200
    found_out = await intake.post(f"/v1/cases/{case_id}/pause", {"reason": "possible_minor"}, by=ben)
    assert found_out.status_code == 200, "worse than paused"
    async with intake.database.transaction() as tx:
        assert await stops.reasons_of(tx, content_id) == {"possible_minor"}
    assert (await intake.post(f"/v1/cases/{case_id}/resumption", by=ann)).status_code == 403
    assert (await read(intake, ann, case_id))["paused_for"] == "possible_minor"
    await intake.declare(by=ann, case_ref=case_ref, fingerprints=[fingerprint(number + 20_000)], expect=409)
    report = {"url": "https://minor.example/", "case_ref": case_ref}
    assert (await intake.post("/v1/reports", report, by=ann)).status_code == 409
    (said,) = (await intake.post("/v1/reports", [report], by=ann)).json()["items"]
    assert (said["verdict"], said["report_id"]) == ("refused", None)
    assert await intake.rows("SELECT 1 FROM intake.reports WHERE case_ref = %s", case_ref) == []
    holds = await intake.rows(
        "SELECT k.hold FROM intake.content k JOIN intake.claims c USING (content_id) WHERE c.case_ref = %s", case_ref
    )
    assert [row["hold"] for row in holds] == ["possible_minor"] * 2


async def test_a_draft_is_erased_with_its_reports_when_nobody_writes_in_it(intake: Intake, case_ref: str) -> None:
    ann = await intake.member("ann")
    made = await begun(intake, ann, case_ref=case_ref, notes="soon gone")
    report = {"url": "https://draft.example/x.jpg", "case_ref": case_ref}
    assert (await intake.post("/v1/reports", report, by=ann)).status_code == 202
    sweeps = Sweeps(intake.database, Policy())
    await sweeps.end_retention()
    assert (await read(intake, ann, made["case_id"]))["state"] == "draft"
    await intake.rows(
        "UPDATE intake.cases SET changed_at = now() - interval '8 days' WHERE case_id = %s RETURNING 1",
        UUID(made["case_id"]),
    )
    await sweeps.end_retention()
    assert (await intake.get(f"/v1/cases/{made['case_id']}", by=ann)).status_code == 404
    assert await intake.rows("SELECT 1 FROM intake.reports WHERE case_ref = %s", case_ref) == []
    orders = "SELECT 1 FROM intake.erasures WHERE content_id = %s"
    assert await intake.rows(orders, UUID(made["case_id"])) != [], "its table is vacuumed"
    assert (await intake.get("/v1/cases/ended", by=ann, case_ref=case_ref)).status_code == 404, "nothing was declared"
