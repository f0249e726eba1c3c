"""Nobody resumes another's suspension: each organisation, operations staff and a key's revocation hold a content by themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from shared.access.keys import Role
from tests.integration.intake.harness import Intake, Member, pdq, running_intake


class Held:
    """A content that two organisations have confirmed, and operations staff."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.people: dict[str, Member] = {}
        self.aliases: dict[str, str] = {}
        self.content_id = UUID(int=0)

    async def prepare(self) -> None:
        fingerprint = {"algorithm": "pdq", "value": pdq(1), "quality": 100}
        for name in ("a", "z"):
            claimant = await self.intake.member(f"claimant-{name}", organisation=f"helpline-{name}")
            confirmer = await self.intake.member(f"confirmer-{name}", organisation=f"helpline-{name}")
            claim = await self.intake.confirmed(by=claimant, confirmer=confirmer, fingerprints=[fingerprint])
            self.people[name] = claimant
            self.aliases[name] = claim["content_id"]
            self.content_id = await self.intake.real_content_id(claim["content_id"])
        self.people["operations"] = await self.intake.member("ops", Role.OPERATIONS, "operations")
        self.aliases["operations"] = str(self.content_id)

    async def post(self, who: str, what: str, body: Any = None) -> httpx.Response:
        return await self.intake.post(f"/v1/content/{self.aliases[who]}/{what}", body, by=self.people[who])

    async def state(self) -> str:
        async with self.intake.database.transaction() as tx:
            cursor = await tx.execute("SELECT state FROM intake.content WHERE content_id = %s", (self.content_id,))
            row = await cursor.fetchone()
        assert row is not None
        state: str = row["state"]
        return state


@pytest.fixture
async def held(fresh_database: str) -> AsyncIterator[Held]:
    async with running_intake(fresh_database, workers=False) as intake:
        one = Held(intake)
        await one.prepare()
        yield one


Step = tuple[str, str, int, str]
SUSPEND, RESUME = "suspension", "resumption"
STORIES: dict[str, list[Step]] = {
    "its own, and only that": [
        ("a", SUSPEND, 200, "suspended"),
        ("z", RESUME, 403, "suspended"),
        ("a", RESUME, 200, "active"),
        ("a", RESUME, 409, "active"),
    ],
    "both, one after the other": [
        ("a", SUSPEND, 200, "suspended"),
        ("z", SUSPEND, 200, "suspended"),
        ("a", RESUME, 200, "suspended"),
        ("a", RESUME, 403, "suspended"),
        ("z", RESUME, 200, "active"),
    ],
    "operations staff hold it too": [
        ("z", SUSPEND, 200, "suspended"),
        ("operations", SUSPEND, 200, "suspended"),
        ("z", RESUME, 200, "suspended"),
        ("z", RESUME, 403, "suspended"),
        ("operations", RESUME, 200, "active"),
    ],
    "operations staff end all": [
        ("a", SUSPEND, 200, "suspended"),
        ("z", SUSPEND, 200, "suspended"),
        ("operations", RESUME, 200, "active"),
        ("a", RESUME, 409, "active"),
    ],
}


@pytest.mark.parametrize("name", STORIES)
async def test_an_organisation_ends_its_own_suspension_alone(held: Held, name: str) -> None:
    for who, what, status, state in STORIES[name]:
        answer = await held.post(who, what)
        assert (answer.status_code, await held.state()) == (status, state), (who, what, answer.text)


async def test_who_else_holds_it_is_not_to_be_told_from_the_answers(held: Held) -> None:
    """Whether another organisation or operations staff hold it: the same words."""
    said = []
    for holder in ("operations", "a"):
        await held.post(holder, SUSPEND)
        shown = await held.intake.get(f"/v1/content/{held.aliases['z']}", by=held.people["z"])
        refused = await held.post("z", RESUME)
        said.append((shown.json(), refused.status_code, refused.json()["title"], refused.json().get("detail")))
        assert (await held.post("operations", RESUME)).status_code == 200
    assert said[0] == said[1]
    assert "helpline-a" not in str(said)


async def test_a_suspicion_of_a_minor_is_ended_by_operations_alone(held: Held) -> None:
    assert (await held.post("a", SUSPEND)).status_code == 200
    assert (await held.post("a", SUSPEND, {"reason": "possible_minor"})).status_code == 200
    assert (await held.post("a", RESUME)).status_code == 403
    assert (await held.post("z", RESUME)).status_code == 403
    assert await held.state() == "suspended"
    assert (await held.post("operations", RESUME)).status_code == 200
    assert await held.state() == "active"
