"""The log on PostgreSQL: members of a group keep their partitions, lose them and take them again."""

from __future__ import annotations

import time
from contextlib import suppress

import psycopg
import pytest

from shared.log.port import Commit, CommitRefused, LogUnavailable, OutgoingRecord
from tests.contract.log_harness import (
    PostgresHarness,
    a_group,
    a_topic,
    owns,
    place,
    poll_until,
    polled_records,
    publish,
    record,
    until,
)


async def test_readers_and_members_go_on_after_the_server_dropped_all_connections(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    where = place(topic)
    async with (
        on_postgres.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member,
        on_postgres.log.publisher() as publisher,
    ):
        await owns(member, 1)
        await publisher.publish([record(topic, b"1")])
        await polled_records(member, 1)
        async with await psycopg.AsyncConnection.connect(on_postgres.database.conninfo, autocommit=True) as killer:
            await killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        values: list[bytes | None] = []
        deadline = time.monotonic() + 20
        published = False
        while values != [b"2"]:
            assert time.monotonic() < deadline
            try:
                if not published:
                    await publisher.publish([record(topic, b"2")])
                    published = True
                polled = await member.poll(timeout_seconds=0.2)
                assert not polled.revoked
                values += [one.value for one in polled.records]
            except LogUnavailable:
                continue
        await member.commit({where: Commit(offset=2)})
        assert await member.committed(where) == Commit(offset=2)


async def test_another_member_waits_until_the_lease_has_run_out(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    group = a_group()
    async with on_postgres.database.transaction() as tx:
        # An owner that was killed: it neither leaves nor renews.
        await tx.execute(
            "SELECT eventlog.acquire(%s, 'a', (SELECT array_agg(partition_id) FROM eventlog.partition), '2 s', true)",
            (group,),
        )
    started_at = time.monotonic()
    async with on_postgres.log.group_reader(group=group, topics=[topic.name], member_id="b") as successor:
        await owns(successor, 1)
        assert 1.5 < time.monotonic() - started_at < 10


async def test_a_member_that_lost_its_partition_takes_it_again_when_it_is_free(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    group = a_group()
    async with on_postgres.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        async with on_postgres.another().group_reader(group=group, topics=[topic.name], member_id="a") as other:
            await owns(other, 1)
            await poll_until(member, lambda polled: bool(polled.revoked))
        assert await poll_until(member, lambda polled: bool(polled.assigned))


async def test_what_was_lost_and_taken_again_unheard_is_nobodys_until_it_is_told(on_postgres: PostgresHarness) -> None:
    """Between two polls a member may lose a partition and take it again, another owner in between: whoever has not heard of it would
    commit for the former ownership, at the position of the new one."""
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    await publish(on_postgres.log, *(record(topic, b"x") for _ in range(4)))
    group, where = a_group(), place(topic)
    committed = Commit(offset=3, metadata="other")

    async def epoch() -> int:
        row = await on_postgres.database.read_one(
            "SELECT epoch FROM eventlog.ownership WHERE group_name = %s", (group,)
        )
        assert row is not None
        return int(row["epoch"])

    async with on_postgres.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        async with on_postgres.another().group_reader(group=group, topics=[topic.name], member_id="a") as other:
            await owns(other, 1)
            await other.commit({where: committed})
            theirs = await epoch()

        async def taken_again() -> bool:
            return await epoch() > theirs

        await until(taken_again)
        for _ in range(20):  # the member hears the answer a moment after the table has it
            await epoch()
            with pytest.raises(CommitRefused):
                await member.commit({where: Commit(offset=1, metadata="former")})
            with suppress(KeyError):
                assert member.position(where) != committed.offset, (
                    "the position of the new ownership, told to the former"
                )
        assert await member.committed(where) == committed
        told = await member.poll(timeout_seconds=1)
        assert (told.revoked, told.assigned) == (frozenset({where}), frozenset({where}))
        assert member.position(where) == committed.offset
        await member.commit({where: Commit(offset=4)})


async def test_a_member_of_a_topic_made_anew_starts_at_its_beginning(on_postgres: PostgresHarness) -> None:
    topic = a_topic()
    await on_postgres.log.ensure_topics([topic])
    group, where = a_group(), place(topic)
    await publish(on_postgres.log, record(topic, b"1"), record(topic, b"2"))
    async with on_postgres.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        await member.commit({where: Commit(offset=2)})
    await on_postgres.delete(topic)
    await on_postgres.log.ensure_topics([topic])
    async with on_postgres.log.publisher() as publisher:
        await publisher.publish([OutgoingRecord(topic=topic.name, key=b"k", value=b"new", partition=0)])
    async with on_postgres.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        assert await member.committed(where) is None
        assert [one.value for one in await polled_records(member, 1)] == [b"new"]
