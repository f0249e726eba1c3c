"""The outbox relay on both logs: order, current rows under their lock, parked rows, one leader, replays of current rows."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast
from uuid import UUID, uuid4

import pytest

import services.intake
from shared.contracts.claims import ClaimChanged, ClaimState
from shared.contracts.dead_letters import MODELS, Replayed, ReplayRequested
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Event, data_of, decode, headers_of
from shared.contracts.topics import CLAIMS, CONTENT, DEAD_LETTERS, DECISIONS, Topic
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database, DatabaseUnavailable, Tx
from shared.db.wakeups import Wakeups
from shared.errors import Permanent
from shared.log.port import (
    HEARTBEAT_KEY,
    EventLog,
    OutgoingRecord,
    Publisher,
    Record,
    RecordTooLarge,
    TopicPartition,
    TopicPartitionOffset,
)
from shared.outbox import outbox
from shared.outbox.relay import Relay
from tests.contract.log_harness import Harness, place, publish, until

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SCHEMA = "desk"
PUBLISHER = "test-relay-claims"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_decision(reason: str) -> DecisionTaken:
    """A reason longer than the model lets through stands for a row from before it was bounded: the log refuses what is too large."""
    decision = DecisionTaken(
        decision_id=uuid4(),
        kind=DecisionKind.DISMISS,
        person_id="p",
        organisation_id="o",
        reason=reason[:100],
        decided_at=NOW,
    )
    return decision.model_copy(update={"reason": reason})


def a_claim(claim_id: str, revision: int) -> ClaimChanged:
    return ClaimChanged(
        claim_id=UUID(claim_id),
        content_id=UUID(int=7),
        revision=revision,
        state=ClaimState.CONFIRMED,
        organisation_id="o",
        changed_at=NOW,
    )


class Desk:
    """A service's database with an outbox and rows of its own, and where the log's topics ended when the test began."""

    def __init__(self, harness: Harness, database: Database, wakeups: Wakeups) -> None:
        self.harness = harness
        self.database = database
        self.wakeups = wakeups
        self._start: dict[TopicPartition, int] = {}
        self.renders = 0

    async def prepare(self) -> None:
        await self.harness.log.ensure_topics([CLAIMS, CONTENT, DECISIONS, DEAD_LETTERS])
        for topic in (CLAIMS, DECISIONS, DEAD_LETTERS):
            for number in range(topic.partitions):
                self._start[place(topic, number)] = await self.harness.log.end(place(topic, number))
        async with self.database.transaction() as tx:
            await tx.execute(f"CREATE TABLE {SCHEMA}.claim (claim_id uuid PRIMARY KEY, revision int, gone bool)")

    async def render(self, tx: Tx, key: str) -> Event | None:
        self.renders += 1
        cursor = await tx.execute(f"SELECT * FROM {SCHEMA}.claim WHERE claim_id = %s FOR SHARE", (key,))
        row = await cursor.fetchone()
        if row is None:
            raise Permanent("no such claim")
        return None if row["gone"] else a_claim(key, row["revision"])

    async def change(self, claim_id: str, revision: int, *, gone: bool = False) -> None:
        """As a service does it: the row, and 'publish it', in one transaction."""
        async with self.database.transaction() as tx:
            await tx.execute(
                f"INSERT INTO {SCHEMA}.claim VALUES (%s, %s, %s) ON CONFLICT (claim_id)"
                " DO UPDATE SET revision = excluded.revision, gone = excluded.gone",
                (claim_id, revision, gone),
            )
            await outbox.put_current(tx, SCHEMA, CLAIMS, key=claim_id, event_id=uuid4())

    async def put(self, key: str, reason: str, *, traceparent: str | None = None) -> UUID:
        event_id = uuid4()
        async with self.database.transaction() as tx:
            await outbox.put(
                tx, SCHEMA, DECISIONS, key=key, event=a_decision(reason), event_id=event_id, traceparent=traceparent
            )
        return event_id

    def relay(self) -> Relay:
        return Relay(
            self.database,
            self.wakeups,
            SCHEMA,
            self.harness.log,
            source="desk",
            renderers={CLAIMS.name: self.render},
            transactional_ids={CLAIMS.name: PUBLISHER},
        )

    @asynccontextmanager
    async def relaying(self, relay: Relay | None = None) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task((relay or self.relay()).run())
        try:
            yield task
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def published(self, topic: Topic) -> list[Record]:
        """What came to the topic since the test began, by partition; heartbeats left out."""
        log = self.harness.log
        found: list[Record] = []
        for number in range(topic.partitions):
            where = place(topic, number)
            end = await log.end(where)
            async with log.reader() as reader:
                await reader.assign({where: self._start[where]})
                while reader.position(where) < end:
                    found += await reader.read(timeout_seconds=0.2)
        return [one for one in found if one.key != HEARTBEAT_KEY]

    async def reasons(self) -> dict[str, list[str]]:
        """Decisions published, by key."""
        reasons: dict[str, list[str]] = {}
        for one in await self.published(DECISIONS):
            assert one.key is not None
            assert one.value is not None
            decision = DecisionTaken.model_validate_json(one.value)
            reasons.setdefault(one.key.decode(), []).append(decision.reason)
        return reasons

    async def revisions(self) -> dict[str, list[int | None]]:
        """Claims published, by key; None is a tombstone."""
        revisions: dict[str, list[int | None]] = {}
        for one in await self.published(CLAIMS):
            assert one.key is not None
            claim = None if one.value is None else ClaimChanged.model_validate_json(one.value)
            revisions.setdefault(one.key.decode(), []).append(None if claim is None else claim.revision)
        return revisions

    async def empty(self) -> bool:
        return await self.waiting() == 0

    async def waiting(self) -> int:
        async with self.database.transaction() as tx:
            row = await (
                await tx.execute(f"SELECT count(*) AS n FROM {SCHEMA}.outbox WHERE parked_at IS NULL")
            ).fetchone()
        assert row is not None
        return int(row["n"])

    async def reasons_parked(self) -> Sequence[str]:
        async with self.database.transaction() as tx:
            return [row["reason"] for row in await outbox.parked(tx, SCHEMA)]


@pytest.fixture
async def desk(harness: Harness, fresh_database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    shipped = Path(services.intake.__path__[0]) / "migrations" / "0001_outbox.sql"
    shutil.copy(shipped, tmp_path)
    async with Database(fresh_database) as database:
        await migrate(database, [Schema(name=SCHEMA, folder=tmp_path)])
        wakeups = Wakeups(database)
        listening = asyncio.create_task(wakeups.run())
        desk = Desk(harness, database, wakeups)
        await desk.prepare()
        try:
            yield desk
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_rows_are_published_in_their_keys_order_and_deleted(desk: Desk) -> None:
    await desk.put("a", "a0")
    async with desk.relaying():
        await asyncio.gather(*(_put_in_order(desk, key) for key in "abc"))
        await until(desk.empty)
    assert await desk.reasons() == {
        "a": ["a0", *(f"a{n}" for n in range(1, 20))],
        "b": [f"b{n}" for n in range(1, 20)],
        "c": [f"c{n}" for n in range(1, 20)],
    }


async def _put_in_order(desk: Desk, key: str) -> None:
    for number in range(1, 20):
        await desk.put(key, f"{key}{number}")


async def test_a_row_becomes_a_cloud_event_whose_id_is_the_rows(desk: Desk) -> None:
    async with desk.relaying():
        event_id = await desk.put("k", "r", traceparent=TRACE)
        await until(desk.empty)
    (one,) = await desk.published(DECISIONS)
    envelope = decode({DecisionTaken.TYPE: DecisionTaken}, value=one.value, headers=one.headers)
    assert envelope.id == str(event_id)
    assert envelope.source == "urn:takedown:desk"
    assert envelope.traceparent == TRACE
    assert envelope.time is not None
    assert isinstance(envelope.event, DecisionTaken)


async def test_a_row_without_data_is_rendered_as_it_is_now(desk: Desk) -> None:
    first, second, third = (str(uuid4()) for _ in range(3))
    await desk.change(first, 1)
    await desk.change(second, 1)
    await desk.change(first, 2)
    await desk.change(first, 3)
    await desk.change(third, 1, gone=True)
    async with desk.relaying():
        await until(desk.empty)
        assert await desk.revisions() == {first: [3], second: [1], third: [None]}
        await desk.change(first, 4)
        await until(desk.empty)
    assert (await desk.revisions())[first] == [3, 4]


async def test_the_row_stays_locked_until_the_log_has_acknowledged(desk: Desk) -> None:
    """Else a withdrawal could commit, and be published, before an addition that was rendered earlier."""
    key = str(uuid4())
    rendered, go_on = asyncio.Event(), asyncio.Event()

    async def render(tx: Tx, key: str) -> Event | None:
        event = await Desk.render(desk, tx, key)
        rendered.set()
        await go_on.wait()
        return event

    relay = Relay(desk.database, desk.wakeups, SCHEMA, desk.harness.log, source="desk", renderers={CLAIMS.name: render})
    async with desk.relaying(relay):
        await desk.change(key, 1)
        await asyncio.wait_for(rendered.wait(), 20)
        changing = asyncio.create_task(desk.change(key, 2))
        with pytest.raises(DatabaseUnavailable):  # NOWAIT tells the lock is held
            async with desk.database.transaction() as tx:
                await tx.execute(f"SELECT 1 FROM {SCHEMA}.claim WHERE claim_id = %s FOR UPDATE NOWAIT", (key,))
        assert await desk.revisions() == {}
        go_on.set()
        await changing
        await until(desk.empty)
    assert await desk.revisions() == {key: [1, 2]}


async def test_a_row_that_waits_for_a_writers_lock_does_not_stop_the_others(desk: Desk) -> None:
    locked, free = str(uuid4()), str(uuid4())
    await desk.change(locked, 1)
    await desk.change(free, 1)
    async with desk.relaying():
        async with desk.database.transaction() as tx:
            await tx.execute(f"SELECT 1 FROM {SCHEMA}.claim WHERE claim_id = %s FOR UPDATE", (locked,))
            await desk.put("other topic", "r")

            async def others_went() -> bool:
                return (await desk.reasons()) == {"other topic": ["r"]} and (await desk.revisions()) == {free: [1]}

            await until(others_went)
        await until(desk.empty)
    assert await desk.revisions() == {free: [1], locked: [1]}


async def test_many_rows_that_wait_for_one_writer_hold_up_no_other_topic(desk: Desk) -> None:
    """As `keys revoke --suspend-content` locks them: all until its commit."""
    async with desk.database.transaction() as tx:
        for number in range(200):
            await tx.execute(f"INSERT INTO {SCHEMA}.claim VALUES (%s, 1, false)", (UUID(int=number),))
            await outbox.put_current(tx, SCHEMA, CLAIMS, key=str(UUID(int=number)), event_id=uuid4())
    async with desk.database.transaction() as tx:
        await tx.execute(f"SELECT 1 FROM {SCHEMA}.claim FOR UPDATE")
        async with desk.relaying():
            await desk.put("other topic", "suspend")

            async def went() -> bool:
                return await desk.reasons() == {"other topic": ["suspend"]}

            await until(went, seconds=5)


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


async def test_one_relay_leads_and_another_takes_over(desk: Desk) -> None:
    async with desk.relaying():
        await desk.put("k", "1")
        await until(desk.empty)
        async with desk.relaying():
            for number in range(2, 12):
                await desk.put("k", f"{number}")
            await until(desk.empty)
            assert await desk.reasons() == {"k": [f"{number}" for number in range(1, 12)]}, "both would publish twice"
            await _kill_leader(desk)
            await desk.put("k", "12")
            await until(desk.empty)
    assert (await desk.reasons())["k"][-1] == "12"


async def _kill_leader(desk: Desk) -> None:
    async with desk.database.transaction() as tx:
        cursor = await tx.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        assert len(await cursor.fetchall()) == 1


async def test_a_relay_cut_off_after_publishing_publishes_again_under_the_same_id(desk: Desk) -> None:
    event_id = await desk.put("k", "r")

    async def published_times() -> int:
        return len(await desk.published(DECISIONS))

    async def published() -> bool:
        return await published_times() == 1

    async with desk.database.transaction() as tx:
        # While we hold the row it can be read and published, but not deleted.
        await tx.execute(f"SELECT 1 FROM {SCHEMA}.outbox FOR UPDATE")
        async with desk.relaying():
            await until(published)
            await _kill_leader(desk)
    async with desk.relaying():
        await until(desk.empty)
    ids = [dict(one.headers)["ce_id"].decode() for one in await desk.published(DECISIONS)]
    assert ids == [str(event_id)] * 2


async def test_a_fenced_relay_leads_anew(desk: Desk) -> None:
    claim = str(uuid4())
    async with desk.relaying():
        await desk.change(claim, 1)
        await until(desk.empty)
        async with desk.harness.another().publisher(transactional_id=PUBLISHER):
            await desk.change(claim, 2)
            await until(desk.empty)
    assert await desk.revisions() == {claim: [1, 2]}


async def test_a_replay_about_an_owned_topic_publishes_the_current_row(desk: Desk) -> None:
    claim = str(uuid4())
    async with desk.relaying():
        await desk.change(claim, 3)
        await until(desk.empty)
        (before,) = await desk.published(CLAIMS)
        with_key = await _ask(desk, before, key=claim)
        gone = await _ask(desk, before, key=None)
        outcomes: dict[UUID, str] = {}

        async def answered() -> bool:
            for one in await desk.published(DEAD_LETTERS):
                event = decode(MODELS, value=one.value, headers=one.headers).event
                if isinstance(event, Replayed):
                    outcomes[event.dead_letter_id] = event.outcome
            return {with_key, gone} <= set(outcomes)

        await until(answered)
        await until(desk.empty)
    assert outcomes[with_key] == "handled"
    assert outcomes[gone] == "record_gone"
    assert await desk.revisions() == {claim: [3, 3]}


async def _ask(desk: Desk, record: Record, *, key: str | None) -> UUID:
    request = ReplayRequested(
        dead_letter_id=uuid4(),
        group="another service's group",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=key,
        requested_by="p",
        at=NOW,
    )
    headers = headers_of(ReplayRequested, event_id=uuid4(), source="test", time=NOW)
    await publish(
        desk.harness.log,
        OutgoingRecord(topic=DEAD_LETTERS.name, key=b"k", value=data_of(request), headers=headers),
    )
    return request.dead_letter_id


async def test_compacted_partitions_get_a_heartbeat_where_the_log_needs_it(desk: Desk) -> None:
    log = desk.harness.log
    ends = {number: await log.end(place(CLAIMS, number)) for number in range(CLAIMS.partitions)}
    async with desk.relaying():
        await desk.put("k", "the relay leads")
        await until(desk.empty)
        if not log.needs_heartbeat:
            assert [await log.end(place(CLAIMS, number)) for number in ends] == list(ends.values())
            return

        async def beaten() -> bool:
            return all([await log.end(place(CLAIMS, number)) > end for number, end in ends.items()])

        await until(beaten)
    for number, end in ends.items():
        async with log.reader() as reader:
            await reader.assign({place(CLAIMS, number): end})
            (beat,) = await reader.read(timeout_seconds=10)
        assert (beat.key, beat.value) == (HEARTBEAT_KEY, None)
