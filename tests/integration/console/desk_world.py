"""The desk over intake and the notifier in one application, without their workers; people who are signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from services.console import service as console
from services.console.session import COOKIE, SignedIn
from services.notifier import service as notifier
from shared.access.people import SignInRole, invite, sign_in
from shared.db.migrations import migrate
from shared.service.app import create_app
from shared.service.runtime import Service
from tests.integration.intake.harness import Intake, claim_body, running_intake


@dataclass(frozen=True, kw_only=True)
class AtDesk:
    """Somebody's browser. Nobody's: `signed_in` is None."""

    client: httpx.AsyncClient
    signed_in: SignedIn | None

    async def get(self, path: str, **query: str) -> httpx.Response:
        return await self.client.get(path, params=query or None, headers=self._headers())

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        token = {} if self.signed_in is None else {"form_token": self.signed_in.form_token}
        return await self.client.post(path, data={**token, **fields}, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {} if self.signed_in is None else {"cookie": f"{COOKIE}={self.signed_in.secret}"}


@dataclass(kw_only=True)
class Desk:
    """The application, and what is behind it."""

    intake: Intake
    client: httpx.AsyncClient

    async def person(
        self, person_id: str, *, organisation: str = "helpline-a", role: SignInRole = "helpline"
    ) -> AtDesk:
        async with self.intake.database.transaction() as tx:
            token = await invite(tx, person_id=person_id, organisation_id=organisation, role=role)
            session = await sign_in(tx, token)
        assert session is not None
        return AtDesk(client=self.client, signed_in=SignedIn(principal=session.principal, secret=session.secret))

    @property
    def nobody(self) -> AtDesk:
        return AtDesk(client=self.client, signed_in=None)

    async def declared(self, by: AtDesk, case_ref: str, value: str) -> str:
        """A claim of a case; its id."""
        assert by.signed_in is not None
        headers = {"authorization": f"Bearer {by.signed_in.secret}", "idempotency-key": uuid4().hex}
        fingerprint = {"algorithm": "pdq", "value": value, "quality": 100}
        body = claim_body(case_ref=case_ref, fingerprints=[fingerprint])
        answer = await self.client.post("/v1/claims", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["claim_id"])


@asynccontextmanager
async def running_desk(conninfo: str) -> AsyncIterator[Desk]:
    async with running_intake(conninfo, workers=False) as intake:
        await migrate(intake.database, [notifier.SCHEMA])
        services: list[Service] = [intake.service, notifier.create(intake.runtime), console.create(intake.runtime)]
        transport = httpx.ASGITransport(app=create_app(intake.runtime, services))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield Desk(intake=intake, client=client)
