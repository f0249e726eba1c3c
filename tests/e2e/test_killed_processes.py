"""Each service killed -9 again and again: every expected takedown ends `removed`, none missing, none extra."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tests.e2e.processes import Fleet, free_port, wait_for
from tests.e2e.story import Story, check_outcome, config, environment, in_background, whole_world
from tests.e2e.world import Hosts, World

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def world() -> World:
    return whole_world()


def lag_of_matches(bootstrap: str) -> int:
    """Records of `takedown.matches` that the notifier's group has not committed."""

    async def ask() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            groups = [name for name, *_ in await admin.list_consumer_groups() if name.startswith("notifier")]
            committed: dict[TopicPartition, int] = {}
            for group in groups:
                for partition, meta in (await admin.list_consumer_group_offsets(group)).items():
                    if partition.topic == "takedown.matches":
                        committed[partition] = max(meta.offset, 0)
            from aiokafka import AIOKafkaConsumer

            consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
            await consumer.start()
            try:
                partitions = [TopicPartition("takedown.matches", number) for number in range(12)]
                ends = await consumer.end_offsets(partitions)
            finally:
                await consumer.stop()
        finally:
            await admin.close()
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    return asyncio.run(ask())


def test_each_service_killed_on_kafka(
    world: World, kafka_bootstrap: str, fresh_database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = {name: free_port() for name in ("intake", "matcher", "notifier")}
    with Hosts(world) as hosts:
        settings = environment(
            config(tmp_path / "takedown.toml", hosts),
            TAKEDOWN_DATABASE=fresh_database,
            TAKEDOWN_LOG="kafka",
            TAKEDOWN_KAFKA_BOOTSTRAP_SERVERS=kafka_bootstrap,
            TAKEDOWN_DATA_DIR=str(tmp_path / "data"),
        )
        with Fleet(settings, logs=tmp_path, ports=ports) as fleet:
            fleet.run("migrate")
            fleet.run("topics", "ensure")
            for name in ports:
                fleet.start(name)
            fleet.wait_ready()
            story = Story(
                world,
                fleet,
                intake=f"http://127.0.0.1:{ports['intake']}",
                notifier=f"http://127.0.0.1:{ports['notifier']}",
                directory=tmp_path / "hosts.csv",
                hosts=hosts,
            )
            hosts.misbehave = True
            through = in_background(story)
            lags: list[int] = []
            with_lag = 0
            for number in itertools.count():
                if with_lag >= 10 and min(fleet.kills.values()) >= 5:
                    break
                assert number < 40, f"only {with_lag} of {sum(fleet.kills.values())} kills met a lag on matches: {lags}"
                for name in ("notifier", "matcher", "intake"):
                    lag = lag_of_matches(kafka_bootstrap)
                    fleet.kill(name)
                    lags.append(lag)
                    with_lag += lag > 0
                    if name != "notifier":
                        fleet.start(name)
                fleet.start("notifier")
                fleet.wait_ready()
                heard = len(hosts.received.ids)
                wait_for(lambda: through() or len(hosts.received.ids) > heard + 20, seconds=60, what="progress")  # noqa: B023 - called at once
            hosts.misbehave = False
            last_kill = time.monotonic()
            wait_for(through, seconds=240, what="all sightings and confirmations sent", every=0.5)
            wait_for(story.all_removed, seconds=300, what="all takedowns removed", every=1.0)
            check_outcome(story, hosts)
            with capsys.disabled():
                print(
                    f"\n  kills {fleet.kills}, {with_lag} of them with a lag on matches {lags}; hosts misbehaved"
                    f" {hosts.received.misbehaved} times; {len(world.placed)} takedowns removed"
                    f" {time.monotonic() - last_kill:.0f} s after the last kill"
                )
