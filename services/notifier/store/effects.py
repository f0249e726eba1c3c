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
from services.notifier.store import takedowns, tasks
from shared.contracts.event import data_of
from shared.contracts.lifecycle import TakedownHappened
from shared.contracts.topics import LIFECYCLE, TARGETS
from shared.db.due_rows import soon
from shared.db.pool import Tx
from shared.ids import deterministic_id
from shared.outbox import outbox

SCHEMA = takedowns.SCHEMA.name

# Due, or due again; what was accepted, failed for good or ended stays so. Its item is written with it: one demand a message today.
_SEND = """
WITH message AS (
    INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
    VALUES (%(message_id)s, %(takedown_id)s, %(demand_id)s, %(recipient)s, %(kind)s, %(number)s, 'due', %(due)s)
    ON CONFLICT (message_id) DO UPDATE SET state = 'due', due_at = excluded.due_at
    WHERE messages.state IN ('due', 'idle')
)
INSERT INTO notifier.message_items (message_id, demand_id) VALUES (%(message_id)s, %(demand_id)s) ON CONFLICT DO NOTHING
"""

_UNDER_WAY = "SELECT 1 FROM notifier.attempts WHERE takedown_id = %s AND outcome IS NULL LIMIT 1"

_END = "UPDATE notifier.messages SET state = 'ended', reason = %s WHERE message_id = %s AND state IN ('due', 'idle')"

_CANCEL = """
UPDATE notifier.messages SET state = 'ended', reason = 'cancelled'
WHERE takedown_id = %(takedown_id)s AND state IN ('due', 'idle') AND kind <> 'demand.retracted'
  AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

_TIMER = """
INSERT INTO notifier.timers (takedown_id, kind, demand_id, number, due_at)
SELECT %(takedown_id)s, kind, demand_id, number, due_at
FROM unnest(%(kinds)s::text[], %(demand_ids)s::uuid[], %(numbers)s::int[], %(due)s::timestamptz[])
    AS t (kind, demand_id, number, due_at)
ON CONFLICT (takedown_id, kind, demand_id, number) DO UPDATE SET due_at = excluded.due_at,
    lease_id = NULL, lease_until = NULL, failures = 0
"""

_CANCEL_TIMERS = """
DELETE FROM notifier.timers
WHERE takedown_id = %(takedown_id)s AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

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

_ADOPT = "UPDATE notifier.reference_fingerprints SET adopted_at = clock_timestamp() WHERE takedown_id = %s"


async def write_all(tx: Tx, takedown: Takedown, effects: Sequence[Effect]) -> None:
    """Write the effects that concern this takedown alone, in their order; timers that follow one another in one statement."""
    for kind, some in itertools.groupby(effects, key=type):
        if kind is ScheduleTimer:
            await _schedule(tx, takedown, [one for one in some if isinstance(one, ScheduleTimer)])
        else:
            for effect in some:
                await _write(tx, takedown, effect)


async def _schedule(tx: Tx, takedown: Takedown, timers: Sequence[ScheduleTimer]) -> None:
    last = {(one.kind, one.demand_id, one.number): one for one in timers}.values()
    await tx.execute(
        _TIMER,
        {
            "takedown_id": takedown.takedown_id,
            "kinds": [one.kind for one in last],
            "demand_ids": [one.demand_id for one in last],
            "numbers": [one.number for one in last],
            "due": [one.at for one in last],
        },
    )


async def _write(tx: Tx, takedown: Takedown, effect: Effect) -> None:
    """Write one effect that concerns this takedown alone. Effects that reach further are no matter of this function."""
    match effect:
        case SendMessage():
            await _send(tx, takedown, effect)
        case EndMessage():
            await tx.execute(_END, (effect.reason, effect.message_id))
        case CancelMessages():
            await tx.execute(_CANCEL, {"takedown_id": takedown.takedown_id, "demand_id": effect.demand_id})
        case CancelTimers():
            await tx.execute(_CANCEL_TIMERS, {"takedown_id": takedown.takedown_id, "demand_id": effect.demand_id})
        case OpenTask():
            await tasks.open_task(tx, takedown, effect)
        case CloseTask():
            await tasks.close_task(tx, effect.task_id, effect.resolution)
        case PublishTarget():
            await _publish_target(tx, takedown.takedown_id)
        case EraseTarget():
            await takedowns.erase(tx, takedown.takedown_id)
            await _publish_target(tx, takedown.takedown_id)
        case AdoptReference():
            await _adopt(tx, takedown.takedown_id)
        case _:
            pass  # checks follow the takedown's own word; the time line is written at once; the rest is the scope's


async def _send(tx: Tx, takedown: Takedown, effect: SendMessage) -> None:
    demand = takedown.demand(effect.demand_id)
    assert demand is not None, "a message belongs to a demand of its takedown"
    await tx.execute(
        _SEND,
        {
            "message_id": effect.message_id,
            "takedown_id": takedown.takedown_id,
            "demand_id": effect.demand_id,
            "recipient": demand.recipient,
            "kind": effect.kind,
            "number": effect.number,
            "due": effect.due,
        },
    )


async def attempt_is_under_way(tx: Tx, takedown_id: UUID) -> bool:
    """Whether a message about the takedown was started whose outcome is not written down."""
    row = await (await tx.execute(_UNDER_WAY, (takedown_id,))).fetchone()
    return row is not None


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


def channels_of(effects: Sequence[Effect], now: datetime) -> set[str]:
    """Who has to be woken when these are committed."""
    woken = set()
    for effect in effects:
        if isinstance(effect, SendMessage) and soon(effect.due, now):
            woken.add(takedowns.MESSAGES_CHANNEL)
        elif isinstance(effect, ScheduleTimer) and soon(effect.at, now):
            woken.add(takedowns.TIMERS_CHANNEL)
        elif isinstance(effect, Lifecycle):
            woken.add(outbox.channel(SCHEMA))
    return woken


async def _publish_target(tx: Tx, takedown_id: UUID) -> None:
    await outbox.put_current(tx, SCHEMA, TARGETS, key=str(takedown_id), event_id=uuid4())


async def _adopt(tx: Tx, takedown_id: UUID) -> None:
    # A page without media has no fingerprints to adopt; the row still says that a person vouched for it.
    await tx.execute(
        "INSERT INTO notifier.reference_fingerprints (takedown_id, fingerprints) VALUES (%s, '[]')"
        " ON CONFLICT DO NOTHING",
        (takedown_id,),
    )
    await tx.execute(_ADOPT, (takedown_id,))
