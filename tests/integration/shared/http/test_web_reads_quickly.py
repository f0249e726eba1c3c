"""What nobody has shown a key for is read quickly, or refused: no body holds the event loop while others wait."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Annotated, Any, cast

import httpx
import pytest
from fastapi import APIRouter, Form

from shared.http.json_arrays import JsonArrayRoute
from shared.policy import Policy
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import Runtime, Service

AT_ONCE_SECONDS = 0.05
SIZE = Policy().sightings_max_body_bytes - 100


def of_size(piece: bytes, size: int = SIZE, *, start: bytes = b"", end: bytes = b"") -> bytes:
    return start + piece * ((size - len(start) - len(end)) // len(piece)) + end


def distinct(size: int) -> bytes:
    return b"[" + b",".join(b'{"k%d":1}' % number for number in range(size // 13)) + b"]"


def client() -> httpx.AsyncClient:
    routes, arrays = APIRouter(), APIRouter(route_class=JsonArrayRoute)

    @arrays.post("/v1/sightings")
    async def sightings(items: list[Any]) -> int:
        return len(items)

    @routes.post("/v1/claims")
    async def claims(claim: dict[str, Any]) -> int:
        return len(claim)

    @routes.post("/form")
    async def form(text: Annotated[str, Form()]) -> int:
        return len(text)

    service = SimpleNamespace(name="test", routers=lambda: [routes, arrays], not_ready=list, provides=list)
    runtime = SimpleNamespace(policy=Policy(), settings=Settings(), database=None, log=None)
    app = create_app(cast(Runtime, runtime), [cast(Service, service)])
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


JSON, FORM = "application/json", "application/x-www-form-urlencoded"
BODIES = {
    "sightings of one name each": ("/v1/sightings", JSON, distinct(1_200_000)),
    "sightings that are numbers": ("/v1/sightings", JSON, of_size(b"1.5e10,", 1_390_000, start=b"[", end=b"1]")),
    "sightings that are long numbers": ("/v1/sightings", JSON, of_size(b"9" * 4000 + b",", start=b"[", end=b"1]")),
    "one long sighting": ("/v1/sightings", JSON, of_size(b"1,", 390_000, start=b"[[", end=b"1]]")),
    "a claim of one name each": ("/v1/claims", JSON, distinct(1_200_000)),
    "a claim of some names": ("/v1/claims", JSON, distinct(120_000)),
    "a form of separators": ("/form", FORM, of_size(b"&")),
    "a form of fewer": ("/form", FORM, of_size(b"&", 260_000)),
    "a form of fields": ("/form", FORM, of_size(b"a=b&", 260_000)),
    "a form of escapes": ("/form", FORM, of_size(b"%41", 260_000, start=b"text=")),
    "a form of spaces": ("/form", FORM, of_size(b"+", 260_000, start=b"text=")),
    "a form in parts": (
        "/form",
        "multipart/form-data; boundary=x",
        of_size(b"\r\n-", start=b'--x\r\nContent-Disposition: form-data; name="text"; filename="b"\r\n\r\n', end=b"\r\n--x--"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("path", "media_type", "body"), BODIES.values(), ids=BODIES)
async def test_no_body_holds_the_loop(path: str, media_type: str, body: bytes) -> None:
    async with client() as asking:
        await asking.post(
            path, content=b"[]" if media_type == JSON else b"text=1", headers={"content-type": media_type}
        )
        task = asyncio.create_task(asking.post(path, content=body, headers={"content-type": media_type}))
        longest = 0.0
        while not task.done():
            began = time.thread_time()  # of this thread: what the machine does besides does not count
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)
        assert (await task).status_code in (200, 400, 413, 422)
        assert longest < AT_ONCE_SECONDS


async def test_what_staff_and_crawlers_send_is_taken() -> None:
    sighting = {
        "media_url": "https://img.example/1.jpg",
        "fingerprints": [{"algorithm": "pdq", "value": "f" * 64}] * 11,
    }
    async with client() as asking:
        assert (await asking.post("/v1/sightings", json=[sighting] * 1000)).json() == 1000
        claim = {"fingerprints": [{"algorithm": "pdq", "value": "f" * 64, "quality": 100}] * 100, "case_ref": "x" * 64}
        assert (await asking.post("/v1/claims", json=claim)).json() == 2
        links = "\n".join(f"https://www.img.example/gallery/{number}?a=1&b=2" for number in range(1000))
        assert (await asking.post("/form", data={"text": links})).json() == len(links)
