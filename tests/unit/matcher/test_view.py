"""A register is searched in a thread while content enters and leaves it: nothing waits, nothing that was there before is missed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest

from services.matcher.consumer.partitions import MatcherDependencies, ProcessCache
from services.matcher.consumer.worker import Matcher
from services.matcher.index.growable_array import Growing
from services.matcher.join.matching import match_against_register
from services.matcher.register.register import FEW, Register
from shared.contracts.content import ContentState
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.log.port import EventLog
from shared.media.fingerprints import Algorithm, Fingerprint
from shared.policy import Policy
from tests.matcher_world import KEY, NOW, content, content_record, registered, seen_value, sighting, until
from tests.matcher_world import sightings_record as record_of_sightings
from tests.memory_log import MemoryLog

VALUES = [random.Random(number).randbytes(32) for number in range(200)]
FULL = 60
"""Entries that nearly fill the first columns: some more move them."""


def a_register(*values: bytes) -> Register:
    register = Register(log_id="log", started_at=NOW)
    for number, value in enumerate(values):
        register.apply(number, content(UUID(int=number), 1, registered(value)))
    return register


def wanted(value: bytes) -> list[Fingerprint]:
    return [Fingerprint(algorithm=Algorithm.PDQ, value=value)]


@pytest.mark.parametrize("many", [1, FEW + 1])
def test_what_was_applied_before_a_view_was_taken_is_found_in_it(many: int) -> None:
    register = a_register(VALUES[0])
    register.view()
    values = [random.Random(number).randbytes(32) for number in range(1_000, 1_000 + many)]
    with register.gathering():
        for start in range(0, many, 100):
            some = [registered(value) for value in values[start : start + 100]]
            register.apply(1 + start, content(UUID(int=1 + start), 1, *some))
    view = register.view()
    for value in (VALUES[0], values[0], values[-1]):
        (hit,) = view.search(wanted(value))
        assert register.entry(hit.number).fingerprint.value == value


Change = Callable[[Register], object]


def _enters(register: Register) -> None:
    with register.gathering():
        for number, value in enumerate(VALUES[100:], start=100):
            register.apply(number, content(UUID(int=number), 1, registered(value)))


def _leaves(register: Register) -> None:
    register.apply(1_000, content(UUID(int=7), 2, state=ContentState.WITHDRAWN))


def _is_tidied(register: Register) -> None:
    _leaves(register)
    register._entries.make_room(1_000)
    register.upkeep()


@pytest.mark.parametrize("change", [_enters, _leaves, _is_tidied])
def test_entries_are_told_whatever_happens_between_any_two_of_their_reads(
    change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads take turns between two reads of an attribute; here the other one has its turn after the first, the second, and so on."""
    left: list[int] = []
    read = Growing.__getattribute__

    def interrupted(self: Growing, name: str) -> Any:
        found = read(self, name)
        if name in ("array", "count") and left:
            left[0] -= 1
            if left[0] == 0:
                left.clear()
                change(register)
        return found

    monkeypatch.setattr(Growing, "__getattribute__", interrupted)
    turn = 0
    while not left:
        turn += 1
        register = a_register(*VALUES[:FULL])
        view = register.view()
        expected = register.entries(list(range(FULL)))
        left.append(turn)
        told = view.entries(cast(Any, list(range(FULL))))
        others = [entry for entry in told if entry.number != 7]
        assert others == [entry for entry in expected if entry.number != 7], f"interrupted after read {turn}"
        assert turn < 1_000
    assert turn > 10, "it was interrupted"


class Held:
    """Threads, of which those that look sightings up wait until they may."""

    def __init__(self) -> None:
        self.waiting = 0
        self.may = asyncio.Event()

    async def __call__(self, function: Callable[[], Any], /) -> Any:
        if isinstance(function, partial) and function.func is match_against_register:
            self.waiting += 1
            await self.may.wait()
        return function()


async def test_content_enters_and_leaves_while_sightings_are_looked_up() -> None:
    """New content neither waits for them nor misses them, and what is withdrawn meanwhile is not told of."""
    log = MemoryLog(partitions={one.name: one.partitions for one in (CONTENT, SIGHTINGS, MATCHES, DEAD_LETTERS)})
    withdrawn, stays, new = UUID(int=1), UUID(int=2), UUID(int=3)
    log.append(content_record(content(withdrawn, 1, registered(VALUES[1]))))
    log.append(content_record(content(stays, 1, registered(VALUES[2]))))
    memory, held = ProcessCache(), Held()
    dependencies = MatcherDependencies(
        log=cast(EventLog, log),
        policy=Policy(),
        fingerprint_key=KEY,
        member_id="m",
        offload=held,
        inline_pairs=-1,
    )
    running = asyncio.create_task(Matcher(dependencies, memory).run())

    def told() -> set[UUID]:
        records = [record for place, some in log.records.items() if place.topic == MATCHES.name for record in some]
        events = [decode(MODELS, value=record.value, headers=record.headers).event for record in records]
        return {event.content_id for event in events if isinstance(event, MatchFound)}

    try:
        seen = sighting("https://a.test/", *(seen_value(VALUES[number]) for number in (1, 2, 3)))
        log.append(record_of_sightings(seen))
        await log.publish([])
        await until(lambda: held.waiting, what="the sighting is being looked up")
        log.append(content_record(content(new, 1, registered(VALUES[3]))))
        log.append(content_record(content(withdrawn, 2, state=ContentState.WITHDRAWN)))
        await log.publish([])
        await until(lambda: told() == {new}, what="the match of the new content")
        register = memory.register
        assert register is not None
        assert register.position == 4
        held.may.set()
        await until(lambda: stays in told(), what="the match that was being looked up")
        await until(lambda: log.commits, what="the commit")
        assert told() == {stays, new}
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
