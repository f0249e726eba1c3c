"""The notifier as a service: its routes, and its workers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter

from services.notifier.api import directory, host_answers, host_page, operations
from services.notifier.application.consumers import GROUPS, Consumer
from services.notifier.application.directory_changes import DirectoryWorker
from services.notifier.application.pending_changes_worker import PendingChangesWorker
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.checks.worker import CheckWorker
from services.notifier.delivery.timer_worker import TimerWorker
from services.notifier.delivery.worker import MessageWorker
from services.notifier.maintenance.metrics import Gauges
from services.notifier.maintenance.retention import Retention
from services.notifier.store.takedowns import SCHEMA, current_target
from shared.contracts.topics import CLAIMS, CONTENT, DECISIONS, MATCHES, TARGETS
from shared.log.runner import Runner
from shared.outbox.relay import Relay
from shared.service.runtime import OutboundRuntime

__all__ = ["SCHEMA", "Notifier", "create"]

TOGETHER = 8
"""Records of one partition handled at once: `takedown.content` has one partition, and each handler waits for the database."""

GATHER_SECONDS = 0.1
"""No service waits for a time line or a target; a decision is to be heard of within a second."""


class Notifier:
    """See `shared.service.runtime.Service`."""

    name = "notifier"

    def __init__(self, runtime: OutboundRuntime) -> None:
        self._runtime = runtime
        self._units_of_work = UnitOfWorkFactory(runtime)
        self._running = False

    def routers(self) -> Sequence[APIRouter]:
        return (
            operations.routes,
            directory.routes,
            host_answers.routes,
            host_page.routes,
        )

    def provides(self) -> Sequence[object]:
        return (self._units_of_work,)

    async def run(self) -> None:
        """Run all workers until cancelled. An unexpected error of one ends all with that error."""
        try:
            async with asyncio.TaskGroup() as group:
                for work in self._workers():
                    group.create_task(work())
                self._running = True
        except BaseExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._running = False

    def not_ready(self) -> Sequence[str]:
        return () if self._running else ("workers are not running",)

    def _workers(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        runtime = self._runtime
        relay = Relay(
            runtime.database,
            runtime.wakeups,
            SCHEMA.name,
            runtime.log,
            source="notifier",
            renderers={TARGETS.name: current_target},
            gather_seconds=GATHER_SECONDS,
        )
        return [
            relay.run,
            CheckWorker(self._units_of_work).run,
            MessageWorker(self._units_of_work).run,
            TimerWorker(self._units_of_work).run,
            DirectoryWorker(self._units_of_work).run,
            PendingChangesWorker(self._units_of_work).run,
            Gauges(runtime).run,
            Retention(runtime.database, runtime.policy).run,
            *(runner.run for runner in self._runners()),
        ]

    def _runners(self) -> list[Runner]:
        consumer = Consumer(self._units_of_work)
        handlers = {
            CONTENT.name: consumer.on_content,
            CLAIMS.name: consumer.on_claim,
            MATCHES.name: consumer.on_match,
            DECISIONS.name: consumer.on_decision,
        }
        return [
            Runner(
                self._runtime.log,
                group,
                (topic.name,),
                handlers[topic.name],
                member_id=f"{group}.{self._runtime.settings.member}",
                source="notifier",
                clock=self._runtime.clock,
                together=TOGETHER,
            )
            for group, topic in GROUPS.items()
        ]


def create(runtime: OutboundRuntime) -> Notifier:
    """The notifier. Nothing runs until `run`."""
    return Notifier(runtime)
