"""The log's contract, on both logs: groups, commits, hand-over."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field

import pytest

from shared.contracts.topics import Topic
from shared.log.kafka.log import KafkaLog
from shared.log.port import Commit, CommitRefused, OffsetOutOfRange, TopicPartition
from tests.contract.log_harness import (
    Harness,
    KafkaHarness,
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


async def test_new_partitions_are_paused_at_the_beginning_until_resumed(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"a", partition=0), record(topic, b"b", partition=1))
    async with harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
        assert await owns(member, 2, resume=False) == {place(topic, 0), place(topic, 1)}
        assert [member.position(place(topic, number)) for number in range(2)] == [0, 0]
        assert await member.committed(place(topic)) is None
        assert (await member.poll(timeout_seconds=0.5)).records == ()
        member.resume([place(topic, 1)])
        assert [one.value for one in await polled_records(member, 1)] == [b"b"]
        assert (await member.poll(timeout_seconds=0.3)).records == ()
        member.resume([place(topic, 0)])
        assert [one.value for one in await polled_records(member, 1)] == [b"a"]


async def test_a_commit_keeps_its_metadata_and_may_go_down(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, *(record(topic, b"%d" % number) for number in range(6)))
    group, where = a_group(), place(topic)
    metadata = '{"content": 17, "log": "äöü"}' + "x" * 3900
    async with harness.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        await polled_records(member, 6)
        await member.commit({where: Commit(offset=4, metadata="first")})
        assert await member.committed(where) == Commit(offset=4, metadata="first")
        await member.commit({where: Commit(offset=2, metadata=metadata)})
        assert await member.committed(where) == Commit(offset=2, metadata=metadata)
        await member.commit({})
        assert member.position(where) == 6, "a commit moves no position"
    async with harness.log.group_reader(group=group, topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        assert member.position(where) == 2
        assert [one.value for one in await polled_records(member, 4)] == [b"2", b"3", b"4", b"5"]
        assert await member.committed(where) == Commit(offset=2, metadata=metadata)


def test_metadata_longer_than_the_log_takes_is_refused() -> None:
    assert Commit(offset=1, metadata="ä" * 2048).metadata
    with pytest.raises(ValueError, match="metadata"):
        Commit(offset=1, metadata="ä" * 2049)


async def test_groups_do_not_know_of_one_another(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"x"))
    for _ in range(2):
        async with harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
            await owns(member, 1)
            assert [one.value for one in await polled_records(member, 1)] == [b"x"]
            await member.commit({place(topic): Commit(offset=1)})


async def test_what_was_not_committed_comes_again_after_a_crash(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, *(record(topic, b"%d" % number) for number in range(4)))
    group, where = a_group(), place(topic)
    async with AsyncExitStack() as stack:
        crashed = await stack.enter_async_context(
            harness.another().group_reader(group=group, topics=[topic.name], member_id="a")
        )
        await owns(crashed, 1)
        assert len(await polled_records(crashed, 4)) == 4
        await crashed.commit({where: Commit(offset=1)})
        # It never leaves: the same member's next process takes over at once.
        again = await stack.enter_async_context(
            harness.log.group_reader(group=group, topics=[topic.name], member_id="a")
        )
        await owns(again, 1, seconds=5)
        assert [one.value for one in await polled_records(again, 3)] == [b"1", b"2", b"3"]


async def test_a_late_commit_of_a_former_owner_is_refused(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, *(record(topic, b"%d" % number) for number in range(4)))
    group, where = a_group(), place(topic)
    async with (
        harness.another().group_reader(group=group, topics=[topic.name], member_id="a") as former,
        AsyncExitStack() as stack,
    ):
        await owns(former, 1)
        await polled_records(former, 4)
        owner = await stack.enter_async_context(
            harness.log.group_reader(group=group, topics=[topic.name], member_id="a")
        )
        await owns(owner, 1)
        await polled_records(owner, 4)
        await owner.commit({where: Commit(offset=2, metadata="owner")})
        with pytest.raises(CommitRefused):
            await former.commit({where: Commit(offset=4, metadata="former")})
        assert await owner.committed(where) == Commit(offset=2, metadata="owner")
        assert where in (await poll_until(former, lambda polled: bool(polled.revoked))).revoked
        with pytest.raises(CommitRefused):
            await former.commit({where: Commit(offset=4, metadata="former")})


async def test_a_late_commit_is_refused_when_another_member_owns_the_partition(harness: Harness) -> None:
    """The former owner lives on and keeps what is still its own."""
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    for number in range(2):
        await publish(harness.log, *(record(topic, b"x", partition=number) for _ in range(4)))
    group = a_group()
    async with (
        harness.another().group_reader(group=group, topics=[topic.name], member_id="a") as former,
        AsyncExitStack() as stack,
    ):
        await owns(former, 2)
        await polled_records(former, 8)
        owner = await stack.enter_async_context(
            harness.another().group_reader(group=group, topics=[topic.name], member_id="b")
        )
        taken: set[TopicPartition] = set()

        async def handed_over() -> bool:
            await harness.let_leases_run_out(group)
            _, polled = await asyncio.gather(former.poll(timeout_seconds=0.1), owner.poll(timeout_seconds=0.1))
            taken.update(polled.assigned)
            taken.difference_update(polled.revoked)
            return bool(taken)

        await until(handed_over)
        await owner.commit({one: Commit(offset=1, metadata="owner") for one in taken})
        for one in taken:
            with pytest.raises(CommitRefused):
                await former.commit({one: Commit(offset=4, metadata="former")})
            assert await owner.committed(one) == Commit(offset=1, metadata="owner")
        rest = {place(topic, number) for number in range(2)} - taken

        async def keeps_the_rest() -> bool:
            """On Kafka once it has heard that what it gave back for the hand-over is its own again."""
            await former.poll(timeout_seconds=0.1)
            with suppress(CommitRefused):
                await former.commit(dict.fromkeys(rest, Commit(offset=4)))
                return True
            return False

        await until(keeps_the_rest)


async def test_a_members_position_moves_over_what_is_no_record(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    where = place(topic)
    async with (
        harness.log.publisher(transactional_id=a_group()) as publisher,
        harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member,
    ):
        await owns(member, 1)
        for number in range(3):
            await publisher.publish([record(topic, b"%d" % number)])
        assert [one.value for one in await polled_records(member, 3)] == [b"0", b"1", b"2"]
        end = await harness.log.end(where)

        async def at_the_end() -> bool:
            assert not (await member.poll(timeout_seconds=0.1)).records
            return member.position(where) == end

        await until(at_the_end)


async def test_another_member_takes_over_when_the_owner_is_gone(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    group = a_group()
    await publish(harness.log, *(record(topic, b"%d" % number) for number in range(3)))
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(
            harness.another().group_reader(group=group, topics=[topic.name], member_id="a")
        )
        await owns(owner, 2)
        await polled_records(owner, 3)
        await owner.commit({place(topic): Commit(offset=2)})
        await stack.aclose()
        async with harness.another().group_reader(group=group, topics=[topic.name], member_id="b") as successor:
            await owns(successor, 2)
            assert [one.value for one in await polled_records(successor, 1)] == [b"2"]


async def test_pause_and_resume(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    async with harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
        await owns(member, 2)
        member.pause([place(topic, 0)])
        await publish(harness.log, record(topic, b"a", partition=0), record(topic, b"b", partition=1))
        assert [one.value for one in await polled_records(member, 1)] == [b"b"]
        assert (await member.poll(timeout_seconds=0.5)).records == ()
        assert member.position(place(topic, 0)) == 0
        member.resume([place(topic, 0)])
        assert [one.value for one in await polled_records(member, 1)] == [b"a"]


async def test_seek_goes_back_and_forth(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    offsets = await publish(harness.log, *(record(topic, b"%d" % number) for number in range(6)))
    async with harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
        await owns(member, 1)
        assert len((await member.poll(timeout_seconds=10, max_records=2)).records) == 2
        await member.seek(place(topic), offsets[4])
        assert member.position(place(topic)) == offsets[4]
        assert [one.value for one in await polled_records(member, 2)] == [b"4", b"5"]
        await member.seek(place(topic), offsets[1])
        assert [one.value for one in await polled_records(member, 5)] == [b"1", b"2", b"3", b"4", b"5"]


async def test_a_position_out_of_range_names_the_partition_and_a_seek_heals_it(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"a", partition=1))
    async with harness.log.group_reader(group=a_group(), topics=[topic.name], member_id="a") as member:
        await owns(member, 2)
        await member.seek(place(topic, 1), 1000)
        with pytest.raises(OffsetOutOfRange) as caught:
            await poll_until(member, lambda _: False, seconds=10)
        assert caught.value.partition == place(topic, 1)
        await member.seek(place(topic, 1), 0)
        assert [one.value for one in await polled_records(member, 1)] == [b"a"]


async def test_a_member_reads_several_topics(harness: Harness) -> None:
    topics = [a_topic(2), a_topic(1)]
    await harness.log.ensure_topics(topics)
    async with harness.log.group_reader(
        group=a_group(), topics=[topic.name for topic in topics], member_id="a"
    ) as member:
        await owns(member, 3)
        await publish(harness.log, *(record(topic, topic.name.encode()) for topic in topics))
        found = await polled_records(member, 2)
        assert sorted(one.topic.encode() for one in found) == sorted(one.value or b"" for one in found)
        await member.commit({one.topic_partition: Commit(offset=one.offset + 1) for one in found})
        assert [await member.committed(place(topic)) for topic in topics] == [Commit(offset=1), Commit(offset=1)]


async def test_a_slow_handler_keeps_its_partitions(harness: Harness) -> None:
    """Nobody polls for longer than the lease or session; another member waits all the same."""
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"x"))
    group, where = a_group(), place(topic)
    async with harness.another().group_reader(group=group, topics=[topic.name], member_id="a") as owner:
        await owns(owner, 1)
        await polled_records(owner, 1)
        if harness.name == "kafka":
            await asyncio.sleep(4)  # longer than the session of 3 s; a second member would rebalance on Kafka
        else:
            async with harness.another().group_reader(group=group, topics=[topic.name], member_id="b") as waiting:
                for _ in range(10):
                    polled = await waiting.poll(timeout_seconds=0.2)  # 2 s in all, the lease is 1 s
                    assert not polled.assigned
        await owner.commit({where: Commit(offset=1)})
        assert await owner.committed(where) == Commit(offset=1)


@dataclass
class _Working:
    """A member that commits what it reads, in a task of its own."""

    log: KafkaLog
    group: str
    topic: Topic
    name: str
    owned: set[int] = field(default_factory=set)
    seen: set[tuple[int, int]] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self._work())

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        self.owned.clear()

    async def _work(self) -> None:
        async with self.log.group_reader(group=self.group, topics=[self.topic.name], member_id=self.name) as member:
            while True:
                polled = await member.poll(timeout_seconds=0.2)
                self.owned -= {one.partition for one in polled.revoked}
                self.owned |= {one.partition for one in polled.assigned}
                member.resume(polled.assigned)
                self.seen |= {(one.partition, one.offset) for one in polled.records}
                commits = {one.topic_partition: Commit(offset=one.offset + 1) for one in polled.records}
                with suppress(CommitRefused):
                    await member.commit(commits)


async def test_three_members_share_four_partitions_and_hand_them_over(on_kafka: KafkaHarness) -> None:
    topic = a_topic(4)
    await on_kafka.log.ensure_topics([topic])
    group = a_group()
    members = {name: _Working(on_kafka.another(), group, topic, name) for name in "abc"}

    async def shared(names: str) -> bool:
        for name in names:
            task = members[name].task
            assert task is None or not task.done(), task
        parts = [members[name].owned for name in names]
        return all(parts) and sorted(number for part in parts for number in part) == [0, 1, 2, 3]

    async def publish_some() -> set[tuple[int, int]]:
        offsets = await publish(on_kafka.log, *(record(topic, b"x", partition=number % 4) for number in range(40)))
        return {(number % 4, offset) for number, offset in enumerate(offsets)}

    async def all_seen(wanted: set[tuple[int, int]]) -> bool:
        return set().union(*(member.seen for member in members.values())) >= wanted

    try:
        for member in members.values():
            member.start()
        await until(lambda: shared("abc"), seconds=40)
        first = await publish_some()
        await until(lambda: all_seen(first))
        assert sum(len(member.seen) for member in members.values()) == 40, "nothing is read twice while nothing changes"
        await members["b"].end()
        await until(lambda: shared("ac"), seconds=40)  # after the session of the member that is gone
        for member in members.values():
            member.seen.clear()
        second = await publish_some()
        await until(lambda: all_seen(second))
        assert not await all_seen(first), "what was committed is not read again"
        assert not members["b"].seen
    finally:
        for member in members.values():
            await member.end()
