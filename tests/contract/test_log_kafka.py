"""The log on Kafka: open and aborted transactions, settings of topics, static membership."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.contracts.topics import CONTENT, SIGHTINGS
from shared.log.kafka.client import KafkaAdmin
from shared.log.kafka.log import KafkaLog
from shared.log.port import Commit, CommitRefused, LogUnavailable, MemberReplaced
from tests.contract.log_harness import (
    KafkaHarness,
    a_group,
    a_topic,
    owns,
    place,
    polled_records,
    publish,
    read_all,
    record,
    until,
)


@asynccontextmanager
async def a_transaction(harness: KafkaHarness) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=harness.bootstrap_servers, transactional_id=a_group())
    await producer.start()
    try:
        await producer.begin_transaction()
        yield producer
    finally:
        await producer.stop()


async def test_a_record_of_a_transaction_that_commits_late_is_never_skipped(on_kafka: KafkaHarness) -> None:
    topic = a_topic()
    await on_kafka.log.ensure_topics([topic])
    async with a_transaction(on_kafka) as late, on_kafka.log.reader() as reader:
        await reader.assign({place(topic): 0})
        await late.send_and_wait(topic.name, b"late", key=b"k", partition=0)
        await publish(on_kafka.log, record(topic, b"early"))
        assert await on_kafka.log.end(place(topic)) == 0, "the last stable offset"
        assert await reader.read(timeout_seconds=0.5) == ()
        await late.commit_transaction()
        values = [one.value for one in await reader.read(timeout_seconds=10)]
        while len(values) < 2:
            values += [one.value for one in await reader.read(timeout_seconds=10)]
    assert values == [b"late", b"early"]


async def test_an_aborted_transaction_is_a_hole(on_kafka: KafkaHarness) -> None:
    topic = a_topic()
    await on_kafka.log.ensure_topics([topic])
    await publish(on_kafka.log, record(topic, b"before"))
    async with a_transaction(on_kafka) as aborted:
        for _ in range(5):
            await aborted.send_and_wait(topic.name, b"never", key=b"k", partition=0)
        await aborted.abort_transaction()
    assert [one.value for one in await read_all(on_kafka.log, topic)] == [b"before"]
    assert await on_kafka.log.end(place(topic)) == 7
    await publish(on_kafka.log, record(topic, b"after"))
    assert [(one.offset, one.value) for one in await read_all(on_kafka.log, topic, start=3)] == [(7, b"after")]


async def test_a_dead_publishers_transaction_ends_when_its_id_is_used_again(on_kafka: KafkaHarness) -> None:
    topic = a_topic()
    await on_kafka.log.ensure_topics([topic])
    name = a_group()
    dead = AIOKafkaProducer(bootstrap_servers=on_kafka.bootstrap_servers, transactional_id=name)
    await dead.start()
    await dead.begin_transaction()
    await dead.send_and_wait(topic.name, b"never", key=b"k", partition=0)
    async with on_kafka.log.publisher(transactional_id=name) as publisher:
        await publisher.publish([record(topic, b"x")])
    assert [one.value for one in await read_all(on_kafka.log, topic)] == [b"x"]
    await dead.stop()


async def test_topics_have_the_settings_of_the_contract_and_keep_an_operators_own(on_kafka: KafkaHarness) -> None:
    content = replace(CONTENT, name=a_topic().name)
    sightings = replace(SIGHTINGS, name=a_topic().name)
    await on_kafka.log.ensure_topics([content, sightings])
    admin = KafkaAdmin(on_kafka.bootstrap_servers)
    day, hour = 86_400_000, 3_600_000
    try:
        settings = await admin.settings_of([content.name, sightings.name])
        assert settings[content.name] == {
            "message.timestamp.type": "LogAppendTime",
            "segment.ms": f"{day}",
            "cleanup.policy": "compact",
            "min.compaction.lag.ms": f"{hour}",
            "max.compaction.lag.ms": f"{day}",
            "delete.retention.ms": f"{90 * day}",
        }
        assert settings[sightings.name] == {
            "message.timestamp.type": "LogAppendTime",
            "segment.ms": f"{day}",
            "cleanup.policy": "delete",
            "retention.ms": f"{180 * day}",
        }
        changed = {"retention.ms": f"{30 * day}", "max.message.bytes": "2000000"}
        await _set(on_kafka, sightings.name, {**settings[sightings.name], "max.message.bytes": "2000000"})
        await on_kafka.log.ensure_topics([replace(sightings, retention=timedelta(days=30))])

        async def in_force() -> bool:  # a broker hears of it a moment later
            return (await admin.settings_of([sightings.name]))[sightings.name] == {
                **settings[sightings.name],
                **changed,
            }

        await until(in_force)
    finally:
        await admin.close()


async def _set(harness: KafkaHarness, name: str, settings: dict[str, str]) -> None:
    admin = KafkaAdmin(harness.bootstrap_servers)
    client = AIOKafkaAdminClient(bootstrap_servers=harness.bootstrap_servers)
    await client.start()
    try:
        await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, settings)])

        async def heard() -> bool:
            return (await admin.settings_of([name]))[name] == settings

        await until(heard)
    finally:
        await client.close()
        await admin.close()


async def test_a_member_that_comes_back_within_its_session_has_its_partitions_at_once(on_kafka: KafkaHarness) -> None:
    topic = a_topic(4)
    await on_kafka.log.ensure_topics([topic])
    group = a_group()
    log = KafkaLog(on_kafka.bootstrap_servers, session_timeout=timedelta(seconds=60))
    on_kafka.others.append(log)
    for turn in range(3):
        async with log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
            await owns(member, 4, seconds=10)  # far less than the session
            await publish(log, record(topic, b"%d" % turn))
            assert (await polled_records(member, turn + 1))[-1].value == b"%d" % turn


async def test_a_replaced_member_gives_way_for_good(on_kafka: KafkaHarness) -> None:
    """A process that hung comes back and finds another under its id: the two must not throw one another out in turn."""
    topic = a_topic(2)
    await on_kafka.log.ensure_topics([topic])
    group = a_group()
    reader = on_kafka.another().group_reader(group=group, topics=[topic.name], member_id="a")
    older = await reader.__aenter__()
    await owns(older, 2)
    async with on_kafka.log.group_reader(group=group, topics=[topic.name], member_id="a") as newer:
        await owns(newer, 2)

        async def gave_way() -> bool:
            try:
                await older.poll(timeout_seconds=0.2)
            except MemberReplaced:
                return True
            return False

        await until(gave_way)
        with pytest.raises(CommitRefused):
            await older.commit({place(topic): Commit(offset=0)})
        await reader.__aexit__(None, None, None)
        for turn in range(4):  # some heartbeats long
            assert not (await newer.poll(timeout_seconds=1)).revoked
            await newer.commit({place(topic): Commit(offset=0, metadata=f"{turn}")})


async def test_a_broker_out_of_reach_is_named(unused_port: int) -> None:
    log = KafkaLog(f"127.0.0.1:{unused_port}")
    topic = a_topic()
    with pytest.raises(LogUnavailable):
        await log.missing_topics([topic])
    with pytest.raises(LogUnavailable):
        await log.end(place(topic))
    with pytest.raises(LogUnavailable):
        async with log.publisher():
            pass
    with pytest.raises(LogUnavailable):
        async with log.reader():
            pass
    await log.close()


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
