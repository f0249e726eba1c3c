"""The whole program killed -9 again and again: every expected takedown ends `removed`, none missing, none extra."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.processes import Fleet, free_port, wait_for
from tests.e2e.story import Story, check_outcome, config, environment, in_background, whole_world
from tests.e2e.world import Hosts, World

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def world() -> World:
    return whole_world()


def test_the_whole_program_killed(world: World, server_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with Hosts(world) as hosts:
        settings = environment(config(server_dir / "takedown.toml", hosts), TAKEDOWN_DATA_DIR=str(server_dir / "data"))
        with Fleet(settings, logs=server_dir, ports={"serve": port}) as fleet:
            fleet.start("serve")
            fleet.wait_ready()
            base = f"http://127.0.0.1:{port}"
            story = Story(world, fleet, intake=base, notifier=base, directory=server_dir / "hosts.csv", hosts=hosts)
            hosts.misbehave = True
            through = in_background(story)
            for _ in range(10):
                before = len(hosts.received.ids)
                wait_for(lambda: through() or len(hosts.received.ids) > before, seconds=60, what="progress")  # noqa: B023 - called at once
                fleet.kill("serve")
                fleet.start("serve")
                fleet.wait_ready()
            hosts.misbehave = False
            last_kill = time.monotonic()
            wait_for(through, seconds=240, what="all sightings and confirmations sent", every=0.5)
            wait_for(story.all_removed, seconds=300, what="all takedowns removed", every=1.0)
            check_outcome(story, hosts)
            with capsys.disabled():
                print(
                    f"\n  kills {fleet.kills}; hosts misbehaved {hosts.received.misbehaved} times; {len(world.placed)}"
                    f" takedowns removed {time.monotonic() - last_kill:.0f} s after the last kill"
                )
