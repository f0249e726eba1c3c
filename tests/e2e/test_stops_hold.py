"""A stop that was answered holds, whatever is down: from the answer on nothing about the content begins to leave or to be fetched.

The hosts answer every message with 503, so that each leak shows: a message goes again twice a second.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from shared.db.embedded.server import conninfo_if_running
from shared.log.kafka.local import start_kafka
from tests.e2e.processes import Fleet, free_port
from tests.e2e.stopping import POLICY, Stopping
from tests.e2e.story import config, environment
from tests.e2e.world import Hosts, make_world

pytestmark = pytest.mark.timeout(600)

BROKER = {"log.cleaner.threads": "1", "num.network.threads": "1", "num.io.threads": "2"}


def test_a_stop_outlives_the_program_that_answered_it(server_dir: Path) -> None:
    """`serve`, with its own PostgreSQL, killed -9 right after the answer, and started again; in two trials four ways to stop."""
    world = make_world(contents=5, copies=1, sightings=5, hosts=5, seed=21)
    port, data = free_port(), server_dir / "data"
    with Hosts(world) as hosts:
        hosts.removes, hosts.busy = False, True
        settings = environment(config(server_dir / "takedown.toml", hosts, policy=POLICY), TAKEDOWN_DATA_DIR=str(data))
        with Fleet(settings, logs=server_dir, ports={"serve": port}) as fleet:
            fleet.start("serve")
            fleet.wait_ready()
            conninfo, base = conninfo_if_running(data / "postgres"), f"http://127.0.0.1:{port}"
            assert conninfo is not None
            story = Stopping(world, hosts, fleet, intake=base, notifier=base, conninfo=conninfo)
            story.demand_all(on_another_key=(3,))
            trials = (((0, story.withdraw), (1, story.suspend)), ((3, story.revoke_key), (2, story.decide_suspension)))
            for trial in trials:
                for number, stop in trial:
                    stop(number)
                fleet.kill("serve")
                fleet.start("serve")
                fleet.wait_ready()
                running = conninfo_if_running(data / "postgres")
                assert running is not None
                story.conninfo = running
                story.assert_stopped()
            story.assert_not_fetched_by_reports([1, 2])


def test_a_stop_holds_with_the_notifier_down_and_the_broker_away(fresh_database: str, server_dir: Path) -> None:
    world = make_world(contents=9, copies=1, sightings=9, hosts=9, seed=22)
    ports = {name: free_port() for name in ("intake", "matcher", "notifier")}
    with Hosts(world) as hosts, start_kafka(data_dir=server_dir / "kafka", properties=BROKER) as kafka:
        hosts.removes, hosts.busy = False, True
        settings = environment(
            config(server_dir / "takedown.toml", hosts, policy=POLICY),
            TAKEDOWN_DATABASE=fresh_database,
            TAKEDOWN_LOG="kafka",
            TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS=kafka.bootstrap_servers,
            TAKEDOWN_DATA_DIR=str(server_dir / "data"),
        )
        with Fleet(settings, logs=server_dir, ports=ports) as fleet:
            fleet.run("migrate")
            fleet.run("topics", "ensure")
            for name in ports:
                fleet.start(name)
            fleet.wait_ready()
            story = Stopping(
                world,
                hosts,
                fleet,
                intake=f"http://127.0.0.1:{ports['intake']}",
                notifier=f"http://127.0.0.1:{ports['notifier']}",
                conninfo=fresh_database,
            )
            story.demand_all()
            # The notifier is down, and what intake had to tell it is told by nobody.
            fleet.kill("notifier")
            story.withdraw(0)
            story.suspend(1)
            fleet.kill("intake")
            fleet.start("notifier")
            story.assert_stopped()
            fleet.start("intake")
            fleet.wait_ready("intake", "notifier")
            os.kill(kafka.kafka_pid, signal.SIGSTOP)  # the broker hangs
            try:
                story.withdraw(2)
                story.suspend(3)
                story.decide_suspension(4)
                story.stop_fetching(5)
                story.assert_stopped()
                story.assert_not_fetched_by_reports([3, 4, 5])
            finally:
                os.kill(kafka.kafka_pid, signal.SIGCONT)
            kafka.kill()  # it is gone
            story.withdraw(6)
            story.decide_suspension(7)
            story.assert_stopped()
