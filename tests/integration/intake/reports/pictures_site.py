"""A small site of pictures, and reports about it."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
from aiohttp import web
from PIL import Image

from shared.contracts.content import Assurance
from shared.contracts.matches import MatchFound
from shared.contracts.sightings import Sighting, SightingsBatch
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.ids import takedown_id
from tests.integration.intake.harness import Intake, Member, md5, until

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


async def person_matches(intake: Intake) -> list[MatchFound]:
    await intake.relay_idle()
    return [event for event in await intake.events(MATCHES.name) if isinstance(event, MatchFound)]
