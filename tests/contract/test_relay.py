"""The outbox relay on both logs: order, current rows under their lock, parked rows, one leader, replays of current rows."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from shared.contracts.dead_letters import MODELS, Replayed, ReplayRequested
from shared.contracts.decisions import DecisionTaken
from shared.contracts.event import Event, data_of, decode, headers_of
from shared.contracts.topics import CLAIMS, DEAD_LETTERS, DECISIONS
from shared.db.pool import DatabaseUnavailable, Tx
from shared.log.port import (
    HEARTBEAT_KEY,
    OutgoingRecord,
    Record,
)
from shared.outbox import outbox
from shared.outbox.relay import Relay
from tests.contract.log_harness import place, publish, until
from tests.contract.outbox_desk import NOW, PUBLISHER, SCHEMA, Desk

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


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
        assert {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time"} == {name for name, _ in beat.headers}
