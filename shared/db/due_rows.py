"""Tables whose rows become due: how rows are claimed, leased, released, put back, and counted as failed. `due_worker.py` does the
jobs.

Rows are claimed in sets (`FOR UPDATE SKIP LOCKED`, a lease that outlives the job's longest time), so that another process takes
them over when this one dies. What is due is decided by the database's clock as a statement begins (`statement_timestamp()`): one
moment for all its rows, which an index can be asked for. `clock_timestamp()` would be asked anew for each row of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.db.pool import Row, Tx

POLL_SECONDS = 1.0
"""A NOTIFY wakes a worker; looking so often is the fallback."""

Job = TypeVar("Job")


def soon(due_at: datetime, now: datetime) -> bool:
    """Whether a row that is due then is worth a wake-up: a later one is met by the next poll in time."""
    return due_at <= now + timedelta(seconds=POLL_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a claim may take: `free` rows in all, and of one place at most what `per_place` has left of it."""

    free: int
    per_place: int
    busy: Mapping[str, int]

    @property
    def full(self) -> list[str]:
        """Places at their limit."""
        return [place for place, count in self.busy.items() if count >= self.per_place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leased(Generic[Job]):
    """A row that this process has leased. `place`: where its job goes (a host, a recipient)."""

    job: Job
    key: tuple[object, ...]
    lease_id: UUID
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(Generic[Job]):
    """The rows that a claim leased. `next_seconds`: until the next row is due, None: none waits."""

    rows: Sequence[Leased[Job]]
    next_seconds: float | None = None

    @property
    def jobs(self) -> list[Job]:
        return [row.job for row in self.rows]


WINDOW = 500
"""How many rows, the oldest, a claim looks at; more than it ever takes. Where as many are due, there may be more."""

PLACES = 1_000
"""So many places are asked in one claim: whoever can make up places (host names under a domain) shall not make it slow."""

# Due rows with room at their place, oldest first. `rank` keeps one place from taking more than it has left, and its backlog from
# hiding the others. What another process has claimed since the statement began is seen under the row's lock: `picked` asks again.
_CLAIM = """
WITH RECURSIVE oldest AS MATERIALIZED (
    SELECT * FROM {table} d WHERE {due} ORDER BY d.due_at LIMIT {window}
), {candidates}, ranked AS (
    SELECT *, row_number() OVER (PARTITION BY place ORDER BY due_at) AS rank FROM candidates
), picked AS (
    SELECT {keys} FROM {table} d JOIN (
        SELECT * FROM ranked WHERE rank <= %(per_place)s - coalesce((%(busy)s::jsonb ->> place)::int, 0)
        ORDER BY due_at LIMIT {window}
    ) AS due USING ({columns})
    WHERE {due} ORDER BY due.due_at LIMIT %(free)s FOR UPDATE OF d SKIP LOCKED
)
UPDATE {table} d SET lease_id = gen_random_uuid(), lease_owner = %(owner)s,
    lease_until = clock_timestamp() + %(lease)s {claiming}
FROM picked {joined} WHERE {same_row}
RETURNING {keys}, {place} AS leased_place, d.lease_id {returning}
"""

_OF_THE_OLDEST = """candidates AS (
    SELECT {keys}, d.due_at, {place} AS place FROM oldest d WHERE NOT {place} = ANY(%(full)s)
)"""

# In a backlog the oldest rows are not all that are due, and may all be one place's. So each place is asked for its own oldest. `walk`
# goes from one place to the next by the index on place and time, without reading the rows between (a "loose index scan"): from `start`
# on, round the end, until all were met or there were enough for one claim. The next claim begins elsewhere.
_OF_EACH_PLACE = """walk AS (
    SELECT first.place, first.place AS start, 1 AS step FROM (SELECT coalesce(
        (SELECT {place} FROM {table} d WHERE {waiting} AND {place} >= %(start)s ORDER BY {place} LIMIT 1),
        (SELECT {place} FROM {table} d WHERE {waiting} ORDER BY {place} LIMIT 1)
    ) AS place WHERE (SELECT count(*) FROM oldest) = {window}) AS first
    UNION ALL
    SELECT coalesce(
        (SELECT {place} FROM {table} d WHERE {waiting} AND {place} > walk.place ORDER BY {place} LIMIT 1),
        (SELECT {place} FROM {table} d WHERE {waiting} ORDER BY {place} LIMIT 1)
    ), walk.start, walk.step + 1
    FROM walk WHERE walk.step < {places} AND (walk.step = 1 OR walk.place <> walk.start)
), places AS (
    SELECT DISTINCT place FROM walk WHERE place IS NOT NULL
), candidates AS (
    SELECT {keys}, d.due_at, {place} AS place FROM oldest d {joined_for_allowed}
    WHERE NOT EXISTS (SELECT FROM places) AND NOT {place} = ANY(%(full)s) {allowed}
    UNION ALL
    SELECT of_place.* FROM places CROSS JOIN LATERAL (
        SELECT {keys}, d.due_at, {place} AS place FROM {table} d {joined_for_allowed}
        WHERE {place} = places.place AND {due} {allowed} ORDER BY d.due_at LIMIT %(per_place)s
    ) AS of_place
    WHERE NOT places.place = ANY(%(full)s) {allowed_place}
)"""

# From when the claim's transaction began: what became due since the claim itself is not overlooked.
_NEXT = """
SELECT extract(epoch FROM min(d.due_at) - statement_timestamp())::float AS seconds FROM {table} d
WHERE {waiting} AND d.due_at > transaction_timestamp()
"""

# Leases of this member from before it was started anew are nobody's.
_FREE_OWN = "UPDATE {table} SET lease_id = NULL, lease_until = NULL WHERE lease_owner = %s AND lease_id IS NOT NULL"

_RELEASE = "UPDATE {table} SET lease_id = NULL, lease_until = NULL, failures = 0 WHERE {mine}"
_RENEW = "UPDATE {table} SET lease_until = clock_timestamp() + %(wait)s WHERE {mine} RETURNING 1 AS mine"
_PUT_BACK = "UPDATE {table} SET lease_id = NULL, lease_until = clock_timestamp() + %(wait)s WHERE {mine}"
_FAIL = """
UPDATE {table} SET failures = failures + 1, last_failure = %(failure)s, lease_id = NULL,
    lease_until = clock_timestamp() + (%(waits)s::interval[])[least(failures + 1, cardinality(%(waits)s::interval[]))]
WHERE {mine} RETURNING failures
"""


class DueTable(Generic[Job]):
    """A table whose rows become due: its statements.

    It has the columns `due_at`, `lease_id`, `lease_owner`, `lease_until`, `failures` (in a row) and `last_failure` (an error's
    name), beside its `key`. In the fragments of SQL `d` is its row; `beside` is a table joined to it (`on`), which `allowed` (what
    else must hold for a row to be claimed) and `returning` (further columns) may name. `waiting`: the rows that become due at all.
    `place`: where a row's job goes. `many_of_a_place`: one place may have a backlog that must hide no other's rows; an index on place
    and `due_at` is needed, `allowed` counts for these tables alone, and `allowed_place` is what of it can be said of `places.place`
    before its rows are read. `claiming`: further columns that a claim sets. `job` makes a job of what was returned: the key,
    `lease_id` and `returning`.
    """

    def __init__(
        self,
        table: str,
        *,
        key: Sequence[str],
        job: Callable[[Row], Job],
        place: str = "''",
        waiting: str = "true",
        beside: str = "",
        on: str = "true",
        many_of_a_place: bool = False,
        allowed: str = "",
        allowed_place: str = "",
        claiming: str = "",
        returning: str = "",
    ) -> None:
        self.key = tuple(key)
        self._job = job
        fragments = {
            "table": table,
            "keys": ", ".join(f"d.{column}" for column in key),
            "columns": ", ".join(key),
            "place": place,
            "waiting": waiting,
            "due": f"{waiting} AND d.due_at <= statement_timestamp()"
            " AND (d.lease_until IS NULL OR d.lease_until < statement_timestamp())",
            "allowed": allowed and f"AND {allowed}",
            "allowed_place": allowed_place and f"AND {allowed_place}",
            "window": str(WINDOW),
            "places": str(PLACES),
            "joined_for_allowed": allowed and beside and f"JOIN {beside} ON {on}",
            "joined": beside and f", {beside}",
            "same_row": " AND ".join(
                [*(f"d.{column} = picked.{column}" for column in key), *([on] if beside else [])],
            ),
            "claiming": claiming and f", {claiming}",
            "returning": returning and f", {returning}",
            "mine": " AND ".join([*(f"{column} = %({column})s" for column in key), "lease_id = %(lease_id)s"]),
        }
        fragments["candidates"] = (_OF_EACH_PLACE if many_of_a_place else _OF_THE_OLDEST).format(**fragments)
        statements = (_CLAIM, _NEXT, _FREE_OWN, _RELEASE, _RENEW, _PUT_BACK, _FAIL)
        (
            self.claim_statement,
            self.next_statement,
            self._free_own,
            self._release,
            self._renew,
            self._put_back,
            self._fail,
        ) = (statement.format(**fragments).encode() for statement in statements)

    async def claim(self, tx: Tx, room: Room, *, owner: str, lease: timedelta, start: str = "") -> Claimed[Job]:
        """Lease due rows for `owner`, the oldest first, and say when the next is due. Both in one round trip to the database.

        `start`: in a backlog, places are asked from this one on, in their order. It should be another at each claim.
        """
        values = self.claim_values(room, owner=owner, lease=lease, start=start)
        async with tx.pipeline():
            claimed = await tx.execute(self.claim_statement, values)
            following = await tx.execute(self.next_statement)
        row = await following.fetchone()
        return Claimed(
            rows=[self._leased(one) for one in await claimed.fetchall()],
            next_seconds=None if row is None else row["seconds"],
        )

    @staticmethod
    def claim_values(room: Room, *, owner: str, lease: timedelta, start: str = "") -> dict[str, object]:
        """What `claim_statement` is executed with."""
        return {
            "full": room.full,
            "per_place": room.per_place,
            "busy": Jsonb(dict(room.busy)),
            "free": room.free,
            "owner": owner,
            "lease": lease,
            "start": start,
        }

    def _leased(self, row: Row) -> Leased[Job]:
        place = row.pop("leased_place")
        key = tuple(row[column] for column in self.key)
        return Leased(job=self._job(row), key=key, lease_id=row["lease_id"], place=place)

    async def free_own(self, tx: Tx, owner: str) -> None:
        """End the leases that `owner` had."""
        await tx.execute(self._free_own, (owner,))

    async def release(self, tx: Tx, key: Sequence[object], lease_id: UUID) -> None:
        """End this lease, unless it is over already: the row may be claimed again, at once if it is still due."""
        await tx.execute(self._release, self._mine(key, lease_id))

    async def renew(self, tx: Tx, row: Leased[Job], lease: timedelta) -> bool:
        """Extend the lease. False: it is over, and the row is another's, or gone."""
        cursor = await tx.execute(self._renew, self._mine(row.key, row.lease_id, wait=lease))
        return await cursor.fetchone() is not None

    async def put_back(self, tx: Tx, row: Leased[Job], wait: timedelta) -> None:
        """End the lease; the row may be claimed again after `wait`."""
        await tx.execute(self._put_back, self._mine(row.key, row.lease_id, wait=wait))

    async def fail(self, tx: Tx, row: Leased[Job], failure: str, waits: Sequence[timedelta]) -> int | None:
        """Count a failure of this row; it may be claimed again after the wait that belongs to the count. Gives the failures in a row; None:
        the row is another's, or gone."""
        values = self._mine(row.key, row.lease_id, failure=failure, waits=list(waits))
        found = await (await tx.execute(self._fail, values)).fetchone()
        return None if found is None else found["failures"]

    def _mine(self, key: Sequence[object], lease_id: UUID, **values: object) -> dict[str, object]:
        return {**dict(zip(self.key, key, strict=True)), "lease_id": lease_id, **values}
