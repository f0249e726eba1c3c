"""One run of the model of the join, from a seed to its end or its first violation."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.simulation.join.disk import Disk
from tests.simulation.join.world import Flags, Violation, World


def first_violation(act: Callable[[World], Awaitable[None]], *, seed: int, flags: Flags) -> Violation | None:
    """The violation the run ends in, with how it came about, or None. The same seed gives the same run."""

    async def run() -> Violation | None:
        random.seed(seed)
        with Disk() as disk:
            world = World(rng=random.Random(seed), flags=flags, disk=disk)
            try:
                await act(world)
            except Violation as violation:
                violation.add_note("\n".join(world.trace))
                return violation
            finally:
                await world.close()
        return None

    return asyncio.run(run())
