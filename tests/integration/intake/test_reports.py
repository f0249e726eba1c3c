"""Reports: fetched, fingerprinted, published, settled. The web is a server on loopback; the matcher is the test."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

from services.intake.reports.worker import WORKERS
from services.intake.store import reports
from shared.access.keys import Role
from shared.contracts.content import Assurance
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.matches import Guard, MatchFound, SightingUnmatched
from shared.contracts.sightings import Sighting, SightingsBatch
from shared.contracts.topics import DECISIONS, MATCHES, SIGHTINGS
from shared.ids import takedown_id
from shared.media.fingerprints import Orientation, hamming
from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from shared.urls import canonical
from tests.integration.intake.harness import Intake, Member, md5, running_intake, until

ADDRESS = "127.0.0.1"


def jpeg(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, size=(12, 12, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(coarse).resize((128, 128), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@dataclass
class Site:
    """A small site: pages by path as (status, content type, body); what was asked for is counted."""

    pages: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    slow: asyncio.Event = field(default_factory=asyncio.Event)
    """What is under `/slow` is answered from then on."""
    port: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked[request.path] += 1
        if request.path.startswith("/slow"):
            await self.slow.wait()
        if request.path == "/inward":
            raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")
        if request.path == "/short":
            raise web.HTTPFound("/a.jpg")
        status, kind, body = self.pages.get(request.path, (404, "text/plain", b"no"))
        return web.Response(status=status, headers={"Content-Type": kind}, body=body)

    def url(self, path: str) -> str:
        return f"http://pics.test{path}"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = web.TCPSite(runner, ADDRESS, 0)
    await listener.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def intake(fresh_database: str, site: Site) -> AsyncIterator[Intake]:
    guard = AddressGuard(
        allow=[(ADDRESS, site.port)], static_hosts={"pics.test": (ADDRESS, site.port)}, allow_static_hosts=True
    )
    # Time is shortened so that the second and third look come soon.
    async with running_intake(fresh_database, guard=guard, policy=Policy(clock_scale=0.001)) as running:
        yield running


@pytest.fixture
async def ann(intake: Intake) -> Member:
    return await intake.member("ann")


async def confirmed(intake: Intake, ann: Member, seed: int = 1) -> Any:
    ben = await intake.member("ben")
    return await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(seed)}])


async def report(intake: Intake, ann: Member, url: str, **more: Any) -> str:
    response = await intake.post("/v1/reports", {"url": url, **more}, by=ann)
    assert response.status_code == 202, response.text
    assert response.json()["state"] == "queued"
    found: str = response.json()["report_id"]
    return found


async def in_state(intake: Intake, ann: Member, report_id: str, *states: str) -> Any:
    async def look() -> Any:
        shown = (await intake.get(f"/v1/reports/{report_id}", by=ann)).json()
        return shown if shown["state"] in states else None

    return await until(look)


async def sightings(intake: Intake) -> list[Sighting]:
    batches = [event for event in await intake.events(SIGHTINGS.name) if isinstance(event, SightingsBatch)]
    return [one for batch in batches for one in batch.sightings]


def matched(sighting: Sighting, content_id: UUID) -> MatchFound:
    """What the matcher would publish."""
    return MatchFound(
        takedown_id=takedown_id(content_id, "media", sighting.url_key),
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url=sighting.media_url,
        url_key=sighting.url_key,
        page_url=sighting.page_url,
        sighting_id=sighting.sighting_id,
        report_id=sighting.report_id,
        seen_at=sighting.seen_at,
        observed_by=sighting.source,
        algorithm="md5",
        distance=0,
        assurance=Assurance.VIEWED,
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


async def person_matches(intake: Intake) -> list[MatchFound]:
    await intake.relay_idle()
    return [event for event in await intake.events(MATCHES.name) if isinstance(event, MatchFound)]


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
