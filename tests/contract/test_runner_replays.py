"""The runner on both logs: replays, heartbeats, positions that are gone, and what it does when connections drop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from uuid import uuid4

import psycopg

from shared.contracts.event import Envelope
from shared.contracts.topics import DECISIONS
from shared.errors import Permanent
from shared.log.dead_letters import dead_letter_id
from shared.log.port import HEARTBEAT_KEY, Commit, OutgoingRecord, Record, TopicPartition
from shared.log.replays import append_again_replays
from shared.log.runner import backoff_seconds
from tests.contract.log_harness import PostgresHarness, a_group, owns, place, publish, until
from tests.contract.runner_group import NOW, Group, a_decision, holds, poison, reason_of


async def test_a_replay_hands_the_record_to_the_group_again(group: Group) -> None:
    handled: list[str] = []
    healed = False

    async def handler(envelope: Envelope, record: Record) -> None:
        if not healed:
            raise Permanent
        handled.append(reason_of(envelope))

    async with group.running(handler):
        await publish(group.harness.log, a_decision("again"))

        async def lettered() -> bool:
            return len(await group.letters()) == 1

        await until(lettered)
        (letter,) = await group.letters()
        await group.ask(letter)
        assert await group.outcomes(1) == [("failed", "Permanent")]
        assert handled == []
        healed = True
        await group.ask(letter)
        assert (await group.outcomes(2))[1] == ("handled", None)
        assert handled == ["again"]
        # Another record than the letter's, and one that is not there.
        await group.ask(letter, offset=letter.offset + 1000)
        await group.ask(letter.model_copy(update={"dead_letter_id": uuid4()}))
        assert (await group.outcomes(4))[2:] == [("record_gone", None), ("record_gone", None)]
        assert handled == ["again"]


async def test_another_groups_replay_is_left_alone(group: Group) -> None:
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        handled.append(reason_of(envelope))

    async with group.running(handler):
        (offset, _) = await publish(group.harness.log, a_decision("once"), poison())

        async def lettered() -> bool:
            return len(await group.letters()) == 1

        await until(lettered)
        (letter,) = await group.letters()
        other = a_group()
        others = dead_letter_id(other, letter.log, letter.topic, letter.partition, offset)
        await group.ask(letter.model_copy(update={"group": other, "dead_letter_id": others, "offset": offset}))
        await group.ask(letter)
        assert await group.outcomes(1) == [("failed", "MalformedEvent")]
    assert handled == ["once"]


async def test_a_replay_may_append_the_record_again_to_its_partition(group: Group) -> None:
    log = group.harness.log
    async with group.running(_nothing):
        (offset,) = await publish(log, poison(partition=2))

        async def lettered() -> bool:
            return len(await group.letters()) == 1

        await until(lettered)
    (letter,) = await group.letters()
    replays = append_again_replays(
        log, group=group.name, topics=[DECISIONS.name], member_id="m.replays", source="test", clock=lambda: NOW
    )
    task = asyncio.create_task(replays.run())
    try:
        await group.ask(letter)
        assert await group.outcomes(1) == [("handled", None)]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    found = [one for one in await _from(group, place(DECISIONS, 2), offset) if one.value == poison().value]
    assert len(found) == 2
    assert found[0].headers == found[1].headers


async def _nothing(envelope: Envelope, record: Record) -> None:
    return


async def _from(group: Group, where: TopicPartition, offset: int) -> Sequence[Record]:
    end = await group.harness.log.end(where)
    found: list[Record] = []
    async with group.harness.log.reader() as reader:
        await reader.assign({where: offset})
        while reader.position(where) < end:
            found += await reader.read(timeout_seconds=0.2)
    return found


async def test_a_heartbeat_is_nothing_to_handle(group: Group) -> None:
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        handled.append(reason_of(envelope))

    beat = OutgoingRecord(topic=DECISIONS.name, key=HEARTBEAT_KEY, value=None, partition=0)
    async with group.running(handler):
        await publish(group.harness.log, beat, a_decision("after"))
        await until(holds(lambda: handled == ["after"]))
    assert await group.letters() == []


async def test_a_position_that_is_gone_is_given_up_for_the_first_record_kept(on_postgres: PostgresHarness) -> None:
    group = Group(on_postgres)
    await group.prepare()
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        handled.append(reason_of(envelope))

    await publish(on_postgres.log, a_decision("1"), a_decision("2"))
    async with on_postgres.log.group_reader(group=group.name, topics=[DECISIONS.name], member_id="m") as reader:
        await owns(reader, DECISIONS.partitions, resume=False)
        await reader.commit({place(DECISIONS): Commit(offset=1000)})  # of a log that was restored from an older copy
    async with group.running(handler):
        await until(holds(lambda: handled == ["1", "2"]))
        await publish(on_postgres.log, a_decision("3"))
        await until(holds(lambda: handled == ["1", "2", "3"]))
    assert await group.committed() == 3


async def test_a_runner_goes_on_after_every_connection_was_dropped(on_postgres: PostgresHarness) -> None:
    group = Group(on_postgres)
    await group.prepare()
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        handled.append(reason_of(envelope))
        await asyncio.sleep(0.01)

    async with group.running(handler):
        await publish(on_postgres.log, *(a_decision(f"{number}") for number in range(100)))
        for count in (5, 30, 60):
            await until(holds(partial(_more_than, handled, count)))
            async with await psycopg.AsyncConnection.connect(on_postgres.database.conninfo, autocommit=True) as killer:
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        await until(holds(lambda: len(set(handled)) == 100))
    first_met = list(dict.fromkeys(handled))
    assert first_met == [f"{number}" for number in range(100)]


def _more_than(handled: list[str], count: int) -> bool:
    return len(set(handled)) > count


def test_backoff_doubles_up_to_a_limit_with_full_jitter() -> None:
    assert [backoff_seconds(attempt, 1.0, first=1.0, longest=5.0) for attempt in range(1, 6)] == [1, 2, 4, 5, 5]
    assert backoff_seconds(3, 0.25, first=1.0, longest=5.0) == 1.0
    assert backoff_seconds(10_000, 0.0) == 0.0
