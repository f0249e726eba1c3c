"""Every effect of a decision as a row, in the transaction of the takedown's new state."""

from __future__ import annotations

from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from services.notifier import store, tasks
from services.notifier.effects import (
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
from services.notifier.states import Takedown
from shared.contracts.lifecycle import TakedownHappened
from shared.contracts.topics import LIFECYCLE, TARGETS
from shared.db import outbox
from shared.db.pool import Tx
from shared.db.wake import notify
from shared.ids import deterministic_id

SCHEMA = store.SCHEMA.name

# Due, or due again; what was accepted, failed for good or ended stays so.
_SEND = """
INSERT INTO notifier.messages (message_id, takedown_id, demand_id, recipient, kind, number, state, due_at)
VALUES (%s, %s, %s, %s, %s, %s, 'due', %s)
ON CONFLICT (message_id) DO UPDATE SET state = 'due', due_at = excluded.due_at
WHERE messages.state IN ('due', 'idle')
"""

_END = "UPDATE notifier.messages SET state = 'ended', reason = %s WHERE message_id = %s AND state IN ('due', 'idle')"

_CANCEL = """
UPDATE notifier.messages SET state = 'ended', reason = 'cancelled'
WHERE takedown_id = %(takedown_id)s AND state IN ('due', 'idle')
  AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

_TIMER = """
INSERT INTO notifier.timers (takedown_id, kind, demand_id, number, due_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (takedown_id, kind, demand_id, number) DO UPDATE SET due_at = excluded.due_at
"""

_CANCEL_TIMERS = """
DELETE FROM notifier.timers
WHERE takedown_id = %(takedown_id)s AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

_LIFECYCLE = """
INSERT INTO notifier.lifecycle (takedown_id, sequence, kind, state, round, at, facts)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

_ADOPT = "UPDATE notifier.reference_fingerprints SET adopted_at = clock_timestamp() WHERE takedown_id = %s"


async def write(tx: Tx, takedown: Takedown, effect: Effect) -> None:
    """Write one effect that concerns this takedown alone. Effects that reach further are no matter of this function."""
    match effect:
        case SendMessage():
            await _send(tx, takedown, effect)
        case EndMessage():
            await tx.execute(_END, (effect.reason, effect.message_id))
        case CancelMessages():
            await tx.execute(_CANCEL, {"takedown_id": takedown.takedown_id, "demand_id": effect.demand_id})
        case ScheduleTimer():
            await tx.execute(_TIMER, (takedown.takedown_id, effect.kind, effect.demand_id, effect.number, effect.at))
            await notify(tx, store.TIMERS_CHANNEL)
        case CancelTimers():
            await tx.execute(_CANCEL_TIMERS, {"takedown_id": takedown.takedown_id, "demand_id": effect.demand_id})
        case OpenTask():
            await tasks.open_task(tx, takedown, effect)
        case CloseTask():
            await tasks.close_task(tx, effect.task_id, effect.resolution)
        case Lifecycle():
            await _happened(tx, takedown, effect)
        case PublishTarget():
            await _publish_target(tx, takedown.takedown_id)
        case EraseTarget():
            await store.erase(tx, takedown.takedown_id)
            await _publish_target(tx, takedown.takedown_id)
        case AdoptReference():
            await _adopt(tx, takedown.takedown_id)
        case _:
            pass  # checks follow the takedown's own word; the rest is the scope's


async def _send(tx: Tx, takedown: Takedown, effect: SendMessage) -> None:
    demand = takedown.demand(effect.demand_id)
    assert demand is not None, "a message belongs to a demand of its takedown"
    await tx.execute(
        _SEND,
        (
            effect.message_id,
            takedown.takedown_id,
            effect.demand_id,
            demand.recipient,
            effect.kind,
            effect.number,
            effect.due,
        ),
    )
    await notify(tx, store.MESSAGES_CHANNEL)


async def _happened(tx: Tx, takedown: Takedown, effect: Lifecycle) -> None:
    await tx.execute(
        _LIFECYCLE,
        (
            takedown.takedown_id,
            effect.sequence,
            effect.kind,
            effect.state,
            effect.round,
            effect.at,
            Jsonb(effect.facts),
        ),
    )
    event = TakedownHappened(
        takedown_id=takedown.takedown_id,
        content_id=takedown.content_id,
        sequence=effect.sequence,
        kind=effect.kind,
        state=effect.state,
        round=effect.round,
        at=effect.at,
        facts=effect.facts,
    )
    event_id = deterministic_id((str(takedown.takedown_id), "lifecycle", str(effect.sequence)))
    await outbox.put(tx, SCHEMA, LIFECYCLE, key=str(takedown.takedown_id), event=event, event_id=event_id)


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
