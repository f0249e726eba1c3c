"""Two matchers share six partitions and are killed fifty times: the pairs found are the pairs there are, none missing, none extra.

Register and sightings flow before, between and after the kills. Two of three kills wait for the merge of an index, or for the
writing of a snapshot, and hit it half-way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest

from services.matcher.consumer.partitions import GROUP
from services.matcher.index.brute_force import BruteForceIndex
from services.matcher.index.protocol import as_hashes
from shared.contracts.event import decode
from shared.contracts.matches import MODELS, MatchFound
from shared.contracts.sightings import SightingsBatch
from shared.contracts.topics import CONTENT, DEAD_LETTERS, MATCHES, SIGHTINGS
from shared.ids import takedown_id
from shared.log.kafka.client import KafkaAdmin
from shared.log.kafka.local import start_kafka
from shared.log.kafka.log import KafkaLog
from shared.log.port import Publisher, TopicPartition
from tests.contract.log_harness import read_all
from tests.fixtures_servers import open_temporary_dir
from tests.matcher_world import content, content_record, near, record_of, registered, seen_value, sighting

pytestmark = pytest.mark.timeout(600)

KILLS = 50
MEMBERS = ("one", "two")
AIMS = ("merging", "saving", None)
READY_SECONDS = 30.0
"""It is killed after so long also when it is not ready."""
UNREADY_SECONDS = 0.7
"""Every seventh is killed after so long, ready or not."""
AIM_SECONDS = 1.0
PARTITIONS = 6
SIX = dataclasses.replace(SIGHTINGS, partitions=PARTITIONS)
ROOT = Path(__file__).resolve().parents[2]
SEED = 4
FINGERPRINTS_PER_CONTENT = 100
SIGHTINGS_PER_RECORD = 20
PLANTED = 0.15
"""Of the sightings agree with a content of before, or of later."""

Pair = tuple[UUID, UUID]
"""(takedown_id, sighting_id)"""


class Matchers:
    """The running matchers, by member."""

    def __init__(self, bootstrap: str, folder: Path) -> None:
        self._spec = {"bootstrap": bootstrap, "folder": str(folder)}
        self._output = folder / "matchers.log"
        self._said: dict[str, Counter[str]] = {}
        self._pids: dict[str, int] = {}
        self._changed = threading.Condition()
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.matcher_process"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output.open("ab"),
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._parent.stdout is not None
        with self._parent.stdout:
            for line in self._parent.stdout:
                pid, word, *rest = line.split()
                with self._changed:
                    if word == "starting":
                        self._pids[rest[0]] = int(pid)
                        self._said[rest[0]] = Counter()
                    for member, known in self._pids.items():
                        if known == int(pid):
                            self._said[member][word] += 1
                    self._changed.notify_all()

    def start(self, member: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps({**self._spec, "member": member}) + "\n")
        self._parent.stdin.flush()
        with self._changed:
            assert self._changed.wait_for(lambda: member in self._pids, timeout=180), self.last_words()

    def wait_ready(self, member: str, *, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._said[member]["ready"] > 0, timeout=seconds)

    def wait_for(self, member: str, word: str, *, seconds: float) -> bool:
        """Whether it says the word once more within the time."""
        with self._changed:
            before = self._said[member][word]
            return self._changed.wait_for(lambda: self._said[member][word] > before, timeout=seconds)

    def kill(self, member: str) -> None:
        with self._changed:
            pid = self._pids.pop(member)
        assert Path(f"/proc/{pid}").exists(), f"{member} ended by itself:\n{self.last_words()}"
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{pid}").exists():
            assert time.monotonic() < deadline, f"{member} does not die"
            time.sleep(0.001)

    def last_words(self) -> str:
        return self._output.read_text(errors="replace")[-3000:]

    def stop(self) -> None:
        for member in list(self._pids):
            self.kill(member)
        self._parent.kill()
        self._parent.wait(10)


@dataclass
class Story:
    """Everything that is told to the matchers, and so what they have to find."""

    rng: random.Random = field(default_factory=lambda: random.Random(SEED))
    values: list[bytes] = field(default_factory=list)
    owners: list[UUID] = field(default_factory=list)
    """Of each value of the register, its content."""
    seen: list[tuple[str, UUID, bytes]] = field(default_factory=list)
    """(url, sighting_id, value)"""
    to_come: list[bytes] = field(default_factory=list)
    """Values that were sighted, of content not confirmed yet."""
    records: int = 0

    async def confirm(self, publisher: Publisher) -> None:
        content_id = uuid4()
        known, self.to_come = self.to_come[:FINGERPRINTS_PER_CONTENT], self.to_come[FINGERPRINTS_PER_CONTENT:]
        values = known + [self.rng.randbytes(32) for _ in range(FINGERPRINTS_PER_CONTENT - len(known))]
        self.values.extend(values)
        self.owners.extend([content_id] * len(values))
        await publisher.publish([content_record(content(content_id, 1, *map(registered, values)))])

    async def see(self, publisher: Publisher) -> None:
        batch = []
        for number in range(SIGHTINGS_PER_RECORD):
            value = self._a_value()
            url = f"https://host.test/{self.records}/{number}"
            batch.append(sighting(url, seen_value(value)))
            self.seen.append((url, batch[-1].sighting_id, value))
        event, partition = SightingsBatch(sightings=tuple(batch)), self.records % PARTITIONS
        self.records += 1
        await publisher.publish([record_of(event, topic=SIGHTINGS.name, key=None, partition=partition)])

    def _a_value(self) -> bytes:
        if self.rng.random() >= PLANTED:
            return self.rng.randbytes(32)
        if self.values and self.rng.random() < 0.5:
            return near(self.rng.choice(self.values), self.rng.randrange(32))
        self.to_come.append(self.rng.randbytes(32))
        return near(self.to_come[-1], self.rng.randrange(32))

    def expected(self) -> set[Pair]:
        index = BruteForceIndex()
        index.add_many(np.arange(len(self.values)), as_hashes(self.values))
        pairs = set()
        for start in range(0, len(self.seen), 500):
            some = self.seen[start : start + 500]
            rows, numbers, _ = index.query(as_hashes([value for *_, value in some]))
            for row, number in zip(rows.tolist(), numbers.tolist(), strict=True):
                url, sighting_id, _ = some[row]
                pairs.add((takedown_id(self.owners[number], "media", url), sighting_id))
        return pairs


async def tell(story: Story, log: KafkaLog, stop: threading.Event) -> None:
    """Content and sightings, until told to stop: about 6 contents and 18 records of sightings a second."""
    async with log.publisher() as publisher:
        for turn in itertools.count():
            if stop.is_set():
                break
            if turn % 3 == 0:
                await story.confirm(publisher)
            await story.see(publisher)
            await asyncio.sleep(0.05)
        while story.to_come:
            await story.confirm(publisher)


@contextmanager
def telling(story: Story, bootstrap: str) -> Iterator[None]:
    stop, errors = threading.Event(), []

    async def tell_all() -> None:
        log = KafkaLog(bootstrap)
        try:
            await tell(story, log, stop)
        finally:
            await log.close()

    def run() -> None:
        try:
            asyncio.run(tell_all())
        except BaseException as error:  # noqa: BLE001 - handed to the test, which raises it
            errors.append(error)

    teller = threading.Thread(target=run, name="story", daemon=True)
    teller.start()
    try:
        yield
    finally:
        stop.set()
        teller.join(30)
    if errors:
        raise errors[0]


def kill_one(matchers: Matchers, member: str, aim: str | None, *, ready_seconds: float) -> str:
    """Kill it and start it again: in the midst of what it says it does (`aim`), else at any time. What it was doing."""
    ready = matchers.wait_ready(member, seconds=ready_seconds)
    doing = aim if ready and aim is not None and matchers.wait_for(member, aim, seconds=AIM_SECONDS) else None
    matchers.kill(member)
    matchers.start(member)
    return doing or ("at any time" if ready else "while it was getting ready")


async def found_pairs(log: KafkaLog) -> list[Pair]:
    pairs = []
    for partition in range(MATCHES.partitions):
        for record in await read_all(log, MATCHES, partition):
            event = decode(MODELS, value=record.value, headers=record.headers).event
            assert isinstance(event, MatchFound)
            assert event.sighting_id is not None
            pairs.append((event.takedown_id, event.sighting_id))
    return pairs


async def all_is_committed(log: KafkaLog, bootstrap: str) -> None:
    """Both offsets of each partition are at the ends of their logs. AssertionError when they do not come there."""
    admin = KafkaAdmin(bootstrap)
    partitions = [TopicPartition(topic=SIGHTINGS.name, partition=number) for number in range(PARTITIONS)]
    content_end = await log.end(TopicPartition(topic=CONTENT.name, partition=0))
    wanted = {partition: (await log.end(partition), content_end) for partition in partitions}
    try:
        deadline = time.monotonic() + 150
        while True:
            committed = await admin.committed(GROUP, partitions)
            at = {place: (offset, json.loads(said)["content"]) for place, (offset, said) in committed.items()}
            if at == wanted:
                return
            assert time.monotonic() < deadline, f"committed {at}, not {wanted}"
            await asyncio.sleep(0.2)
    finally:
        await admin.close()


async def outcome(bootstrap: str) -> list[Pair]:
    log = KafkaLog(bootstrap)
    try:
        await all_is_committed(log, bootstrap)
        return await found_pairs(log)
    finally:
        await log.close()


async def make_topics(bootstrap: str) -> None:
    log = KafkaLog(bootstrap)
    try:
        await log.ensure_topics([CONTENT, SIX, MATCHES, DEAD_LETTERS])
    finally:
        await log.close()


def test_fifty_kills_lose_no_pair_and_make_none(capsys: pytest.CaptureFixture[str]) -> None:
    story, hits = Story(), Counter[str]()
    with open_temporary_dir() as folder, start_kafka(data_dir=folder / "kafka") as kafka:
        bootstrap = kafka.bootstrap_servers
        asyncio.run(make_topics(bootstrap))
        matchers = Matchers(bootstrap, folder)
        try:
            for member in MEMBERS:
                matchers.start(member)
            began = time.monotonic()
            with telling(story, bootstrap):
                for number in range(KILLS):
                    patience = UNREADY_SECONDS if number % 7 == 6 else READY_SECONDS
                    hits[kill_one(matchers, MEMBERS[number % 2], AIMS[number % 3], ready_seconds=patience)] += 1
            killed = time.monotonic()
            try:
                found = asyncio.run(outcome(bootstrap))
            except AssertionError as error:
                raise AssertionError(f"{error}\n{matchers.last_words()}") from None
            caught_up = time.monotonic()
        finally:
            matchers.stop()
        words = matchers.last_words()
    expected = story.expected()
    assert (len(expected - set(found)), len(set(found) - expected)) == (0, 0), words
    assert len(expected) > 20 * KILLS
    assert min(hits["merging"], hits["saving"]) >= 5, hits
    with capsys.disabled():
        print(
            f"\n  {KILLS} kills in {killed - began:.0f} s, {dict(hits)}; {len(story.seen)} sightings,"
            f" {len(story.values)} fingerprints, {len(expected)} pairs, {len(found) - len(set(found))} told again;"
            f" caught up {caught_up - killed:.0f} s after the last kill"
        )
