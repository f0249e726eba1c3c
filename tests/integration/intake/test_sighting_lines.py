"""Sightings as a stream of lines over HTTP: any length, constant memory, held back by the log, acknowledged before the answer."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.access.keys import Role
from shared.contracts.sightings import SightingsBatch
from shared.contracts.topics import SIGHTINGS
from tests.integration.intake.harness import Intake, Member, running_intake, sighting_body, until

NDJSON = "application/x-ndjson"


@pytest.fixture
async def intake(fresh_database: str) -> AsyncIterator[Intake]:
    async with running_intake(fresh_database) as running:
        yield running


async def a_crawler(intake: Intake) -> Member:
    return await intake.member("crawler", Role.CRAWLER)


def headers(member: Member) -> dict[str, str]:
    return {**member.headers, "content-type": f"{NDJSON}; charset=utf-8"}


def line(number: int) -> bytes:
    return json.dumps(sighting_body(number)).encode() + b"\n"


async def on_the_log(intake: Intake) -> list[str]:
    events = await intake.events(SIGHTINGS.name)
    return [str(one.sighting_id) for event in events if isinstance(event, SightingsBatch) for one in event.sightings]


async def test_lines_are_on_the_log_when_the_answer_comes_and_may_come_again(intake: Intake) -> None:
    crawler = await a_crawler(intake)
    body = b"".join(line(number) for number in range(40)) + b"nonsense\n" + line(40)
    first = await intake.client.post("/v1/sightings", content=body, headers=headers(crawler))
    found = await on_the_log(intake)  # at once, no waiting
    assert first.status_code == 200, first.text
    refusal = {"line": 41, "pointer": "#", "detail": "This line is not valid JSON in UTF-8."}
    assert first.json() == {"lines": 42, "accepted": 41, "refused": 1, "refusals": [refusal]}
    again = await intake.client.post("/v1/sightings", content=body, headers=headers(crawler))
    assert again.json() == first.json()
    assert set(await on_the_log(intake)) == set(found)  # the same ids


async def test_a_json_array_is_answered_as_before_and_a_stranger_not_at_all(intake: Intake) -> None:
    crawler = await a_crawler(intake)
    array = await intake.post("/v1/sightings", [sighting_body(1)], by=crawler)
    assert "items" in array.json()
    staff = await intake.member("ann")
    assert (await intake.client.post("/v1/sightings", content=line(1), headers=headers(staff))).status_code == 403
    bare = await intake.client.post("/v1/sightings", content=line(1), headers={"content-type": NDJSON})
    assert (bare.status_code, bare.headers["content-type"]) == (401, "application/problem+json")
    elsewhere = await intake.client.post("/v1/claims", content=b"x" * 3_000_000, headers=headers(staff))
    assert elsewhere.status_code == 413  # the limit goes where lines are taken, and nowhere else


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_two_hundred_megabytes_in_constant_memory(intake: Intake) -> None:
    crawler = await a_crawler(intake)
    chunk = line(1) + b'{"media_url": "' + b"x" * 60_000 + b'"}\n' + b"y" * 140_000 + b"\n" + line(2)
    count = 1000  # of 200 kB
    resident: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            resident.append(resident_bytes())
            yield chunk

    response = await intake.client.post("/v1/sightings", content=body(), headers=headers(crawler), timeout=None)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert count * len(chunk) > 200_000_000
    assert (answer["lines"], answer["accepted"], answer["refused"]) == (4 * count, 2 * count, 2 * count)
    assert len(answer["refusals"]) == 1000
    assert max(resident) - resident[0] < 40_000_000


async def test_a_log_that_stands_still_holds_the_crawler_back(intake: Intake) -> None:
    crawler = await a_crawler(intake)
    given = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal given
        for number in range(50):
            given += 1
            yield line(number)

    async with intake.database.transaction() as tx:
        await tx.execute("SELECT 1 FROM eventlog.partition FOR UPDATE")
        posting = asyncio.create_task(
            intake.client.post("/v1/sightings", content=body(), headers=headers(crawler), timeout=None)
        )

        async def waiting() -> bool:
            rows = await intake.rows(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            return bool(rows)

        await until(waiting)
        assert given <= 2
        assert not posting.done()
    response = await posting
    assert response.json()["accepted"] == 50
    assert len(await on_the_log(intake)) == 50


async def test_a_crawler_that_goes_away_leaves_what_was_acknowledged(intake: Intake) -> None:
    crawler = await a_crawler(intake)
    messages: Iterator[dict[str, object]] = iter(
        [
            {"type": "http.request", "body": line(1) + line(2) + line(3)[:-20], "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, object]:
        return next(messages)

    async def send(_: dict[str, object]) -> None:
        """Nobody reads it."""

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/v1/sightings",
        "raw_path": b"/v1/sightings",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers(crawler).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }
    await intake.client._transport.app(scope, receive, send)  # type: ignore[attr-defined]  # the app under the client
    assert len(await on_the_log(intake)) == 2


async def test_nothing_is_promised_while_the_log_is_away(fresh_database: str) -> None:
    async with running_intake(fresh_database, workers=False) as intake:  # nobody has connected to the log
        crawler = await a_crawler(intake)
        response = await intake.client.post("/v1/sightings", content=line(1), headers=headers(crawler))
        assert (response.status_code, response.headers["content-type"]) == (503, "application/problem+json")
        assert (response.json()["lines"], response.json()["accepted"]) == (0, 0)
        assert int(response.headers["retry-after"]) >= 1


async def test_openapi_tells_of_both_media_types(intake: Intake) -> None:
    operation = (await intake.client.get("/openapi.json")).json()["paths"]["/v1/sightings"]["post"]
    assert set(operation["requestBody"]["content"]) == {"application/json", NDJSON}
