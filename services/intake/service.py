"""The intake service: its schema, its routes, its workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter

from services.intake import api_claims, api_sightings
from services.intake.log_writer import LogWriter
from services.intake.render import render_claim, render_content
from services.intake.store import SCHEMA_NAME
from shared.contracts.topics import CLAIMS, CONTENT
from shared.db.migrations import Schema
from shared.db.relay import Relay
from shared.runtime import Runtime

SCHEMA = Schema(name=SCHEMA_NAME, folder=Path(__file__).parent / "migrations")

CONTENT_PUBLISHER = "takedown-intake-content"
"""The content relay's transactional id: a stalled old relay must not publish an addition after a withdrawal."""


class IntakeService:
    """Declares and confirms content, takes sightings and reports, withdraws and erases."""

    name = "intake"

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._writer = LogWriter(runtime.log)
        self._relay = Relay(
            runtime.database,
            runtime.wakeups,
            SCHEMA_NAME,
            runtime.log,
            source=self.name,
            renderers={CONTENT.name: render_content, CLAIMS.name: render_claim},
            transactional_ids={CONTENT.name: CONTENT_PUBLISHER},
        )

    def routers(self) -> Sequence[APIRouter]:
        return (api_claims.router(self._runtime), api_sightings.router(self._runtime, self._writer))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay.run(), name="intake.relay")
            group.create_task(self._writer.run(), name="intake.log_writer")

    def not_ready(self) -> Sequence[str]:
        return () if self._writer.ready else ("the event log is not connected",)


def create(runtime: Runtime) -> IntakeService:
    """The service over this runtime."""
    return IntakeService(runtime)
