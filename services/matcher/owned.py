"""What a process holds: the partitions it owns, what it remembers across sessions, and its surroundings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeVar

from services.matcher.commits import Pair
from services.matcher.history import History
from services.matcher.register import Register
from shared.clock import Clock, system_clock
from shared.contracts.topics import CONTENT
from shared.errors import Transient
from shared.log.port import EventLog, TopicPartition
from shared.policy import Policy

GROUP = "matcher.sightings"
THE_CONTENT = TopicPartition(topic=CONTENT.name, partition=0)
"""The one partition of `takedown.content`."""

Result = TypeVar("Result")


class StartOver(Transient):
    """The session ends and the next one begins from what is committed."""


class Offload(Protocol):
    """Runs a function elsewhere, so that the event loop goes on (`asyncio.to_thread`)."""

    def __call__(self, function: Callable[[], Result], /) -> Awaitable[Result]: ...


async def in_thread(function: Callable[[], Result], /) -> Result:
    return await asyncio.to_thread(function)


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What the matcher is given. `inline_pairs`: up to so many comparisons a query is not worth a thread."""

    log: EventLog
    policy: Policy
    fingerprint_key: bytes
    member_id: str
    clock: Clock = system_clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    offload: Offload = in_thread
    inline_pairs: int = 100_000


@dataclass(eq=False, slots=True, kw_only=True)
class SharedHistory:
    """A history, and the lock that keeps a query in a thread apart from changes."""

    history: History
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(eq=False, slots=True, kw_only=True)
class Memory:
    """What outlives a session: the register, and the histories of partitions revoked (since when). No offset C is kept."""

    register: Register | None = None
    histories: dict[int, SharedHistory] = field(default_factory=dict)
    revoked_at: dict[int, datetime] = field(default_factory=dict)


@dataclass(eq=False, slots=True, kw_only=True)
class Owned:
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
    committed: Pair | None = None
    matching: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def history(self) -> History:
        return self.shared.history
