"""What a service is given, and what it gives back. `standalone` runs several in one process; the command line runs one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.clock import Clock
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.port import EventLog
from shared.policy import Policy
from shared.process.settings import Settings

if TYPE_CHECKING:
    from fastapi import APIRouter  # a command that serves nothing loads no web framework

    from shared.access.keyring import KeyRing

    # A process that looks at nothing loads no HTTP client and no decoder: they are a sixth of what its start takes.
    from shared.media.browser.browser import Browser
    from shared.media.fingerprinter import Fingerprinter
    from shared.outbound.fetch import Fetcher


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What every service is given. It leads nowhere but to the database and the log."""

    settings: Settings
    policy: Policy
    database: Database
    wakeups: Wakeups
    log: EventLog
    keys: KeyRing
    clock: Clock


@dataclass(frozen=True, kw_only=True)
class OutboundRuntime(Runtime):
    """What a service is given that also looks at targets or posts demands. `fetcher` looks at targets (fetch egress); `webhooks` posts
    demands (webhook egress): other limits, other user agent. `browser` None: there is none.

    `fetcher` looks at targets (fetch egress); `webhooks` posts demands (webhook egress): other limits, other user agent. `browser` None:
    there is none.
    """

    fetcher: Fetcher
    webhooks: Fetcher
    fingerprinter: Fingerprinter
    browser: Browser | None = None


class Service(Protocol):
    """One service. Each `services/<name>/service.py` has `create(runtime: Runtime) -> Service`, or `OutboundRuntime`."""

    name: str

    def routers(self) -> Sequence[APIRouter]:
        """Its HTTP routes; `shared.service.app` says how they are written."""
        ...

    def provides(self) -> Sequence[object]:
        """The objects its routes ask for by their type, beside the runtime; one of each type."""
        ...

    async def run(self) -> None:
        """Run its workers until cancelled; a worker that dies of an unexpected error ends `run` with that error."""
        ...

    def not_ready(self) -> Sequence[str]:
        """Why it is not ready; empty when it is."""
        ...
