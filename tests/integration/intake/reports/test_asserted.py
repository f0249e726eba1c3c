"""Asserted reports: a person's match, with or without our look."""

from __future__ import annotations

from shared.contracts.content import Assurance
from shared.urls import canonical
from tests.integration.intake.harness import Intake, Member
from tests.integration.intake.reports.pictures_site import (
    Site,
    confirmed,
    in_state,
    jpeg,
    person_matches,
    report,
    sightings,
)


async def test_an_asserted_picture_is_a_persons_match(intake: Intake, site: Site, ann: Member) -> None:
    claim = await confirmed(intake, ann)
    content_id = await intake.real_content_id(claim["content_id"])
    site.pages["/a.jpg"] = (200, "image/jpeg", jpeg(1))
    report_id = await report(intake, ann, site.url("/a.jpg"), content_id=claim["content_id"], asserted=True)
    shown = await in_state(intake, ann, report_id, "matched")
    (match,) = await person_matches(intake)
    assert (match.basis, match.target_kind, match.url) == ("person", "media", site.url("/a.jpg"))
    assert (match.content_id, str(match.report_id), match.asserted_by) == (content_id, report_id, "ann")
    assert match.distance is None
    assert match.assurance is Assurance.VIEWED
    assert shown["takedown_ids"] == [str(match.takedown_id)]
    assert len(await sightings(intake)) == 1


async def test_an_asserted_page_without_media_is_itself_the_target(intake: Intake, site: Site, ann: Member) -> None:
    claim = await confirmed(intake, ann)
    site.pages["/page"] = (200, "text/html", b"<html><p>a text about somebody</p></html>")
    report_id = await report(intake, ann, site.url("/page"), content_id=claim["content_id"], asserted=True)
    await in_state(intake, ann, report_id, "matched")
    (match,) = await person_matches(intake)
    assert (match.target_kind, match.url) == ("page", site.url("/page"))
    assert await sightings(intake) == []


async def test_an_asserted_report_that_is_never_to_be_fetched_is_not_fetched(
    intake: Intake, site: Site, ann: Member
) -> None:
    claim = await confirmed(intake, ann)
    url = site.url("/a.jpg")
    report_id = await report(intake, ann, url, content_id=claim["content_id"], asserted=True, fetch="never")
    await in_state(intake, ann, report_id, "matched")
    (match,) = await person_matches(intake)
    assert (match.target_kind, match.url_key) == ("media", canonical(url).url_key)
    assert site.asked == {}


async def test_what_can_be_asserted(intake: Intake, ann: Member) -> None:
    waiting = await intake.declare(by=ann)
    body = {"url": "https://host.example/a", "asserted": True}
    assert (await intake.post("/v1/reports", body, by=ann)).status_code == 422  # of which content?
    response = await intake.post("/v1/reports", {**body, "content_id": waiting["content_id"]}, by=ann)
    assert response.status_code == 409  # nobody has confirmed it
    zoe = await intake.member("zoe", organisation="helpline-z")
    response = await intake.post("/v1/reports", {**body, "content_id": waiting["content_id"]}, by=zoe)
    assert response.json()["errors"][0]["pointer"] == "#/content_id"
    response = await intake.post("/v1/reports", {"url": "https://host.example/a", "fetch": "never"}, by=ann)
    assert response.status_code == 422
    for url in ("ftp://host.example/", "https://user:pw@host.example/", "nonsense"):
        response = await intake.post("/v1/reports", {"url": url}, by=ann)
        assert response.json()["errors"][0]["pointer"] == "#/url"
        assert url not in response.text
