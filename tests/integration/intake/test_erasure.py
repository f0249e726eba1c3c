"""After a final withdrawal nothing of the content is found in any table, the log's on PostgreSQL too."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from services.intake.claims import claim_steps, registered_content
from services.intake.reports.matches import MatchesHandler
from services.intake.store.report_sightings import sighting_answered
from services.intake.store.reports import settle_report
from shared.access.keys import Role
from shared.contracts.claims import WithdrawalReason
from shared.contracts.content import Assurance, ContentState
from shared.contracts.event import Envelope
from shared.contracts.matches import MatchFound
from shared.contracts.sightings import SightingsBatch, UrlErased
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.ids import takedown_id
from shared.log.port import Record
from shared.log.postgres.log import PostgresLog
from shared.policy import Policy
from shared.urls import canonical
from tests.integration.intake.harness import Intake, Member, md5, pdq, running_intake, sighting_body, until

URL = 'https://uploads.example/secret-picture.jpg?name=a"b\\c'
"""With characters that JSON writes in another way."""
SHARED_URL = "https://uploads.example/of-two-contents.jpg"


async def where_found(intake: Intake, needles: list[str]) -> list[str]:
    """`schema.table` of every table in which one of these texts stands, as text or as bytes."""
    tables = await intake.rows(
        "SELECT schemaname AS s, tablename AS t FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    )
    assert len(tables) > 15
    found = []
    for table in tables:
        name = f"{table['s']}.{table['t']}"
        text = "\n".join(row["row"].lower() for row in await intake.rows(f"SELECT r::text AS row FROM {name} AS r"))
        if any(form in text for needle in needles for form in (needle.lower(), needle.lower().encode().hex())):
            found.append(name)
    return sorted(found)


async def post_sightings(intake: Intake, crawler: Member, *urls: str) -> None:
    bodies = [sighting_body(number + 100, media_url=url, page_url=url + "#page") for number, url in enumerate(urls)]
    response = await intake.post("/v1/sightings", bodies, by=crawler)
    assert all("sighting_id" in item for item in response.json()["items"]), response.text


def match_of(content_id: Any, url: str, seen_at: datetime) -> MatchFound:
    key = canonical(url).url_key
    return MatchFound(
        takedown_id=takedown_id(content_id, "media", key),
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url=url,
        url_key=key,
        sighting_id=uuid4(),
        seen_at=seen_at,
        observed_by="crawler-1",
        algorithm="md5",
        distance=0,
        assurance=Assurance.VIEWED,
    )


async def match(intake: Intake, content_id: Any, url: str) -> None:
    found = match_of(content_id, url, intake.runtime.clock())
    await intake.append(MATCHES.name, str(found.takedown_id), found)


async def unmatched_report(intake: Intake, by: Member) -> None:
    """A report of the URL, of no case and content, that came to nothing."""
    response = await intake.post("/v1/reports", {"url": URL}, by=by)
    report_id = response.json()["report_id"]
    await intake.rows(
        "UPDATE intake.reports SET state = 'unreachable', attempts = attempts + 1 WHERE report_id = %s RETURNING 1",
        report_id,
    )


async def unsent_match(intake: Intake, content_id: Any) -> None:
    """A person's match that the relay has parked."""
    await intake.relay_idle()
    data = json.dumps({"content_id": str(content_id), "url": URL}).encode()
    await intake.rows(
        "INSERT INTO intake.outbox (outbox_id, topic, key, type, data, parked_at)"
        " VALUES (gen_random_uuid(), 'takedown.matches', 'k', 'takedown.match.v1', %s, now()) RETURNING 1",
        data,
    )


async def remembered(intake: Intake, count: int) -> None:
    async def look() -> bool:
        return len(await intake.rows("SELECT 1 FROM intake.matched_urls")) == count

    await until(look)


async def erasures_told(intake: Intake) -> None:
    async def look() -> bool:
        rows = await intake.rows("SELECT count(*) AS n FROM intake.erasures WHERE told_at IS NULL")
        return bool(rows[0]["n"] == 0)

    await until(look)


async def withdraw(intake: Intake, claim: Any, *people: Member) -> None:
    for person in people:
        path = f"/v1/claims/{claim['claim_id']}/withdrawal"
        response = await intake.post(path, {"reason": "subject_request"}, by=person)
        assert response.status_code == 200


async def test_nothing_is_left_of_a_withdrawn_content(fresh_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    # 12 hours of telling the matchers are 4 seconds here.
    async with running_intake(fresh_database, policy=Policy(clock_scale=0.0001)) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        crawler = await intake.member("crawler", Role.CRAWLER)
        hashes = [{"algorithm": "pdq", "value": pdq(1), "quality": 99}, {"algorithm": "md5", "value": md5(1)}]
        claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=hashes, case_ref="HL-77777777")
        content_id = await intake.real_content_id(claim["content_id"])
        await post_sightings(intake, crawler, URL, "https://uploads.example/unrelated.jpg")
        report = await intake.post("/v1/reports", {"url": URL, "case_ref": "HL-77777777"}, by=ann)
        assert report.status_code == 202
        await match(intake, content_id, URL)
        await remembered(intake, 1)
        await unmatched_report(intake, ann)
        await unsent_match(intake, content_id)
        needles = ["secret-picture", pdq(1), md5(1), "HL-77777777"]
        assert await where_found(intake, needles) == [
            "eventlog.record",
            "intake.cases",
            "intake.claims",
            "intake.fingerprints",
            "intake.matched_urls",
            "intake.outbox",
            "intake.reports",
        ]

        await withdraw(intake, claim, ann, ben)
        await intake.content_when(lambda content: content.state is ContentState.WITHDRAWN)
        await erasures_told(intake)
        # The matchers are told, in the partition of the URL's sightings, after them.
        (told,) = [event for event in await intake.events(SIGHTINGS.name) if isinstance(event, UrlErased)]
        assert told.url_key == canonical(URL).url_key
        batches = [event for event in await intake.events(SIGHTINGS.name) if isinstance(event, SightingsBatch)]
        left = [one.media_url for batch in batches for one in batch.sightings]
        assert left == ["https://uploads.example/unrelated.jpg"]
        assert await intake.records(MATCHES.name) == []

        async def telling_over() -> bool:
            return not await intake.rows(
                "SELECT 1 FROM intake.erasures UNION ALL SELECT 1 FROM intake.erasure_searches"
            )

        await until(telling_over)
        await intake.relay_idle()
        assert isinstance(intake.log, PostgresLog)
        await intake.log.maintain(await intake.database.now() + timedelta(hours=25))  # compaction
        assert await where_found(intake, needles) == []
        said = capsys.readouterr()
        assert not any(needle in said.out + said.err for needle in needles)


async def test_a_url_that_another_live_content_was_matched_at_stays(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        crawler = await intake.member("crawler", Role.CRAWLER)
        claims = [
            await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(n)}])
            for n in (1, 2)
        ]
        await post_sightings(intake, crawler, SHARED_URL)
        for claim in claims:
            await match(intake, await intake.real_content_id(claim["content_id"]), SHARED_URL)
        await remembered(intake, 2)
        await withdraw(intake, claims[0], ann, ben)
        await erasures_told(intake)
        assert all(isinstance(event, SightingsBatch) for event in await intake.events(SIGHTINGS.name))
        left = [event for event in await intake.events(MATCHES.name) if isinstance(event, MatchFound)]
        assert [one.content_id for one in left] == [await intake.real_content_id(claims[1]["content_id"])]
        await withdraw(intake, claims[1], ann, ben)
        await erasures_told(intake)
        assert [type(event) for event in await intake.events(SIGHTINGS.name)] == [UrlErased]
        assert await intake.records(MATCHES.name) == []


async def test_what_two_withdrawals_at_once_share_is_erased(fresh_database: str) -> None:
    """Here the URL of two contents, and a report of one case that two claims are of."""
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claims = [
            await intake.confirmed(by=ann, confirmer=ben, fingerprints=[{"algorithm": "md5", "value": md5(n)}])
            for n in (1, 2)
        ]
        for claim in claims:
            await match(intake, await intake.real_content_id(claim["content_id"]), SHARED_URL)
        await remembered(intake, 2)
        report = {"url": "https://uploads.example/of-the-case", "case_ref": claims[0]["case_ref"]}
        assert (await intake.post("/v1/reports", report, by=ann)).status_code == 202
        for claim in claims:
            await withdraw(intake, claim, ann)
        async with intake.database.transaction() as beside:
            content_id = await intake.real_content_id(claims[0]["content_id"])
            await registered_content.lock_content(beside, content_id)
            await claim_steps.finish_withdrawal(beside, content_id, UUID(claims[0]["claim_id"]))
            withdrawing = asyncio.create_task(withdraw(intake, claims[1], ben))
            await until(lambda: done_or_waiting(intake, withdrawing))
        await withdrawing
        await erasures_told(intake)
        assert await told_urls(intake) == [canonical(SHARED_URL).url_key]
        assert await intake.rows("SELECT 1 FROM intake.reports") == []


async def test_a_report_that_comes_amid_its_contents_withdrawal_is_not_kept(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        async with intake.database.transaction() as beside:
            content_id = await intake.real_content_id(claim["content_id"])
            await registered_content.lock_content(beside, content_id)
            await claim_steps.finish_withdrawal(
                beside, content_id, UUID(claim["claim_id"]), reason=WithdrawalReason.SUBJECT_REQUEST
            )
            body = {"url": URL, "content_id": claim["content_id"]}
            reporting = asyncio.create_task(intake.post("/v1/reports", body, by=ann))
            await until(lambda: done_or_waiting(intake, reporting))
        assert (await reporting).status_code == 422
        assert await intake.rows("SELECT 1 FROM intake.reports") == []


async def test_a_url_that_is_erased_again_is_told_for_its_own_time(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        for number, url in ((1, URL), (2, "https://other.example/1.jpg"), (3, URL)):
            hashes = [{"algorithm": "md5", "value": md5(number)}]
            claim = await intake.confirmed(by=ann, confirmer=ben, fingerprints=hashes)
            await match(intake, await intake.real_content_id(claim["content_id"]), url)
            await remembered(intake, 1)
            await withdraw(intake, claim, ann, ben)
            await remembered(intake, 0)
            await erasures_told(intake)
        assert len(await told_urls(intake)) == 3
        await intake.rows(
            "UPDATE intake.erasures SET told_at = told_at - interval '13 hours'"
            " WHERE erasure_id < (SELECT max(erasure_id) FROM intake.erasures) RETURNING 1"
        )

        async def other_is_over() -> bool:
            return canonical("https://other.example/1.jpg").url_key not in await told_urls(intake)

        await until(other_is_over)
        assert canonical(URL).url_key in await told_urls(intake)


async def told_urls(intake: Intake) -> list[str]:
    return [event.url_key for event in await intake.events(SIGHTINGS.name) if isinstance(event, UrlErased)]


async def test_a_match_that_was_under_way_is_erased_after_its_content(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        content_id = await intake.real_content_id(claim["content_id"])
        await withdraw(intake, claim, ann, ben)
        await erasures_told(intake)
        await match(intake, content_id, URL)

        async def gone() -> bool:
            told = [event for event in await intake.events(SIGHTINGS.name) if isinstance(event, UrlErased)]
            return bool(told) and not await intake.records(MATCHES.name)

        await until(gone)
        assert await intake.rows("SELECT 1 FROM intake.matched_urls") == []


async def test_a_report_whose_last_answers_come_at_once_is_settled(fresh_database: str) -> None:
    """One that is followed for ever would outlive the URL's erasure."""
    async with running_intake(fresh_database, workers=False) as intake:
        ann = await intake.member("ann")
        report_id = UUID((await intake.post("/v1/reports", {"url": URL}, by=ann)).json()["report_id"])
        await intake.rows("UPDATE intake.reports SET state = 'fetched' RETURNING 1")
        first, second = uuid4(), uuid4()
        await intake.rows(
            "INSERT INTO intake.report_sightings (report_id, sighting_id) SELECT %s, unnest(%s) RETURNING 1",
            report_id,
            [first, second],
        )
        async with intake.database.transaction() as beside:
            await sighting_answered(beside, report_id, first)
            await settle_report(beside, report_id)
            settling = asyncio.create_task(settled(intake, report_id, second))
            await until(lambda: done_or_waiting(intake, settling))
        await settling
        assert [row["state"] for row in await intake.rows("SELECT state FROM intake.reports")] == ["no_match"]


async def settled(intake: Intake, report_id: UUID, sighting_id: UUID) -> None:
    async with intake.database.transaction() as tx:
        await sighting_answered(tx, report_id, sighting_id)
        await settle_report(tx, report_id)


async def done_or_waiting(intake: Intake, task: asyncio.Task[Any]) -> bool:
    return task.done() or bool(await intake.rows("SELECT 1 FROM pg_locks WHERE NOT granted"))


async def test_a_report_that_came_to_nothing_but_withdrawn_content_is_erased(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:
        ann, ben = await intake.member("ann"), await intake.member("ben")
        claim = await intake.confirmed(by=ann, confirmer=ben)
        content_id = await intake.real_content_id(claim["content_id"])
        report_id = UUID((await intake.post("/v1/reports", {"url": URL}, by=ann)).json()["report_id"])
        found = match_of(content_id, URL, intake.runtime.clock()).model_copy(update={"report_id": report_id})
        await intake.rows("UPDATE intake.reports SET state = 'fetched' RETURNING 1")
        await intake.rows(
            "INSERT INTO intake.report_sightings (report_id, sighting_id) VALUES (%s, %s) RETURNING 1",
            report_id,
            found.sighting_id,
        )
        await withdraw(intake, claim, ann, ben)
        envelope = Envelope(
            id="e", source="test", type=MatchFound.TYPE, time=intake.runtime.clock(), traceparent=None, event=found
        )
        await MatchesHandler(intake.database)(envelope, cast(Record, None))
        assert await intake.rows("SELECT 1 FROM intake.reports") == []
