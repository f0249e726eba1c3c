"""Sequences through a process's files: it is gone, and started again from what is on its disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from shared.contracts.content import ContentState
from tests.simulation.join.log import THE_CONTENT, sightings
from tests.simulation.join.sequences import a_second_passes, confirm, open_first, open_where, tell
from tests.simulation.join.truth import VALUES, Content
from tests.simulation.join.world import World

_WRITTEN_EVERY = timedelta(seconds=6)


async def until_written(world: World) -> None:
    """Until what is committed and scanned is in the files."""
    await world.run_until_quiet()
    for _ in range(2):
        world.storage.now += _WRITTEN_EVERY
        await open_first(world, "content")  # whether it brings something or not
        await a_second_passes(world)
    world.step += 1


@asynccontextmanager
async def written_by_a_process(world: World) -> AsyncIterator[None]:
    """What happens within is in A's files, and A is gone."""
    await world.start("A")
    yield
    await until_written(world)
    await world.crash("A")


async def start_again(world: World) -> None:
    """From what is on A's disk, until nothing is left to be done."""
    await world.start("A")
    await world.settle()


async def a_process_with_files(world: World) -> None:
    """It has remembered u00 with p0 in partition 0, and is gone."""
    async with written_by_a_process(world):
        await world.run_until_quiet()
        world.storage.now += _WRITTEN_EVERY
        world.see(0, ["u00"], ["p0"])


def confirm_three(world: World) -> None:
    for number in (1, 2, 3):
        confirm(world, number, "m1")


def see_three(world: World) -> None:
    for _ in range(3):
        world.see(0, ["u00"], ["p0"])


def lose_the_last_two_sightings(world: World) -> None:
    world.storage.lose_tail(sightings(0), 1)
    world.truth.placed = [one for one in world.truth.placed if one.offset < 1]


def content_log_anew(world: World) -> None:
    """Another content log, of which the first record is a content with q."""
    world.recreate_content()
    _queue_first(world, 4, "q")
    relay_all(world)


def relay_all(world: World) -> None:
    while world.outbox:
        world.relay()


async def a_repeat_of_what_a_file_has_as_withdrawn(world: World) -> None:
    async with written_by_a_process(world):
        world.see(0, ["u00"], ["p0"])
        content = confirm(world, 1, "p1")
        for state in (ContentState.SUSPENDED, ContentState.ACTIVE, ContentState.WITHDRAWN):
            tell(world, content, state=state)
    await world.start("A")
    await world.run_until_quiet()
    world.repeat(content)  # a producer's retry: what the log had of it once more, in order
    await world.settle()


async def a_register_of_another_log(world: World) -> None:
    async with written_by_a_process(world):
        confirm_three(world)
    content_log_anew(world)
    world.see(0, ["u00"], ["q"])
    await start_again(world)


async def a_register_ahead_of_its_log(world: World) -> None:
    async with written_by_a_process(world):
        confirm_three(world)
    world.storage.lose_tail(THE_CONTENT, 1)
    await world.start("A")
    await world.run_until_quiet()
    _queue_first(world, 4, "q")
    world.outbox.extend([UUID(int=2), UUID(int=3)])
    relay_all(world)
    world.see(0, ["u00"], ["q"])
    await world.settle()


def _queue_first(world: World, number: int, *names: str) -> None:
    world.truth.contents[UUID(int=number)] = Content(UUID(int=number), frozenset(names))
    world.outbox.insert(0, UUID(int=number))


async def a_history_of_another_log(world: World) -> None:
    async with written_by_a_process(world):
        see_three(world)
    world.recreate_sightings()
    world.see(0, ["u00"], ["p0"])
    for _ in range(3):
        world.see(0, ["u01"], ["m0"])
    await world.start("A")
    await world.run_until_quiet()
    confirm(world, 1, "p1")
    await world.settle()


async def a_history_ahead_of_its_log(world: World) -> None:
    async with written_by_a_process(world):
        see_three(world)
    lose_the_last_two_sightings(world)
    await world.start("A")
    await world.run_until_quiet()
    world.see(0, ["u00"], ["p0"])
    await world.run_until_quiet()
    confirm(world, 1, "p1")
    await world.settle()


async def a_file_of_a_register_that_lags(world: World) -> None:
    """Withdrawn at its log's end, and the register is far from there; its file is young, what it knows is old."""
    await world.start("A")
    withdrawn = confirm(world, 1, "p0")
    await until_written(world)
    for number in range(2, 10):
        confirm(world, number, "q")
    tell(world, withdrawn, state=ContentState.WITHDRAWN)
    world.bury(withdrawn)
    world.storage.now += timedelta(hours=3)
    world.storage.compact()
    world.storage.now += timedelta(days=59)
    await open_first(world, "content")  # three of them; the withdrawal is not among them
    for _ in range(2):
        await open_where(world, lambda gate: gate.label != "content")
        for gate in [gate for gate in world.storage.gates.waiting if gate.label == "sleep"]:
            await world.open(gate)
    await open_where(world, lambda gate: gate.label != "content")
    await world.crash("A")
    world.storage.now += timedelta(days=36)
    world.storage.compact()  # nothing is left that says it was withdrawn
    await world.start("A")
    world.see(0, ["u00"], ["p0"])
    await world.settle()


async def an_erasure_that_is_told_no_more(world: World) -> None:
    await a_process_with_files(world)
    world.erase(0, "u00")
    world.step += 1
    for _ in range(2):
        world.storage.redact()
        world.storage.now += timedelta(hours=13)
    world.storage.redact()
    confirm(world, 1, "p1")
    await start_again(world)


async def an_erasure_at_the_end_of_the_log(world: World) -> None:
    await a_process_with_files(world)
    world.erase(0, "u00")
    world.step += 1
    confirm(world, 1, "p1")
    await start_again(world)


async def an_erasure_from_a_segment(world: World) -> None:
    async with written_by_a_process(world):
        for url in ("u00", "u01", "u02"):
            world.see(0, [url], ["p0"])
        await world.run_until_quiet()
        world.storage.now += timedelta(minutes=2)
        await a_second_passes(world)  # what was built is put in place
        world.erase(0, "u00")
    confirm(world, 1, "p1")
    await start_again(world)


async def content_log_anew_while_all_is_down(world: World) -> None:
    async with written_by_a_process(world):
        confirm_three(world)
        await until_written(world)
        world.see(0, ["u00"], ["q"])
    content_log_anew(world)
    await start_again(world)


async def content_log_that_lost_its_tail(world: World) -> None:
    async with written_by_a_process(world):
        world.see(0, ["u00"], ["q"])
        confirm_three(world)
    world.storage.lose_tail(THE_CONTENT, 1)
    confirm(world, 4, "q")
    await world.start("A")
    await world.run_until_quiet()
    world.outbox.extend([UUID(int=2), UUID(int=3)])
    await world.settle()


async def sightings_log_that_lost_its_tail(world: World) -> None:
    async with written_by_a_process(world):
        confirm(world, 1, "q")
        see_three(world)
    lose_the_last_two_sightings(world)
    await world.start("A")
    await world.run_until_quiet()
    world.see(0, ["u01"], ["q"])
    world.see(0, ["u02"], ["q"])
    await world.settle()


async def a_register_of_which_bits_have_turned(world: World) -> None:
    async with written_by_a_process(world):
        confirm(world, 1, "p1")
    value = bytes.fromhex(VALUES["p1"][1])
    (register,) = world.disk.files("A", "register")
    raw = register.read_bytes()
    assert value in raw
    register.write_bytes(raw.replace(value, bytes(byte ^ 0x55 for byte in value)))
    await world.start("A")
    world.see(0, ["u00"], ["p0"])
    await world.settle()


async def a_history_of_which_a_part_is_gone(world: World) -> None:
    await a_process_with_files(world)
    (recent,) = world.disk.files("A", "history-0/*/recent-*")
    recent.unlink()
    confirm(world, 1, "p1")
    await start_again(world)


async def files_cut_short(world: World) -> None:
    await a_process_with_files(world)
    for path in world.disk.files("A"):
        _cut(path)
    confirm(world, 1, "p1")
    await start_again(world)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-70])
