"""A group of the runner that notes what it handled, and records to hand it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import uuid4

from shared.contracts.dead_letters import MODELS, DeadLetter, Replayed, ReplayRequested
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Envelope, Event, data_of, decode, headers_of
from shared.contracts.topics import DEAD_LETTERS, DECISIONS
from shared.log.port import Commit, OutgoingRecord
from shared.log.runner import Handler, Runner
from tests.contract.log_harness import Harness, a_group, owns, place, publish, until

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


def holds(wanted: Callable[[], object]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return bool(wanted())

    return check
