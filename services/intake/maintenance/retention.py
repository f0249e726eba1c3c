"""What becomes due by itself: withdrawals that are final, what is kept for a time only, tombstones, the hourly heartbeat."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from services.intake.claims import negative_list, steps, store
from services.intake.claims.actors import SYSTEM
from services.intake.erasure import orders
from shared.access import audit
from shared.contracts.claims import ClaimState
from shared.contracts.content import ContentState
from shared.contracts.topics import CLAIMS, CONTENT, DECISIONS, Topic
from shared.db.pool import Database, Row, Tx
from shared.errors import Transient
from shared.ids import deterministic_id
from shared.log.partitioner import partition_of
from shared.outbox import outbox
from shared.policy import Policy

log = structlog.get_logger()

TOMBSTONE_AFTER = timedelta(days=90)
"""After its withdrawal; until then the withdrawal event itself is what compaction keeps."""
HEARTBEAT_EVERY = timedelta(hours=1)
_DUE_SECONDS = 1.0
_RETENTION_EVERY = timedelta(minutes=1)
_BATCH = 100

# The clock as the statement begins: one moment for all rows, which an index can be asked for (`shared/db/due_rows.py`).
_DUE = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'withdrawing' AND withdrawal_due <= statement_timestamp() ORDER BY withdrawal_due LIMIT %s
"""
_STILL_DUE = """
SELECT content_id FROM intake.claims
WHERE claim_id = %s AND state = 'withdrawing' AND withdrawal_due <= statement_timestamp()
"""
_UNCONFIRMED = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'awaiting_confirmation' AND created_at <= statement_timestamp() - %s::interval ORDER BY created_at LIMIT %s
"""
_OLD_CLAIMS = """
SELECT claim_id, content_id FROM intake.claims
WHERE state = 'withdrawn' AND withdrawn_at <= statement_timestamp() - %s::interval ORDER BY withdrawn_at LIMIT %s
"""
_OLD_CONTENT = """
SELECT content_id, revision FROM intake.content k
WHERE withdrawn_at <= statement_timestamp() - %s::interval
  AND NOT EXISTS (SELECT 1 FROM intake.claims c WHERE c.content_id = k.content_id)
ORDER BY withdrawn_at LIMIT %s FOR UPDATE
"""
_OLD_VARIANTS = """
DELETE FROM intake.variants WHERE confirmed_by IS NULL AND created_at <= statement_timestamp() - %s::interval
"""
_OLD_KEYS = "DELETE FROM intake.idempotency WHERE created_at <= statement_timestamp() - %s::interval"
_OLD_REPORTS = "DELETE FROM intake.reports WHERE created_at <= statement_timestamp() - %s::interval"
# As long as the decisions themselves: one read again after that time would suspend anew.
_OLD_MARKS = "DELETE FROM intake.inbox WHERE handled_at <= now() - %s::interval"


class Sweeps:
    """`run` it as a task. Several processes may: each step looks again under the row's lock."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy

    async def run(self) -> None:
        """Sweep until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._every(timedelta(seconds=_DUE_SECONDS), self.finish_withdrawals))
            group.create_task(self._every(self._policy.scaled(_RETENTION_EVERY), self.end_retention))
            group.create_task(self._every(HEARTBEAT_EVERY, self.beat, at_once=False))

    async def _every(self, wait: timedelta, sweep: Callable[[], Awaitable[None]], *, at_once: bool = True) -> None:
        wait_seconds = max(_DUE_SECONDS, wait.total_seconds())
        if not at_once:
            await asyncio.sleep(wait_seconds)
        while True:
            started = time.monotonic()
            try:
                await sweep()
            except Transient as error:
                log.warning("sweep.interrupted", error=type(error).__name__)
            await asyncio.sleep(max(_DUE_SECONDS / 2, wait_seconds - (time.monotonic() - started)))

    async def finish_withdrawals(self) -> None:
        """Make final the withdrawals nobody has undone in time."""
        for claim in await self._rows(_DUE, _BATCH):
            async with self._database.transaction() as tx:
                await store.lock_content(tx, claim["content_id"])
                row = await (await tx.execute(_STILL_DUE, (claim["claim_id"],))).fetchone()
                if row is None or row["content_id"] != claim["content_id"]:
                    continue
                await steps.finish_withdrawal(tx, claim["content_id"], claim["claim_id"])
                await _audit(tx, "claim.withdrawn", "claim", claim["claim_id"])
            log.info("claim.withdrawn", claim_id=str(claim["claim_id"]))

    async def end_retention(self) -> None:
        """Erase what is kept for a time only."""
        policy = self._policy
        unconfirmed = policy.scaled(policy.unconfirmed_erased_after)
        for claim in await self._rows(_UNCONFIRMED, unconfirmed, _BATCH):
            await self._erase_unconfirmed(claim, unconfirmed)
        for claim in await self._rows(_OLD_CLAIMS, policy.scaled(TOMBSTONE_AFTER), _BATCH):
            await self._bury_claim(claim)
        async with self._database.transaction() as tx:
            await tx.execute(_OLD_VARIANTS, (unconfirmed,))
            await negative_list.erase_unconfirmed(tx, SYSTEM, unconfirmed)
            await tx.execute(_OLD_KEYS, (policy.scaled(policy.idempotency_kept),))
            await tx.execute(_OLD_REPORTS, (policy.scaled(policy.history_kept),))
            await tx.execute(_OLD_MARKS, (DECISIONS.retention,))
            await self._bury_contents(tx)

    async def beat(self) -> None:
        """A tombstone of a key nobody has in each partition of our compacted topics: a quiet Kafka segment never rolls."""
        async with self._database.transaction() as tx:
            for topic in (CONTENT, CLAIMS):
                for key in heartbeat_keys(topic):
                    await outbox.put_current(tx, store.SCHEMA_NAME, topic, key=str(key), event_id=uuid4())

    async def _erase_unconfirmed(self, claim: Row, kept: timedelta) -> None:
        claim_id, content_id = claim["claim_id"], claim["content_id"]
        async with self._database.transaction() as tx:
            before = await store.lock_content(tx, content_id)
            still = await (
                await tx.execute(
                    "SELECT 1 FROM intake.claims WHERE claim_id = %s AND content_id = %s"
                    " AND state = 'awaiting_confirmation' AND created_at <= statement_timestamp() - %s::interval",
                    (claim_id, content_id, kept),
                )
            ).fetchone()
            if before is None or still is None:
                return
            await orders.erase_reports_of_claim(tx, claim_id)
            await tx.execute("DELETE FROM intake.claims WHERE claim_id = %s", (claim_id,))
            others = [one for one in before.claims if one.claim_id != claim_id]
            if all(one.state is ClaimState.WITHDRAWN for one in others):
                await orders.order(tx, content_id)
            if not others and before.revision == 0:
                await tx.execute("DELETE FROM intake.content WHERE content_id = %s", (content_id,))
            else:
                await store.settle(tx, before)
            await _audit(tx, "claim.erased", "claim", claim_id)
        log.info("claim.erased", claim_id=str(claim_id), reason="unconfirmed")

    async def _bury_claim(self, claim: Row) -> None:
        async with self._database.transaction() as tx:
            before = await store.lock_content(tx, claim["content_id"])
            cursor = await tx.execute(
                "DELETE FROM intake.claims WHERE claim_id = %s AND state = 'withdrawn' RETURNING revision",
                (claim["claim_id"],),
            )
            row = await cursor.fetchone()
            if row is not None and row["revision"] > 0:
                await outbox.put_current(tx, store.SCHEMA_NAME, CLAIMS, key=str(claim["claim_id"]), event_id=uuid4())
            # Of a withdrawn content only the claims go, its own word on why it was withdrawn stays until its tombstone.
            if before is not None and before.facts.state is not ContentState.WITHDRAWN:
                await store.settle(tx, before)
            await _audit(tx, "claim.erased", "claim", claim["claim_id"])

    async def _bury_contents(self, tx: Tx) -> None:
        rows = await (await tx.execute(_OLD_CONTENT, (self._policy.scaled(TOMBSTONE_AFTER), _BATCH))).fetchall()
        for row in rows:
            await tx.execute("DELETE FROM intake.content WHERE content_id = %s", (row["content_id"],))
            if row["revision"] > 0:
                await store.publish_content(tx, row["content_id"])
            await _audit(tx, "content.erased", "content", row["content_id"])

    async def _rows(self, query: str, *parameters: object) -> list[Row]:
        async with self._database.transaction() as tx:
            return await (await tx.execute(query.encode(), parameters)).fetchall()


def heartbeat_keys(topic: Topic) -> list[UUID]:
    """A key for each partition, always the same, that is no content's and no claim's."""
    found: dict[int, UUID] = {}
    number = 0
    while len(found) < topic.partitions:
        key = deterministic_id(("heartbeat", topic.name, str(number)))
        found.setdefault(partition_of(str(key).encode(), topic.partitions), key)
        number += 1
    return [key for _, key in sorted(found.items())]


async def _audit(tx: Tx, action: str, kind: str, object_id: UUID) -> None:
    await audit.record(tx, SYSTEM, action=action, object_kind=kind, object_id=object_id)
