"""What becomes due by itself: withdrawals that are final, retention periods that end, tombstones, and the hourly heartbeat of compacted
topics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import psycopg
import structlog

from services.intake.cases import case_rows
from services.intake.claims import claim_steps, negative_list, registered_content
from services.intake.claims.actors import SYSTEM
from services.intake.erasure import orders
from services.intake.store import claims, content
from services.intake.store.cases import cases
from services.intake.store.cases.ended_cases import delete_ended_cases
from services.intake.store.erasures import end_searches
from services.intake.store.idempotency import delete_old_keys
from services.intake.store.reports import delete_old_reports
from services.intake.store.schema import SCHEMA_NAME
from services.intake.store.variants import delete_unconfirmed_variants
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

# As long as the decisions themselves: one read again after that time would suspend anew.
_OLD_MARKS = "DELETE FROM intake.inbox WHERE handled_at <= now() - %s::interval"


class Sweeps:
    """Ends withdrawals and retention periods when they are due. `run` it as a task. Several processes may: each step looks again under the
    row's lock."""

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
            except (Transient, psycopg.OperationalError) as error:
                log.warning("sweep.interrupted", error=type(error).__name__)
            await asyncio.sleep(max(_DUE_SECONDS / 2, wait_seconds - (time.monotonic() - started)))

    async def finish_withdrawals(self) -> None:
        """Make final the withdrawals nobody has undone in time."""
        async with self._database.transaction() as tx:
            due = await claims.withdrawals_due(tx, _BATCH)
        for claim in due:
            async with self._database.transaction() as tx:
                await registered_content.lock_content(tx, claim["content_id"])
                if await claims.content_if_still_due(tx, claim["claim_id"]) != claim["content_id"]:
                    continue
                await claim_steps.finish_withdrawal(tx, claim["content_id"], claim["claim_id"])
                await _audit(tx, "claim.withdrawn", "claim", claim["claim_id"])
            log.info("claim.withdrawn", claim_id=str(claim["claim_id"]))

    async def end_retention(self) -> None:
        """Erase what is kept for a time only."""
        policy = self._policy
        unconfirmed = policy.scaled(policy.unconfirmed_erased_after)
        async with self._database.transaction() as tx:
            forgotten = await claims.unconfirmed_before(tx, unconfirmed, _BATCH)
        for claim in forgotten:
            await self._erase_unconfirmed(claim, unconfirmed)
        async with self._database.transaction() as tx:
            withdrawn = await claims.claims_withdrawn_before(tx, policy.scaled(TOMBSTONE_AFTER), _BATCH)
        for claim in withdrawn:
            await self._bury_claim(claim)
        async with self._database.transaction() as tx:
            drafts = await cases.drafts_before(tx, policy.scaled(policy.draft_cases_kept), _BATCH)
        for draft in drafts:
            await self._erase_draft(draft, policy.scaled(policy.draft_cases_kept))
        async with self._database.transaction() as tx:
            for search_id in await end_searches(tx, policy.scaled(policy.erasure_searched_for)):
                await outbox.put_current(tx, SCHEMA_NAME, CONTENT, key=str(search_id), event_id=uuid4())  # a tombstone
            await delete_unconfirmed_variants(tx, unconfirmed)
            await negative_list.erase_unconfirmed(tx, SYSTEM, unconfirmed)
            await delete_old_keys(tx, policy.scaled(policy.idempotency_kept))
            await delete_old_reports(tx, policy.scaled(policy.history_kept))
            await delete_ended_cases(tx, policy.scaled(policy.ended_cases_kept))
            await tx.execute(_OLD_MARKS, (DECISIONS.retention,))
            await self._bury_contents(tx)

    async def beat(self) -> None:
        """Write a tombstone of an unused key to each partition of our compacted topics: a quiet Kafka segment would never roll, and so
        never be compacted."""
        async with self._database.transaction() as tx:
            for topic in (CONTENT, CLAIMS):
                for key in heartbeat_keys(topic):
                    await outbox.put_current(tx, SCHEMA_NAME, topic, key=str(key), event_id=uuid4())

    async def _erase_unconfirmed(self, claim: Row, kept: timedelta) -> None:
        claim_id, content_id = claim["claim_id"], claim["content_id"]
        async with self._database.transaction() as tx:
            before = await registered_content.lock_content(tx, content_id)
            still = await claims.is_still_unconfirmed(tx, claim_id, content_id, kept)
            if before is None or not still:
                return
            await orders.erase_reports_of_claim(tx, content_id, claim_id)
            whose, case_ref, _ = await claims.case_of_claim(tx, claim_id)
            await claims.delete_claim(tx, claim_id)
            await case_rows.end_case(tx, whose, case_ref, reason=case_rows.UNCONFIRMED)
            others = [one for one in before.claims if one.claim_id != claim_id]
            if all(one.state is ClaimState.WITHDRAWN for one in others):
                await orders.order_erasure(tx, content_id)
            if not others and before.revision == 0:
                await content.delete_content(tx, content_id)
            else:
                await registered_content.settle_content(tx, before)
            await _audit(tx, "claim.erased", "claim", claim_id)
        log.info("claim.erased", claim_id=str(claim_id), reason="unconfirmed")

    async def _erase_draft(self, draft: Row, kept: timedelta) -> None:
        async with self._database.transaction() as tx:
            if not await cases.delete_draft(tx, draft["case_id"], kept):
                return  # somebody wrote in it meanwhile
            await orders.erase_reports_of_draft(tx, draft["case_id"], draft["organisation_id"], draft["case_ref"])
            await _audit(tx, "case.erased", "case", draft["case_id"])
        log.info("case.erased", case_id=str(draft["case_id"]), reason="draft")

    async def _bury_claim(self, claim: Row) -> None:
        async with self._database.transaction() as tx:
            before = await registered_content.lock_content(tx, claim["content_id"])
            revision = await claims.delete_withdrawn_claim(tx, claim["claim_id"])
            if revision is not None and revision > 0:
                await outbox.put_current(tx, SCHEMA_NAME, CLAIMS, key=str(claim["claim_id"]), event_id=uuid4())
            # Of a withdrawn content only the claims go, its own word on why it was withdrawn stays until its tombstone.
            if before is not None and before.facts.state is not ContentState.WITHDRAWN:
                await registered_content.settle_content(tx, before)
            await _audit(tx, "claim.erased", "claim", claim["claim_id"])

    async def _bury_contents(self, tx: Tx) -> None:
        for row in await content.withdrawn_before(tx, self._policy.scaled(TOMBSTONE_AFTER), _BATCH):
            await content.delete_content(tx, row["content_id"])
            if row["revision"] > 0:
                await registered_content.publish_content(tx, row["content_id"])
            await _audit(tx, "content.erased", "content", row["content_id"])


def heartbeat_keys(topic: Topic) -> list[UUID]:
    """One key for each partition of a topic, always the same, which is no content's and no claim's."""
    found: dict[int, UUID] = {}
    number = 0
    while len(found) < topic.partitions:
        key = deterministic_id(("heartbeat", topic.name, str(number)))
        found.setdefault(partition_of(str(key).encode(), topic.partitions), key)
        number += 1
    return [key for _, key in sorted(found.items())]


async def _audit(tx: Tx, action: str, kind: str, object_id: UUID) -> None:
    await audit.record(tx, SYSTEM, action=action, object_kind=kind, object_id=object_id)
