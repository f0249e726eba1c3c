"""The quick and the slow lane of the decoder pool: places in each, and one job's way through them."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Places:
    """A number of places, given to those who wait in the order of their rank, the lowest first."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for one."""
        return any(not turn.done() for _, _, turn in self._waiting)

    def take_free(self) -> bool:
        """Take one that is free now; False where there is none."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def take(self, rank: float) -> None:
        """Wait for one."""
        if self.take_free():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (rank, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given in the same moment
                self.give_back()
            raise

    def give_back(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class LaneTurn:
    """One job's way through the lanes: its place among the quick ones, then perhaps one in the slow lane."""

    def __init__(self, quick: Places, slow: Places, rank: float) -> None:
        self._quick, self._slow, self._rank = quick, slow, rank
        self._place: Places | None = None

    async def __aenter__(self) -> LaneTurn:
        await self._quick.take(self._rank)
        self._place = self._quick
        return self

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    @property
    def slow(self) -> bool:
        return self._place is self._slow

    @property
    def delays_another(self) -> bool:
        return self._place is self._quick and self._quick.wanted

    def step_aside(self) -> None:
        """Move into the slow lane, if it is free."""
        if self._place is self._quick and self._slow.take_free():
            self._leave()
            self._place = self._slow

    async def wait_in_slow_lane(self) -> None:
        self._leave()
        await self._slow.take(self._rank)
        self._place = self._slow

    def _leave(self) -> None:
        if self._place is not None:
            self._place.give_back()
            self._place = None
