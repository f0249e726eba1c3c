"""What a case reported and nothing agreed with is erased with the case, on the log too; what something live rests on stays."""

from __future__ import annotations

from shared.contracts.matches import SightingUnmatched
from shared.contracts.topics import MATCHES
from shared.urls import canonical
from tests.integration.intake.harness import Intake, Member, pdq, until
from tests.integration.intake.reports.pictures_site import Site, in_state, jpeg, matched, report, sightings
from tests.integration.intake.test_erasure import where_found
from tests.integration.intake.test_report_worker import open_intake, open_site


async def reported(intake: Intake, ann: Member, url: str, case_ref: str | None) -> str:
    """A report that a matcher has answered: nothing agrees."""
    known = {one.sighting_id for one in await sightings(intake)}
    found = await report(intake, ann, url, **({"case_ref": case_ref} if case_ref else {}))
    await in_state(intake, ann, found, "fetched")
    for one in await sightings(intake):
        if one.sighting_id not in known:
            assert one.report_id is not None
            event = SightingUnmatched(sighting_id=one.sighting_id, report_id=one.report_id)
            await intake.append(MATCHES.name, str(one.sighting_id), event)
    await in_state(intake, ann, found, "no_match")
    return found


def fill(site: Site) -> None:
    site.pages["/case-page"] = (200, "text/html", b"<img src=/case-one.jpg><img src=/case-two.jpg>")
    for number, name in enumerate(("case-one", "case-two", "case-alone", "shared-one", "live-one", "foreign")):
        site.pages[f"/{name}.jpg"] = (200, "image/jpeg", jpeg(number))


async def test_reports_of_the_case_that_agreed_with_nothing_are_erased(fresh_database: str) -> None:
    async with open_site() as site, open_intake(fresh_database, site) as intake:
        fill(site)
        ann, ben = await intake.member("ann"), await intake.member("ben")
        zoe = await intake.member("zoe", organisation="helpline-z")
        claim = await intake.confirmed(by=ann, confirmer=ben, case_ref="CASE-000001")
        fingerprint = {"algorithm": "pdq", "value": pdq(2), "quality": 100}
        other = await intake.confirmed(by=ann, confirmer=ben, case_ref="CASE-000002", fingerprints=[fingerprint])
        for path in ("/case-page", "/case-alone.jpg", "/shared-one.jpg", "/live-one.jpg"):
            await reported(intake, ann, site.url(path), "CASE-000001")
        await reported(intake, zoe, site.url("/shared-one.jpg"), "CASE-000009")
        await reported(intake, ann, site.url("/foreign.jpg"), None)
        live = next(one for one in await sightings(intake) if one.media_url.endswith("live-one.jpg"))
        found = matched(live, await intake.real_content_id(other["content_id"]))
        await intake.append(MATCHES.name, str(found.takedown_id), found)

        async def remembered() -> bool:
            return bool(await intake.rows("SELECT 1 FROM intake.matched_urls WHERE url_key = %s", live.url_key))

        await until(remembered)
        gone = ["case-page", "case-one", "case-two", "case-alone"]
        assert {"intake.reports", "eventlog.record"} <= set(await where_found(intake, gone))

        for one in (ann, ben):
            path = f"/v1/claims/{claim['claim_id']}/withdrawal"
            assert (await intake.post(path, {"reason": "subject_request"}, by=one)).status_code == 200

        async def erased() -> bool:
            # The order itself, and its telling to the matchers, name the URLs for their own time.
            left = set(await where_found(intake, gone)) - {"eventlog.record", "intake.erasures"}
            urls = [one.media_url for one in await sightings(intake)]
            return not left and not any(name in url for name in gone for url in urls)

        await until(erased, seconds=40)
        left = {one.media_url.rpartition("/")[2] for one in await sightings(intake)}
        assert left == {"shared-one.jpg", "live-one.jpg", "foreign.jpg"}, "what others rest on"
        assert await where_found(intake, ["shared-one"]) == [
            "eventlog.record",
            "intake.report_sightings",
            "intake.reports",
        ]


async def test_the_matchers_are_told_of_what_was_seen_for_the_case(fresh_database: str) -> None:
    async with open_site() as site, open_intake(fresh_database, site) as intake:
        fill(site)
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben, case_ref="CASE-000001")
        await reported(intake, ann, site.url("/case-page"), "CASE-000001")
        async with intake.database.transaction() as tx:  # the telling stays, to be seen
            await tx.execute("CREATE TABLE kept AS SELECT url_key FROM intake.erasures")
            await tx.execute(
                "CREATE RULE keep AS ON INSERT TO intake.erasures DO ALSO INSERT INTO kept VALUES (new.url_key)"
            )
        for one in (ann, ben):
            path = f"/v1/claims/{claim['claim_id']}/withdrawal"
            await intake.post(path, {"reason": "subject_request"}, by=one)
        ordered = {row["url_key"] for row in await intake.rows("SELECT url_key FROM kept WHERE url_key IS NOT NULL")}
        paths = ("/case-one.jpg", "/case-two.jpg")
        assert ordered == {canonical(site.url(path)).url_key for path in paths}
