"""What intake publishes says by which API key it came: sightings, lines, reports and a person's word."""

from __future__ import annotations

import json

from shared.access.keys import Role
from tests.integration.intake.harness import Intake, Member, sighting_body
from tests.integration.intake.reports.pictures_site import (
    Site,
    confirmed,
    in_state,
    jpeg,
    person_matches,
    report,
    sightings,
)


async def test_it_is_the_key_of_who_sent_it(intake: Intake, site: Site, ann: Member) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER, "crawlers")
    other = await intake.member("other", Role.CRAWLER, "crawlers")
    assert (await intake.post("/v1/sightings", [sighting_body(1)], by=crawler)).status_code == 200
    lines = {**other.headers, "Content-Type": "application/x-ndjson"}
    line = json.dumps(sighting_body(2)).encode()
    assert (await intake.client.post("/v1/sightings", content=line, headers=lines)).status_code == 200
    claim = await confirmed(intake, ann)
    site.pages["/a.jpg"] = (200, "image/jpeg", jpeg(1))
    report_id = await report(intake, ann, site.url("/a.jpg"), content_id=claim["content_id"], asserted=True)
    await in_state(intake, ann, report_id, "matched")

    expected = [intake.runtime.keys.reported_by_of(one.key_id) for one in (crawler, other, ann)]
    assert {one.reported_by for one in await sightings(intake)} == set(expected)
    assert {one.reported_by for one in await sightings(intake) if one.report_id is not None} == {expected[2]}
    assert [one.reported_by for one in await person_matches(intake)] == [expected[2]]
