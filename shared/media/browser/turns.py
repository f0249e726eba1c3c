"""Whose look is next, and how many of an hour's looks one site may have: pure rules, and a queue that keeps them.

A site is a registrable domain. One site's pages, however many or slow, leave some of the hour to every other.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shared.media.browser.look import BrowserOutcome

HOUR_SECONDS = 3600.0


@dataclass(slots=True, kw_only=True, eq=False)
class TakenLook:
    """One look of the hour. `cost`: 1, or as many looks as it took the time of."""

    site: str
    begun: float
    cost: float = 1.0


@dataclass(slots=True, kw_only=True)
class LooksOfTheHour:
    """What was taken within the last hour. Times are of one monotonic clock, in seconds.

    `limit`: of all sites together. `site_share`: a site may have had this much of what is left, so that the more of the hour is used, the
    less is left to whoever used it, and a site that had none always gets one (dynamic thresholds: Choudhury and Hahne, IEEE/ACM
    Transactions on Networking 6(2), 1998). At 0.25 one site alone gets a fifth of an hour, and a dozen that take all they can
    leave a fifteenth. None: no share.
    """

    limit: int
    site_share: float | None = None
    _taken: deque[TakenLook] = field(default_factory=deque)

    def take(self, site: str, now: float, *, part: float = 1.0) -> TakenLook | BrowserOutcome:
        """Take a look of the hour, or give the reason why there is none. `part`: the share of the hour that is there for this kind of
        look."""
        self._forget(now)
        left = self.limit * part - sum(one.cost for one in self._taken)
        if left < 1:
            return BrowserOutcome.HOUR_SPENT
        if self.site_share is not None and self.of_site(site) >= self.site_share * left:
            return BrowserOutcome.SITE_SPENT
        taken = TakenLook(site=site, begun=now)
        self._taken.append(taken)
        return taken

    def of_site(self, site: str) -> float:
        """How much this site has had."""
        return sum(one.cost for one in self._taken if one.site == site)

    def lasted(self, taken: TakenLook, seconds: float) -> None:
        """Count a look that took longer than its part of an hour as several: slow pages use up time, not number."""
        taken.cost = max(1.0, seconds * self.limit / HOUR_SECONDS)

    def give_back(self, taken: TakenLook) -> None:
        """Give a look back that was not made."""
        if taken in self._taken:
            self._taken.remove(taken)

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0].begun <= now - HOUR_SECONDS:
            self._taken.popleft()


@dataclass(slots=True, kw_only=True, eq=False)
class _WantedTurn:
    """A turn that is waited for."""

    site: str
    granted: asyncio.Future[None]


class FairTurns:
    """So many turns at once. A free one goes to the site that had the least of the hour, and among equals to who came first: one
    site's queue is not everybody's."""

    def __init__(self, at_once: int, hour: LooksOfTheHour) -> None:
        self._free = at_once
        self._hour = hour
        self._waiting: list[_WantedTurn] = []

    @asynccontextmanager
    async def turn(self, site: str, *, within_seconds: float) -> AsyncIterator[None]:
        """Wait for a turn. Raises TimeoutError where none is free in that time."""
        waiting = _WantedTurn(site=site, granted=asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._grant()
        try:
            async with asyncio.timeout(within_seconds):
                await waiting.granted
            yield
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self._free += 1
                self._grant()

    def _grant(self) -> None:
        while self._free and self._waiting:
            queued = Counter(one.site for one in self._waiting)
            had = {
                site: self._hour.of_site(site) - count for site, count in queued.items()
            }  # what only waits was not had
            chosen = min(self._waiting, key=lambda one: had[one.site])
            self._waiting.remove(chosen)
            self._free -= 1
            if not chosen.granted.done():
                chosen.granted.set_result(None)
