"""One file under ever new signatures: its sightings stand together, are erased together, and what is not to be fetched is not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from services.intake.store.matched_urls import possible_minor_urls
from shared.access.keys import Role
from shared.contracts.content import Assurance
from shared.contracts.matches import MatchFound
from shared.contracts.sightings import SightingsBatch, UrlErased
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.ids import takedown_id
from shared.urls import UrlKey, address_key, canonical
from tests.integration.intake.harness import Intake, running_intake, sighting_body, until

FILE = "https://b.s3.amazonaws.com/secret/a.jpg"
BEFORE = "?AWSAccessKeyId=AK&Expires=1790000000&Signature=s"


def signed(number: int) -> str:
    return f"{FILE}{BEFORE}{number}"


async def match(intake: Intake, content_id: UUID, url: str, key: UrlKey) -> None:
    found = MatchFound(
        takedown_id=takedown_id(content_id, "media", key.url_key, key_version=key.key_version),
        content_id=content_id,
        content_revision=1,
        basis="fingerprint",
        target_kind="media",
        url=url,
        url_key=key.url_key,
        key_version=key.key_version,
        sighting_id=uuid4(),
        seen_at=datetime.now(UTC),
        observed_by="crawler-1",
        algorithm="md5",
        distance=0,
        assurance=Assurance.VIEWED,
    )
    await intake.append(MATCHES.name, str(found.takedown_id), found)


async def remembered(intake: Intake, count: int) -> None:
    async def look() -> bool:
        return len(await intake.rows("SELECT 1 FROM intake.matched_urls")) == count

    await until(look)


async def registered(intake: Intake) -> tuple[dict[str, Any], UUID]:
    ann, ben = await intake.member("ann"), await intake.member("ben")
    claim = await intake.confirmed(by=ann, confirmer=ben)
    return claim, await intake.real_content_id(claim["content_id"])


async def test_every_key_of_the_file_is_erased_each_where_its_sightings_stand(fresh_database: str) -> None:
    async with running_intake(fresh_database) as intake:
        claim, content_id = await registered(intake)
        crawler = await intake.member("crawler", Role.CRAWLER)
        bodies = [sighting_body(number, media_url=signed(number)) for number in range(5)]
        assert (await intake.post("/v1/sightings", bodies, by=crawler)).status_code == 200
        (batch,) = [event for event in await intake.events(SIGHTINGS.name) if isinstance(event, SightingsBatch)]
        assert {(one.url_key, one.key_version) for one in batch.sightings} == {(FILE, 2)}
        await match(intake, content_id, signed(1), canonical(signed(1)))
        await match(intake, content_id, signed(8), address_key(signed(8)))  # of a history of before
        await remembered(intake, 3)
        for person in ("ann", "ben"):
            path = f"/v1/claims/{claim['claim_id']}/withdrawal"
            await intake.post(path, {"reason": "subject_request"}, by=await intake.member(person))

        async def told() -> bool:
            rows = await intake.rows("SELECT count(*) AS n FROM intake.erasures WHERE told_at IS NULL")
            return bool(rows[0]["n"] == 0)

        await until(told)
        events = await intake.events(SIGHTINGS.name)
        assert all(isinstance(one, UrlErased) for one in events)
        erased = {(one.url_key, one.key_version) for one in events if isinstance(one, UrlErased)}
        assert erased == {(FILE, 2), (address_key(signed(1)).url_key, 1), (address_key(signed(8)).url_key, 1)}


async def test_no_signature_and_no_version_hides_what_may_depict_a_minor(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:
        _, content_id = await registered(intake)
        await intake.rows(
            "INSERT INTO intake.matched_urls (content_id, url_key, key_version) VALUES (%s, %s, 1) RETURNING 1",
            content_id,
            address_key(signed(1)).url_key,
        )
        await intake.rows(
            "UPDATE intake.content SET fetching_stopped = true WHERE content_id = %s RETURNING 1", content_id
        )
        asked = {signed(1), signed(2), FILE, FILE + "?width=9", FILE + "x", FILE + "x" + BEFORE, "https://site.test/a"}
        async with intake.database.transaction() as tx:
            assert await possible_minor_urls(tx, asked) == {signed(1), signed(2), FILE}
            assert await possible_minor_urls(tx, []) == frozenset()
