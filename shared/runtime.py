"""What a service is given, and what it gives back. `standalone` runs several in one process; the command line runs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import APIRouter

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.wake import Wakeups
from shared.keyring import KeyRing
from shared.log.port import EventLog
from shared.policy import Policy
from shared.settings import Settings
from shared.web.fetch import Fetcher
from shared.web.media import Fingerprinter


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """`fetcher` looks at targets (fetch egress); `webhooks` posts demands (webhook egress): other limits, other user agent."""

    settings: Settings
    policy: Policy
    database: Database
    wakeups: Wakeups
    log: EventLog
    keys: KeyRing
    fetcher: Fetcher
    webhooks: Fetcher
    fingerprinter: Fingerprinter
    clock: Clock


class Service(Protocol):
    """One service. Each `services/<name>/service.py` has `create(runtime: Runtime) -> Service`."""

    name: str

    def routers(self) -> Sequence[APIRouter]:
        """Its HTTP routes. They find the service's own state through closures, not through the app."""
        ...

    async def run(self) -> None:
        """Run its workers until cancelled; a worker that dies of an unexpected error ends `run` with that error."""
        ...

    def not_ready(self) -> Sequence[str]:
        """Why it is not ready; empty when it is."""
        ...
