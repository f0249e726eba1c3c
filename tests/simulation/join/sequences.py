"""Sequences that end well while one rule is kept and badly without it; for rules that chance finds too seldom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from shared.contracts.content import ContentState
from tests.simulation.join.log import Gate
from tests.simulation.join.run import first_violation
from tests.simulation.join.truth import Content
from tests.simulation.join.world import Flags, Violation, World

Sequence = Callable[[World], Awaitable[None]]


def confirm(world: World, number: int, *names: str) -> Content:
    """Content that the log has as active."""
    content = world.truth.contents[UUID(int=number)] = Content(UUID(int=number), frozenset(names))
    world.queue(content)
    world.relay()
    return content


def tell(world: World, content: Content, **changes: object) -> None:
    world.step += 1
    world.change(content, **changes)
    world.relay()


async def open_where(world: World, passes: Callable[[Gate], bool]) -> None:
    """Open what brings something and passes, until nothing does."""
    for _ in range(2000):
        gate = next((one for one in world.storage.gates.waiting if one.enabled() and passes(one)), None)
        if gate is None:
            return
        await world.open(gate)
    raise Violation("it never comes to rest")


async def open_first(world: World, label: str) -> None:
    """Open the first gate of this label; there must be one."""
    await world.open(next(one for one in world.storage.gates.waiting if one.label == label))


async def a_second_passes(world: World) -> None:
    """Who sleeps wakes, and everything goes on as far as it can."""
    for gate in [one for one in world.storage.gates.waiting if one.label == "sleep"]:
        await world.open(gate)
    await world.run_until_quiet()


async def content_while_a_history_is_scanned(world: World) -> None:
    await world.start("A")
    world.see(0, ["u00"], ["p0", "m0"])
    await world.run_until_quiet()
    await world.crash("A")
    confirm(world, 1, "p0")
    await world.start("A")
    await open_where(world, lambda gate: gate.label != "thread")
    confirm(world, 2, "m0")
    await open_where(world, lambda gate: gate.label != "thread")
    await world.settle()


async def compaction_while_the_register_is_read(world: World) -> None:
    await world.start("A")
    withdrawn = confirm(world, 1, "p0")
    await world.run_until_quiet()
    world.move(0, None)
    await open_where(world, lambda gate: gate.label == "poll")
    world.see(0, ["u00"], ["p0"])
    tell(world, withdrawn, state=ContentState.SUSPENDED)
    world.step += 1
    world.move(0, "A")
    await open_where(world, lambda gate: gate.label != "content")  # the end is asked for: the suspension is below it
    for number in (2, 3, 4):
        confirm(world, number, "q")
    tell(world, withdrawn, state=ContentState.WITHDRAWN)
    world.storage.now += timedelta(hours=3)
    world.storage.compact()  # the suspension is gone, and the withdrawal is above the end that was asked for
    await open_first(world, "content")
    await open_where(world, lambda gate: gate.label != "content")
    await world.settle()


async def content_log_anew_while_a_partition_is_away(world: World) -> None:
    await world.start("A")
    for number in (1, 2, 3):
        confirm(world, number, "m1")
    world.see(0, ["u00"], ["q"])
    await world.run_until_quiet()
    await a_second_passes(world)
    world.move(0, None)
    await world.run_until_quiet()
    world.recreate_content()
    confirm(world, 4, "q")  # queued last
    world.recreate_content()
    world.outbox.sort(key=lambda content_id: content_id != UUID(int=4))
    while world.outbox:
        world.relay()
    world.storage.now += timedelta(seconds=11)
    for _ in range(4):
        await a_second_passes(world)
    world.move(0, "A")
    await world.settle()


async def a_change_while_a_match_is_tried_again(world: World) -> None:
    await world.start("A")
    content = confirm(world, 1, "p0", "p1")
    await world.run_until_quiet()
    world.storage.failures["A"] = 1
    world.see(0, ["u00"], ["p0"])
    await world.run_until_quiet()  # publishing has failed once and will be tried again
    tell(world, content, names=frozenset({"p1"}))
    await world.settle()


async def an_erasure_while_a_match_is_tried_again(world: World) -> None:
    await world.start("A")
    world.see(0, ["u00"], ["p0"])
    await world.run_until_quiet()
    world.storage.failures["A"] = 1
    confirm(world, 1, "p0")
    await world.run_until_quiet()  # publishing has failed once and will be tried again
    world.erase(0, "u00")
    await world.run_until_quiet()  # the erasure is committed: nothing below it is read again
    await world.settle()


async def death_before_the_matches_of_new_content(world: World) -> None:
    await world.start("A")
    world.see(0, ["u00"], ["p0"])
    await world.run_until_quiet()
    confirm(world, 1, "p0")
    await open_where(world, lambda gate: gate.label != "publish")
    for gate in [one for one in world.storage.gates.waiting if one.label == "sleep"]:
        await world.open(gate)
    await open_where(world, lambda gate: gate.label != "publish")  # C is committed once a second
    await world.crash("A")
    await world.settle()


async def a_repeat_after_a_long_time(world: World) -> None:
    await world.start("A")
    for _ in range(4):
        world.see(0, ["u00"], ["p0"])
        for _ in range(2):
            world.storage.now += timedelta(days=25)
            await a_second_passes(world)
    world.storage.now += timedelta(days=25)
    await a_second_passes(world)
    confirm(world, 1, "p1")
    await world.settle()


async def a_repaired_sighting_outlives_its_process(world: World) -> None:
    await world.start("A")
    world.see_unreadable(0, "u00", ["p0"])
    await world.run_until_quiet()
    await world.repair()
    await world.run_until_quiet()
    await world.crash("A")
    world.disk.wipe("A")
    await world.start("A")
    await world.run_until_quiet()
    confirm(world, 1, "p1")
    await world.settle()


async def a_session_ends_before_its_matches_are_sent(world: World) -> None:
    await world.start("A")
    confirm(world, 1, "p0")
    await world.run_until_quiet()
    world.storage.failures["A"] = 9
    world.see(0, ["u00"], ["p0"])
    for _ in range(12):
        await a_second_passes(world)
    await world.settle()


def play(sequence: Sequence, **flags: bool) -> Violation | None:
    """The violation it ends in, with how it came about, or None."""
    return first_violation(sequence, seed=0, flags=Flags(**flags))
