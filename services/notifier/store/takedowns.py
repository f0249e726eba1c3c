"""The tables `takedowns` and `demands`: a takedown's row, and its demands with their tokens' hashes.

Locks are taken in one order: content, then takedown. Everything here runs in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from psycopg import AsyncCursor

from services.notifier.domain.model import Takedown
from services.notifier.store.takedown_json import from_json, to_json
from shared.access.keyring import KeyRing, token_hash
from shared.contracts.targets import TargetChanged
from shared.db.migrations import Schema
from shared.db.pool import Row, Tx

SCHEMA = Schema(name="notifier", folder=Path(__file__).parent / "migrations")

CHECKS_WAKEUP = "notifier_checks"
STOPPED_WAKEUP = "notifier_stopped"
"""A takedown is looked at no more (suspended, withdrawn, held, ended): a look under way is broken off."""
MESSAGES_WAKEUP = "notifier_messages"
TIMERS_WAKEUP = "notifier_timers"
DIRECTORY_WAKEUP = "notifier_directory"
CHANGES_WAKEUP = "notifier_untold"

Answer = AsyncCursor[Row]
"""What a statement gives, once the pipeline it was sent in has come back."""

_LOAD = "SELECT data::text AS data FROM notifier.takedowns WHERE takedown_id = %s FOR UPDATE"

_CONTENT_OF = "SELECT content_id FROM notifier.takedowns WHERE takedown_id = %s"

_OF_CONTENT = """
SELECT takedown_id FROM notifier.takedowns WHERE content_id = %s ORDER BY takedown_id
"""

_SAVE = """
INSERT INTO notifier.takedowns (takedown_id, content_id, target_kind, state, round, sequence, host, url, url_key,
    key_version, page_url, distance, fingerprint_ref, match_basis, last_outcome, held_for, holds_released, removed_for, removed_at,
    wants_demand, reported_by, data, created_at, changed_at)
VALUES (%(takedown_id)s, %(content_id)s, %(target_kind)s, %(state)s, %(round)s, %(sequence)s, %(host)s, %(url)s,
    %(url_key)s, %(key_version)s, %(page_url)s, %(distance)s, %(fingerprint_ref)s, %(match_basis)s, %(last_outcome)s, %(held_for)s,
    %(holds_released)s, %(removed_for)s, %(removed_at)s, %(wants_demand)s, %(reported_by)s, %(data)s::jsonb, %(created_at)s, %(changed_at)s)
ON CONFLICT (takedown_id) DO UPDATE SET
    state = excluded.state, round = excluded.round, sequence = excluded.sequence, host = excluded.host,
    url = excluded.url, url_key = excluded.url_key, page_url = excluded.page_url, distance = excluded.distance,
    fingerprint_ref = excluded.fingerprint_ref, match_basis = excluded.match_basis, last_outcome = excluded.last_outcome,
    held_for = excluded.held_for, holds_released = excluded.holds_released, removed_for = excluded.removed_for,
    removed_at = excluded.removed_at, wants_demand = excluded.wants_demand, reported_by = excluded.reported_by,
    data = excluded.data, changed_at = excluded.changed_at
"""

_SAVE_DEMAND = """
INSERT INTO notifier.demands (demand_id, takedown_id, token_hash, recipient, rung, round, state, regime, country,
    issued_at, delivered_at, deadline)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (demand_id) DO UPDATE SET
    state = excluded.state, issued_at = excluded.issued_at, delivered_at = excluded.delivered_at,
    deadline = excluded.deadline, regime = excluded.regime
"""
# Takedowns for which a change of the directory can change what happens next.
_WAIT_FOR_DIRECTORY = """
SELECT DISTINCT t.takedown_id, t.content_id FROM notifier.takedowns t
LEFT JOIN notifier.tasks k ON k.takedown_id = t.takedown_id AND k.closed_at IS NULL
    AND k.kind IN ('unknown_host', 'unknown_posture', 'undeliverable', 'ladder_exhausted')
WHERE t.state IN ('open', 'reappeared', 'unremoved')
  AND (k.task_id IS NOT NULL OR t.state = 'unremoved' OR t.wants_demand)
"""
# Hosts at which this content was matched within the time at more than the distance, leaving out what a person has let go on;
# and the takedowns that can still be held.
_FLOOD = """
SELECT count(DISTINCT host) AS hosts,
       array_agg(takedown_id ORDER BY takedown_id) FILTER (WHERE state IN ('discovered', 'open')) AS takedown_ids
FROM notifier.takedowns
WHERE content_id = %s AND distance > %s AND created_at > statement_timestamp() - %s::interval
  AND NOT 'flood' = ANY(holds_released) AND state NOT IN ('rejected', 'dismissed', 'withdrawn')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandOwner:
    """Whose demand a token opens."""

    demand_id: UUID
    takedown_id: UUID
    content_id: UUID
    recipient: str


async def database_now(tx: Tx) -> datetime:
    """The database's clock, now (not the transaction's start)."""
    row = await (await tx.execute("SELECT clock_timestamp() AS now")).fetchone()
    assert row is not None
    moment: datetime = row["now"]
    return moment


async def load(tx: Tx, takedown_id: UUID) -> Takedown | None:
    """The takedown, its row locked. The content's row must be locked already."""
    return await loaded(await ask_load(tx, takedown_id))


async def ask_load(tx: Tx, takedown_id: UUID) -> Answer:
    """The first half of `load`, for a pipeline."""
    return await tx.execute(_LOAD, (takedown_id,))


async def loaded(answer: Answer) -> Takedown | None:
    """The second half of `load`."""
    row = await answer.fetchone()
    return None if row is None else from_json(row["data"])


async def peek(tx: Tx, takedown_id: UUID) -> Takedown | None:
    """The takedown as it stands, without a lock: to be shown, never to be decided on."""
    cursor = await tx.execute(
        "SELECT data::text AS data FROM notifier.takedowns WHERE takedown_id = %s", (takedown_id,)
    )
    row = await cursor.fetchone()
    return None if row is None else from_json(row["data"])


async def content_of(tx: Tx, takedown_id: UUID) -> UUID | None:
    """The content of a takedown, without a lock: it never changes."""
    row = await (await tx.execute(_CONTENT_OF, (takedown_id,))).fetchone()
    return None if row is None else row["content_id"]


async def takedown_of_demand(tx: Tx, demand_id: UUID) -> UUID | None:
    """Whose demand this is."""
    cursor = await tx.execute("SELECT takedown_id FROM notifier.demands WHERE demand_id = %s", (demand_id,))
    row = await cursor.fetchone()
    return None if row is None else row["takedown_id"]


async def takedowns_of(tx: Tx, content_id: UUID) -> tuple[UUID, ...]:
    """Every takedown of a content, in the order in which they are locked."""
    return tuple(row["takedown_id"] for row in await (await tx.execute(_OF_CONTENT, (content_id,))).fetchall())


async def save(tx: Tx, keys: KeyRing, before: Takedown | None, after: Takedown) -> None:
    """Write the takedown and the demands that changed."""
    target = after.target
    await tx.execute(
        _SAVE,
        {
            "takedown_id": after.takedown_id,
            "content_id": after.content_id,
            "target_kind": after.target_kind,
            "state": after.state,
            "round": after.round,
            "sequence": after.sequence,
            "host": target and target.host,
            "url": target and target.url,
            "url_key": target and target.url_key,
            "key_version": target.key_version if target else 1,
            "page_url": target and target.page_url,
            "distance": after.match.distance,
            "fingerprint_ref": after.match.fingerprint_ref,
            "match_basis": after.match.basis,
            "last_outcome": after.last_check and after.last_check.outcome,
            "held_for": after.held_for,
            "holds_released": list(after.releases.holds),
            "removed_for": after.removal and after.removal.reason,
            "removed_at": after.removal and after.removal.at,
            "wants_demand": after.climb.wanted,
            "reported_by": after.match.reported_by,
            "data": to_json(after).decode(),
            "created_at": after.created_at,
            "changed_at": after.changed_at,
        },
    )
    known = {demand.demand_id: demand for demand in before.demands} if before else {}
    for demand in after.demands:
        if known.get(demand.demand_id) != demand:
            await tx.execute(
                _SAVE_DEMAND,
                (
                    demand.demand_id,
                    after.takedown_id,
                    token_hash(keys.token_of(demand.demand_id)),
                    demand.recipient,
                    demand.rung,
                    demand.round,
                    demand.state,
                    demand.printed.regime,
                    demand.country,
                    demand.printed.issued_at,
                    demand.delivery and demand.delivery.at,
                    demand.deadline,
                ),
            )


async def owner_of_token(tx: Tx, token: str) -> DemandOwner | None:
    """The demand whose token this is; looked up by the token's SHA-256."""
    cursor = await tx.execute(
        "SELECT d.demand_id, d.takedown_id, t.content_id, d.recipient FROM notifier.demands d"
        " JOIN notifier.takedowns t USING (takedown_id) WHERE d.token_hash = %s",
        (token_hash(token),),
    )
    row = await cursor.fetchone()
    return None if row is None else DemandOwner(**row)


async def current_target(tx: Tx, key: str) -> TargetChanged | None:
    """What `takedown.targets` says of a takedown now, its row locked; None: erased, to be tombstoned."""
    row: Row | None = await (
        await tx.execute(
            "SELECT takedown_id, content_id, target_kind, url, url_key, key_version, page_url, changed_at"
            " FROM notifier.takedowns WHERE takedown_id = %s FOR SHARE",
            (UUID(key),),
        )
    ).fetchone()
    return None if row is None or row["url"] is None else TargetChanged.model_validate(row)


async def waiting_for_directory(tx: Tx) -> list[tuple[UUID, UUID]]:
    """(takedown, content) of each takedown that waits for a change of the directory."""
    rows = await (await tx.execute(_WAIT_FOR_DIRECTORY)).fetchall()
    return [(row["takedown_id"], row["content_id"]) for row in rows]


async def flood_of(tx: Tx, content_id: UUID, *, over: int, within: timedelta) -> tuple[int, list[UUID]]:
    """At how many hosts the content was matched at more than `over` bits `within` this time, and the takedowns of it that can still be
    held."""
    row = await (await tx.execute(_FLOOD, (content_id, over, within))).fetchone()
    return (0, []) if row is None else (row["hosts"], row["takedown_ids"] or [])
