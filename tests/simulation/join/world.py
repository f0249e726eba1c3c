"""Two matchers on one log in memory, and an explorer that does anything in any order. The matchers run the product's own code.

Invariants: no match is sent for content that is inactive, or a URL that is erased, as far as its sender knows, or as the log
said when its sender was given the partition; none for content inactive for longer than a register may lag; and once all is settled
every agreeing pair of active content and living sighting has been matched, and every reported sighting was told of.
"""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from services.matcher.register.register import MAX_AGE
from shared.contracts.content import ContentState
from shared.contracts.event import data_of, decode
from shared.contracts.matches import MODELS, MatchFound, SightingUnmatched
from shared.contracts.sightings import Sighting, SightingsBatch
from shared.contracts.topics import CONTENT, MATCHES, SIGHTINGS
from shared.log.port import OutgoingRecord, Record
from tests.simulation.join.disk import Disk
from tests.simulation.join.log import PARTITIONS, THE_CONTENT, Gate, Storage, drain, sightings
from tests.simulation.join.observer import known_contents, known_erased
from tests.simulation.join.process import Process
from tests.simulation.join.truth import (
    VALUES,
    Content,
    Placed,
    Truth,
    content_record,
    erasure_record,
    make_sighting,
    sightings_record,
    tombstone,
)

T = TypeVar("T")
NAMES = ("A", "B")


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass(frozen=True, kw_only=True)
class Flags:
    """`told_at_once`: a process hears that a partition is lost when it is, not at its next poll (an adapter may do either).
    `redacts`: the log is cleared of what is erased. `slow_disk`: files and segments are written beside all else, and a process may
    die amid it.

    The others are rules of those beside the matcher; False leaves one out.
    """

    told_at_once: bool = False
    redacts: bool = False
    slow_disk: bool = False
    relay_reads_current_row: bool = True
    content_replay_goes_through_outbox: bool = True
    sightings_replay_appends: bool = True
    refuses_late_commits: bool = True


@dataclass
class World:
    rng: random.Random
    flags: Flags
    disk: Disk
    storage: Storage = field(default_factory=Storage)
    truth: Truth = field(default_factory=Truth)
    processes: dict[str, Process] = field(default_factory=dict)
    copies: list[Path] = field(default_factory=list)
    """Of state folders, as they were."""
    outbox: list[UUID] = field(default_factory=list)
    assigned_at: dict[tuple[str, int], int] = field(default_factory=dict)
    step: int = 0
    trace: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage.refuses_late_commits = self.flags.refuses_late_commits
        self.storage.redacts = self.flags.redacts
        self.storage.on_publish = self._check_sent
        self.storage.on_assigned = lambda name, partition: self.assigned_at.update({(name, partition): self.step})
        self.stalled: list[tuple[Content, OutgoingRecord]] = []
        self.unreadable: list[tuple[int, int, Sighting]] = []

    def note(self, text: str) -> None:
        self.trace.append(f"{self.step}: {text}")

    # Processes

    async def start(self, name: str, copied: Path | None = None) -> None:
        """With the files its folder has, or had when it was copied."""
        if copied is not None:
            self.disk.put_back(name, copied)
        self.processes[name] = Process(name, self.storage, self.disk, slow_disk=self.flags.slow_disk)
        await drain()

    async def crash(self, name: str) -> None:
        await self.processes.pop(name).crash()

    async def stop(self, name: str) -> None:
        await self.processes.pop(name).stop()

    async def crash_writing(self, gate: Gate, step: int) -> None:
        """Let a process go on with its files, and die at the so manieth thing done to them, if it comes to that."""
        self.disk.die_at(step)
        await self.open(gate)
        remains = self.disk.take_remains()
        if remains is not None:
            self.note(f"{gate.process} died there, at {step}")
            await self.crash(gate.process)
            self.disk.put_back(gate.process, remains)

    def move(self, partition: int, to: str | None) -> None:
        loser = self.storage.owner(partition)
        self.storage.move(partition, to)
        if self.flags.told_at_once and loser is not None and loser != to and loser in self.processes:
            session: Any = self.processes[loser].matcher._session
            owned = session.owned.get(sightings(partition)) if session is not None else None
            if owned is not None:
                owned.lost = True

    async def close(self) -> None:
        for name in list(self.processes):
            await self.crash(name)

    # Stepping

    async def open(self, gate: Gate) -> None:
        self.note(f"{gate.process} {gate.label}")
        await self.storage.gates.open(gate)
        for name, process in self.processes.items():
            if process.task.done():
                raise Violation(f"{name} ended: {process.task.exception()!r}") from process.task.exception()
            if process.failure is not None:
                raise Violation(f"{name} could not build: {process.failure!r}") from process.failure

    async def step_some(self, passes: Callable[[Gate], bool], *, idle: float = 0.07) -> None:
        waiting = [gate for gate in self.storage.gates.waiting if passes(gate)]
        enabled = [gate for gate in waiting if gate.enabled()]
        if enabled and self.rng.random() >= idle:
            await self.open(self.rng.choice(enabled))
        elif waiting:
            await self.open(self.rng.choice(waiting))

    async def run_until_quiet(self, among: Sequence[str] = NAMES) -> None:
        """Open what brings something until nothing does."""
        for _ in range(4000):
            enabled = [gate for gate in self.storage.gates.waiting if gate.process in among and gate.enabled()]
            if not enabled:
                return
            await self.open(self.rng.choice(enabled))
        raise Violation("it never comes to rest")

    async def settle(self) -> None:
        """Everybody runs, nothing fails, time passes: all is caught up with."""
        self.step += 1
        self.note("settle")
        self.storage.failures.clear()
        if not self.processes:
            await self.start("A")
        while self.outbox:
            self.relay()
        for _ in range(6):
            for number in range(PARTITIONS):
                owner = self.storage.owner(number)
                if owner not in self.processes and self.storage.members:
                    self.move(number, self.rng.choice(sorted(self.storage.members)))
            await self.run_until_quiet()
            for gate in [gate for gate in self.storage.gates.waiting if not gate.enabled()]:
                if gate in self.storage.gates.waiting:
                    await self.open(gate)
            self.storage.now += timedelta(seconds=6)
        await self.run_until_quiet()
        self._check_settled()

    # What happens to content and sightings

    def change(self, content: Content, **changes: object) -> None:
        for name, value in changes.items():
            setattr(content, name, value)
        content.revision += 1
        self.queue(content)

    def queue(self, content: Content) -> None:
        self.outbox.append(content.content_id)

    def relay(self, *, marked: bool = True) -> None:
        """Publish the first queued content's current row. Not `marked`: the relay dies before it has noted that it did."""
        content = self.truth.contents[self.outbox[0]]
        if marked:
            self.outbox.pop(0)
        if not content.tombstoned:
            self.publish_row(content)

    def publish_row(self, content: Content) -> None:
        self.append_content(content, content_record(content, self.storage.now))
        content.told = (content.revision, content.state)
        active = content.state is ContentState.ACTIVE
        if active:
            content.inactive_since = None
        elif content.inactive_since is None:
            content.inactive_since = (self.step, self.storage.now)

    def stall_relay(self, content: Content) -> None:
        """A relay has taken a row and stops before it publishes. It will read the row again under its lock."""
        self.stalled.append((content, content_record(content, self.storage.now)))

    def wake_relay(self) -> None:
        content, record = self.stalled.pop(0)
        if content.tombstoned:
            return
        if self.flags.relay_reads_current_row:
            self.publish_row(content)
        else:
            self.append_content(content, record)

    def repeat(self, content: Content) -> None:
        """A producer's retry: everything the log has of a content once more, in order."""
        records = [one for one in self.storage.partitions[THE_CONTENT].records if one.key == _key(content)]
        for one in records:
            self.append_content(content, _again(one))

    def replay_content(self, content: Content) -> None:
        """A person replays a dead letter of this content."""
        if self.flags.content_replay_goes_through_outbox:
            self.queue(content)
        else:
            records = [one for one in self.storage.partitions[THE_CONTENT].records if one.key == _key(content)]
            if records:
                self.append_content(content, _again(self.rng.choice(records)))

    def append_content(self, content: Content, record: OutgoingRecord) -> None:
        offset = self.storage.append(THE_CONTENT, record)
        self.note(f"content {content.content_id.int} r{content.revision} {content.state} at {offset}")

    def bury(self, content: Content) -> None:
        """The tombstone that follows a withdrawal."""
        content.tombstoned = True
        self.append_content(content, tombstone(content.content_id))

    def see(self, partition: int, urls: Sequence[str], names: Sequence[str], *, reported: bool = False) -> list[Placed]:
        """One batch of sightings, one for each URL, each with all the names."""
        now = self.storage.now
        batch = [make_sighting(self.rng, url, names, now, reported=reported) for url in urls]
        offset = self.storage.append(sightings(partition), sightings_record(batch, now))
        placed = [
            Placed(partition, offset, now, one.url_key, frozenset(names), one.sighting_id, one.report_id)
            for one in batch
        ]
        self.truth.placed.extend(placed)
        self.note(f"seen {list(urls)} {list(names)} at {partition}/{offset}")
        return placed

    def erase(self, partition: int, url: str) -> None:
        offset = self.storage.append(sightings(partition), erasure_record(url, self.storage.now))
        self.truth.erased[url] = (offset, self.step)
        self.note(f"erased {url} at {partition}/{offset}")

    def replay(self, one: Placed) -> None:
        """Append the record of a sighting again to its partition."""
        where = sightings(one.partition)
        record = next((r for r in self.storage.partitions[where].records if r.offset == one.offset), None)
        if record is None:
            return
        offset = self.storage.append(where, _again(record))
        same = [other for other in self.truth.placed if (other.partition, other.offset) == (one.partition, one.offset)]
        left = {seen.url_key for seen in SightingsBatch.model_validate_json(record.value or b"").sightings}
        for other in (other for other in same if other.url in left):  # others were cleared from the log
            self.truth.placed.append(copy.copy(other))
            self.truth.placed[-1].offset, self.truth.placed[-1].appended_at = offset, self.storage.now
        self.note(f"replayed {one.partition}/{one.offset} at {offset}")

    def see_unreadable(self, partition: int, url: str, names: Sequence[str]) -> None:
        """A sighting in a record nobody can read yet."""
        one = make_sighting(self.rng, url, names, self.storage.now, reported=False)
        offset = self.storage.append(sightings(partition), OutgoingRecord(topic="", key=None, value=b"{}", headers=()))
        self.unreadable.append((partition, offset, one))
        self.note(f"unreadable {url} {list(names)} at {partition}/{offset}")

    async def repair(self) -> None:
        """A newer version can read it, and a person replays it: it is appended again to its partition."""
        partition, offset, one = self.unreadable.pop(0)
        names = frozenset(name for name in VALUES if VALUES[name][1] in {seen.value for seen in one.fingerprints})
        if self.flags.sightings_replay_appends:
            offset = self.storage.append(sightings(partition), sightings_record([one], self.storage.now))
        else:
            session: Any = next((one.matcher._session for one in self.processes.values()), None)
            owned = session.owned.get(sightings(partition)) if session is not None else None
            if (
                owned is None
                or not owned.ready
                or owned.history.log_id != self.storage.partitions[sightings(partition)].log_id
            ):
                return
            record = replace(
                self.storage.partitions[sightings(partition)].records[-1],
                value=data_of(SightingsBatch(sightings=(one,))),
                headers=sightings_record([one], self.storage.now).headers,
                offset=offset,
            )
            seen = await self._done(asyncio.create_task(session.sightings.admit(owned, [record], 0)))
            sightings_read = [(owned, batch) for batch in seen]
            found = await self._done(asyncio.create_task(session.sightings.look_up(sightings_read)))
            await self._done(asyncio.create_task(session.sightings.publish(found, sightings_read, {})))
        self.truth.placed.append(Placed(partition, offset, self.storage.now, one.url_key, names, one.sighting_id, None))
        self.note(f"repaired {one.url_key} at {partition}/{offset}")

    async def _done(self, task: asyncio.Task[T]) -> T:
        """What this comes to, with everybody going on and time passing meanwhile."""
        await drain()
        while not task.done():
            await self.run_until_quiet()
            for gate in [gate for gate in self.storage.gates.waiting if gate.label == "sleep"]:
                if gate in self.storage.gates.waiting and not task.done():
                    await self.open(gate)
        return await task

    def recreate_content(self) -> None:
        """The topic is made anew, and intake publishes every row again."""
        self.note("content log made anew")
        self.storage.recreate(CONTENT)
        for content in self.truth.contents.values():
            if not content.tombstoned:
                self.queue(content)

    def recreate_sightings(self) -> None:
        self.note("sightings log made anew")
        self.storage.recreate(SIGHTINGS)
        self.unreadable.clear()
        self.truth.placed.clear()
        self.truth.erased.clear()

    # What must hold

    def _check_sent(self, name: str, records: Sequence[OutgoingRecord]) -> None:
        if name not in self.processes:
            return
        for record in records:
            if record.topic != MATCHES.name:
                continue
            event = decode(MODELS, value=record.value, headers=record.headers).event
            if isinstance(event, MatchFound):
                self._check_match(name, event)

    def _check_match(self, name: str, match: MatchFound) -> None:
        session: Any = self.processes[name].matcher._session
        content = self.truth.contents[match.content_id]
        known = known_contents(session._register).get(match.content_id)
        if known is None or known[1] is not ContentState.ACTIVE:
            raise Violation(f"{name} sends a match of content it knows is not active: {known}")
        if content.inactive_since is not None and self.storage.now - content.inactive_since[1] > MAX_AGE:
            raise Violation(f"{name} sends a match of content inactive since {content.inactive_since[1]}")
        placed = [one for one in self.truth.placed if one.sighting_id == match.sighting_id]
        if not placed:
            return  # of a log that is no more
        partition, offset = placed[0].partition, max(one.offset for one in placed)
        owned = session.owned.get(sightings(partition))
        same_log = owned is not None and owned.history.log_id == self.storage.partitions[sightings(partition)].log_id
        if owned is not None and same_log and known_erased(owned.history).get(match.url_key, -1) > offset:
            raise Violation(f"{name} sends a match of a URL it knows is erased")
        assigned_at = self.assigned_at.get((name, partition), 0)
        if content.inactive_since is not None and content.inactive_since[0] < assigned_at:
            raise Violation(f"{name} sends a match of content that was inactive when it was given the partition")
        erased_offset, erased_at = self.truth.erased.get(match.url_key, (-1, 0))
        if erased_offset > offset and erased_at < assigned_at:
            raise Violation(f"{name} sends a match of a URL that was erased when it was given the partition")

    def _check_settled(self) -> None:
        for number in range(PARTITIONS):
            commit = self.storage.commits.get(number)
            committed = 0 if commit is None else commit.offset
            if any(one.offset >= committed for one in self.storage.partitions[sightings(number)].records):
                raise Violation(f"partition {number} is not read to its end: {commit}")
        told = [decode(MODELS, value=record.value, headers=record.headers).event for record in self.storage.matches]
        matched = {(one.content_id, one.url_key, one.sighting_id) for one in told if isinstance(one, MatchFound)}
        for content_id, one, fulfilled_by in self.truth.required(self.storage.now):
            if not any((content_id, one.url, sighting_id) in matched for sighting_id in fulfilled_by):
                raise Violation(f"content {content_id.int} and {one.url} at {one.partition}/{one.offset} never met")
        reports = {one.report_id for one in told if isinstance(one, MatchFound | SightingUnmatched)}
        for one in self.truth.placed:
            if one.report_id is not None and one.report_id not in reports and self.truth.alive(one, self.storage.now):
                raise Violation(f"nothing was told of the report at {one.partition}/{one.offset}")


def _key(content: Content) -> bytes:
    return str(content.content_id).encode()


def _again(record: Record) -> OutgoingRecord:
    return OutgoingRecord(topic=record.topic, key=record.key, value=record.value, headers=record.headers)
