"""Nothing that may depict a minor is fetched, nor told of, not even by a look that is under way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.intake.reports.worker import WORKERS
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.urls import canonical
from tests.integration.intake.harness import Intake, Member, until
from tests.integration.intake.reports.pictures_site import (
    Site,
    confirmed,
    in_state,
    jpeg,
    person_matches,
    report,
    sightings,
)

by_whom = pytest.mark.parametrize("by_host", [False, True], ids=["suspended", "fetching-stopped"])


async def may_show_a_minor(intake: Intake, ann: Member, claim: dict[str, Any], by_host: bool) -> None:
    """The helpline suspends for it, or a host says so and fetching stops."""
    if not by_host:
        path = f"/v1/content/{claim['content_id']}/suspension"
        assert (await intake.post(path, {"reason": "possible_minor"}, by=ann)).status_code == 200
        return
    content_id = await intake.real_content_id(claim["content_id"])
    said = DecisionTaken(
        decision_id=uuid4(),
        kind=DecisionKind.STOP_FETCHING,
        content_id=content_id,
        person_id="host:site.example",
        organisation_id="site.example",
        reason="possible_minor",
        decided_at=datetime.now(UTC),
    )
    await intake.append(DECISIONS.name, str(content_id), said)

    async def stopped() -> bool:
        (row,) = await intake.rows("SELECT fetching_stopped FROM intake.content WHERE content_id = %s", content_id)
        return bool(row["fetching_stopped"])

    await until(stopped)


@by_whom
async def test_nothing_that_may_depict_a_minor_is_fetched(
    intake: Intake, site: Site, ann: Member, by_host: bool
) -> None:
    claim = await confirmed(intake, ann)
    content_id = await intake.real_content_id(claim["content_id"])
    site.pages["/a.jpg"] = (200, "image/jpeg", jpeg(1))
    site.pages["/page"] = (200, "text/html", b'<html><img src="/a.jpg"><img src="/b.jpg"></html>')
    site.pages["/b.jpg"] = (200, "image/jpeg", jpeg(2))
    key = canonical(site.url("/a.jpg")).url_key
    await intake.rows(
        "INSERT INTO intake.matched_urls (content_id, url_key, key_version) VALUES (%s, %s, 1) RETURNING 1",
        content_id,
        key,
    )
    await may_show_a_minor(intake, ann, claim, by_host)
    named = await report(intake, ann, site.url("/c.jpg"), content_id=claim["content_id"])
    asserted = await report(intake, ann, site.url("/c.jpg"), content_id=claim["content_id"], asserted=True)
    known_url = await report(intake, ann, site.url("/a.jpg"))
    redirected = await report(intake, ann, site.url("/short"))
    page = await report(intake, ann, site.url("/page"))
    for report_id in (named, asserted, known_url, redirected):
        shown = await in_state(intake, ann, report_id, "refused")
        assert shown["why"] == "possible_minor"
    await in_state(intake, ann, page, "fetched")
    assert site.asked == {"/page": 1, "/b.jpg": 1, "/short": 1}
    assert await person_matches(intake) == []


@by_whom
async def test_a_look_under_way_ends_when_its_content_may_depict_a_minor(
    intake: Intake, site: Site, ann: Member, by_host: bool
) -> None:
    claim = await confirmed(intake, ann)
    pictures = [f"/slow{number}.jpg" for number in range(6)]
    site.pages["/page"] = (200, "text/html", "".join(f'<img src="{path}">' for path in pictures).encode())
    for path in pictures:
        site.pages[path] = (200, "image/jpeg", jpeg(1))
    report_id = await report(intake, ann, site.url("/page"), content_id=claim["content_id"])

    async def under_way() -> bool:
        return site.asked.total() == 5  # the page, and as many of its pictures as are fetched at once

    await until(under_way)
    await may_show_a_minor(intake, ann, claim, by_host)
    shown = await in_state(intake, ann, report_id, "refused")  # though nothing was answered yet
    assert shown["why"] == "possible_minor"
    site.slow.set()
    assert site.asked.total() == 5
    assert await sightings(intake) == []


async def test_what_a_look_under_way_saw_for_a_case_that_was_erased_is_told_nobody(
    intake: Intake, site: Site, ann: Member
) -> None:
    claim = await confirmed(intake, ann)
    site.pages["/slow.jpg"] = (200, "image/jpeg", jpeg(1))
    await report(intake, ann, site.url("/slow.jpg"), case_ref="HL-20260001")

    async def under_way() -> bool:
        return site.asked.total() == 1

    await until(under_way)
    for person in (ann, intake.members["ben"]):
        withdrawal = f"/v1/claims/{claim['claim_id']}/withdrawal"
        assert (await intake.post(withdrawal, {"reason": "subject_request"}, by=person)).status_code == 200
    assert await intake.rows("SELECT 1 FROM intake.reports") == []
    site.slow.set()
    # A report of another case is looked at to its end meanwhile, and the worker of the first is free again after it.
    site.pages["/a.jpg"] = (200, "image/jpeg", jpeg(2))
    for _ in range(2 * WORKERS):
        await in_state(intake, ann, await report(intake, ann, site.url("/a.jpg")), "fetched")
    assert {one.media_url for one in await sightings(intake)} == {site.url("/a.jpg")}
