"""Tasks: what needs a person. A task of a whole content, or of an API key, is one task, however many takedowns ask for it: the first is
shown, the others join it and are resolved with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.notifier.domain.effects import OpenTask
from services.notifier.domain.model import Takedown, TaskKind
from shared.db.pool import Tx
from shared.http.paging import PageAsked

# `joined_to`: the open task of this kind that the content or the key already has, if the task is the content's or the key's.
_OPEN = """
INSERT INTO notifier.tasks (task_id, kind, scope, takedown_id, content_id, demand_id, reported_by, joined_to, reason, owner, due_at,
    opened_at)
SELECT %(task_id)s, %(kind)s, %(scope)s, %(takedown_id)s, %(content_id)s, %(demand_id)s, %(reported_by)s, coalesce(
       (SELECT task_id FROM notifier.tasks WHERE %(scope)s = 'content' AND scope = 'content' AND joined_to IS NULL
        AND content_id = %(content_id)s AND kind = %(kind)s AND closed_at IS NULL ORDER BY opened_at LIMIT 1),
       (SELECT task_id FROM notifier.tasks WHERE scope = 'key' AND joined_to IS NULL
        AND reported_by = %(reported_by)s AND kind = %(kind)s AND closed_at IS NULL ORDER BY opened_at LIMIT 1)),
       %(reason)s, %(owner)s, %(due_at)s, clock_timestamp()
ON CONFLICT (task_id) DO NOTHING
"""

# A content's row is locked by whoever opens or closes its tasks; those of a key are of many contents. Of a task that is to be
# opened, of one that is open, and (nothing else being locked any more) until the commit.
_LOCK_KEY = "SELECT pg_advisory_xact_lock(hashtextextended('key_limit ' || %s::text, 0))"
_LOCK_KEY_OF = """
SELECT pg_advisory_xact_lock(hashtextextended('key_limit ' || reported_by, 0)) FROM notifier.tasks
WHERE task_id = %s AND scope = 'key' AND reported_by IS NOT NULL AND closed_at IS NULL
"""

_CLOSE = """
UPDATE notifier.tasks SET closed_at = clock_timestamp(), resolution = %s
WHERE task_id = %s AND closed_at IS NULL RETURNING scope, joined_to
"""

# When the shown task of a content is closed and others wait behind it, the oldest of them is shown: under its lock, for another
# takedown may be closing it, and what waits behind a closed task is seen by nobody.
_SUCCEED = """
WITH next AS (
    SELECT task_id FROM notifier.tasks WHERE joined_to = %(task_id)s AND closed_at IS NULL ORDER BY opened_at, task_id LIMIT 1
    FOR UPDATE
)
UPDATE notifier.tasks t SET joined_to = CASE WHEN t.task_id = next.task_id THEN NULL ELSE next.task_id END
FROM next WHERE t.joined_to = %(task_id)s AND t.closed_at IS NULL
"""

_GET = """
SELECT task_id, kind, scope, takedown_id, content_id, demand_id, reported_by, reason, owner, due_at, opened_at, closed_at, resolution
FROM notifier.tasks WHERE task_id = %s
"""

_TOGETHER = """
SELECT takedown_id, content_id FROM notifier.tasks
WHERE (task_id = %(task_id)s OR joined_to = %(task_id)s) AND closed_at IS NULL ORDER BY takedown_id
"""

_LIST = """
SELECT t.task_id, t.kind, t.scope, t.takedown_id, t.content_id, t.demand_id, t.reported_by, t.reason, t.owner, t.due_at, t.opened_at,
       t.closed_at, t.resolution
FROM notifier.tasks t
WHERE t.joined_to IS NULL
  AND (%(kind)s::text IS NULL OR t.kind = %(kind)s)
  AND (%(open)s::bool IS NULL OR (t.closed_at IS NULL) = %(open)s)
  AND (%(after_at)s::timestamptz IS NULL OR (t.opened_at, t.task_id) > (%(after_at)s, %(after_id)s::uuid))
  AND (%(organisation)s::text IS NULL OR t.opened_at >= (
        SELECT min(c.since) FROM notifier.claims c
        WHERE c.content_id = t.content_id AND c.organisation_id = %(organisation)s AND c.state = ANY(%(live)s)))
ORDER BY t.opened_at, t.task_id LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task. `scope` content, key: it stands for every takedown of the content, or by the word of the same API key (`reported_by`),
    that waits for it."""

    task_id: UUID
    kind: TaskKind
    scope: str
    takedown_id: UUID
    content_id: UUID
    demand_id: UUID | None
    reported_by: str | None
    reason: str
    owner: str
    due_at: datetime
    opened_at: datetime
    closed_at: datetime | None
    resolution: str | None


async def open_task(tx: Tx, takedown: Takedown, effect: OpenTask) -> None:
    """Open it, or join the open one of the same content or key."""
    reported_by = takedown.match.reported_by if effect.scope == "key" else None
    if reported_by is not None:
        await tx.execute(_LOCK_KEY, (reported_by,))
    await tx.execute(
        _OPEN,
        {
            "task_id": effect.task_id,
            "kind": effect.kind,
            "scope": effect.scope,
            "takedown_id": takedown.takedown_id,
            "content_id": takedown.content_id,
            "demand_id": effect.demand_id,
            "reported_by": reported_by,
            "reason": effect.reason,
            "owner": effect.owner,
            "due_at": effect.due,
        },
    )


async def close_task(tx: Tx, task_id: UUID, resolution: str) -> None:
    """Close a task. Closing one that is closed does nothing."""
    await lock_key_of(tx, task_id)
    closed = await (await tx.execute(_CLOSE, (resolution, task_id))).fetchone()
    if closed is not None and closed["scope"] != "takedown" and closed["joined_to"] is None:
        await tx.execute(_SUCCEED, {"task_id": task_id})


async def lock_key_of(tx: Tx, task_id: UUID) -> None:
    """Until the commit nobody else opens or closes a task of the same API key, if that is what this open task is about."""
    await tx.execute(_LOCK_KEY_OF, (task_id,))


async def forget_key(tx: Tx, takedown_id: UUID) -> None:
    """The key that tasks of this takedown were about is erased with it."""
    await tx.execute(
        "UPDATE notifier.tasks SET reported_by = NULL WHERE takedown_id = %s AND reported_by IS NOT NULL",
        (takedown_id,),
    )


async def close_together(tx: Tx, task_id: UUID, resolution: str) -> None:
    """Close a task with all that joined it: a person has settled them, though their takedowns have not all heard of it yet."""
    await tx.execute(
        "UPDATE notifier.tasks SET closed_at = clock_timestamp(), resolution = %(resolution)s"
        " WHERE (task_id = %(task_id)s OR joined_to = %(task_id)s) AND closed_at IS NULL",
        {"resolution": resolution, "task_id": task_id},
    )


async def open_beside(
    tx: Tx, *, takedown_id: UUID, content_id: UUID, kind: TaskKind, reason: str, due_at: datetime
) -> None:
    """Open a task about a takedown that does not know of it, since it may be what cannot be read: one of this kind at a time."""
    await tx.execute(
        "INSERT INTO notifier.tasks (task_id, kind, scope, takedown_id, content_id, reason, owner, due_at, opened_at)"
        " SELECT gen_random_uuid(), %(kind)s, 'takedown', %(takedown_id)s, %(content_id)s, %(reason)s, 'operations', %(due_at)s,"
        " clock_timestamp() WHERE NOT EXISTS (SELECT 1 FROM notifier.tasks WHERE takedown_id = %(takedown_id)s AND kind = %(kind)s"
        " AND closed_at IS NULL)",
        {"kind": kind, "takedown_id": takedown_id, "content_id": content_id, "reason": reason, "due_at": due_at},
    )


async def close_open(tx: Tx, takedown_id: UUID, kind: TaskKind, resolution: str) -> None:
    """Close the tasks of this kind that `open_beside` opened."""
    await tx.execute(
        "UPDATE notifier.tasks SET closed_at = clock_timestamp(), resolution = %s"
        " WHERE takedown_id = %s AND kind = %s AND closed_at IS NULL",
        (resolution, takedown_id, kind),
    )


async def task_of(tx: Tx, task_id: UUID) -> Task | None:
    row = await (await tx.execute(_GET, (task_id,))).fetchone()
    return None if row is None else _task(row)


async def is_open(tx: Tx, content_id: UUID, kind: TaskKind) -> bool:
    """Whether a task of this kind about the whole content waits for a person."""
    cursor = await tx.execute(
        "SELECT 1 FROM notifier.tasks WHERE content_id = %s AND kind = %s AND scope = 'content' AND closed_at IS NULL LIMIT 1",
        (content_id, kind),
    )
    return await cursor.fetchone() is not None


async def takedowns_of_task(tx: Tx, task_id: UUID, content_id: UUID) -> tuple[tuple[UUID, ...], tuple[UUID, ...]]:
    """The takedowns of this content that wait for this task, in the order in which they are locked, and those of other contents."""
    await lock_key_of(tx, task_id)
    rows = await (await tx.execute(_TOGETHER, {"task_id": task_id})).fetchall()
    here = dict.fromkeys(row["takedown_id"] for row in rows if row["content_id"] == content_id)
    elsewhere = dict.fromkeys(row["takedown_id"] for row in rows if row["content_id"] != content_id)
    return tuple(here), tuple(elsewhere)


async def list_tasks(
    tx: Tx,
    *,
    kind: str | None,
    open_: bool | None,
    organisation: str | None,
    live: list[str],
    page: PageAsked,
) -> tuple[Task, ...]:
    """Tasks, oldest first; one more than the page holds where there are more. `organisation`: only of content it has a live claim on, and
    opened since."""
    cursor = await tx.execute(
        _LIST,
        {
            "kind": kind,
            "open": open_,
            "organisation": organisation,
            "live": live,
            **page.parameters(),
        },
    )
    return tuple(_task(row) for row in await cursor.fetchall())


def _task(row: Mapping[str, Any]) -> Task:
    return Task(**{**row, "kind": TaskKind(row["kind"])})
