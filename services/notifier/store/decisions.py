"""The table `decisions`: what people (and hosts, in a person's stead) decided. One that comes back over the log is known by its row."""

from __future__ import annotations

from uuid import UUID

from shared.contracts.decisions import DecisionTaken
from shared.db.pool import Tx


async def keep(tx: Tx, decided: DecisionTaken) -> bool:
    """The row by which a decision that comes back over the log is known. False: it is known."""
    cursor = await tx.execute(
        "INSERT INTO notifier.decisions (decision_id, kind, content_id, takedown_id, demand_id, task_id, person_id,"
        " organisation_id, reason, recipient, looked, seen_at, how, decided_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING decision_id",
        (
            decided.decision_id,
            decided.kind,
            decided.content_id,
            decided.takedown_id,
            decided.demand_id,
            decided.task_id,
            decided.person_id,
            decided.organisation_id,
            decided.reason,
            decided.recipient,
            decided.looked,
            decided.seen_at,
            decided.how,
            decided.decided_at,
        ),
    )
    return await cursor.fetchone() is not None


async def read(tx: Tx, decision_id: UUID) -> DecisionTaken | None:
    """A decision as it was kept."""
    cursor = await tx.execute(
        "SELECT decision_id, kind, content_id, takedown_id, demand_id, task_id, person_id, organisation_id, reason, recipient,"
        " looked, seen_at, how, decided_at FROM notifier.decisions WHERE decision_id = %s",
        (decision_id,),
    )
    row = await cursor.fetchone()
    return None if row is None else DecisionTaken.model_validate(row)


async def is_kept_as(tx: Tx, decided: DecisionTaken) -> bool:
    """Whether the decision of this id says the same, whoever took it and when."""
    cursor = await tx.execute(
        "SELECT kind, content_id, takedown_id, demand_id, task_id, reason, recipient, looked, seen_at, how FROM notifier.decisions"
        " WHERE decision_id = %s",
        (decided.decision_id,),
    )
    row = await cursor.fetchone()
    return row is not None and row == decided.model_dump(include=set(row))


async def resumptions(tx: Tx, content_id: UUID) -> int:
    """How often it was decided that a content is acted on again."""
    cursor = await tx.execute(
        "SELECT count(*) AS times FROM notifier.decisions WHERE kind = 'resume' AND content_id = %s", (content_id,)
    )
    row = await cursor.fetchone()
    return 0 if row is None else int(row["times"])
