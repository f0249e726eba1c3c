"""When register and histories are written to files, beside everything else.

A history is frozen right after its partition's commit, the register when all it has taken in is scanned; freezing takes
milliseconds, writing goes on in a thread. No offset C is in a file: it comes from the commit.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog

from services.matcher.consumer.partitions import (
    MatcherDependencies,
    PartitionState,
    ProcessCache,
    finish_though_cancelled,
)
from services.matcher.register.register import Register
from services.matcher.state.files import write_history
from shared.process.metrics import SNAPSHOT_AGE, SNAPSHOT_SECONDS

log = structlog.get_logger(__name__)

LOOKED_EVERY_SECONDS = 1.0
_LEAST_PAUSE = timedelta(seconds=5)
_REWRITTEN_AFTER = timedelta(days=1)
"""An unchanged register's file, so that it does not age."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """What is frozen and has still to be written."""

    what: str
    write: Callable[[], None]
    frozen_at: datetime
    order: int


class Snapshots:
    """Writes register and histories of one session. `state` None in the dependencies: nothing is ever written."""

    def __init__(
        self, dependencies: MatcherDependencies, cache: ProcessCache, register: Register, lock: asyncio.Lock
    ) -> None:
        """`lock`: held by whoever changes the register, or takes a view or a copy of it."""
        self._dependencies = dependencies
        self._lock = lock
        self._cache = cache
        self._register = register
        self._waiting: dict[str, _Waiting] = {}
        self._written_at: dict[str, datetime] = {}
        self._writing = threading.Lock()  # a thread goes on when who waits for it is cancelled
        self._order = 0
        self._last: dict[str, int] = {}

    # Freezing

    def after_commit(self, owned: PartitionState) -> None:
        """Freeze the partition's history, should it be due and what is in it be what is committed."""
        if self.due(owned):
            self._freeze_history(owned, self._dependencies.clock())

    def due(self, owned: PartitionState) -> bool:
        """Whether it is time to write the partition's history."""
        shared = owned.shared
        many = shared.history.admitted - shared.written_admitted >= self._dependencies.policy.snapshot_sightings
        late = self._dependencies.clock() - shared.written_at >= self._every()
        return shared.history.folder is not None and (many or late)

    async def after_scan(self) -> None:
        """Freeze the register, should it be time and something have changed."""
        cache, now = self._cache, self._dependencies.clock()
        since = None if cache.register_written_at is None else now - cache.register_written_at
        if since is None or (since >= self._every() and (self._register_changed() or since >= _REWRITTEN_AFTER)):
            await self._freeze_register(now)

    def _every(self) -> timedelta:
        policy = self._dependencies.policy
        return max(_LEAST_PAUSE, policy.scaled(policy.snapshot_every))

    def _freeze_history(self, owned: PartitionState, now: datetime) -> None:
        history, committed = owned.history, owned.committed
        if history.folder is None or owned.lost or not owned.ready:
            return
        if committed is None or committed.sightings != history.position:
            return
        owned.shared.written_at, owned.shared.written_admitted = now, history.admitted
        name = f"history-{history.partition}"
        self._enqueue(name, partial(write_history, history.folder, history.freeze()), now)

    async def _freeze_register(self, now: datetime) -> None:
        """Copy the register, in a thread: a tenth of a second for a million entries."""
        state = self._dependencies.state
        if state is None:
            return
        async with self._lock:
            self._cache.register_written_at = now
            self._cache.register_written = (self._register.changes, self._register.position)
            frozen = await finish_though_cancelled(
                asyncio.ensure_future(self._dependencies.disk(self._register.freeze))
            )
        self._enqueue("register", partial(state.write_register, frozen), now)

    def _register_changed(self) -> bool:
        return self._cache.register_written != (self._register.changes, self._register.position)

    def _enqueue(self, what: str, write: Callable[[], None], now: datetime) -> None:
        self._order += 1
        self._waiting[what] = _Waiting(what=what, write=write, frozen_at=now, order=self._order)

    # Writing

    def _write(self, one: _Waiting) -> None:
        with self._writing:
            if one.order > self._last.get(one.what, 0):
                self._last[one.what] = one.order
                one.write()

    async def keep(self) -> None:
        """Write what is frozen, for ever."""
        while self._dependencies.state is not None:
            await self.write()
            await self._dependencies.sleep(LOOKED_EVERY_SECONDS)

    async def write(self) -> None:
        """Write what is frozen now. If the disk is full or missing, that is logged and the files that are there stay as they are."""
        while self._waiting:
            one = self._waiting.pop(next(iter(self._waiting)))
            began = time.monotonic()
            try:
                await self._dependencies.disk(partial(self._write, one))
            except OSError as error:
                log.error("snapshot.failed", what=one.what, error=type(error).__name__)
                continue
            self._written_at[one.what] = one.frozen_at
            SNAPSHOT_SECONDS.labels(one.what.partition("-")[0]).observe(time.monotonic() - began)
        now = self._dependencies.clock()
        for what, at in self._written_at.items():
            SNAPSHOT_AGE.labels(what).set((now - at).total_seconds())

    async def at_stop(self, owned: list[PartitionState]) -> None:
        """Write everything that is as committed."""
        now = self._dependencies.clock()
        for one in owned:
            self._freeze_history(one, now)
        if self._register_changed():
            await self._freeze_register(now)
        await self.write()
