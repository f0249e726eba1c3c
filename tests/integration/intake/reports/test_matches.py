"""Reports that match: told to whoever may know, with the reason where nothing comes of it. The matcher is the test."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.matches import Guard, SightingUnmatched
from shared.contracts.topics import MATCHES
from tests.integration.intake.harness import Intake, Member
from tests.integration.intake.reports.pictures_site import (
    Site,
    confirmed,
    in_state,
    jpeg,
    matched,
    report,
    sightings,
)


async def test_a_pages_pictures_are_all_looked_at_and_a_match_settles_the_report(
    intake: Intake, site: Site, ann: Member
) -> None:
    claim = await confirmed(intake, ann)
    content_id = await intake.real_content_id(claim["content_id"])
    site.pages["/page"] = (
        200,
        "text/html",
        b'<html><meta property="og:image" content="/m/1.jpg"><img src="m/2.jpg"><img src="m/gone.jpg"></html>',
    )
    site.pages["/m/1.jpg"] = (200, "image/jpeg", jpeg(1))
    site.pages["/m/2.jpg"] = (200, "image/jpeg", jpeg(2))
    report_id = await report(intake, ann, site.url("/page"))
    await in_state(intake, ann, report_id, "fetched")
    seen = await sightings(intake)
    assert {one.media_url for one in seen} == {site.url("/m/1.jpg"), site.url("/m/2.jpg")}
    assert {one.page_url for one in seen} == {site.url("/page")}
    first, second = seen
    await intake.append(MATCHES.name, "x", SightingUnmatched(sighting_id=first.sighting_id, report_id=UUID(report_id)))
    found = matched(second, content_id)
    await intake.append(MATCHES.name, str(found.takedown_id), found)
    shown = await in_state(intake, ann, report_id, "matched")
    assert shown["takedown_ids"] == [str(found.takedown_id)]


async def test_a_match_of_anothers_content_is_not_told(intake: Intake, site: Site, ann: Member) -> None:
    zoe = await intake.member("zoe", organisation="helpline-z")
    yan = await intake.member("yan", organisation="helpline-z")
    claim = await intake.confirmed(by=zoe, confirmer=yan, case_ref="ZZ-20260001")
    content_id = await intake.real_content_id(claim["content_id"])
    site.pages["/a.jpg"] = (200, "image/jpeg", jpeg(1))
    report_id = await report(intake, ann, site.url("/a.jpg"))
    await in_state(intake, ann, report_id, "fetched")
    (seen,) = await sightings(intake)
    found = matched(seen, content_id)
    await intake.append(MATCHES.name, str(found.takedown_id), found)
    shown = await in_state(intake, ann, report_id, "no_match", "matched")
    assert (shown["state"], shown["takedown_ids"]) == ("no_match", [])
    assert (await intake.get(f"/v1/reports/{report_id}", by=zoe)).status_code == 404


async def test_a_match_that_is_never_acted_on_is_no_match_and_says_why(intake: Intake, site: Site, ann: Member) -> None:
    """There is no takedown of it, so none may be named; a match that counts, from another picture of the page, is told."""
    claim = await confirmed(intake, ann)
    content_id = await intake.real_content_id(claim["content_id"])
    site.pages["/page"] = (200, "text/html", b'<html><img src="/1.jpg"><img src="/2.jpg"><img src="/3.jpg"></html>')
    for number in (1, 2, 3):
        site.pages[f"/{number}.jpg"] = (200, "image/jpeg", jpeg(number))
    report_id = await report(intake, ann, site.url("/page"))
    await in_state(intake, ann, report_id, "fetched")
    first, second, third = await sightings(intake)
    for seen, guards in ((first, (Guard.LOW_QUALITY, Guard.QUALITY_UNKNOWN)), (second, (Guard.NEGATIVE_LIST,))):
        guarded = matched(seen, content_id).model_copy(update={"guards": guards})
        await intake.append(MATCHES.name, str(guarded.takedown_id), guarded)
    unmatched = SightingUnmatched(sighting_id=third.sighting_id, report_id=UUID(report_id))
    await intake.append(MATCHES.name, "x", unmatched)
    shown = await in_state(intake, ann, report_id, "no_match", "matched")
    assert (shown["state"], shown["why"]) == ("no_match", "low_quality, negative_list")
    assert shown["takedown_ids"] == []

    later = matched(third, content_id).model_copy(update={"guards": (Guard.QUALITY_UNKNOWN,)})
    await intake.append(MATCHES.name, str(later.takedown_id), later)
    shown = await in_state(intake, ann, report_id, "matched")
    assert (shown["why"], shown["takedown_ids"]) == (None, [str(later.takedown_id)])
