"""The matcher as a service: no routes, no schema; it publishes, waits for the acknowledgement, then commits its two offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import structlog
from fastapi import APIRouter

from services.matcher.compiling import keep_compiled_in
from services.matcher.join import SOURCE
from services.matcher.owned import GROUP, Surroundings
from services.matcher.worker import Matcher, leaves
from shared.contracts.topics import SIGHTINGS
from shared.log.replays import append_again_replays
from shared.runtime import Runtime, Service

log = structlog.get_logger(__name__)


class MatcherService:
    """See `shared.runtime.Service`."""

    name = "matcher"

    def __init__(self, runtime: Runtime) -> None:
        self._matcher = Matcher(
            Surroundings(
                log=runtime.log,
                policy=runtime.policy,
                fingerprint_key=runtime.keys.fingerprint_ref,
                member_id=f"matcher-{runtime.settings.member}",
                clock=runtime.clock,
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

    async def run(self) -> None:
        """Match, and answer replays, until cancelled. An unexpected error of either ends both with that error."""
        _keep_compiled(self._compiled)
        self._running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._matcher.run())
                tasks.create_task(self._replays.run())
        except BaseExceptionGroup as failed:
            raise leaves(failed)[0] from None
        finally:
            self._running = False

    def not_ready(self) -> Sequence[str]:
        return self._matcher.not_ready() if self._running else ("the matcher is not running",)


def _keep_compiled(folder: Path) -> None:
    """Raises UnsafeCache. Where nothing can be written, loops are compiled anew in each process: slower to start, not wrong."""
    try:
        keep_compiled_in(folder)
    except OSError as error:
        log.warning("matcher.compiled_not_kept", error=type(error).__name__)


def create(runtime: Runtime) -> Service:
    return MatcherService(runtime)
