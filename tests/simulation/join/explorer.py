"""The explorer: what it may do, how often, and one whole run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from shared.contracts.content import ContentState
from tests.simulation.join.log import PARTITIONS
from tests.simulation.join.run import first_violation
from tests.simulation.join.truth import VALUES, Content
from tests.simulation.join.world import NAMES, Flags, Violation, World

PROFILE: Mapping[str, float] = {
    "step": 60,
    "confirm": 3,
    "change": 1,
    "suspend": 1,
    "resume": 1.5,
    "withdraw": 0.7,
    "bury": 0.7,
    "relay": 6,
    "relay_dies": 0.5,
    "relay_stalls": 0.4,
    "relay_wakes": 0.4,
    "repeat": 0.4,
    "replay_content": 0.2,
    "see": 6,
    "see_again": 2,
    "erase": 1,
    "replay": 0.5,
    "unreadable": 0.3,
    "repair": 0.3,
    "move": 2,
    "away_and_back": 0.7,
    "crash": 0.8,
    "crash_writing": 0.8,
    "stop": 0.5,
    "start": 2,
    "copy": 0.5,
    "start_stale": 0.7,
    "damage": 0.3,
    "failure": 0.5,
    "stall": 1.5,
    "minutes": 0.5,
    "hours": 0.5,
    "days": 0.2,
    "long": 0.15,
    "compact": 1,
    "retain": 0.3,
    "redact": 0.3,
    "commits_gone": 0.2,
    "content_anew": 0.1,
    "sightings_anew": 0.1,
}
"""How often each thing is done. `step` lets a process go on to where it waits next."""

URLS = 3
"""URLs in each partition."""


class Explorer:
    def __init__(self, world: World, profile: Mapping[str, float]) -> None:
        self.world = world
        self.rng = world.rng
        self._doing = list(profile)
        self._weights = list(profile.values())
        self._stalled: tuple[str | None, str | None] = (None, None)
        self._contents = 0

    async def run(self, steps: int) -> None:
        await self.world.start("A")
        if self.rng.random() < 0.8:
            await self.world.start("B")
        for _ in range(steps):
            self.world.step += 1
            (name,) = self.rng.choices(self._doing, self._weights)
            await getattr(self, f"do_{name}")()
        await self.world.settle()

    def content(self, *states: ContentState) -> Content | None:
        found = [one for one in self.world.truth.contents.values() if one.state in states and not one.tombstoned]
        return self.rng.choice(found) if found else None

    def names(self) -> list[str]:
        return self.rng.sample(sorted(VALUES), self.rng.choice([1, 1, 2]))

    # Processes

    async def do_step(self) -> None:
        stalled, label = self._stalled
        await self.world.step_some(lambda gate: gate.process != stalled or (label is not None and gate.label != label))

    async def do_stall(self) -> None:
        """From now on one process does not go on, or only so far as where it waits for one thing; or all go on again."""
        name = self.rng.choice([None, *NAMES])
        self._stalled = (name, self.rng.choice([None, None, "content", "publish", "thread", "poll", "committed told"]))

    async def do_crash(self) -> None:
        if self.world.processes:
            name = self.rng.choice(sorted(self.world.processes))
            self.world.note(f"{name} crashes")
            await self.world.crash(name)
            if self.world.processes and self.rng.random() < 0.5:
                for number in range(PARTITIONS):
                    if self.world.storage.owner(number) is None and self.world.storage.members:
                        self.world.move(number, self.rng.choice(sorted(self.world.storage.members)))

    async def do_start(self) -> None:
        missing = [name for name in NAMES if name not in self.world.processes]
        if missing:
            name, wiped = self.rng.choice(missing), self.rng.random() < 0.5
            self.world.note(f"{name} starts{', its folder is gone' if wiped else ''}")
            if wiped:
                self.world.disk.wipe(name)
            await self.world.start(name)

    async def do_crash_writing(self) -> None:
        """Amid writing a snapshot, reading one, or building a segment."""
        gates = [gate for gate in self.world.storage.gates.waiting if gate.label in ("disk", "build")]
        if gates:
            await self.world.crash_writing(self.rng.choice(gates), self.rng.choice([1, 2, 3, 5, 8, 13, 21]))

    async def do_stop(self) -> None:
        if self.world.processes:
            name = self.rng.choice(sorted(self.world.processes))
            self.world.note(f"{name} stops")
            await self.world.stop(name)

    async def do_copy(self) -> None:
        """Somebody keeps a copy of a state folder."""
        copied = self.world.disk.copy(self.rng.choice(NAMES))
        if copied is not None:
            self.world.copies.append(copied)

    async def do_start_stale(self) -> None:
        missing = [name for name in NAMES if name not in self.world.processes]
        if missing and self.world.copies:
            name, copied = self.rng.choice(missing), self.rng.choice(self.world.copies)
            self.world.note(f"{name} starts from {copied.name}")
            await self.world.start(name, copied)

    async def do_damage(self) -> None:
        name = self.rng.choice(NAMES)
        files = self.world.disk.files(name)
        if name not in self.world.processes and files:
            damaged = self.rng.choice(files)
            self.world.note(
                f"{name}'s {damaged.parent.name}/{damaged.name} {self.world.disk.damage(damaged, self.rng)}"
            )

    async def do_move(self) -> None:
        if self.world.storage.members:
            partition, to = self.rng.randrange(PARTITIONS), self.rng.choice(sorted(self.world.storage.members))
            self.world.note(f"{partition} moves to {to}")
            self.world.move(partition, to)

    async def do_away_and_back(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        owner = self.world.storage.owner(partition)
        self.world.note(f"{partition} away from {owner} and back")
        self.world.move(partition, None)
        self.world.move(partition, owner)

    async def do_failure(self) -> None:
        name = self.rng.choice(NAMES)
        self.world.storage.failures[name] = self.rng.choice([1, 2, 9])

    # Content

    async def do_confirm(self) -> None:
        if self._contents < 8:
            self._contents += 1
            content = Content(UUID(int=self._contents), frozenset(self.names()))
            self.world.truth.contents[content.content_id] = content
            self.world.queue(content)

    async def do_change(self) -> None:
        content = self.content(ContentState.ACTIVE)
        if content is not None:
            names = set(self.names())
            if self.rng.random() < 0.6:
                names = set(content.names) ^ {self.rng.choice(sorted(VALUES))} or names
            self.world.change(content, names=frozenset(names), max_distance=self.rng.choice([None, None, 10]))

    async def do_suspend(self) -> None:
        content = self.content(ContentState.ACTIVE)
        if content is not None:
            self.world.change(content, state=ContentState.SUSPENDED)

    async def do_resume(self) -> None:
        content = self.content(ContentState.SUSPENDED)
        if content is not None:
            self.world.change(content, state=ContentState.ACTIVE)

    async def do_withdraw(self) -> None:
        content = self.content(ContentState.ACTIVE, ContentState.SUSPENDED)
        if content is not None:
            self.world.change(content, state=ContentState.WITHDRAWN)

    async def do_bury(self) -> None:
        content = self.content(ContentState.WITHDRAWN)
        if content is not None and content.told == (content.revision, ContentState.WITHDRAWN):
            self.world.bury(content)

    async def do_relay(self) -> None:
        if self.world.outbox:
            self.world.relay()

    async def do_relay_dies(self) -> None:
        if self.world.outbox:
            self.world.relay(marked=False)

    async def do_relay_stalls(self) -> None:
        content = self.content(*ContentState)
        if content is not None:
            self.world.stall_relay(content)

    async def do_relay_wakes(self) -> None:
        if self.world.stalled:
            self.world.wake_relay()

    async def do_repeat(self) -> None:
        content = self.content(*ContentState)
        if content is not None:
            self.world.repeat(content)

    async def do_replay_content(self) -> None:
        content = self.content(*ContentState)
        if content is not None:
            self.world.replay_content(content)

    # Sightings

    async def do_see(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        urls = self.rng.sample([f"u{partition}{n}" for n in range(URLS)], self.rng.choice([1, 1, 2]))
        self.world.see(partition, urls, self.names(), reported=self.rng.random() < 0.3)

    async def do_see_again(self) -> None:
        if self.world.truth.placed:
            one = self.rng.choice(self.world.truth.placed)
            self.world.see(one.partition, [one.url], sorted(one.names))

    async def do_erase(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        self.world.erase(partition, f"u{partition}{self.rng.randrange(URLS)}")

    async def do_replay(self) -> None:
        alive = [one for one in self.world.truth.placed if self.world.truth.alive(one, self.world.storage.now)]
        if alive:
            self.world.replay(self.rng.choice(alive))

    async def do_unreadable(self) -> None:
        partition = self.rng.randrange(PARTITIONS)
        self.world.see_unreadable(partition, f"u{partition}{self.rng.randrange(URLS)}", self.names())

    async def do_repair(self) -> None:
        if self.world.unreadable:
            await self.world.repair()

    # Time and the brokers

    def _pass(self, **delta: float) -> None:
        self.world.note(f"{delta} pass")
        self.world.storage.now += timedelta(**delta)

    async def do_minutes(self) -> None:
        self._pass(minutes=5)

    async def do_hours(self) -> None:
        self._pass(hours=3)

    async def do_days(self) -> None:
        self._pass(days=25)

    async def do_long(self) -> None:
        self._pass(days=95)

    async def do_compact(self) -> None:
        self.world.note("compacted")
        self.world.storage.compact()

    async def do_retain(self) -> None:
        self.world.storage.retain()

    async def do_redact(self) -> None:
        if self.world.flags.redacts:
            self.world.note("redacted")
            self.world.storage.redact()

    async def do_commits_gone(self) -> None:
        """Brokers forget what a group without members has committed."""
        if not self.world.storage.members:
            self.world.note("commits gone")
            self.world.storage.commits.clear()

    async def do_content_anew(self) -> None:
        self.world.recreate_content()

    async def do_sightings_anew(self) -> None:
        self.world.recreate_sightings()


def explore(seed: int, *, steps: int = 150, profile: Mapping[str, float] = PROFILE, **flags: bool) -> Violation | None:
    """One run; the first violation, with how it came about, or None. The same seed gives the same run."""
    return first_violation(lambda world: Explorer(world, profile).run(steps), seed=seed, flags=Flags(**flags))
