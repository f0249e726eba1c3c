"""The table `answers`: what a recipient answered to a demand, each once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.notifier.domain.events import AnswerKind, RemovalMethod, ResponseReason
from shared.db.pool import Tx

_KEEP = """
INSERT INTO notifier.answers (answer_id, demand_id, takedown_id, kind, reason, method, details, via, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp()) ON CONFLICT DO NOTHING
RETURNING answer_id, demand_id, kind, coalesce(method, reason) AS word, received_at
"""

_OF_DEMAND = """
SELECT answer_id, demand_id, kind, coalesce(method, reason) AS word, received_at FROM notifier.answers
WHERE demand_id = %s AND (%s::uuid IS NULL OR answer_id = %s) ORDER BY received_at, answer_id
"""

# A person has decided since this recipient first said this of the content: by letting it be fetched again, or by settling a dispute.
_SETTLED = """
SELECT EXISTS (
    SELECT 1 FROM notifier.answers a
    JOIN notifier.demands d USING (demand_id)
    JOIN notifier.takedowns t ON t.takedown_id = d.takedown_id
    JOIN notifier.decisions k ON k.decided_at > a.received_at AND k.person_id NOT LIKE 'host:%%'
    WHERE t.content_id = %(content_id)s AND d.recipient = %(recipient)s AND a.reason = %(reason)s
      AND CASE WHEN a.reason = 'possible_minor'
          THEN k.content_id = t.content_id AND k.kind IN ('resume_fetching', 'resume')
          ELSE k.kind IN ('release', 'dismiss') AND k.task_id IN (
              SELECT task_id FROM notifier.tasks WHERE content_id = t.content_id AND kind = 'dispute') END
) AS settled
"""

_AGAIN = "UPDATE notifier.answers SET times = times + 1 WHERE answer_id = %s RETURNING answer_id"

_FORGET_DETAILS = "UPDATE notifier.answers SET details = NULL WHERE takedown_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An answer as it was kept; a repeat gives the same."""

    answer_id: UUID
    demand_id: UUID
    kind: AnswerKind
    word: str | None
    """A removal's method, a response's reason."""
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAnswer:
    """An answer to keep. `details`: all but its reason and method, as JSON; None once its target is erased."""

    answer_id: UUID
    demand_id: UUID
    takedown_id: UUID
    kind: AnswerKind
    reason: ResponseReason | None
    method: RemovalMethod | None
    details: dict[str, Any] | None
    via: str


async def keep_answer(tx: Tx, new: NewAnswer) -> Kept | None:
    """Keep an answer; None: it was kept before."""
    cursor = await tx.execute(
        _KEEP,
        (
            new.answer_id,
            new.demand_id,
            new.takedown_id,
            new.kind,
            new.reason,
            new.method,
            None if new.details is None else Jsonb(new.details),
            new.via,
        ),
    )
    row = await cursor.fetchone()
    return None if row is None else Kept(**{**row, "kind": AnswerKind(row["kind"])})


async def of_demand(tx: Tx, demand_id: UUID, answer_id: UUID | None) -> tuple[Kept, ...]:
    """The answers to a demand, the first first, or the one with this id."""
    cursor = await tx.execute(_OF_DEMAND, (demand_id, answer_id, answer_id))
    return tuple(Kept(**{**row, "kind": AnswerKind(row["kind"])}) for row in await cursor.fetchall())


async def count_again(tx: Tx, answer_id: UUID) -> bool:
    """Note that the same answer came once more. False: it never came before."""
    return await (await tx.execute(_AGAIN, (answer_id,))).fetchone() is not None


async def count(tx: Tx, demand_id: UUID) -> int:
    """How many answers to a demand were taken."""
    cursor = await tx.execute("SELECT count(*) AS taken FROM notifier.answers WHERE demand_id = %s", (demand_id,))
    row = await cursor.fetchone()
    return 0 if row is None else int(row["taken"])


async def settled_since(tx: Tx, content_id: UUID, recipient: str, reason: ResponseReason) -> bool:
    """Whether a person has decided since this recipient first gave this reason for a demand about the content."""
    asked = {"content_id": content_id, "recipient": recipient, "reason": reason}
    row = await (await tx.execute(_SETTLED, asked)).fetchone()
    return row is not None and bool(row["settled"])


async def forget_details(tx: Tx, takedown_id: UUID) -> None:
    """The recipients' own words about a takedown are forgotten."""
    await tx.execute(_FORGET_DETAILS, (takedown_id,))
