"""What the register's index costs is in the metrics."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from prometheus_client import REGISTRY

from services.matcher.consumer.commits import LogIdentities
from services.matcher.consumer.maintenance import MEASURED, Maintenance
from services.matcher.consumer.partitions import MatcherDependencies, ProcessCache
from services.matcher.register.register import Register
from shared.log.port import EventLog
from shared.media.fingerprints import Algorithm, Fingerprint
from shared.policy import Policy
from tests.matcher_world import KEY, content, registered, until

NAMES = ("head_entries", "bytes", "merges_total", "merge_seconds_total")
COUNTS = ("queries_total", "candidates_total", "scans_total")


def metrics() -> dict[str, float]:
    """Of PDQ, as `/metrics` shows them."""
    found = {name: REGISTRY.get_sample_value(f"takedown_index_{name}", {"algorithm": "pdq"}) for name in NAMES}
    found |= {name: REGISTRY.get_sample_value(f"takedown_index_{name}") for name in COUNTS}
    return {name: value or 0.0 for name, value in found.items()}


class Watched:
    """A register that is measured whenever it is asked, `MEASURED` later each time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.register = Register(log_id="log", started_at=self.now)
        dependencies = MatcherDependencies(
            log=cast(EventLog, None), policy=Policy(), fingerprint_key=KEY, member_id="m", clock=lambda: self.now
        )
        self._house = Maintenance(
            dependencies, ProcessCache(), self.register, LogIdentities(content="c", sightings="s")
        )
        self._before = metrics()
        self._numbers = iter(range(1_000_000))

    def add(self, values: list[bytes]) -> None:
        with self.register.gathering():
            for value in values:
                number = next(self._numbers)
                self.register.apply(number, content(UUID(int=number), 1, registered(value)))
        self.register.index()

    def ask(self, *values: bytes) -> None:
        self.register.view().search([Fingerprint(algorithm=Algorithm.PDQ, value=value) for value in values])

    async def measured(self) -> dict[str, float]:
        """Counters since this began, gauges as they are."""
        self.now += timedelta(seconds=1) + MEASURED
        await self._house.measure({})
        after = metrics()
        return {name: after[name] - self._before[name] * name.endswith("_total") for name in after}


async def test_the_index_of_the_register_is_in_the_metrics() -> None:
    rng = random.Random(5)
    watched, crowd = Watched(), rng.randbytes(32)
    watched.add([rng.randbytes(32) for _ in range(300)])
    watched.ask(crowd, crowd)
    small = await watched.measured()
    assert (small["head_entries"], small["queries_total"], small["candidates_total"], small["merges_total"]) == (
        300,
        2,
        0,
        0,
    )
    assert small["bytes"] >= 300 * 40

    watched.add([rng.randbytes(32) for _ in range(20_000)] + [crowd] * 4_000)
    for _ in range(5):
        watched.add([rng.randbytes(32) for _ in range(1_000)])
    await until(lambda: watched.register.measures()[Algorithm.PDQ].merges, what="a merge")
    watched.ask(crowd)
    large = await watched.measured()
    assert large["merges_total"] >= 1
    assert large["merge_seconds_total"] > 0
    assert large["head_entries"] < 5_000
    assert large["queries_total"] == 3
    assert large["candidates_total"] >= 4_000
    assert large["bytes"] > 29_300 * 40
    assert await watched.measured() == large

    watched.add([crowd] * 30_000)
    watched.ask(crowd)
    crowded = await watched.measured()
    assert crowded["scans_total"] >= 1
