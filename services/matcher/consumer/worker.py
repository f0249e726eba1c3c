"""The matcher's worker: one session after the other, with what outlives them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack

import structlog

from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.log_reading import current_logs
from services.matcher.consumer.partitions import GROUP, THE_CONTENT, MatcherDependencies, ProcessCache
from services.matcher.consumer.session import MatcherSession
from services.matcher.register.register import Register
from shared.contracts.topics import SIGHTINGS
from shared.errors import Transient
from shared.log.runner import backoff_seconds

log = structlog.get_logger(__name__)


class Matcher:
    """Runs one session after the other. `cache` outlives sessions, not the process."""

    def __init__(self, dependencies: MatcherDependencies, cache: ProcessCache | None = None) -> None:
        self._dependencies = dependencies
        self._cache = cache if cache is not None else ProcessCache()
        self._session: MatcherSession | None = None

    async def run(self) -> None:
        """Match until cancelled. A log out of reach is waited for. Raises what is neither Transient nor expected."""
        attempt = 0
        while True:
            self._session = None
            try:
                await _or_stopped(asyncio.create_task(self._run_session()))
            except* Transient as errors:
                attempt = 1 if self._was_ready() else attempt + 1
                names = sorted({type(error).__name__ for error in leaves(errors)})
                log.warning("matcher.interrupted", errors=names, attempt=attempt)
            await self._dependencies.sleep(backoff_seconds(attempt, random.random(), first=0.2))  # noqa: S311 - jitter

    async def _run_session(self) -> None:
        dependencies = self._dependencies
        async with AsyncExitStack() as stack:
            logs = await current_logs(dependencies.log)
            register = await self._register(logs)
            publisher = await stack.enter_async_context(dependencies.log.publisher())
            content = await stack.enter_async_context(dependencies.log.reader())
            group = await stack.enter_async_context(
                dependencies.log.group_reader(group=GROUP, topics=(SIGHTINGS.name,), member_id=dependencies.member_id)
            )
            self._session = MatcherSession(
                dependencies, self._cache, register, logs, group=group, content=content, publisher=publisher
            )
            await self._session.run()

    async def _register(self, logs: LogIdentities) -> Register:
        """The register to go on with: the present one, unless it is of another log, ahead of its end or too old to catch up."""
        cache, state = self._cache, self._dependencies.state
        if cache.register is None and state is not None:
            cache.register = await self._dependencies.disk(state.read_register)
            if cache.register is not None:
                cache.register_written = (cache.register.changes, cache.register.position)
                cache.register_written_at = self._dependencies.clock()
                log.info("register.recalled", position=cache.register.position, sizes=cache.register.sizes())
        if cache.register is not None and await self._usable(cache.register, logs):
            return cache.register
        cache.register = Register(log_id=logs.content, started_at=self._dependencies.clock())
        cache.register_written = cache.register_written_at = None
        return cache.register

    async def _usable(self, register: Register, logs: LogIdentities) -> bool:
        if register.log_id != logs.content or register.too_old(self._dependencies.clock()):
            return False
        return register.position <= await self._dependencies.log.end(THE_CONTENT)

    async def close(self) -> None:
        """Stop in order, after `run` was cancelled: write what is as committed. No error of a disk is raised."""
        if self._session is not None:
            await self._session.snapshots.at_stop(list(self._session.owned.values()))

    def _was_ready(self) -> bool:
        return self._session is not None and not self._session.not_ready()

    def not_ready(self) -> Sequence[str]:
        """Why it is not ready; empty when register and owned partitions are restored."""
        session = self._session
        return ("the event log is not reached",) if session is None else session.not_ready()


async def _or_stopped(session: asyncio.Task[None]) -> None:
    """The result of a session. When cancelled, it is cancelled: a group of tasks that fails at that moment would only report its failure.
    The session has ended when this returns, however often this is cancelled: what is left of it is written to files next, by nobody else.

    It has ended when this returns, however often this is cancelled: what is left of it is written to files next, by nobody else.
    """
    stopped = False
    while not session.done():
        try:
            await asyncio.wait({session})
        except asyncio.CancelledError:
            stopped = True
            session.cancel()
    if not stopped:
        return session.result()
    if not session.cancelled() and (error := session.exception()) is not None:
        log.warning("matcher.failed_at_stop", errors=sorted({type(one).__name__ for one in leaves(error)}))
    raise asyncio.CancelledError


def leaves(error: BaseException) -> list[BaseException]:
    """The errors in a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in leaves(one)]
    return [error]
