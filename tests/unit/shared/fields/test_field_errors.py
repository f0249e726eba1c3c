"""What is wrong with a field is said once, in the same words, wherever a document is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.intake.domain.schemas import SightingRequest
from services.intake.domain.sightings import SightingRefusal, parse_sighting
from shared.http import problems

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {
    "media_url": "http://a.example/1.jpg",
    "seen_at": "2026-01-01T00:00:00Z",
    "source": "c",
    "fingerprints": [{"algorithm": "md5", "value": "ab" * 16}],
}


@pytest.mark.parametrize(
    "bad",
    [
        {"media_url": "ftp://a.example/"},
        {"page_url": "http://me:secret-word@a.example/"},
        {"seen_at": "0001-01-01T00:00:00Z"},
        {"fingerprints": [{"algorithm": "md5", "value": "secret-word"}]},
        {"fingerprints": []},
        {"fingerprints": "secret-word"},
        {"surplus": "secret-word"},
    ],
)
async def test_a_request_and_a_line_are_refused_in_the_same_words(bad: dict[str, Any]) -> None:
    app = FastAPI()
    problems.install(app)

    @app.post("/")
    async def take(asked: SightingRequest) -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/", json=GOOD | bad)
    assert answer.status_code == 422
    refusal = parse_sighting(GOOD | bad, organisation_id="o", now=NOW)
    assert isinstance(refusal, SightingRefusal)
    assert [(one["pointer"], one["detail"]) for one in answer.json()["errors"]] == list(refusal.errors)
    assert "Value error" not in answer.text
    assert "secret-word" not in answer.text
