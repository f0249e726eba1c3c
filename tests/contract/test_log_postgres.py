"""The log on PostgreSQL: what only its tables can get wrong."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import psycopg
import pytest
from prometheus_client import REGISTRY

from shared.db.migrations import migrate
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.errors import NotPrepared
from shared.log.port import Commit, LogUnavailable
from shared.log.postgres.log import SCHEMA, PostgresLog
from shared.log.postgres.readers import PartitionCursor
from shared.log.postgres.session import Catalogue, MemberSession
from tests.contract.log_harness import (
    PostgresHarness,
    a_group,
    a_topic,
    owns,
    place,
    publish,
    read_all,
    record,
    until,
)

# What one would write first: offsets from a sequence, and reading on from the last one seen.
PLAIN_SEQUENCE = """
CREATE SEQUENCE eventlog.plain MINVALUE 0;
CREATE OR REPLACE FUNCTION eventlog.append(
    in_partitions integer[], in_keys bytea[], in_values bytea[], in_headers text[], in_publisher text, in_epoch bigint
) RETURNS TABLE (out_partition integer, out_first bigint) LANGUAGE sql AS $$
    INSERT INTO eventlog.record (partition_id, record_offset, append_time, key, value, headers)
    SELECT p, nextval('eventlog.plain'), clock_timestamp(), k, v, h
    FROM unnest(in_partitions, in_keys, in_values, in_headers) AS r (p, k, v, h)
    RETURNING partition_id, record_offset
$$;
CREATE OR REPLACE FUNCTION eventlog.read_next(in_partitions integer[], in_positions bigint[], in_limit integer)
RETURNS TABLE (
    out_partition integer, out_start bigint, out_next bigint, out_share bigint,
    record_offset bigint, append_time timestamptz, key bytea, value bytea, headers text
) LANGUAGE sql STABLE AS $$
    SELECT r.partition_id, 0::bigint, max(r.record_offset) OVER () + 1, in_limit::bigint,
        r.record_offset, r.append_time, r.key, r.value, r.headers
    FROM eventlog.record AS r
    WHERE r.partition_id = in_partitions[1] AND r.record_offset >= in_positions[1] ORDER BY r.record_offset
$$;
"""


_APPEND = """
SELECT eventlog.append(
    ARRAY[(SELECT partition_id FROM eventlog.partition WHERE topic = %s)], ARRAY['k'::bytea], ARRAY[%s::bytea], ARRAY['[]'],
    NULL, NULL)
"""


async def _read_beside_a_late_commit(harness: PostgresHarness) -> list[bytes | None]:
    """One transaction takes its offset first and commits last; what a reader that reads all the time has seen at the end."""
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    conninfo = harness.database.conninfo
    seen: list[bytes | None] = []
    async with (
        harness.log.reader() as reader,
        await psycopg.AsyncConnection.connect(conninfo) as late,
        await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as early,
    ):
        await reader.assign({place(topic): 0})
        await late.execute(_APPEND, (topic.name, b"late"))
        appending = asyncio.create_task(early.execute(_APPEND, (topic.name, b"early")))
        # Under a sequence the second is committed now; under our lock it waits.
        for _ in range(5):
            seen += [one.value for one in await reader.read(timeout_seconds=0.1)]
        await late.commit()
        await appending
        while True:
            found = await reader.read(timeout_seconds=0.5)
            if not found:
                return seen
            seen += [one.value for one in found]


async def test_a_record_whose_transaction_commits_late_is_never_skipped(on_postgres: PostgresHarness) -> None:
    assert await _read_beside_a_late_commit(on_postgres) == [b"late", b"early"]


async def test_the_same_check_finds_the_record_that_a_plain_sequence_skips(on_postgres: PostgresHarness) -> None:
    async with on_postgres.database.transaction() as tx:
        await tx.execute(PLAIN_SEQUENCE.encode())
    assert await _read_beside_a_late_commit(on_postgres) == [b"early"]


async def test_publishing_everywhere_at_once_ends_without_deadlock_and_in_order(on_postgres: PostgresHarness) -> None:
    topics = [a_topic(4), a_topic(4)]
    await on_postgres.log.ensure_topics(topics)

    async def publisher(number: int) -> None:
        async with on_postgres.another().publisher() as own:
            for turn in range(15):
                places = [(topic, partition) for topic in topics for partition in range(4)]
                await own.publish(
                    [
                        record(topic, b"%d.%d" % (number, turn), partition=partition)
                        for topic, partition in (places if number % 2 else reversed(places))
                    ]
                )

    async with asyncio.timeout(60):
        await asyncio.gather(*(publisher(number) for number in range(6)))
    for topic in topics:
        for partition in range(4):
            found = await read_all(on_postgres.log, topic, partition)
            assert [one.offset for one in found] == list(range(90))
            for number in range(6):
                own = [one.value for one in found if one.value and one.value.startswith(b"%d." % number)]
                assert own == [b"%d.%d" % (number, turn) for turn in range(15)]
            assert sorted(one.append_time for one in found) == [one.append_time for one in found]


async def test_calls_that_come_together_share_a_transaction(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    async with on_postgres.log.publisher() as publisher:
        async with on_postgres.database.transaction() as tx:
            await tx.execute("SELECT 1 FROM eventlog.partition FOR UPDATE")
            calls = [asyncio.create_task(publisher.publish([record(topic, b"%d" % n)])) for n in range(200)]

            async def waits() -> bool:  # the first is under way and stuck: the others gather behind it
                return await _waiting_appends(on_postgres.database) == 1

            await until(waits)
        stood = await asyncio.gather(*calls)
    assert sorted(one.offset for (one,) in stood) == list(range(200))
    found = await read_all(on_postgres.log, topic)
    assert len({one.append_time for one in found}) == 2, "one append time is one transaction"
    assert [found[one.offset].value for (one,) in stood] == [b"%d" % n for n in range(200)]


async def test_a_published_call_to_several_partitions_is_all_or_nothing(on_postgres: PostgresHarness) -> None:
    topic = a_topic(2)
    await on_postgres.log.ensure_topics([topic])
    async with on_postgres.log.publisher() as publisher:
        await publisher.publish([record(topic, b"before")])
        async with on_postgres.database.transaction() as tx:
            # The second partition's row is held: the publish waits there, with the first one's offset already taken.
            await tx.execute(
                "SELECT 1 FROM eventlog.partition WHERE topic = %s AND partition = 1 FOR UPDATE", (topic.name,)
            )
            cut_off = asyncio.create_task(
                publisher.publish([record(topic, b"x", partition=0), record(topic, b"x", partition=1)])
            )

            async def waits() -> bool:
                return await _waiting_appends(on_postgres.database) == 1

            await until(waits)
            await tx.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND query LIKE '%eventlog.append%' AND pid <> pg_backend_pid() AND datname = current_database()"
            )
            with pytest.raises(LogUnavailable):
                await cut_off
        assert [one.value for one in await read_all(on_postgres.log, topic, 0)] == [b"before"]
        await publisher.publish([record(topic, b"after")])  # the connection is made anew
    assert [one.value for one in await read_all(on_postgres.log, topic, 0)] == [b"before", b"after"]


async def _waiting_appends(database: Database) -> int:
    """A transaction of its own each time: PostgreSQL shows one the same statistics all along."""
    async with database.transaction() as tx:
        cursor = await tx.execute(
            "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%eventlog.append%' AND pid <> pg_backend_pid() AND datname = current_database()"
        )
        row = await cursor.fetchone()
    assert row is not None
    return int(row["n"])


async def test_a_record_reaches_a_waiting_reader_long_before_its_poll(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    async with on_postgres.log.reader() as reader, on_postgres.log.publisher() as publisher:
        await reader.assign({place(topic): 0})
        await publisher.publish([record(topic, b"first")])
        await reader.read(timeout_seconds=10)  # LISTEN is in force by now
        waits = []
        for _ in range(10):
            waiting = asyncio.create_task(reader.read(timeout_seconds=10))
            await asyncio.sleep(0.02)
            started_at = time.monotonic()
            await publisher.publish([record(topic, b"x")])
            assert len(await waiting) == 1
            waits.append(time.monotonic() - started_at)
    assert sorted(waits)[5] < 0.5, "the poll alone comes every second"


async def test_without_wakeups_the_poll_finds_the_record(fresh_database: str) -> None:
    async with Database(fresh_database) as database:
        await migrate(database, [SCHEMA])
        log = PostgresLog(database, Wakeups(database))  # nobody runs it
        topic = a_topic()
        await log.ensure_topics([topic])
        async with log.reader() as reader:
            await reader.assign({place(topic): 0})
            waiting = asyncio.create_task(reader.read(timeout_seconds=20))
            await publish(log, record(topic, b"x"))
            assert [one.value for one in await waiting] == [b"x"]
        await log.close()


async def test_retention_waits_for_a_slow_group_and_says_so(on_postgres: PostgresHarness) -> None:
    topic = a_topic(retention=timedelta(days=1))
    await on_postgres.log.ensure_topics([topic])
    await publish(on_postgres.log, *(record(topic, b"%d" % number) for number in range(5)))
    where = place(topic)
    later = await on_postgres.database.now() + timedelta(days=2)

    def waiting() -> float | None:
        return REGISTRY.get_sample_value("takedown_retention_waiting_records", {"topic": topic.name, "partition": "0"})

    async with on_postgres.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        await on_postgres.log.maintain(later)
        assert (await on_postgres.log.beginning(where), waiting()) == (0, 5)
        await member.commit({where: Commit(offset=3)})
        await on_postgres.log.maintain(later)
        assert (await on_postgres.log.beginning(where), waiting()) == (3, 2)
        await member.commit({where: Commit(offset=5)})
        await on_postgres.log.maintain(later)
        assert (await on_postgres.log.beginning(where), waiting()) == (5, 0)
    assert await on_postgres.log.end(where) == 5
    async with on_postgres.database.transaction() as tx:
        assert (await (await tx.execute("SELECT count(*) AS n FROM eventlog.record")).fetchone()) == {"n": 0}


async def test_a_tombstone_stays_its_time_from_the_first_compaction_that_saw_it(on_postgres: PostgresHarness) -> None:
    topic = a_topic(retention=None, min_compaction_lag=timedelta(hours=1), delete_retention=timedelta(days=90))
    await on_postgres.log.ensure_topics([topic])
    await publish(on_postgres.log, record(topic, b"a"), record(topic, None), record(topic, b"other", key=b"b"))
    now = await on_postgres.database.now()
    log = on_postgres.log

    async def kept() -> list[bytes | None]:
        return [one.value for one in await read_all(log, topic)]

    await log.maintain(now)
    assert await kept() == [b"a", None, b"other"], "the head"
    await log.maintain(now + timedelta(hours=2))
    assert await kept() == [None, b"other"]
    await log.maintain(now + timedelta(days=90))
    assert await kept() == [None, b"other"], "seen 2 h ago by the clock of compaction"
    await log.maintain(now + timedelta(days=90, hours=3))
    assert await kept() == [b"other"]


async def test_a_newer_record_in_the_head_takes_nothing_from_below_it(on_postgres: PostgresHarness) -> None:
    """Kafka compares keys within what it cleans: until the newer record has left the head, both are kept."""
    lag = timedelta(hours=1)
    topic = a_topic(retention=None, min_compaction_lag=lag)
    await on_postgres.log.ensure_topics([topic])
    for value in (b"1", b"2", b"3"):
        await publish(on_postgres.log, record(topic, value))
    _, second, third = await read_all(on_postgres.log, topic)

    async def kept() -> list[bytes | None]:
        return [one.value for one in await read_all(on_postgres.log, topic)]

    await on_postgres.log.maintain(second.append_time + lag)
    assert await kept() == [b"1", b"2", b"3"]
    await on_postgres.log.maintain(third.append_time + lag)
    assert await kept() == [b"2", b"3"]
    await on_postgres.log.maintain(third.append_time + lag + timedelta(seconds=1))
    assert await kept() == [b"3"]


async def test_what_was_fetched_before_a_seek_is_dropped(on_postgres: PostgresHarness) -> None:
    """The query is under way while somebody else seeks, pauses or loses the partition."""
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    await publish(on_postgres.log, *(record(topic, b"%d" % number) for number in range(5)))
    session = MemberSession(on_postgres.database)
    where = place(topic)
    cursor = PartitionCursor(session, Catalogue(session, SCHEMA.name), SCHEMA.name)
    await cursor.place(where, 0)
    assert len((await cursor.fetch([where], 10))[where]) == 5
    await cursor.place(where, 3)
    assert not cursor.take(where)
    assert cursor.positions[where] == 3
    assert [one.value for one in (await cursor.fetch([where], 10))[where]] == [b"3", b"4"]
    cursor.forget(where)
    assert not cursor.take(where)
    await session.close()


async def test_the_offset_at_a_moment_beside_many_holes(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    for number in range(40):
        await publish(on_postgres.log, record(topic, b"%d" % number))
    async with on_postgres.database.transaction() as tx:
        await tx.execute("DELETE FROM eventlog.record WHERE record_offset % 7 <> 3 OR record_offset > 35")
    found = await read_all(on_postgres.log, topic)
    assert len(found) == 5
    for one, following in zip(found, [*found[1:], None], strict=True):
        at = await on_postgres.log.offset_at(place(topic), one.append_time)
        assert at == one.offset
        after = await on_postgres.log.offset_at(place(topic), one.append_time + timedelta(microseconds=1))
        assert after == (40 if following is None else following.offset)


async def test_without_its_tables_the_log_says_what_to_run(fresh_database: str) -> None:
    async with Database(fresh_database) as database:
        log = PostgresLog(database, Wakeups(database))
        with pytest.raises(NotPrepared):
            await log.missing_topics([a_topic()])
        await log.close()


async def test_maintenance_leaves_the_work_to_whoever_is_at_it(on_postgres: PostgresHarness) -> None:
    topic = a_topic(retention=timedelta(days=1))
    await on_postgres.log.ensure_topics([topic])
    await publish(on_postgres.log, record(topic, b"x"))
    later = await on_postgres.database.now() + timedelta(days=2)
    async with on_postgres.database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(%s)", (0x6C6F6720,))
        await on_postgres.another().maintain(later)
        assert await on_postgres.log.beginning(place(topic)) == 0
    await on_postgres.log.maintain(later)
    assert await on_postgres.log.beginning(place(topic)) == 1
