"""Every effect of a decision as a row, in the transaction of the takedown's new state."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from services.notifier.domain.effects import (
    AdoptReference,
    CancelMessages,
    CancelTimers,
    CloseTask,
    Effect,
    EndMessage,
    EraseTarget,
    Lifecycle,
    OpenTask,
    PublishTarget,
    ScheduleTimer,
    SendMessage,
)
from services.notifier.domain.model import Takedown
from services.notifier.store import answers, checks, messages, takedowns, tasks, timers
from shared.contracts.event import data_of
from shared.contracts.lifecycle import TakedownHappened
from shared.contracts.topics import LIFECYCLE, TARGETS
from shared.db.due_rows import soon
from shared.db.pool import Tx
from shared.ids import deterministic_id
from shared.outbox import outbox

SCHEMA = takedowns.SCHEMA.name

# All entries of one decision: kept here, and queued for the log in their order.
_LIFECYCLE = """
WITH entry AS (
    SELECT * FROM unnest(%(sequences)s::int[], %(kinds)s::text[], %(states)s::text[], %(rounds)s::int[],
        %(moments)s::timestamptz[], %(facts)s::jsonb[], %(event_ids)s::uuid[], %(data)s::bytea[])
        AS e (sequence, kind, state, round, at, facts, event_id, data)
), kept AS (
    INSERT INTO notifier.lifecycle (takedown_id, sequence, kind, state, round, at, facts)
    SELECT %(takedown_id)s, sequence, kind, state, round, at, facts FROM entry
)
INSERT INTO notifier.outbox (outbox_id, topic, key, type, data)
SELECT event_id, %(topic)s, %(takedown_id)s::uuid::text, %(type)s, data FROM entry ORDER BY sequence
ON CONFLICT (outbox_id) DO NOTHING
"""


async def write_all(tx: Tx, takedown: Takedown, effects: Sequence[Effect]) -> None:
    """Write the effects that concern this takedown alone, in their order; timers that follow one another in one statement."""
    for kind, some in itertools.groupby(effects, key=type):
        if kind is ScheduleTimer:
            await timers.schedule(tx, takedown, [one for one in some if isinstance(one, ScheduleTimer)])
        else:
            for effect in some:
                await _write(tx, takedown, effect)


async def _write(tx: Tx, takedown: Takedown, effect: Effect) -> None:
    """Write one effect that concerns this takedown alone. Effects that reach further are no matter of this function."""
    match effect:
        case SendMessage():
            await messages.send(tx, takedown, effect)
        case EndMessage():
            await messages.end(tx, effect.message_id, effect.reason)
        case CancelMessages():
            await messages.cancel_unsent(tx, takedown.takedown_id, effect.demand_id)
        case CancelTimers():
            await timers.cancel_timers(tx, takedown.takedown_id, effect.demand_id)
        case OpenTask():
            await tasks.open_task(tx, takedown, effect)
        case CloseTask():
            await tasks.close_task(tx, effect.task_id, effect.resolution)
        case PublishTarget():
            await _publish_target(tx, takedown.takedown_id)
        case EraseTarget():
            await _erase(tx, takedown.takedown_id)
            await _publish_target(tx, takedown.takedown_id)
        case AdoptReference():
            await checks.adopt(tx, takedown.takedown_id)
        case _:
            pass  # checks follow the takedown's own word; the time line is written at once; the rest is written by the unit of work


async def write_time_line(tx: Tx, takedown: Takedown, entries: Sequence[Lifecycle]) -> None:
    """Keep what happened, and queue it for `takedown.lifecycle`."""
    await tx.execute(
        _LIFECYCLE,
        {
            "takedown_id": takedown.takedown_id,
            "topic": LIFECYCLE.name,
            "type": TakedownHappened.TYPE,
            "sequences": [one.sequence for one in entries],
            "kinds": [one.kind for one in entries],
            "states": [one.state for one in entries],
            "rounds": [one.round for one in entries],
            "moments": [one.at for one in entries],
            "facts": [Jsonb(one.facts) for one in entries],
            "event_ids": [_event_id(takedown, one) for one in entries],
            "data": [data_of(_happened(takedown, one)) for one in entries],
        },
    )


def _happened(takedown: Takedown, entry: Lifecycle) -> TakedownHappened:
    return TakedownHappened(
        takedown_id=takedown.takedown_id,
        content_id=takedown.content_id,
        sequence=entry.sequence,
        kind=entry.kind,
        state=entry.state,
        round=entry.round,
        at=entry.at,
        facts=entry.facts,
    )


def _event_id(takedown: Takedown, entry: Lifecycle) -> UUID:
    return deterministic_id((str(takedown.takedown_id), "lifecycle", str(entry.sequence)))


def wakeups_of(effects: Sequence[Effect], now: datetime) -> set[str]:
    """Who has to be woken when these are committed."""
    woken = set()
    for effect in effects:
        if isinstance(effect, SendMessage) and soon(effect.due, now):
            woken.add(takedowns.MESSAGES_WAKEUP)
        elif isinstance(effect, ScheduleTimer) and soon(effect.at, now):
            woken.add(takedowns.TIMERS_WAKEUP)
        elif isinstance(effect, Lifecycle):
            woken.add(outbox.wakeup(SCHEMA))
    return woken


async def _erase(tx: Tx, takedown_id: UUID) -> None:
    """Forget every URL, fingerprint and free text of this takedown; ids, states, words and times stay."""
    await checks.forget(tx, takedown_id)
    await messages.forget_addresses(tx, takedown_id)
    await answers.forget_details(tx, takedown_id)
    await tasks.forget_key(tx, takedown_id)


async def _publish_target(tx: Tx, takedown_id: UUID) -> None:
    await outbox.put_current(tx, SCHEMA, TARGETS, key=str(takedown_id), event_id=uuid4())
