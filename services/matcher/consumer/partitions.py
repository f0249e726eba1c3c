"""What a process keeps: the partitions it owns, what it remembers across sessions, and its dependencies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from services.matcher.consumer.commits import OffsetPair
from services.matcher.history.history import HEAD_ENTRIES, History, RunTask
from services.matcher.index.merging_parts import UNMEASURED, Measures
from services.matcher.register.register import Register
from services.matcher.state.files import StateFiles
from shared.clock import Clock, system_clock
from shared.contracts.topics import CONTENT
from shared.errors import Transient
from shared.log.port import EventLog, TopicPartition
from shared.policy import Policy

GROUP = "matcher.sightings"
THE_CONTENT = TopicPartition(topic=CONTENT.name, partition=0)
"""The one partition of `takedown.content`."""
_CATCH_UP_SECONDS, _CATCH_UP_TRIES = 0.05, 40

Result = TypeVar("Result")


class StartOver(Transient):
    """The session ends and the next one begins from what is committed."""


class Offload(Protocol):
    """Runs a function elsewhere, so that the event loop goes on (`asyncio.to_thread`)."""

    def __call__(self, function: Callable[[], Result], /) -> Awaitable[Result]: ...


async def in_thread(function: Callable[[], Result], /) -> Result:
    return await asyncio.to_thread(function)


async def finish_though_cancelled(work: asyncio.Future[Result]) -> Result:
    """Wait for it to its end also when cancelled meanwhile; the cancellation follows. For what must not go on by itself."""
    cancelled = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return work.result()


_builder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="history")
"""One for all histories: building is work for one core, and nothing waits for it."""


def in_background(task: Callable[[], None]) -> None:
    _builder.submit(task)


@dataclass(frozen=True, kw_only=True)
class MatcherDependencies:
    """What the matcher is given. `inline_pairs`: up to so many comparisons a query is not worth a thread.

    `background` runs what builds the histories' segments, beside everything; `head_entries` are not in a segment yet. `disk` runs what
    reads and writes `state`, the files of register and histories; None: they live in memory alone. A history that has not
    heard of erasures for longer than `history_max_age` is not used.
    """

    log: EventLog
    policy: Policy
    fingerprint_key: bytes
    member_id: str
    clock: Clock = system_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    offload: Offload = in_thread
    background: RunTask = in_background
    disk: Offload = in_thread
    state: StateFiles | None = None
    history_max_age: timedelta = timedelta(days=60)
    inline_pairs: int = 100_000
    head_entries: int = HEAD_ENTRIES

    async def compute(self, pairs: int, function: Callable[[], Result]) -> Result:
        """The function's result, from a thread where so many comparisons are worth one: the heartbeat goes on beside a large query."""
        if pairs <= self.inline_pairs:
            return function()
        return await self.offload(function)


@dataclass(eq=False, slots=True, kw_only=True)
class SharedHistory:
    """A history, and the lock that keeps a query in a thread apart from changes. `written_at`: when it was last taken for its files,
    or came to be; `written_admitted`: what it had admitted then. `measured`: what is in the metrics of it."""

    history: History
    written_at: datetime
    written_admitted: int = 0
    measured: Measures = UNMEASURED
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(eq=False, slots=True, kw_only=True)
class ProcessCache:
    """What outlives a session: the register, and the histories of partitions revoked (since when). No offset C is kept.

    `register_written`: changes and position of the register as it is in its file, taken at `register_written_at`.
    """

    register: Register | None = None
    register_written: tuple[int, int] | None = None
    register_written_at: datetime | None = None
    histories: dict[int, SharedHistory] = field(default_factory=dict)
    revoked_at: dict[int, datetime] = field(default_factory=dict)


@dataclass(eq=False, slots=True, kw_only=True)
class PartitionState:
    """One ownership of one partition, from assignment to revocation. Owned again, it is another one.

    `joined`: new content is scanned against it. `ready`: it is restored and read. `lost`: revoked. `handled_to`: sightings below
    have had their effect. `scanned_to`: content below was scanned against it when it was taken over. `matching`: how
    many matchings of it are under way, from query to acknowledgement.
    """

    partition: TopicPartition
    shared: SharedHistory
    joined: bool = False
    ready: bool = False
    lost: bool = False
    handled_to: int = 0
    scanned_to: int = 0
    committed: OffsetPair | None = None
    matching: int = 0
    task: asyncio.Task[None] | None = None
    reading: tuple[int, int] | None = None
    """While it is restored: where, and up to where."""

    @property
    def history(self) -> History:
        return self.shared.history


@contextmanager
def busy(partitions: Collection[PartitionState]) -> Iterator[None]:
    """Mark these partitions as matching: marks of erasures are kept while matches are between being found and being sent."""
    for owned in partitions:
        owned.matching += 1
    try:
        yield
    finally:
        for owned in partitions:
            owned.matching -= 1


async def building_caught_up(owned: Collection[PartitionState], dependencies: MatcherDependencies) -> bool:
    """Wait for the histories' segments where they lag far behind; not for ever, as a group's member has to poll."""
    for _ in range(_CATCH_UP_TRIES):
        behind = [one for one in owned if one.history.behind]
        if not behind:
            return True
        await dependencies.sleep(_CATCH_UP_SECONDS)
        for one in behind:
            async with one.shared.lock:
                one.history.upkeep(dependencies.clock())
    return False
