"""The log's contract, on both logs: publishing, reading, offsets, cleaning up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import BadSettings
from shared.log.partitioner import partition_of
from shared.log.port import (
    MAX_RECORD_BYTES,
    OffsetOutOfRange,
    OutgoingRecord,
    PublisherFenced,
    RecordRefused,
    RecordTooLarge,
    TopicPartition,
    UnknownTopic,
)
from tests.contract.log_harness import Harness, a_group, a_topic, place, publish, read_all, read_to, record, until


async def test_records_of_a_partition_are_read_in_the_order_they_were_published(harness: Harness) -> None:
    topic = a_topic(3)
    await harness.log.ensure_topics([topic])
    async with harness.log.publisher() as publisher:

        async def publish_some(partition: int) -> list[int]:
            offsets = []
            for number in range(20):
                one = record(topic, b"%d" % number, partition=partition)
                offsets += [stood.offset for stood in await publisher.publish([one])]
            return offsets

        offsets = await asyncio.gather(*(publish_some(partition) for partition in range(3)))
    for partition in range(3):
        found = await read_all(harness.log, topic, partition)
        assert [one.value for one in found] == [b"%d" % number for number in range(20)]
        assert [one.offset for one in found] == offsets[partition]
        assert sorted(set(offsets[partition])) == offsets[partition]


async def test_one_call_keeps_its_order_and_tells_where_each_record_stands(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    outgoing = [record(topic, b"%d" % number, partition=number % 2) for number in range(50)]
    async with harness.log.publisher() as publisher:
        stood = await publisher.publish(outgoing)
    assert [(one.topic, one.partition) for one in stood] == [(topic.name, number % 2) for number in range(50)]
    for partition in range(2):
        found = await read_all(harness.log, topic, partition)
        assert [(one.offset, one.value) for one in found] == [
            (stood[number].offset, b"%d" % number) for number in range(50) if number % 2 == partition
        ]


async def test_a_record_comes_back_as_it_was_given(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    before = datetime.now(UTC)
    headers = (("ce_type", b"takedown.test.v1"), ("bytes", bytes(range(256))), ("ce_type", b"again"))
    await publish(
        harness.log,
        OutgoingRecord(topic=topic.name, key=b"\x00key\xff", value=b"\x00value\xff", headers=headers, partition=0),
        OutgoingRecord(topic=topic.name, key=None, value=b"", partition=0),
        OutgoingRecord(topic=topic.name, key=b"gone", value=None, partition=0),
    )
    found = await read_all(harness.log, topic)
    assert [(one.key, one.value, one.headers) for one in found] == [
        (b"\x00key\xff", b"\x00value\xff", headers),
        (None, b"", ()),
        (b"gone", None, ()),
    ]
    for one in found:
        assert one.append_time.tzinfo is not None
        assert before - timedelta(seconds=2) < one.append_time < datetime.now(UTC) + timedelta(seconds=2)


async def test_a_key_has_the_same_partition_on_every_log(harness: Harness) -> None:
    topic = a_topic(12)
    await harness.log.ensure_topics([topic])
    keys = [b"%d" % number for number in range(40)]
    async with harness.log.publisher() as publisher:
        stood = await publisher.publish([record(topic, b"", key=key, partition=None) for key in keys])
    assert [one.partition for one in stood] == [partition_of(key, 12) for key in keys]


async def test_reading_ends_by_position_not_on_a_record(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    assert await harness.log.end(place(topic)) == 0
    offsets = await publish(harness.log, *(record(topic, b"x") for _ in range(5)))
    end = await harness.log.end(place(topic))
    assert end > offsets[-1]
    async with harness.log.reader() as reader:
        await reader.assign({place(topic): offsets[2], place(topic, 1): 0})
        assert reader.position(place(topic)) == offsets[2]
        assert [one.offset for one in await read_to(reader, place(topic), end)] == offsets[2:]
        assert reader.position(place(topic)) == end
        assert reader.position(place(topic, 1)) == 0
        assert await reader.read(timeout_seconds=0) == ()


async def test_a_waiting_reader_is_woken_by_a_record(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    async with harness.log.reader() as reader, harness.log.publisher() as publisher:
        await reader.assign({place(topic): 0})
        waiting = asyncio.create_task(reader.read(timeout_seconds=20))
        await publisher.publish([record(topic, b"x")])
        async with asyncio.timeout(10):
            assert [one.value for one in await waiting] == [b"x"]


async def test_no_more_records_are_read_than_asked_for(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await publish(harness.log, *(record(topic, b"%d" % number, partition=number % 2) for number in range(30)))
    async with harness.log.reader() as reader:
        await reader.assign({place(topic, 0): 0, place(topic, 1): 0})
        values: list[tuple[int, bytes | None]] = []
        while len(values) < 30:
            found = await reader.read(timeout_seconds=5, max_records=4)
            assert 0 < len(found) <= 4
            values += [(one.partition, one.value) for one in found]
    for partition in range(2):
        expected = [b"%d" % number for number in range(30) if number % 2 == partition]
        assert [value for where, value in values if where == partition] == expected


async def test_assigning_anew_replaces_what_was_assigned(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"a", partition=0), record(topic, b"b", partition=1))
    async with harness.log.reader() as reader:
        await reader.assign({place(topic, 0): 0})
        assert [one.value for one in await reader.read(timeout_seconds=10)] == [b"a"]
        await reader.assign({place(topic, 1): 0})
        assert [one.value for one in await reader.read(timeout_seconds=10)] == [b"b"]
        await reader.assign({place(topic, 0): 0})
        assert [one.value for one in await reader.read(timeout_seconds=10)] == [b"a"]


async def test_a_too_large_record_is_refused_and_nothing_of_the_call_is_published(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    with pytest.raises(RecordTooLarge):
        await publish(harness.log, record(topic, b"small"), record(topic, bytes(MAX_RECORD_BYTES)))
    largest = bytes(MAX_RECORD_BYTES - 3)
    await publish(harness.log, record(topic, largest))
    assert [one.value for one in await read_all(harness.log, topic)] == [largest]


async def test_an_unknown_topic_is_named_everywhere(harness: Harness) -> None:
    unknown = a_topic()
    assert await harness.log.missing_topics([unknown]) == (unknown.name,)
    with pytest.raises(UnknownTopic):
        await publish(harness.log, record(unknown, b"x"))
    with pytest.raises(UnknownTopic):
        await harness.log.partitions_of(unknown.name)
    with pytest.raises(UnknownTopic):
        await harness.log.log_id(unknown.name)
    with pytest.raises(UnknownTopic):
        await harness.log.end(place(unknown))
    with pytest.raises(UnknownTopic):
        await harness.log.offset_at(place(unknown), datetime.now(UTC))
    with pytest.raises(UnknownTopic):
        async with harness.log.group_reader(group=a_group(), topics=[unknown.name], member_id="a"):
            pass


async def test_an_unknown_partition_is_named(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    with pytest.raises(UnknownTopic):
        await publish(harness.log, record(topic, b"x", partition=2))
    with pytest.raises(UnknownTopic):
        await harness.log.beginning(TopicPartition(topic=topic.name, partition=2))
    async with harness.log.reader() as reader:
        for where in (place(topic, 2), place(a_topic())):
            with pytest.raises(UnknownTopic):
                await reader.assign({where: 0})


async def test_topics_are_ensured_more_than_once_but_keep_their_partitions(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await harness.log.ensure_topics([replace(topic, retention=timedelta(days=7))])
    assert await harness.log.missing_topics([topic]) == ()
    assert await harness.log.partitions_of(topic.name) == 2
    with pytest.raises(BadSettings):
        await harness.log.ensure_topics([replace(topic, partitions=3)])
    assert await harness.log.partitions_of(topic.name) == 2


async def test_the_log_id_changes_when_a_topic_is_made_anew(harness: Harness) -> None:
    topic, other = a_topic(), a_topic()
    await harness.log.ensure_topics([topic, other])
    first = await harness.log.log_id(topic.name)
    assert await harness.another().log_id(topic.name) == first
    assert await harness.log.log_id(other.name) != first
    await publish(harness.log, record(topic, b"old"))
    await harness.delete(topic)

    async def gone() -> bool:
        return bool(await harness.log.missing_topics([topic]))

    await until(gone)
    await harness.log.ensure_topics([topic])
    assert await harness.log.log_id(topic.name) != first
    assert await harness.log.log_id(topic.name) == await harness.another().log_id(topic.name)
    await publish(harness.another(), record(topic, b"new"))
    assert [one.value for one in await read_all(harness.another(), topic)] == [b"new"]


@pytest.mark.parametrize("position", [7, 1_000_000])
async def test_a_position_past_the_end_is_out_of_range(harness: Harness, position: int) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"x"))
    async with harness.log.reader() as reader:
        await reader.assign({place(topic): position})
        with pytest.raises(OffsetOutOfRange) as caught:
            await reader.read(timeout_seconds=10)
    assert caught.value.partition == place(topic)


async def test_the_offset_at_a_moment(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    for number in range(7):
        await publish(harness.log, record(topic, b"%d" % number))
    found = await read_all(harness.log, topic)
    where = place(topic)
    for one in found:
        first = next(other.offset for other in found if other.append_time >= one.append_time)
        assert await harness.log.offset_at(where, one.append_time) == first
    after = found[-1].append_time + timedelta(milliseconds=1)
    assert await harness.log.offset_at(where, after) == await harness.log.end(where)
    assert await harness.log.offset_at(where, found[0].append_time - timedelta(days=1)) == found[0].offset


async def test_retention_moves_the_beginning_and_a_position_below_it_is_out_of_range(harness: Harness) -> None:
    topic = a_topic(retention=timedelta(milliseconds=500), segment=timedelta(milliseconds=300))
    await harness.log.ensure_topics([topic])
    await publish(harness.log, *(record(topic, b"old") for _ in range(10)))

    async def cleaned() -> bool:
        await harness.clean(topic)
        return await harness.log.beginning(place(topic)) >= 10

    await until(cleaned)
    await publish(harness.log, record(topic, b"new"))
    assert b"old" not in [one.value for one in await read_all(harness.log, topic)]
    async with harness.log.reader() as reader:
        await reader.assign({place(topic): 3})
        with pytest.raises(OffsetOutOfRange) as caught:
            await reader.read(timeout_seconds=10)
    assert caught.value.partition == place(topic)


async def test_compaction_keeps_the_newest_of_each_key_and_leaves_holes(harness: Harness) -> None:
    topic = a_topic(
        retention=None,
        min_compaction_lag=timedelta(milliseconds=100),
        max_compaction_lag=timedelta(milliseconds=500),
        delete_retention=timedelta(days=90),
        segment=timedelta(milliseconds=300),
    )
    await harness.log.ensure_topics([topic])
    offsets = await publish(
        harness.log,
        record(topic, b"a1", key=b"a"),
        record(topic, b"b1", key=b"b"),
        record(topic, b"a2", key=b"a"),
        record(topic, b"c1", key=b"c"),
        record(topic, b"b2", key=b"b"),
        record(topic, None, key=b"c"),
    )
    kept = [(offsets[2], b"a2"), (offsets[4], b"b2"), (offsets[5], None)]

    async def cleaned() -> bool:
        await harness.clean(topic)
        found = [(one.offset, one.value) for one in await read_all(harness.log, topic) if one.key != b"filler"]
        assert [one for one in found if one in kept] == kept, "the newest of each key is never lost, nor a tombstone"
        return found == kept

    await until(cleaned)
    assert await harness.log.beginning(place(topic)) == 0
    # From inside a hole reading goes on at the next record.
    assert (await read_all(harness.log, topic, start=offsets[1]))[0].value == b"a2"


async def test_the_head_is_never_compacted(harness: Harness) -> None:
    topic = a_topic(
        retention=None,
        min_compaction_lag=timedelta(hours=1),
        max_compaction_lag=timedelta(days=1),
        segment=timedelta(milliseconds=300),
    )
    compacted = replace(a_topic(), retention=None, segment=topic.segment, min_compaction_lag=timedelta(0))
    compacted = replace(compacted, max_compaction_lag=timedelta(milliseconds=500))
    await harness.log.ensure_topics([topic, compacted])
    for one in (topic, compacted):
        await publish(harness.log, record(one, b"old"), record(one, b"new"))

    async def neighbour_cleaned() -> bool:
        await harness.clean(topic)
        await harness.clean(compacted)
        return b"old" not in [one.value for one in await read_all(harness.log, compacted)]

    await until(neighbour_cleaned)
    assert [one.value for one in await read_all(harness.log, topic)][:2] == [b"old", b"new"]


async def test_a_tombstone_goes_after_its_time_and_the_end_stays(harness: Harness) -> None:
    topic = a_topic(
        retention=None,
        min_compaction_lag=timedelta(0),
        max_compaction_lag=timedelta(milliseconds=300),
        delete_retention=timedelta(milliseconds=200),
        segment=timedelta(milliseconds=300),
    )
    await harness.log.ensure_topics([topic])
    await publish(harness.log, record(topic, b"a", key=b"a"), record(topic, None, key=b"a"))

    async def cleaned() -> bool:
        await harness.clean(topic)
        return b"a" not in [one.key for one in await read_all(harness.log, topic)]

    await until(cleaned)
    assert await harness.log.end(place(topic)) >= 2  # `read_all` has just read to it by position


async def test_a_compacted_topic_takes_no_record_without_a_key(harness: Harness) -> None:
    topic = a_topic(retention=None)
    await harness.log.ensure_topics([topic])
    with pytest.raises(RecordRefused):
        await publish(harness.log, record(topic, b"x", key=b"k"), record(topic, b"y", key=None))
    assert await read_all(harness.log, topic) == []


async def test_a_newer_publisher_of_the_same_id_fences_the_older(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    name = a_group()
    async with harness.log.publisher(transactional_id=name) as older:
        await older.publish([record(topic, b"1")])
        async with harness.another().publisher(transactional_id=name) as newer:
            with pytest.raises(PublisherFenced):
                await older.publish([record(topic, b"late")])
            with pytest.raises(PublisherFenced):
                await older.publish([record(topic, b"later")])
            await newer.publish([record(topic, b"2"), record(topic, b"3")])
            with pytest.raises(PublisherFenced):
                await older.publish([record(topic, b"last")])
    assert [one.value for one in await read_all(harness.log, topic)] == [b"1", b"2", b"3"]


async def test_a_transaction_leaves_a_hole_and_the_position_moves_over_it(harness: Harness) -> None:
    topic = a_topic()
    await harness.log.ensure_topics([topic])
    async with harness.log.publisher(transactional_id=a_group()) as publisher:
        for number in range(3):
            await publisher.publish([record(topic, b"%d" % number)])
    end = await harness.log.end(place(topic))
    found = await read_all(harness.log, topic)  # ends, by position, beyond the last marker
    assert [one.value for one in found] == [b"0", b"1", b"2"]
    assert end >= found[-1].offset + 1
    if harness.name == "kafka":
        assert end == found[-1].offset + 2, "Kafka writes a marker at the end of each transaction"


async def test_redaction_rewrites_what_the_log_allows(harness: Harness) -> None:
    topic = a_topic(2)
    await harness.log.ensure_topics([topic])
    await publish(
        harness.log,
        record(topic, b"keep"),
        record(topic, b"a SECRET b"),
        record(topic, b"SECRET", partition=1),
        record(topic, None),
    )

    def rewrite(value: bytes) -> bytes | None:
        return None if value == b"SECRET" else value.replace(b"SECRET", b"-")

    changed = await harness.log.redact(topic.name, containing=[b"SECRET", b"nowhere"], rewrite=rewrite)
    values = [one.value for partition in range(2) for one in await read_all(harness.log, topic, partition)]
    if harness.name == "kafka":
        assert (changed, values) == (0, [b"keep", b"a SECRET b", None, b"SECRET"])
    else:
        assert (changed, values) == (2, [b"keep", b"a - b", None])
    assert await harness.log.redact(topic.name, containing=[], rewrite=rewrite) == 0
