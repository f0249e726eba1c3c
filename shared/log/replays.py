"""Answers to replays other than handing the record over again, which a group's own runner does.

- `content`, `claims`, `targets`: the service that owns the topic publishes its current row; the relay runs this (relay.py). The
  group that failed meets the row as any other record.
- `sightings`: the record is appended again to its partition, and the matcher meets it in the partition's order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from shared.clock import Clock, system_clock
from shared.contracts.dead_letters import ReplayRequested
from shared.contracts.event import Envelope
from shared.contracts.topics import DEAD_LETTERS
from shared.log.dead_letters import find_record, publish_outcome, row_key
from shared.log.port import EventLog, OutgoingRecord, Record
from shared.log.runner import Runner

Republish = Callable[[str, str], Awaitable[None]]
"""(topic, key): have the key's current row published."""


def current_row_replays(
    log: EventLog,
    *,
    group: str,
    topics: Collection[str],
    republish: Republish,
    member_id: str,
    source: str,
    clock: Clock = system_clock,
) -> Runner:
    """Answers, for the owner of `topics`, every request about them, whichever group asks. `run` it."""

    async def answer(envelope: Envelope, _: Record) -> None:
        request = envelope.event
        if not isinstance(request, ReplayRequested) or request.topic not in topics:
            return
        key = request.key
        if key is None:
            record = await find_record(log, request)
            key = None if record is None else row_key(record)
        if key is not None:
            await republish(request.topic, key)
        outcome = "record_gone" if key is None else "handled"
        await publish_outcome(log, request, outcome, None, source=source, at=clock())

    return _reading_requests(log, group, answer, member_id=member_id, source=source, clock=clock)


def append_again_replays(
    log: EventLog,
    *,
    group: str,
    topics: Collection[str],
    member_id: str,
    source: str,
    clock: Clock = system_clock,
) -> Runner:
    """Answers requests to `group` about `topics` by appending the record again, as it was, to its partition. `run` it."""

    async def answer(envelope: Envelope, _: Record) -> None:
        request = envelope.event
        if not isinstance(request, ReplayRequested) or request.group != group or request.topic not in topics:
            return
        record = await find_record(log, request)
        if record is not None:
            again = OutgoingRecord(
                topic=record.topic,
                key=record.key,
                value=record.value,
                headers=record.headers,
                partition=record.partition,
            )
            async with log.publisher() as publisher:
                await publisher.publish([again])
        outcome = "record_gone" if record is None else "handled"
        await publish_outcome(log, request, outcome, None, source=source, at=clock())

    return _reading_requests(log, f"{group}.replays", answer, member_id=member_id, source=source, clock=clock)


def _reading_requests(
    log: EventLog,
    group: str,
    answer: Callable[[Envelope, Record], Awaitable[None]],
    *,
    member_id: str,
    source: str,
    clock: Clock,
) -> Runner:
    return Runner(
        log,
        group,
        (DEAD_LETTERS.name,),
        answer,
        member_id=member_id,
        source=source,
        clock=clock,
        answers_replays=False,
    )
