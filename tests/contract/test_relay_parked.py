"""The outbox relay on both logs: what cannot be sent is parked, alone, and tried again when a person says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from uuid import uuid4

from shared.contracts.topics import CLAIMS, DECISIONS
from shared.log.port import (
    EventLog,
    OutgoingRecord,
    Publisher,
    RecordTooLarge,
    TopicPartitionOffset,
)
from shared.outbox import outbox
from shared.outbox.relay import Relay
from tests.contract.log_harness import until
from tests.contract.outbox_desk import SCHEMA, Desk, a_decision


async def test_a_row_that_can_never_be_sent_is_parked_and_blocks_its_key_alone(desk: Desk) -> None:
    await desk.put("large", "before")
    large = await desk.put("large", "x" * 1_100_000)
    await desk.put("large", "behind")
    await desk.put("fine", "1")
    async with desk.database.transaction() as tx:
        await outbox.put_current(tx, SCHEMA, CLAIMS, key=str(uuid4()), event_id=uuid4())  # no such row
        await outbox.put_current(tx, SCHEMA, DECISIONS, key="no renderer", event_id=uuid4())
        await tx.execute(
            f"INSERT INTO {SCHEMA}.outbox (outbox_id, topic, key, type, data) VALUES (%s, %s, 'k', 'takedown.x.v9', %s)",
            (uuid4(), DECISIONS.name, b"{}"),
        )
    async with desk.relaying():

        async def parked() -> bool:
            return len(await desk.reasons_parked()) == 4 and await desk.waiting() == 1

        await until(parked)
        await desk.put("fine", "2")
        await desk.put("large", "behind too")

        async def fine_went() -> bool:
            return (await desk.reasons()).get("fine") == ["1", "2"]

        await until(fine_went)
        assert (await desk.reasons())["large"] == ["before"]
        assert [reason.split(".")[0] for reason in await desk.reasons_parked()] == [
            "The record is larger than the log takes",
            "Trying again changes nothing",
            "A record that cannot be handled, now or later; it is referenced in the dead letters",
            "A record that cannot be handled, now or later; it is referenced in the dead letters",
        ]
        # An operator takes the row out: what waited behind it goes.
        async with desk.database.transaction() as tx:
            await tx.execute(f"UPDATE {SCHEMA}.outbox SET data = %s WHERE outbox_id = %s", (b"{}", large))
            await tx.execute(f"DELETE FROM {SCHEMA}.outbox WHERE outbox_id = %s", (large,))
            assert not await outbox.unpark(tx, SCHEMA, large)

        async def behind_went() -> bool:
            return (await desk.reasons())["large"] == ["before", "behind", "behind too"]

        await until(behind_went)


@dataclass
class RefusingPublisher:
    """A publisher on a topic whose `max.message.bytes` an operator has made small. At its second refusal it waits."""

    publisher: Publisher
    refusals: int = 0
    refused_twice: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, records: Sequence[OutgoingRecord]) -> tuple[TopicPartitionOffset, ...]:
        if all(one.size_bytes < 4096 for one in records):
            return await self.publisher.publish(records)
        self.refusals += 1
        if self.refusals == 2:
            self.refused_twice.set()
            await self.go_on.wait()
        raise RecordTooLarge


async def test_the_row_that_the_log_refused_is_parked_and_no_other(desk: Desk) -> None:
    """An older row may become visible while the log refuses: its transaction took its number first and commits late."""
    async with desk.harness.log.publisher() as publisher:
        refusing = RefusingPublisher(publisher)

        class Log:
            def __getattr__(self, name: str) -> object:
                return getattr(desk.harness.log, name)

            @asynccontextmanager
            async def publisher(self, **_: object) -> AsyncIterator[RefusingPublisher]:
                yield refusing

        relay = Relay(desk.database, desk.wakeups, SCHEMA, cast(EventLog, Log()), source="desk")
        async with desk.relaying(relay):
            async with desk.database.transaction() as tx:
                await outbox.put(tx, SCHEMA, DECISIONS, key="late", event=a_decision("late"), event_id=uuid4())
                large = await desk.put("large", "x" * 5000)
                await asyncio.wait_for(refusing.refused_twice.wait(), 20)
            refusing.go_on.set()

            async def late_went() -> bool:
                return await desk.waiting() == 0

            await until(late_went)
        async with desk.database.transaction() as tx:
            assert [row["outbox_id"] for row in await outbox.parked(tx, SCHEMA)] == [large]
        assert await desk.reasons() == {"late": ["late"]}


async def test_an_unparked_row_is_tried_again(desk: Desk) -> None:
    claim = str(uuid4())
    event_id = uuid4()
    async with desk.database.transaction() as tx:
        await outbox.put_current(tx, SCHEMA, CLAIMS, key=claim, event_id=event_id)
    async with desk.relaying():

        async def parked() -> bool:
            return len(await desk.reasons_parked()) == 1

        await until(parked)
        async with desk.database.transaction() as tx:
            await tx.execute(f"INSERT INTO {SCHEMA}.claim VALUES (%s, 5, false)", (claim,))
            assert await outbox.unpark(tx, SCHEMA, event_id)
        await until(desk.empty)
    assert await desk.revisions() == {claim: [5]}
