"""The people and programs around the register, each with a key of their own, over the public API alone."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.standalone.demo.pictures import Hashes
from services.standalone.demo.scenario import Scenario
from shared.access.keys import Role, create_key
from shared.db.pool import Database
from shared.errors import TakedownError
from shared.http.api_client import ApiClient

ORGANISATION = "demo-helpline"
BATCH = 100
"""Sightings of one request."""
FORM_ACTION = re.compile(r'<form[^>]*method="post"', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Helpline A declares, helpline B (another person) confirms; the crawler sights; operations watch."""

    helpline_a: ApiClient
    helpline_b: ApiClient
    crawler: ApiClient
    operations: ApiClient
    keys: Mapping[str, str]
    """By person, to be shown."""


@asynccontextmanager
async def open_clients(database: Database, base_url: str) -> AsyncIterator[Clients]:
    """Keys as `takedown keys create` makes them, and a client with each."""
    keys = {}
    async with database.transaction() as tx:
        for person, role in (
            ("helpline-a", Role.HELPLINE),
            ("helpline-b", Role.HELPLINE),
            ("crawler", Role.CRAWLER),
            ("operations", Role.OPERATIONS),
        ):
            _, keys[person] = await create_key(tx, person_id=person, organisation_id=ORGANISATION, role=role)
    async with AsyncExitStack() as stack:
        client = {name: await stack.enter_async_context(ApiClient(base_url, key)) for name, key in keys.items()}
        yield Clients(
            helpline_a=client["helpline-a"],
            helpline_b=client["helpline-b"],
            crawler=client["crawler"],
            operations=client["operations"],
            keys=keys,
        )


async def declare(clients: Clients, scenario: Scenario, number: int) -> str:
    """Helpline A declares the scenario's content; the claim's id."""
    hashes = scenario.hashes[""]
    answer = await clients.helpline_a.post(
        "/v1/claims",
        {
            "case_ref": f"DEMO-{number:05d}",
            "fingerprints": [
                {"algorithm": "pdq", "value": hashes.pdq, "quality": hashes.quality},
                {"algorithm": "sha256", "value": hashes.sha256},
            ],
            "declaration": {
                "intimate": True,
                "non_consensual": True,
                "true_and_good_faith": True,
                "depicts_minor": "no",
                "synthetic": False,
                "declared_as": "subject",
                "authority_recorded": True,
                "declared_at": _now(),
                "text_version": "2026-1",
            },
            "assurance": "viewed",
            "subject_jurisdictions": ["GB"],
        },
    )
    claim_id: str = answer["claim_id"]
    return claim_id


async def confirm(clients: Clients, claim_id: str) -> None:
    """Helpline B, another person, confirms."""
    await clients.helpline_b.post(f"/v1/claims/{claim_id}/confirmation", {"assurance": "viewed"})


async def withdraw(clients: Clients, claim_id: str) -> None:
    await clients.helpline_a.post(f"/v1/claims/{claim_id}/withdrawal", {"reason": "subject_request"})


def sighting(url: str, hashes: Hashes, *, page_url: str | None = None) -> dict[str, Any]:
    """What a crawler says of a picture: PDQ of it and of its mirror image, SHA-256."""
    pdq = {"algorithm": "pdq", "quality": hashes.quality}
    body: dict[str, Any] = {
        "media_url": url,
        "seen_at": _now(),
        "source": "demo-crawler",
        "fingerprints": [
            {**pdq, "value": hashes.pdq},
            {**pdq, "value": hashes.mirror_pdq, "orientation": "mirror"},
            {"algorithm": "sha256", "value": hashes.sha256},
        ],
    }
    if page_url is not None:
        body["page_url"] = page_url
    return body


class SightingRefused(TakedownError):
    """The demo's crawler was refused."""


async def sight(clients: Clients, sightings: Iterable[Mapping[str, Any]]) -> int:
    """Post sightings; how many were accepted. Raises SightingRefused."""
    count = 0
    items = list(sightings)
    for start in range(0, len(items), BATCH):
        answer = await clients.crawler.post("/v1/sightings", items[start : start + BATCH])
        refused = [item for item in answer["items"] if "sighting_id" not in item]
        if refused:
            raise SightingRefused(str(refused[0]))
        count += len(answer["items"])
    return count


class HostAnswers:
    """How hosts answer: by the demand's token, over the host API. One that does not come through is tried again."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.failed: list[str] = []

    async def acknowledge(self, demand_id: str, token: str, *, ticket_ref: str) -> None:
        await self._post(token, f"/host/v1/demands/{demand_id}/acknowledgement", {"ticket_ref": ticket_ref})

    async def report_removal(self, demand_id: str, token: str, *, method: str) -> None:
        body = {"at": _now(), "method": method, "scope": "url"}
        await self._post(token, f"/host/v1/demands/{demand_id}/removal", body)

    async def open_and_answer(self, link: str) -> None:
        """Open the capability page at `link`, and answer on its form that access is disabled."""
        path = "/" + link.split("/", 3)[3]
        async with ApiClient(self._base_url) as browser:
            page = await browser.get_page(path)
            if FORM_ACTION.search(page) is None:
                self.failed.append("the capability page has no form")
                return
            await browser.post_form(path, {"choice": "removal-disabled"})

    async def _post(self, token: str, path: str, body: dict[str, Any]) -> None:
        async with ApiClient(self._base_url, token) as api:
            try:
                await api.post(path, body)
            except TakedownError as error:
                self.failed.append(str(error))


def _now() -> str:
    return datetime.now(UTC).isoformat()
