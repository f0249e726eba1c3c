"""The matcher as a service: no routes, no schema; it publishes, waits for the acknowledgement, then commits its two offsets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import structlog
from fastapi import APIRouter

from services.matcher.consumer.partitions import GROUP, MatcherDependencies, in_background
from services.matcher.consumer.worker import Matcher, leaves
from services.matcher.index.compile import keep_compiled_in
from services.matcher.join.matching import SOURCE
from services.matcher.register.register import MAX_AGE
from services.matcher.state.files import StateFiles, StateInUse
from shared.contracts.sightings import ERASURE_PUBLISHED_FOR
from shared.contracts.topics import SIGHTINGS
from shared.log.replays import append_again_replays
from shared.service.runtime import Runtime, Service

_STATE_TRIED_SECONDS = 0.5

log = structlog.get_logger(__name__)


class MatcherService:
    """The matcher, as a service (`shared.service.runtime.Service`)."""

    name = "matcher"

    def __init__(self, runtime: Runtime) -> None:
        self._state = StateFiles(
            folder=runtime.settings.data_dir / "matcher" / quote(runtime.settings.member, safe="").replace(".", "%2E"),
            kept=runtime.policy.history_kept,
            run=in_background,
        )
        self._matcher = Matcher(
            MatcherDependencies(
                log=runtime.log,
                policy=runtime.policy,
                fingerprint_key=runtime.keys.fingerprint_ref,
                member_id=f"matcher-{runtime.settings.member}",
                clock=runtime.clock,
                state=self._state,
                history_max_age=history_max_age(runtime),
            )
        )
        self._replays = append_again_replays(
            runtime.log,
            group=GROUP,
            topics={SIGHTINGS.name},
            member_id=f"matcher-{runtime.settings.member}.replays",
            source=SOURCE,
            clock=runtime.clock,
        )
        self._compiled = runtime.settings.data_dir / "compiled"
        self._running = False

    def routers(self) -> Sequence[APIRouter]:
        return ()

    def provides(self) -> Sequence[object]:
        return ()

    async def run(self) -> None:
        """Match, and answer replays, until cancelled. An unexpected error of either ends both with that error."""
        _keep_compiled(self._compiled)
        descriptor = await self._lock_state()
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._matcher.run())
                tasks.create_task(self._replays.run())
        except BaseExceptionGroup as failed:
            raise leaves(failed)[0] from None
        finally:
            self._running = False
            try:
                await self._matcher.close()
            finally:
                os.close(descriptor)

    async def _lock_state(self) -> int:
        """Wait for a former process of this name to end. Raises OSError where the folder cannot be made."""
        while True:
            try:
                return self._state.lock()
            except StateInUse:
                log.warning("state.in_use")
                await asyncio.sleep(_STATE_TRIED_SECONDS)

    def not_ready(self) -> Sequence[str]:
        return self._matcher.not_ready() if self._running else ("the matcher is not running",)


def history_max_age(runtime: Runtime) -> timedelta:
    """For how long a history may have read no erasures: less than the log keeps them, and no longer than a register is kept."""
    published_for = runtime.policy.scaled(ERASURE_PUBLISHED_FOR)
    return min(MAX_AGE, 0.75 * published_for) if runtime.log.redacts else MAX_AGE


def _keep_compiled(folder: Path) -> None:
    """Set where compiled loops are kept. Raises UnsafeCache. Where nothing can be written, they are compiled anew in each process: slower
    to start, not wrong."""
    try:
        keep_compiled_in(folder)
    except OSError as error:
        log.warning("matcher.compiled_not_kept", error=type(error).__name__)


def create(runtime: Runtime) -> Service:
    return MatcherService(runtime)
