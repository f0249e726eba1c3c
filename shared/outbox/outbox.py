"""Outbox and inbox of a schema: state, inbox mark and outbox rows commit in one transaction (the transactional outbox pattern).

Both tables are made by each service's `0001_outbox.sql`. The relay is in `relay.py`.
Order is kept per key: a writer holds the lock of the key's own row (content, claim, takedown) when it puts a row.
"""

from __future__ import annotations

import functools
from uuid import UUID

from psycopg import sql

from shared.contracts.event import Event, data_of
from shared.contracts.topics import Topic
from shared.db.pool import Row, Tx
from shared.db.wakeups import notify

# A row, and the relay woken by it at the commit.
_PUT = """
WITH put AS (
    INSERT INTO {schema}.outbox (outbox_id, topic, key, type, data, traceparent)
    VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (outbox_id) DO NOTHING
)
SELECT pg_notify(%s, '')
"""

_MARK = "INSERT INTO {schema}.inbox (group_name, event_id) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING 1 AS fresh"

_PARKED = """
SELECT sequence, outbox_id, topic, key, type, parked_at, reason FROM {schema}.outbox
WHERE parked_at IS NOT NULL ORDER BY sequence
"""

_UNPARK = """
UPDATE {schema}.outbox SET parked_at = NULL, reason = NULL WHERE outbox_id = %s AND parked_at IS NOT NULL
"""


def wakeup(schema: str) -> str:
    """The name of the wake-up for the schema's relay."""
    return f"{schema}_outbox"


async def put(
    tx: Tx, schema: str, topic: Topic, *, key: str, event: Event, event_id: UUID, traceparent: str | None = None
) -> None:
    """Queue an event for the log; `event_id` becomes its `ce_id`. A repeat of the same id is one row."""
    await _insert(tx, schema, (event_id, topic.name, key, type(event).TYPE, data_of(event), traceparent))


async def put_current(tx: Tx, schema: str, topic: Topic, *, key: str, event_id: UUID) -> None:
    """Queue 'publish this key's current row': the relay reads it under its row lock when it publishes."""
    await _insert(tx, schema, (event_id, topic.name, key, None, None, None))


async def mark(tx: Tx, schema: str, *, group: str, event_id: str) -> bool:
    """Write the inbox mark of an event that `group` handles. False: it was handled already; the handler then has nothing to do."""
    cursor = await tx.execute(_mark(schema), (group, event_id))
    return await cursor.fetchone() is not None


async def parked(tx: Tx, schema: str) -> list[Row]:
    """Rows that could not be sent, oldest first: sequence, outbox_id, topic, key, type, parked_at, reason."""
    cursor = await tx.execute(sql.SQL(_PARKED).format(schema=sql.Identifier(schema)))
    return await cursor.fetchall()


async def unpark(tx: Tx, schema: str, outbox_id: UUID) -> bool:
    """Have a parked row tried again, and with it the later rows of its key. False: there is no such row."""
    cursor = await tx.execute(sql.SQL(_UNPARK).format(schema=sql.Identifier(schema)), (outbox_id,))
    await notify(tx, wakeup(schema))
    return cursor.rowcount == 1


async def _insert(tx: Tx, schema: str, row: tuple[object, ...]) -> None:
    await tx.execute(_put(schema), (*row, wakeup(schema)))


@functools.cache
def _put(schema: str) -> bytes:
    # Rendered once: a composed query would be put together again for each row.
    return sql.SQL(_PUT).format(schema=sql.Identifier(schema)).as_bytes(None)


@functools.cache
def _mark(schema: str) -> bytes:
    return sql.SQL(_MARK).format(schema=sql.Identifier(schema)).as_bytes(None)
