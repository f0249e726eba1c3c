"""Sightings over HTTP: one answer each, and on the log before the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.access.keys import Role
from shared.contracts.sightings import Sighting, SightingsBatch
from shared.contracts.topics import SIGHTINGS, SIGHTINGS_RECORD_BYTES
from shared.log.partitioner import partition_of
from tests.integration.intake.harness import Intake, pdq, running_intake, sighting_body


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


async def on_the_log(intake: Intake) -> list[Sighting]:
    events = await intake.events(SIGHTINGS.name)
    return [one for event in events if isinstance(event, SightingsBatch) for one in event.sightings]


async def test_sightings_are_on_the_log_in_their_partition_when_the_answer_comes(intake: Intake) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER, "crawler-org")
    bodies = [sighting_body(number) for number in range(300)]
    response = await intake.post("/v1/sightings", bodies, by=crawler)
    records = await intake.records(SIGHTINGS.name)  # at once, no waiting
    assert response.status_code == 200
    items = response.json()["items"]
    assert [item["index"] for item in items] == list(range(300))
    published = await on_the_log(intake)
    assert {str(one.sighting_id) for one in published} == {item["sighting_id"] for item in items}
    assert {one.organisation_id for one in published} == {"crawler-org"}
    for record in records:
        assert len(record.value or b"") <= SIGHTINGS_RECORD_BYTES
        assert record.key is None
        batch = SightingsBatch.model_validate_json(record.value or b"")
        assert {partition_of(one.url_key.encode(), SIGHTINGS.partitions) for one in batch.sightings} == {
            record.partition
        }


async def test_each_sighting_is_refused_or_accepted_by_itself(intake: Intake) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER)
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    bad: list[Any] = [
        sighting_body(1, media_url="ftp://host.example/a.jpg"),
        sighting_body(2, seen_at=future),
        sighting_body(3, fingerprints=[{"algorithm": "pdq", "value": "00" * 32}]),
        sighting_body(4, fingerprints=[{"algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"}]),
        sighting_body(5, seen_at="2026-01-01T00:00:00"),
        sighting_body(6, seen_at="0001-01-01T00:00:00+14:00"),  # in UTC it has no year
        {"media_url": "https://host.example/secret-name.jpg"},
        "no object",
    ]
    good = sighting_body(9, fingerprints=[{"algorithm": "pdq", "value": pdq(9), "orientation": "mirror"}])
    response = await intake.post("/v1/sightings", [*bad, good], by=crawler)
    assert response.status_code == 200
    items = response.json()["items"]
    pointers = [item["problem"]["errors"][0]["pointer"] for item in items[:-1]]
    assert pointers == [
        "#/media_url",
        "#/seen_at",
        "#/fingerprints/0",
        "#/fingerprints/0",
        "#/seen_at",
        "#/seen_at",
        "#/seen_at",
        "#",
    ]
    assert "secret-name" not in response.text
    (published,) = await on_the_log(intake)
    assert str(published.sighting_id) == items[-1]["sighting_id"]
    assert published.fingerprints[0].orientation == "mirror"


async def test_an_idempotency_key_publishes_once_and_answers_the_same(intake: Intake) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER)
    bodies = [sighting_body(1), sighting_body(2, media_url="nonsense")]
    first = await intake.post("/v1/sightings", bodies, by=crawler, key="k-1")
    again = await intake.post("/v1/sightings", bodies, by=crawler, key="k-1")
    assert again.json() == first.json()
    assert len(await on_the_log(intake)) == 1
    other = await intake.post("/v1/sightings", [sighting_body(3)], by=crawler, key="k-1")
    assert other.status_code == 422
    assert other.json()["type"].endswith("idempotency-key-reused")


async def test_too_many_or_too_large_is_refused_whole(intake: Intake) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER)
    many = await intake.post("/v1/sightings", [{}] * 1001, by=crawler)
    assert many.status_code == 422
    large = await intake.post("/v1/sightings", ["x" * 3_000_000], by=crawler)
    assert large.status_code == 413
    assert await intake.records(SIGHTINGS.name) == []


async def test_a_crawler_posts_and_reads_nothing(intake: Intake) -> None:
    crawler = await intake.member("crawler", Role.CRAWLER)
    staff = await intake.member("ann")
    for path in ("/v1/claims", "/v1/claims/3f2c0c1e-7f43-4f0a-9c1c-7a3f4dd6f3a1"):
        assert (await intake.get(path, by=crawler)).status_code == 403
    assert (await intake.post("/v1/claims", {}, by=crawler)).status_code == 403
    assert (await intake.post("/v1/sightings", [sighting_body(1)], by=staff)).status_code == 403
    nobody = await intake.client.post("/v1/sightings", json=[])
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"] == "Bearer"


async def test_nothing_is_promised_while_the_log_is_away(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:  # nobody has connected to the log
        crawler = await intake.member("crawler", Role.CRAWLER)
        response = await intake.post("/v1/sightings", [sighting_body(1)], by=crawler, key="k")
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) >= 1
        assert await intake.rows("SELECT 1 FROM intake.idempotency") == []
        ready = await intake.client.get("/health/ready")
        assert ready.status_code == 503
