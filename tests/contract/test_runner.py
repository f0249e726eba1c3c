"""The runner on both logs: order, retries, dead letters, commits, replays."""

from __future__ import annotations

import asyncio

import structlog

from shared.contracts.event import Envelope
from shared.contracts.topics import DECISIONS
from shared.errors import Permanent, Transient
from shared.log.port import Commit, Record
from tests.contract.log_harness import owns, place, publish, until
from tests.contract.runner_group import Group, a_decision, holds, poison, reason_of


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
