"""The runner on both logs: order, retries, dead letters, commits, replays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import psycopg
import pytest
import structlog

from shared.contracts.dead_letters import MODELS, DeadLetter, Replayed, ReplayRequested
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Envelope, Event, data_of, decode, headers_of
from shared.contracts.topics import DEAD_LETTERS, DECISIONS
from shared.errors import Permanent, Transient
from shared.log.dead_letters import dead_letter_id
from shared.log.port import HEARTBEAT_KEY, Commit, OutgoingRecord, Record, TopicPartition
from shared.log.replays import append_again_replays
from shared.log.runner import Handler, Runner, backoff_seconds
from tests.contract.log_harness import Harness, PostgresHarness, a_group, owns, place, publish, until

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_decision(reason: str, *, partition: int = 0, traceparent: str | None = None, key: bytes = b"k") -> OutgoingRecord:
    decision = DecisionTaken(
        decision_id=uuid4(),
        kind=DecisionKind.DISMISS,
        person_id="p",
        organisation_id="o",
        reason=reason,
        decided_at=NOW,
    )
    headers = headers_of(DecisionTaken, event_id=decision.decision_id, source="test", time=NOW, traceparent=traceparent)
    return OutgoingRecord(topic=DECISIONS.name, key=key, value=data_of(decision), headers=headers, partition=partition)


def poison(*, partition: int = 0) -> OutgoingRecord:
    good = a_decision("SECRET", partition=partition)
    return OutgoingRecord(
        topic=good.topic, key=b"k", value=b'{"secret": "SECRET"}', headers=good.headers, partition=partition
    )


def reason_of(envelope: Envelope) -> str:
    assert isinstance(envelope.event, DecisionTaken)
    return envelope.event.reason


class Group:
    """A group that starts at the end of the topics (Kafka's are shared by all tests), and the dead letters it made since."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.name = a_group()
        self._letters_from = 0

    async def prepare(self) -> None:
        log = self.harness.log
        await log.ensure_topics([DECISIONS, DEAD_LETTERS])
        self._letters_from = await log.end(place(DEAD_LETTERS))
        for group, topic, member in (
            (self.name, DECISIONS, "m"),
            (f"{self.name}.replays", DEAD_LETTERS, "m.replays"),
        ):
            async with log.group_reader(group=group, topics=[topic.name], member_id=member) as reader:
                partitions = await owns(reader, topic.partitions, resume=False)
                await reader.commit({where: Commit(offset=await log.end(where)) for where in partitions})

    @asynccontextmanager
    async def running(self, handler: Handler, *, attempts: int = 5, together: int = 1) -> AsyncIterator[Runner]:
        runner = Runner(
            self.harness.log,
            self.name,
            (DECISIONS.name,),
            handler,
            member_id="m",
            source="test",
            clock=lambda: NOW,
            retry_first_seconds=0.01,
            attempts=attempts,
            together=together,
        )
        task = asyncio.create_task(runner.run())
        try:
            yield runner
        finally:
            assert not task.done(), task
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def committed(self, partition: int = 0) -> int | None:
        async with self.harness.another().group_reader(
            group=self.name, topics=[DECISIONS.name], member_id="m"
        ) as reader:
            commit = await reader.committed(place(DECISIONS, partition))
        return None if commit is None else commit.offset

    async def told(self) -> list[Event]:
        """This group's dead letters, requests and outcomes, oldest first."""
        log, where = self.harness.log, place(DEAD_LETTERS)
        end = await log.end(where)
        found: list[Event] = []
        async with log.reader() as reader:
            await reader.assign({where: self._letters_from})
            while reader.position(where) < end:
                for one in await reader.read(timeout_seconds=0.2):
                    event = decode(MODELS, value=one.value, headers=one.headers).event
                    if isinstance(event, DeadLetter | ReplayRequested | Replayed) and event.group == self.name:
                        found.append(event)
        return found

    async def letters(self) -> list[DeadLetter]:
        return [event for event in await self.told() if isinstance(event, DeadLetter)]

    async def ask(self, letter: DeadLetter, *, offset: int | None = None) -> None:
        request = ReplayRequested(
            dead_letter_id=letter.dead_letter_id,
            group=letter.group,
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset if offset is None else offset,
            key=letter.key,
            requested_by="p",
            at=NOW,
        )
        headers = headers_of(ReplayRequested, event_id=uuid4(), source="test", time=NOW)
        await publish(
            self.harness.log,
            OutgoingRecord(topic=DEAD_LETTERS.name, key=b"k", value=data_of(request), headers=headers),
        )

    async def outcomes(self, count: int) -> list[tuple[str, str | None]]:
        async def enough() -> bool:
            return len([event for event in await self.told() if isinstance(event, Replayed)]) >= count

        await until(enough)
        return [(event.outcome, event.error) for event in await self.told() if isinstance(event, Replayed)]


@pytest.fixture
async def group(harness: Harness) -> Group:
    group = Group(harness)
    await group.prepare()
    return group


def holds(wanted: Callable[[], object]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return bool(wanted())

    return check


async def test_records_are_handled_in_order_and_committed(group: Group) -> None:
    handled: dict[int, list[str]] = {0: [], 1: [], 2: []}

    async def handler(envelope: Envelope, record: Record) -> None:
        handled[record.partition].append(reason_of(envelope))

    async with group.running(handler):
        offsets = await publish(
            group.harness.log, *(a_decision(f"{number}", partition=number % 3) for number in range(60))
        )
        await until(holds(lambda: sum(map(len, handled.values())) == 60))
    for partition in range(3):
        assert handled[partition] == [f"{number}" for number in range(60) if number % 3 == partition]
        assert await group.committed(partition) == offsets[57 + partition] + 1
    async with group.running(handler):
        await publish(group.harness.log, a_decision("next"))
        await until(holds(lambda: "next" in handled[0]))
    assert sum(map(len, handled.values())) == 61, "nothing is handled twice after a clean stop"


async def test_a_transient_failure_keeps_its_partition_waiting_and_no_other(group: Group) -> None:
    handled: list[tuple[int, str]] = []
    tries = 0
    healed = asyncio.Event()

    async def handler(envelope: Envelope, record: Record) -> None:
        nonlocal tries
        if reason_of(envelope) == "stuck" and not healed.is_set():
            tries += 1
            raise Transient("not now")
        handled.append((record.partition, reason_of(envelope)))

    async with group.running(handler, attempts=2):
        await publish(
            group.harness.log,
            a_decision("stuck"),
            a_decision("behind"),
            *(a_decision(f"{number}", partition=1) for number in range(5)),
        )
        await until(holds(lambda: len(handled) == 5 and tries > 4))  # more tries than an unexpected failure gets
        assert handled == [(1, f"{number}") for number in range(5)]
        healed.set()
        await until(holds(lambda: len(handled) == 7))
    assert handled[5:] == [(0, "stuck"), (0, "behind")]
    assert await group.letters() == []


async def test_together_records_of_other_keys_go_on_and_each_key_keeps_its_order(group: Group) -> None:
    begun: list[str] = []
    healed = asyncio.Event()

    async def handler(envelope: Envelope, record: Record) -> None:
        begun.append(reason_of(envelope))
        if reason_of(envelope) == "a1":
            await healed.wait()

    async with group.running(handler, together=3):
        offsets = await publish(
            group.harness.log,
            *(a_decision(name, key=name[:1].encode()) for name in ("a1", "b1", "a2", "c1", "d1", "e1", "f1")),
        )
        await until(holds(lambda: begun == ["a1", "b1"]))  # no third: the next one is of a key that is under way
    assert await group.committed() == offsets[0], "what is above a record under way is handled again"
    begun.clear()
    healed.set()
    async with group.running(handler, together=3):
        await until(holds(lambda: len(begun) == 7))
    assert begun.index("a1") < begun.index("a2")
    assert await group.committed() == offsets[-1] + 1


async def test_a_poison_record_is_referenced_once_and_the_next_is_handled(group: Group) -> None:
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        handled.append(reason_of(envelope))

    async with group.running(handler):
        offsets = await publish(group.harness.log, a_decision("before"), poison(), a_decision("after"))
        await until(holds(lambda: handled == ["before", "after"]))
    assert await group.committed() == offsets[2] + 1
    (letter,) = await group.letters()
    assert (letter.topic, letter.partition, letter.offset) == (DECISIONS.name, 0, offsets[1])
    assert letter.log == await group.harness.log.log_id(DECISIONS.name)
    assert letter.error == "MalformedEvent"
    assert "SECRET" not in letter.model_dump_json()
    # The same record, met again: the same letter.
    async with group.harness.another().group_reader(group=group.name, topics=[DECISIONS.name], member_id="m") as reader:
        await owns(reader, DECISIONS.partitions, resume=False)
        await reader.commit({place(DECISIONS): Commit(offset=offsets[1])})
    async with group.running(handler):
        await until(holds(lambda: handled == ["before", "after", "after"]))
    first, second = await group.letters()
    assert first.dead_letter_id == second.dead_letter_id


async def test_an_unexpected_failure_is_tried_again_a_few_times_then_referenced(group: Group) -> None:
    tries = 0
    handled: list[str] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        nonlocal tries
        if reason_of(envelope) == "bug":
            tries += 1
            raise ZeroDivisionError("SECRET")
        if reason_of(envelope) == "refused":
            raise Permanent("SECRET")
        handled.append(reason_of(envelope))

    async with group.running(handler, attempts=3):
        await publish(group.harness.log, a_decision("bug"), a_decision("refused"), a_decision("after"))
        await until(holds(lambda: handled == ["after"]))
    assert tries == 3
    letters = await group.letters()
    assert [letter.error for letter in letters] == ["ZeroDivisionError", "Permanent"]
    assert "SECRET" not in "".join(letter.model_dump_json() for letter in letters)


async def test_a_record_whose_handling_was_cut_off_is_handled_again(group: Group) -> None:
    met: list[str] = []
    forever = asyncio.Event()

    async def handler(envelope: Envelope, record: Record) -> None:
        met.append(reason_of(envelope))
        if met == ["1", "2"]:
            await forever.wait()

    await publish(group.harness.log, a_decision("1"), a_decision("2"), a_decision("3"))
    async with group.running(handler):
        await until(holds(lambda: met == ["1", "2"]))
    async with group.running(handler):
        await until(holds(lambda: met[-1] == "3"))
    assert met == ["1", "2", "2", "3"]


async def test_log_lines_of_a_handler_carry_group_and_trace(group: Group) -> None:
    seen: list[dict[str, object]] = []

    async def handler(envelope: Envelope, record: Record) -> None:
        seen.append(structlog.contextvars.get_contextvars())

    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with group.running(handler):
        await publish(group.harness.log, a_decision("x", traceparent=trace))
        await until(holds(lambda: seen))
    assert seen[0]["group"] == group.name
    assert seen[0]["traceparent"] == trace


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
