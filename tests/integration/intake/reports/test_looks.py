"""Reports: fetched, fingerprinted, published, settled. The web is a server on loopback."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4

import pytest

from services.intake.store import reports
from shared.access.keys import Role
from shared.contracts.matches import SightingUnmatched
from shared.contracts.topics import MATCHES
from shared.media.fingerprints import Orientation, hamming
from tests.integration.intake.harness import Intake, Member
from tests.integration.intake.reports.pictures_site import (
    Site,
    in_state,
    jpeg,
    report,
    sightings,
)


async def test_a_reported_picture_becomes_a_sighting_with_all_its_fingerprints(
    intake: Intake, site: Site, ann: Member
) -> None:
    picture = jpeg(1)
    site.pages["/a.jpg"] = (200, "image/jpeg", picture)
    report_id = await report(intake, ann, site.url("/a.jpg"), case_ref="HL-20260001")
    await in_state(intake, ann, report_id, "fetched")
    (seen,) = await sightings(intake)
    assert (seen.media_url, seen.page_url, str(seen.report_id)) == (site.url("/a.jpg"), None, report_id)
    values = {(one.algorithm, one.orientation): one.value for one in seen.fingerprints}
    assert values["md5", "identity"] == hashlib.md5(picture).hexdigest()
    assert values["sha1", "identity"] == hashlib.sha1(picture).hexdigest()
    assert values["sha256", "identity"] == hashlib.sha256(picture).hexdigest()
    turned = {orientation: bytes.fromhex(value) for (name, orientation), value in values.items() if name == "pdq"}
    assert set(turned) == set(Orientation)
    assert all(hamming(turned["identity"], value) > 31 for name, value in turned.items() if name != "identity")

    await intake.append(
        MATCHES.name,
        str(uuid4()),
        SightingUnmatched(sighting_id=seen.sighting_id, report_id=UUID(report_id)),
    )
    shown = await in_state(intake, ann, report_id, "no_match")
    assert shown["takedown_ids"] == []


@pytest.mark.parametrize(
    ("path", "answer", "state", "why", "looks"),
    [
        ("/gone", (404, "text/plain", b""), "unreachable", "gone", 1),
        ("/secret", (403, "text/plain", b""), "unreachable", "status_403", 1),
        ("/busy", (503, "text/plain", b""), "unreachable", "status_503", 3),
        ("/text", (200, "text/plain", b"just words"), "no_media", "not_a_picture", 1),
        ("/inward", (200, "text/plain", b""), "refused", "address_refused", 1),
        ("/page", (200, "text/html", b"<html></html>"), "no_media", "page_without_media", 1),
        ("/page", (200, "text/html", b'<html><img src="/lost"></html>'), "unreachable", "media_unreachable", 1),
        ("/page", (200, "text/html", b'<html><img src="http://../x"></html>'), "no_media", "page_without_media", 1),
    ],
)
async def test_why_a_report_came_to_nothing(
    intake: Intake,
    site: Site,
    ann: Member,
    path: str,
    answer: tuple[int, str, bytes],
    state: str,
    why: str,
    looks: int,
) -> None:
    site.pages[path] = answer
    report_id = await report(intake, ann, site.url(path))
    shown = await in_state(intake, ann, report_id, state)
    assert shown["why"] == why
    assert site.asked[path] == looks
    assert await sightings(intake) == []


async def test_a_format_without_a_decoder_is_known_by_its_exact_hashes(intake: Intake, site: Site, ann: Member) -> None:
    video = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 4
    site.pages["/v.mp4"] = (200, "video/mp4", video)
    report_id = await report(intake, ann, site.url("/v.mp4"))
    await in_state(intake, ann, report_id, "fetched")
    (seen,) = await sightings(intake)
    assert {(one.algorithm, one.value) for one in seen.fingerprints} == {
        ("md5", hashlib.md5(video).hexdigest()),
        ("sha1", hashlib.sha1(video).hexdigest()),
        ("sha256", hashlib.sha256(video).hexdigest()),
    }


async def test_a_report_whose_worker_died_is_taken_again_and_the_dead_ones_word_is_not(
    intake: Intake, site: Site, ann: Member
) -> None:
    site.pages["/a.jpg"] = (503, "text/plain", b"")
    report_id = await report(intake, ann, site.url("/nowhere"))
    await in_state(intake, ann, report_id, "unreachable")
    await intake.rows(
        "UPDATE intake.reports SET state = 'queued', due_at = now() + interval '1 hour' RETURNING 1"
    )  # as if leased by another worker
    async with intake.database.transaction() as tx:
        row = await (await tx.execute("SELECT attempts FROM intake.reports")).fetchone()
        assert row is not None
        dead = reports.Taken(
            report_id=UUID(report_id),
            organisation_id="helpline-a",
            person_id="ann",
            url="",
            content_id=None,
            asserted=False,
            fetch=True,
            attempt=row["attempts"],
        )
        await tx.execute("UPDATE intake.reports SET attempts = attempts + 1")
        assert not await reports.finish_report(tx, dead, "no_media", None)


async def test_reports_are_listed_for_ones_own_organisation_and_reading_one_is_audited(
    intake: Intake, site: Site, ann: Member
) -> None:
    ids = [await report(intake, ann, site.url(f"/{n}"), case_ref="HL-20260001") for n in range(3)]
    page = (await intake.get("/v1/reports", by=ann, limit="2")).json()
    rest = (await intake.get("/v1/reports", by=ann, cursor=page["next"])).json()
    assert [one["report_id"] for one in (*page["items"], *rest["items"])] == ids[::-1]
    assert "HL-20260001" not in str(page)
    assert "pics.test" not in str(page)
    assert (await intake.get(f"/v1/reports/{ids[0]}", by=ann)).json()["case_ref"] == "HL-20260001"
    audited = await intake.rows("SELECT object_id FROM access.audit WHERE action = 'case.read'")
    assert [row["object_id"] for row in audited] == [ids[0]]
    crawler = await intake.member("crawler", Role.CRAWLER)
    assert (await intake.get("/v1/reports", by=crawler)).status_code == 403
