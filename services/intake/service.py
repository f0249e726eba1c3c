"""The intake service: its schema, its routes, its workers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter

from services.intake.api import cases, claims, content, negative_list, reports, sightings
from services.intake.claims.content_steps import DECISIONS_GROUP
from services.intake.claims.decisions import DecisionsHandler
from services.intake.claims.rendering import render_claim, render_content
from services.intake.erasure.worker import ErasureWorker
from services.intake.maintenance.retention import Sweeps
from services.intake.reports.matches import MATCHES_GROUP, MatchesHandler
from services.intake.reports.worker import ReportWorker
from services.intake.sightings.publisher import LogWriter
from services.intake.store.schema import SCHEMA_NAME
from shared.contracts.topics import CLAIMS, CONTENT, DECISIONS, MATCHES
from shared.db.migrations import Schema
from shared.log.runner import Handler, Runner
from shared.outbox.relay import Relay
from shared.service.runtime import OutboundRuntime

SCHEMA = Schema(name=SCHEMA_NAME, folder=Path(__file__).parent / "migrations")

CONTENT_PUBLISHER = "takedown-intake-content"
"""The content relay's transactional id: a stalled old relay must not publish an addition after a withdrawal."""


class IntakeService:
    """Declares and confirms content, takes sightings and reports, withdraws and erases."""

    name = "intake"

    def __init__(self, runtime: OutboundRuntime) -> None:
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
        return (
            claims.routes,
            cases.routes,
            content.routes,
            sightings.lines_routes,  # before `routes`: it takes its media type alone
            sightings.routes,
            reports.routes,
            negative_list.routes,
        )

    def provides(self) -> Sequence[object]:
        return (self._writer,)

    async def run(self) -> None:
        runtime = self._runtime
        workers = {
            "relay": self._relay.run,
            "log_writer": self._writer.run,
            "reports": ReportWorker(runtime, self._writer).run,
            "decisions": self._runner(DECISIONS_GROUP, DECISIONS.name, DecisionsHandler(runtime.database)).run,
            "matches": self._runner(MATCHES_GROUP, MATCHES.name, MatchesHandler(runtime.database)).run,
            "erasures": ErasureWorker(runtime, self._writer).run,
            "sweeps": Sweeps(runtime.database, runtime.policy).run,
        }
        async with asyncio.TaskGroup() as group:
            for name, work in workers.items():
                group.create_task(work(), name=f"intake.{name}")

    def _runner(self, group: str, topic: str, handler: Handler) -> Runner:
        runtime = self._runtime
        return Runner(
            runtime.log,
            group,
            (topic,),
            handler,
            member_id=runtime.settings.member,
            source=self.name,
            clock=runtime.clock,
        )

    def not_ready(self) -> Sequence[str]:
        return () if self._writer.ready else ("the event log is not connected",)


def create(runtime: OutboundRuntime) -> IntakeService:
    """The intake service over this runtime."""
    return IntakeService(runtime)
