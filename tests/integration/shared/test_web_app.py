"""The HTTP app around every service: body limit, NUL characters, and errors nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, cast

import httpx
import pytest
from fastapi import APIRouter, Depends, Form, Query
from pydantic import BaseModel, ConfigDict
from structlog.testing import capture_logs

from shared.db.embedded.server import EmbeddedPostgres
from shared.db.pool import Database
from shared.http.parameters import known_parameters_alone
from shared.log.kafka.log import KafkaLog
from shared.policy import Policy
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import Runtime, Service
from tests.memory_log import MemoryLog

MAX_BYTES = Policy().sightings_max_body_bytes


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    b: int


def page_asked(limit: Annotated[int, Query(ge=1)] = 50) -> int:
    return limit


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    routes = APIRouter()

    @routes.post("/v1/sightings")
    async def echo(items: list[Any]) -> list[Any]:
        return items

    @routes.post("/form")
    async def form(text: Annotated[str, Form()]) -> str:
        return text

    @routes.get("/broken")
    async def broken() -> None:
        raise RuntimeError("CONTEXT: https://secret.example/1.jpg")

    @routes.get("/v1/listed", dependencies=[Depends(known_parameters_alone)])
    async def listed(page: Annotated[int, Depends(page_asked)], state: str | None = None) -> list[str]:
        return []

    @routes.get("/v1/one/{number}", dependencies=[Depends(known_parameters_alone)])
    async def one(number: int) -> int:
        return number

    @routes.post("/v1/items")
    async def items(items: list[Item]) -> int:
        return len(items)

    runtime = SimpleNamespace(policy=Policy(), settings=Settings(), database=Database(""), log=MemoryLog({}))
    service = SimpleNamespace(name="some", routers=lambda: [routes], provides=list, not_ready=lambda: [])
    app = create_app(cast(Runtime, runtime), [cast(Service, service)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app.test") as asked:
        yield asked


async def test_ready_says_while_the_database_is_away(server_dir: Path) -> None:
    service = SimpleNamespace(name="some", routers=list, provides=list, not_ready=list)

    async with AsyncExitStack() as stack:
        postgres = await asyncio.to_thread(stack.enter_context, EmbeddedPostgres(server_dir / "postgres"))
        database = await stack.enter_async_context(Database(postgres.conninfo))
        runtime = SimpleNamespace(policy=Policy(), settings=Settings(), database=database, log=MemoryLog({}))
        app = create_app(cast(Runtime, runtime), [cast(Service, service)])
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app.test")
        await stack.enter_async_context(client)
        assert (await client.get("/health/ready")).json() == {"status": "ready"}
        await asyncio.to_thread(postgres.stop)
        away = await client.get("/health/ready")
        assert (away.status_code, away.json()["reasons"]) == (503, {"database": ["the database is not reached"]})
        assert (await client.get("/health/live")).status_code == 200
        with EmbeddedPostgres(server_dir / "postgres"):
            assert (await client.get("/health/ready")).status_code == 200


async def test_ready_asks_no_database_that_was_never_opened() -> None:
    service = SimpleNamespace(name="matcher", routers=list, provides=list, not_ready=list)
    runtime = SimpleNamespace(policy=Policy(), settings=Settings(), database=Database(""), log=MemoryLog({}))
    app = create_app(cast(Runtime, runtime), [cast(Service, service)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app.test") as client:
        assert (await client.get("/health/ready")).status_code == 200


async def test_ready_says_while_the_log_is_away() -> None:
    service = SimpleNamespace(name="intake", routers=list, provides=list, not_ready=list)
    away = KafkaLog("127.0.0.1:1")  # nobody listens there
    app = create_app(
        cast(Runtime, SimpleNamespace(policy=Policy(), settings=Settings(), database=Database(""), log=away)),
        [cast(Service, service)],
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://app.test") as client:
        answer = await client.get("/health/ready")
    await away.close()
    assert (answer.status_code, answer.json()["reasons"]) == (503, {"log": ["the event log is not reached"]})


async def test_an_unexpected_error_is_a_problem_and_its_text_is_told_to_nobody(client: httpx.AsyncClient) -> None:
    with capture_logs() as events:
        response = await client.get("/broken")  # the transport would raise what a server would log
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert [(event["event"], event["error"]) for event in events] == [("request.failed", "RuntimeError")]
    assert "secret" not in response.text + str(events)


@pytest.mark.parametrize("body", [rb'["a\u0000"]', rb'["\\\u0000"]', b'["\0"]', '["a"]'.encode("utf-16")])
async def test_a_nul_in_json_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post("/v1/sightings", content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["type"]) == (422, "urn:takedown:problem:invalid")


async def test_a_nul_in_a_form_a_query_or_a_path_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/form", data={"text": "a\0"})).status_code == 422
    assert (await client.get("/health/live?a=%00")).status_code == 422
    assert (await client.get("/health/live%00")).status_code == 422
    assert (await client.post("/form", data={"text": "a %00"})).json() == "a %00"


async def test_what_only_looks_like_a_nul_is_taken(client: httpx.AsyncClient) -> None:
    sent = ["\\u0000", "%00", "\u0001"]
    assert (await client.post("/v1/sightings", json=sent)).json() == sent


@pytest.mark.parametrize("media_type", ["application/json", "application/x-ndjson"])
async def test_a_body_that_does_not_end_is_read_up_to_the_limit(client: httpx.AsyncClient, media_type: str) -> None:
    seen = 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal seen
        for _ in range(100):
            seen += 1 << 20
            yield b"1" * (1 << 20)

    response = await client.post("/v1/sightings", content=stream(), headers={"content-type": media_type})
    assert response.status_code == 413
    assert seen <= MAX_BYTES + (1 << 20)


async def test_a_body_that_is_no_json_is_said_to_be_none_and_points_to_no_field(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/sightings", content=b'{"a"', headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "This is not valid JSON. Check quotes, commas and brackets.",
    )
    assert "errors" not in response.json()


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("/v1/listed", 200, None),
        ("/v1/listed?state=open&limit=3", 200, None),
        ("/v1/listed?stat=open", 422, "stat"),
        ("/v1/listed?state=open&Limit=3", 422, "Limit"),
        ("/v1/listed?limit=0", 422, "limit"),
        ("/v1/one/7?limit=3", 422, "limit"),
    ],
)
async def test_a_parameter_that_a_path_does_not_know_is_refused_by_its_name(
    client: httpx.AsyncClient, path: str, status: int, parameter: str | None
) -> None:
    """A misspelt filter would show everything."""
    response = await client.get(path)
    assert response.status_code == status
    if parameter is not None:
        (error,) = response.json()["errors"]
        assert (error["parameter"], "pointer" in error) == (parameter, False)


async def test_a_link_with_more_parameters_than_ours_still_opens_what_anybody_may_see(
    client: httpx.AsyncClient,
) -> None:
    assert (await client.get("/health/live?utm_source=mail")).status_code == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "#"),
        ([{}], "#/0/b"),
        ([{"b": 1, "c/d~ e%": 2}], "#/0/c~1d~0%20e%25"),
    ],
)
async def test_a_pointer_is_a_fragment_and_the_whole_body_is_the_empty_one(
    client: httpx.AsyncClient, body: object, pointer: str
) -> None:
    """RFC 6901, sections 5 and 6."""
    response = await client.post("/v1/items", json=body)
    assert [one["pointer"] for one in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=utf-8", "application/problem+json"]
)
async def test_a_name_that_stands_twice_in_an_object_is_refused(client: httpx.AsyncClient, media_type: str) -> None:
    for body in (b'[{"b": 1, "b": 1}]', b'[{"b": 1, "\\u0062": 2}]', b"[" + b"0, " * 40_000 + b'{"b": 1, "b": 2}]'):
        answer = await client.post("/v1/items", content=body, headers={"content-type": media_type})
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["pointer"].rpartition("/")[2]) == (422, "b")


async def test_a_browser_at_the_root_is_told_what_runs_here_and_where_to_go() -> None:
    settings = Settings.model_construct(
        organisation_name="<b>A & B</b>", organisation_contact="a@b.example", organisation_complaints="c@b.example"
    )
    runtime = cast(Runtime, SimpleNamespace(settings=settings, policy=Policy(), database=None, log=None))
    service = cast(Service, SimpleNamespace(name="notifier", routers=list, provides=list, not_ready=list))
    app = create_app(runtime, [service])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as browser:
        page = await browser.get("/")
        nowhere = await browser.get("/nowhere")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script" not in page.headers["content-security-policy"]
    assert "&lt;b&gt;A &amp; B&lt;/b&gt;" in page.text
    assert "<b>A" not in page.text
    assert "takedown watch" in page.text
    assert "<strong>notifier</strong>" in page.text
    assert nowhere.json()["title"] == "This was not found."
    assert "/openapi.json" in nowhere.json()["detail"]
