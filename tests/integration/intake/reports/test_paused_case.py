"""Of a paused case no link is looked at, not even one that is being looked at; when it goes on, all of them are."""

from __future__ import annotations

from tests.integration.intake.harness import Intake, Member, until
from tests.integration.intake.reports.pictures_site import Site, confirmed, in_state, jpeg, report


async def test_links_of_a_paused_case_wait_for_it(intake: Intake, site: Site, ann: Member) -> None:
    site.pages["/slow.jpg"] = site.pages["/later.jpg"] = (200, "image/jpeg", jpeg(3))
    claim = await confirmed(intake, ann)
    listed = await intake.get("/v1/cases", by=ann, case_ref=claim["case_ref"])
    path = f"/v1/cases/{listed.json()['items'][0]['case_id']}"
    slow = await report(intake, ann, site.url("/slow.jpg"), case_ref=claim["case_ref"])

    async def is_looked_at() -> bool:
        return site.asked["/slow.jpg"] > 0

    await until(is_looked_at)
    assert (await intake.post(f"{path}/pause", by=ann)).status_code == 200
    later = await report(intake, ann, site.url("/later.jpg"), case_ref=claim["case_ref"])
    for one in (slow, later):
        assert (await in_state(intake, ann, one, "refused"))["why"] == "case_paused"
    assert site.asked["/later.jpg"] == 0
    other = await report(intake, ann, site.url("/later.jpg"), case_ref="HL-20260009")
    await in_state(intake, ann, other, "fetched")

    site.slow.set()
    assert (await intake.post(f"{path}/resumption", by=ann)).status_code == 200
    for one in (slow, later):
        await in_state(intake, ann, one, "fetched")
