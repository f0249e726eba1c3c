"""A report that led to a picture which a person rejected says so, until that is undone; by what agreed, or by its takedown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.content import Assurance
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.matches import MatchFound
from shared.contracts.topics import DECISIONS, MATCHES
from shared.ids import takedown_id
from tests.integration.intake.harness import Intake, Member, md5, running_intake, until

REF, OTHER = "ab" * 32, "cd" * 32


async def reported(intake: Intake, ann: Member, content_id: UUID, url: str, ref: str | None) -> tuple[str, MatchFound]:
    """A report that was looked at and matched: its id, and the match."""
    answer = await intake.post("/v1/reports", {"url": url}, by=ann)
    assert answer.status_code == 202, answer.text
    report_id = answer.json()["report_id"]
    await intake.rows("UPDATE intake.reports SET state = 'fetched' WHERE report_id = %s RETURNING 1", report_id)
    found = MatchFound(
        takedown_id=takedown_id(content_id, "media", url),
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url=url,
        url_key=url,
        report_id=report_id,
        seen_at=datetime.now(UTC),
        observed_by="report",
        algorithm="md5",
        distance=0,
        fingerprint_ref=ref,
        assurance=Assurance.VIEWED,
    )
    await intake.append(MATCHES.name, str(found.takedown_id), found)
    await shown(intake, ann, report_id, "matched")
    return report_id, found


async def shown(intake: Intake, ann: Member, report_id: str, state: str) -> Any:
    async def look() -> Any:
        view = (await intake.get(f"/v1/reports/{report_id}", by=ann)).json()
        return view if view["state"] == state else None

    return await until(look)


async def decide(intake: Intake, kind: DecisionKind, found: MatchFound, *refs: str) -> None:
    """As the notifier tells it."""
    decided = DecisionTaken(
        decision_id=uuid4(),
        kind=kind,
        content_id=found.content_id,
        takedown_id=found.takedown_id,
        person_id="ops",
        organisation_id="helpline-a",
        reason="another picture",
        fingerprint_refs=refs,
        decided_at=datetime.now(UTC),
    )
    await intake.append(DECISIONS.name, str(found.takedown_id), decided)


async def test_a_report_of_a_rejected_picture_says_so(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(1)}])
        content_id = await intake.real_content_id(claim["content_id"])
        first, found = await reported(intake, ann, content_id, "https://host.test/1.jpg", REF)
        elsewhere, _ = await reported(intake, ann, content_id, "https://host.test/2.jpg", OTHER)
        unknown, _ = await reported(intake, ann, content_id, "https://host.test/3.jpg", "ef" * 32)
        await decide(intake, DecisionKind.REJECT, found, REF, OTHER)
        for report_id in (first, elsewhere):
            assert (await shown(intake, ann, report_id, "rejected"))["takedown_ids"] == []
        listed = (await intake.get("/v1/reports", by=ann, state="rejected")).json()["items"]
        assert {one["report_id"] for one in listed} == {first, elsewhere}
        await shown(intake, ann, unknown, "matched")

        await decide(intake, DecisionKind.UNREJECT, found, REF, OTHER)
        for report_id in (first, elsewhere):
            assert len((await shown(intake, ann, report_id, "matched"))["takedown_ids"]) == 1

        asserted, by_person = await reported(intake, ann, content_id, "https://host.test/4.jpg", None)
        await decide(intake, DecisionKind.REJECT, by_person)
        await shown(intake, ann, asserted, "rejected")

        reason = {"reason": "subject_request"}
        assert (await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", reason, by=ann)).status_code == 200
        assert (await intake.post(f"/v1/claims/{claim['claim_id']}/withdrawal", reason, by=ben)).status_code == 200
        assert await intake.rows("SELECT 1 FROM intake.rejections") == []
