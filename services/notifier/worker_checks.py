"""Checks: claim a due one, look (no lock held), hand what was seen to the takedown in one transaction."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from psycopg.types.json import Jsonb

from services.notifier import store, store_content
from services.notifier.apply import Applier
from services.notifier.checks import Checker, Looked, Wanted
from services.notifier.events import CheckCompleted
from services.notifier.states import Outcome, Takedown
from services.notifier.worker import Claimed, DueWorker, Room, claim_and_next
from shared.contracts.content import RegisteredFingerprint
from shared.db.pool import Tx
from shared.errors import Transient
from shared.metrics import CHECKS

log = structlog.get_logger(__name__)

SLOTS = 16
BREAK_OFF_POLL_SECONDS = 30.0
LEASE_FACTOR = 3
"""A lease is this many times the longest look."""

# Due checks with room at their host, oldest first. `rank` keeps one host from taking more than it has left, and its backlog from
# hiding the others. What another process has claimed since the statement began is seen under the row's lock: `picked` asks again.
_CLAIM = """
WITH ranked AS (
    SELECT takedown_id, host, row_number() OVER (PARTITION BY host ORDER BY due_at) AS rank, due_at
    FROM notifier.due_checks
    WHERE due_at <= clock_timestamp() AND (lease_until IS NULL OR lease_until < clock_timestamp())
      AND NOT host = ANY(%(full)s)
), due AS (
    SELECT takedown_id, due_at FROM ranked
    WHERE rank <= %(per_place)s - coalesce((%(busy)s::jsonb ->> host)::int, 0) ORDER BY due_at LIMIT 500
), picked AS (
    SELECT d.takedown_id FROM notifier.due_checks d JOIN due USING (takedown_id)
    WHERE d.due_at <= clock_timestamp() AND (d.lease_until IS NULL OR d.lease_until < clock_timestamp())
    ORDER BY due.due_at LIMIT %(free)s FOR UPDATE OF d SKIP LOCKED
)
UPDATE notifier.due_checks d SET lease_id = gen_random_uuid(), lease_owner = %(owner)s,
    lease_until = clock_timestamp() + %(lease)s
FROM picked, notifier.takedowns t WHERE d.takedown_id = picked.takedown_id AND t.takedown_id = d.takedown_id
RETURNING d.takedown_id, d.host, d.reason, d.lease_id, t.content_id
"""

_NEXT = """
SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float AS seconds FROM notifier.due_checks
WHERE due_at > clock_timestamp()
"""

# Nothing of a job that was called off since it was claimed: its row is gone, or leased anew.
_WANTED = """
SELECT clock_timestamp() AS now, t.target_kind, t.url, t.url_key, t.page_url, c.fingerprints, r.fingerprints AS reference, r.adopted_at,
       (t.data ->> 'last_outcome' = 'present' AND t.data #>> '{match,basis}' = 'fingerprint') IS TRUE AS seen_before,
       (SELECT coalesce(array_agg(fingerprint_ref), '{}') FROM notifier.rejections x WHERE x.content_id = t.content_id) AS rejected,
       (SELECT coalesce(array_agg(value), '{}') FROM notifier.negative_list n WHERE n.algorithm = 'pdq' AND n.value IS NOT NULL)
           AS harmless
FROM notifier.takedowns t JOIN notifier.content c USING (content_id) JOIN notifier.due_checks d USING (takedown_id)
LEFT JOIN notifier.reference_fingerprints r USING (takedown_id)
WHERE t.takedown_id = %s AND d.lease_id = %s AND t.state NOT IN ('suspended', 'withdrawn')
"""

_RELEASE = """
UPDATE notifier.due_checks SET lease_id = NULL, lease_until = NULL WHERE takedown_id = %s AND lease_id = %s
"""

# A look that was interrupted is due again soon: its lease would last for minutes.
_PUT_BACK = """
UPDATE notifier.due_checks SET lease_until = clock_timestamp() + interval '1 second' WHERE takedown_id = %s AND lease_id = %s
"""

_RECORD = """
INSERT INTO notifier.checks (check_id, takedown_id, reason, started_at, ended_at, outcome, page_outcome, detail, vantage,
    address, status, page_status, final_url, content_type, size_bytes, algorithm, distance, elapsed_ms)
VALUES (%(check_id)s, %(takedown_id)s, %(reason)s, %(started_at)s, clock_timestamp(), %(outcome)s, %(page_outcome)s,
    %(detail)s, %(vantage)s, %(address)s, %(status)s, %(page_status)s, %(final_url)s, %(content_type)s, %(size_bytes)s,
    %(algorithm)s, %(distance)s, (extract(epoch FROM clock_timestamp() - %(started_at)s) * 1000)::int)
"""

# What was fetched at an asserted target, until a person adopts it; afterwards it is the reference and stays.
_KEEP_SEEN = """
INSERT INTO notifier.reference_fingerprints (takedown_id, fingerprints) VALUES (%s, %s)
ON CONFLICT (takedown_id) DO UPDATE SET fingerprints = excluded.fingerprints
WHERE reference_fingerprints.adopted_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DueCheck:
    takedown_id: UUID
    content_id: UUID
    host: str
    reason: str
    lease_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a look saw, and when it began."""

    looked: Looked
    started_at: datetime


class CheckWorker:
    """Looks at what is due to be looked at."""

    def __init__(self, applier: Applier) -> None:
        runtime = applier.runtime
        self._applier = applier
        self._database = runtime.database
        self._wakeups = runtime.wakeups
        self._looking: dict[UUID, tuple[UUID, asyncio.Task[_Seen | None]]] = {}  # by lease: takedown, look
        self._member = runtime.settings.member
        self._vantage = runtime.settings.vantage
        self._fingerprinter = runtime.fingerprinter
        self._checker = Checker(
            runtime.fetcher,
            runtime.fingerprinter,
            runtime.policy,
            runtime.clock,
            fingerprint_key=runtime.keys.fingerprint_ref,
        )
        self._worker = DueWorker(
            "checks",
            runtime.database,
            runtime.wakeups,
            channel=store.CHECKS_CHANNEL,
            slots=SLOTS,
            per_place=runtime.policy.connections_per_host,
            claim=self._claim,
            do=self.check,
            place_of=lambda due: due.host,
        )

    async def run(self) -> None:
        # Looks that this member began before it was started anew are nobody's.
        async with self._database.transaction() as tx:
            await tx.execute(
                "UPDATE notifier.due_checks SET lease_id = NULL, lease_until = NULL WHERE lease_owner = %s",
                (self._member,),
            )
        beside = [
            asyncio.create_task(self._break_off_stopped()),
            asyncio.create_task(self._fingerprinter.prepare()),
        ]
        try:
            await self._worker.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _break_off_stopped(self) -> None:
        """A suspension stops fetches at once, those under way too."""
        with self._wakeups.subscribe(store.STOPPED_CHANNEL) as subscription:
            while True:
                if await subscription.wait(BREAK_OFF_POLL_SECONDS) and self._looking:
                    with contextlib.suppress(Transient):  # what such a look saw is ignored anyway
                        await self._break_off()

    async def _break_off(self) -> None:
        looking = dict(self._looking)  # what begins later reads for itself whether it was called off
        async with self._database.transaction() as tx:
            cursor = await tx.execute(
                "SELECT takedown_id FROM notifier.due_checks WHERE takedown_id = ANY(%s)",
                ([takedown_id for takedown_id, _ in looking.values()],),
            )
            going_on = {row["takedown_id"] for row in await cursor.fetchall()}
        for takedown_id, look in looking.values():
            if takedown_id not in going_on:
                look.cancel()

    async def _claim(self, tx: Tx, room: Room) -> Claimed[DueCheck]:
        values = {
            "full": room.full,
            "per_place": room.per_place,
            "busy": Jsonb(room.busy),
            "free": room.free,
            "owner": self._member,
            "lease": timedelta(seconds=LEASE_FACTOR * self._checker.longest_seconds),
        }
        rows, next_seconds = await claim_and_next(tx, _CLAIM, values, _NEXT)
        return Claimed(jobs=[DueCheck(**row) for row in rows], next_seconds=next_seconds)

    async def check(self, due: DueCheck) -> None:
        """One check, from what is wanted to the takedown's decision. Raises Transient; it is then due again."""
        try:
            await self._check(due)
        except Transient:
            with contextlib.suppress(Transient):
                async with self._database.transaction() as tx:
                    await tx.execute(_PUT_BACK, (due.takedown_id, due.lease_id))
            raise

    async def _check(self, due: DueCheck) -> None:
        seen = await self._look(due)
        if seen is None:
            return
        looked, started_at = seen.looked, seen.started_at
        completed = self._completed(looked, check_id=uuid4(), started_at=started_at)
        CHECKS.labels(completed.outcome).inc()
        async with self._applier.scope(due.content_id, exclusive=False, takedown_id=due.takedown_id) as scope:
            takedown = await scope.load(due.takedown_id)
            assert takedown is not None
            await scope.tx.execute(_RELEASE, (due.takedown_id, due.lease_id))
            await self._record(scope.tx, due, completed, looked, erased=takedown.target is None)
            if takedown.match.basis == "person" and takedown.target is not None and looked.media.fingerprints:
                await scope.tx.execute(_KEEP_SEEN, (due.takedown_id, Jsonb(_reference(looked, takedown))))
            await scope.apply(takedown, completed)

    async def _look(self, due: DueCheck) -> _Seen | None:
        """None: it was broken off, or called off before it began. Known as under way before anything is read: what stops it
        is either read here or finds it."""
        look = asyncio.create_task(self._read_and_look(due))
        self._looking[due.lease_id] = (due.takedown_id, look)
        try:
            await asyncio.wait((look,))
        finally:
            del self._looking[due.lease_id]
            look.cancel()
        if look.cancelled():
            log.info("check.broken_off", takedown_id=str(due.takedown_id))
            return None
        return look.result()

    async def _read_and_look(self, due: DueCheck) -> _Seen | None:
        async with self._database.transaction() as tx:
            found = await self._wanted(tx, due)
            if found is None:  # erased or stopped in between
                await tx.execute(_RELEASE, (due.takedown_id, due.lease_id))
                return None
        wanted, started_at = found
        return _Seen(looked=await self._checker.look(wanted), started_at=started_at)

    async def _wanted(self, tx: Tx, due: DueCheck) -> tuple[Wanted, datetime] | None:
        """What to look for, and the database's time as the look begins."""
        row = await (await tx.execute(_WANTED, (due.takedown_id, due.lease_id))).fetchone()
        if row is None or row["url"] is None:
            return None
        adopted = row["adopted_at"] is not None
        wanted = Wanted(
            takedown_id=due.takedown_id,
            target_kind=row["target_kind"],
            url=row["url"],
            url_key=row["url_key"],
            page_url=row["page_url"],
            register=store_content.fingerprints_from(row["fingerprints"]),
            reference=store_content.fingerprints_from(row["reference"]) if adopted else (),
            adopted=adopted,
            rejected=frozenset(row["rejected"]),
            seen_before=row["seen_before"],
            harmless=tuple(row["harmless"]),
        )
        return wanted, row["now"]

    def _completed(self, looked: Looked, *, check_id: UUID, started_at: datetime) -> CheckCompleted:
        media, page = looked.media, looked.page
        # What a demand quotes is what showed the content: the page, where the medium's own URL no longer does.
        on_page = page is not None and media.outcome is not Outcome.PRESENT and page.outcome is Outcome.PRESENT
        observed = page.observed if page is not None and on_page else media.observed
        agreement = media.agreement or (page.agreement if page else None)
        return CheckCompleted(
            check_id=check_id,
            started_at=started_at,
            outcome=media.outcome,
            vantage=self._vantage,
            reason=media.reason,
            status=media.status,
            answered=media.answered,
            algorithm=None if agreement is None else agreement.algorithm.value,
            distance=None if agreement is None else agreement.distance,
            assurance=None if agreement is None else agreement.assurance,
            guards=() if agreement is None else agreement.guards,
            page_outcome=None if page is None else page.outcome,
            page_status=None if page is None else page.status,
            observed=observed,
        )

    async def _record(self, tx: Tx, due: DueCheck, completed: CheckCompleted, looked: Looked, *, erased: bool) -> None:
        observed = None if erased else looked.media.observed
        await tx.execute(
            _RECORD,
            {
                "check_id": completed.check_id,
                "takedown_id": due.takedown_id,
                "reason": due.reason,
                "started_at": completed.started_at,
                "outcome": completed.outcome,
                "page_outcome": completed.page_outcome,
                "detail": completed.reason,
                "vantage": completed.vantage,
                "address": f"{observed.ip}:{observed.port}" if observed else None,
                "status": completed.status,
                "page_status": completed.page_status,
                "final_url": observed and observed.final_url,
                "content_type": observed and observed.content_type,
                "size_bytes": observed and observed.size_bytes,
                "algorithm": completed.algorithm,
                "distance": completed.distance,
            },
        )


def _reference(looked: Looked, takedown: Takedown) -> list[dict[str, object]]:
    """The fetched fingerprints as they would stand in the register."""
    return [
        RegisteredFingerprint(
            algorithm=one.algorithm.value,
            value=one.hex,
            quality=one.quality,
            orientation=one.orientation,
            assurance=takedown.match.assurance,
        ).model_dump(mode="json", exclude_none=True)
        for one in looked.media.fingerprints
    ]
