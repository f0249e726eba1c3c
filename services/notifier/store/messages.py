"""The tables `messages`, `message_items` and `attempts`: what is to be sent to a recipient, and each time it was tried."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.domain.effects import SendMessage
from services.notifier.domain.model import MessageKind, Takedown
from shared.access import stops
from shared.db.due_rows import DueTable
from shared.db.pool import Row, Tx

# A domain on hold, with all under it: one of the recipient's, or the host where the target of takedown `t` is.
_RECIPIENT_HELD = """
EXISTS (SELECT 1 FROM notifier.holds h JOIN notifier.host_domains o
        ON o.domain = h.domain OR right(o.domain, length(h.domain) + 1) = '.' || h.domain
        WHERE o.organisation = {recipient})
"""
_HELD = f"""
({_RECIPIENT_HELD.format(recipient="d.recipient")}
 OR EXISTS (SELECT 1 FROM notifier.holds h WHERE t.host = h.domain OR right(t.host, length(h.domain) + 1) = '.' || h.domain))
"""

# The content is stopped, though its takedown may not have heard of it. Whoever was asked is notified of a withdrawal; what stops
# fetches alone stops no message.
_STOPPED = f"""
(EXISTS (SELECT 1 FROM access.stops s WHERE s.content_id = t.content_id AND s.reason <> '{stops.FETCHING}'
         AND NOT (s.reason = '{stops.WITHDRAWN}' AND d.kind = '{MessageKind.RETRACTED.value}'))
 OR EXISTS (SELECT 1 FROM notifier.content k WHERE k.content_id = t.content_id AND (k.state = 'suspended'
            OR k.state = 'withdrawn' AND d.kind <> '{MessageKind.RETRACTED.value}')))
"""

# Everything that can stop it from outside the takedown, in one statement, at the last moment.
_READ = f"""
SELECT d.demand_id, d.kind, d.number, d.attempts, d.created_at, (SELECT is_on FROM notifier.outbound) AS is_on,
       {_HELD} AS held, {_STOPPED} AS stopped, a.attempt_id AS open_attempt, a.started_at AS open_started, a.number AS open_number
FROM notifier.messages d JOIN notifier.takedowns t USING (takedown_id)
LEFT JOIN notifier.attempts a ON a.message_id = d.message_id AND a.outcome IS NULL
WHERE d.message_id = %s AND d.lease_id = %s AND d.state = 'due' FOR UPDATE OF d
"""

# The same for attempts that are about to leave or under way: by the takedown's and the message's state, which whatever stops it has
# written.
GO_ON = f"""
SELECT d.message_id FROM notifier.messages d JOIN notifier.takedowns t USING (takedown_id)
WHERE d.message_id = ANY(%s) AND d.state = 'due' AND t.state <> 'suspended'
  AND (SELECT is_on FROM notifier.outbound) AND NOT {_HELD} AND NOT {_STOPPED}
"""

_REFUSE = """
UPDATE notifier.messages SET state = CASE WHEN state = 'due' THEN 'idle' ELSE state END, reason = %s,
    lease_id = NULL, lease_until = NULL, failures = 0
WHERE message_id = %s
"""

_START = """
WITH started AS (
    INSERT INTO notifier.attempts (attempt_id, message_id, takedown_id, number, channel, started_at, body_sha256)
    VALUES (%(attempt_id)s, %(message_id)s, %(takedown_id)s, %(number)s, %(channel)s, %(started_at)s, %(body_sha256)s)
)
UPDATE notifier.messages SET attempts = %(number)s WHERE message_id = %(message_id)s
"""

# An attempt that has ended already stays so, and its message with it.
_END_ATTEMPT = """
WITH ended AS (
    UPDATE notifier.attempts SET ended_at = clock_timestamp(), outcome = %(outcome)s, detail = %(detail)s, status = %(status)s,
        address = %(address)s, elapsed_ms = %(elapsed_ms)s
    WHERE attempt_id = %(attempt_id)s AND (outcome IS NULL OR outcome = 'unknown')
    RETURNING message_id
)
UPDATE notifier.messages m SET state = CASE WHEN m.state IN ('due', 'idle') THEN %(state)s ELSE m.state END,
    reason = %(detail)s, lease_id = NULL, lease_until = NULL, failures = 0
FROM ended WHERE m.message_id = ended.message_id
RETURNING m.message_id
"""


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

_END_MESSAGE = (
    "UPDATE notifier.messages SET state = 'ended', reason = %s WHERE message_id = %s AND state IN ('due', 'idle')"
)

_CANCEL = """
UPDATE notifier.messages SET state = 'ended', reason = 'cancelled'
WHERE takedown_id = %(takedown_id)s AND state IN ('due', 'idle') AND kind <> 'demand.retracted'
  AND (%(demand_id)s::uuid IS NULL OR demand_id = %(demand_id)s)
"""

_FORGET_ADDRESSES = "UPDATE notifier.attempts SET address = NULL WHERE takedown_id = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueMessage:
    """A message that is due, claimed by a worker."""

    message_id: UUID
    takedown_id: UUID
    content_id: UUID
    recipient: str
    lease_id: UUID


MESSAGES = DueTable(
    "notifier.messages",
    key=("message_id",),
    place="d.recipient",
    many_of_a_place=True,
    waiting="d.state = 'due'",
    beside="notifier.takedowns t",
    on="t.takedown_id = d.takedown_id",
    # A takedown that has heard of the suspension is asked all the same: it refuses the message, which then waits for its word.
    allowed=f"(SELECT is_on FROM notifier.outbound) AND NOT {_HELD} AND (t.state = 'suspended' OR NOT {_STOPPED})",
    allowed_place=f"NOT {_RECIPIENT_HELD.format(recipient='places.place')}",
    returning="d.takedown_id, t.content_id, d.recipient",
    job=lambda row: DueMessage(**row),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAttempt:
    """An attempt that is about to be made."""

    attempt_id: UUID
    number: int
    channel: str
    started_at: datetime
    body_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnd:
    """What became of an attempt, and the state of its message from then on: `accepted`, `failed`, or `idle` where it may go again."""

    attempt_id: UUID
    message_state: str
    outcome: str
    detail: str | None
    status: int | None
    address: str | None
    elapsed_ms: int | None


async def send(tx: Tx, takedown: Takedown, effect: SendMessage) -> None:
    """The message is due, or due again. What was accepted, failed for good or ended stays so."""
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


async def end(tx: Tx, message_id: UUID, reason: str) -> None:
    """A message that has not reached its recipient is not sent any more."""
    await tx.execute(_END_MESSAGE, (reason, message_id))


async def cancel_unsent(tx: Tx, takedown_id: UUID, demand_id: UUID | None) -> None:
    """What is not sent yet for a takedown, or for one demand of it, is not sent any more; retractions are."""
    await tx.execute(_CANCEL, {"takedown_id": takedown_id, "demand_id": demand_id})


async def attempt_is_under_way(tx: Tx, takedown_id: UUID) -> bool:
    """Whether a message about the takedown was started whose outcome is not written down."""
    row = await (await tx.execute(_UNDER_WAY, (takedown_id,))).fetchone()
    return row is not None


async def read_due(tx: Tx, message: DueMessage) -> Row | None:
    """The message, locked, with everything that can stop it now; None: it has ended, or another process has taken it since."""
    return await (await tx.execute(_READ, (message.message_id, message.lease_id))).fetchone()


async def that_go_on(tx: Tx, message_ids: Collection[UUID]) -> set[UUID]:
    """Those of these messages that nothing stops."""
    cursor = await tx.execute(GO_ON, (list(message_ids),))
    return {row["message_id"] for row in await cursor.fetchall()}


async def refuse(tx: Tx, message_id: UUID, reason: str) -> None:
    """The message is not sent now: its takedown says what becomes of it."""
    await tx.execute(_REFUSE, (reason, message_id))


async def start_attempt(tx: Tx, message: DueMessage, attempt: NewAttempt) -> None:
    """Write the attempt down before anything leaves."""
    await tx.execute(
        _START,
        {
            "attempt_id": attempt.attempt_id,
            "message_id": message.message_id,
            "takedown_id": message.takedown_id,
            "number": attempt.number,
            "channel": attempt.channel,
            "started_at": attempt.started_at,
            "body_sha256": attempt.body_sha256,
        },
    )


async def end_attempt(tx: Tx, ended: AttemptEnd) -> bool:
    """Write down what became of an attempt. False: it had ended before, and stays as it was."""
    cursor = await tx.execute(
        _END_ATTEMPT,
        {
            "attempt_id": ended.attempt_id,
            "state": ended.message_state,
            "outcome": ended.outcome,
            "detail": ended.detail,
            "status": ended.status,
            "address": ended.address,
            "elapsed_ms": ended.elapsed_ms,
        },
    )
    return await cursor.fetchone() is not None


async def forget_addresses(tx: Tx, takedown_id: UUID) -> None:
    """Which addresses were connected to for a takedown is forgotten."""
    await tx.execute(_FORGET_ADDRESSES, (takedown_id,))
