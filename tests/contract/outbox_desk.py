"""A table of records with its outbox, and relays that publish it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID, uuid4

from shared.contracts.claims import ClaimChanged, ClaimState
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Event
from shared.contracts.topics import CLAIMS, CONTENT, DEAD_LETTERS, DECISIONS, Topic
from shared.db.pool import Database, Tx
from shared.db.wakeups import Wakeups
from shared.errors import Permanent
from shared.log.port import (
    HEARTBEAT_KEY,
    Record,
    TopicPartition,
)
from shared.outbox import outbox
from shared.outbox.relay import Relay
from tests.contract.log_harness import Harness, place

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SCHEMA = "desk"
PUBLISHER = "test-relay-claims"


def a_decision(reason: str) -> DecisionTaken:
    """A reason longer than the model lets through stands for a row from before it was bounded: the log refuses what is too large."""
    decision = DecisionTaken(
        decision_id=uuid4(),
        kind=DecisionKind.DISMISS,
        person_id="p",
        organisation_id="o",
        reason=reason[:100],
        decided_at=NOW,
    )
    return decision.model_copy(update={"reason": reason})


def a_claim(claim_id: str, revision: int) -> ClaimChanged:
    return ClaimChanged(
        claim_id=UUID(claim_id),
        content_id=UUID(int=7),
        revision=revision,
        state=ClaimState.CONFIRMED,
        organisation_id="o",
        changed_at=NOW,
    )


class Desk:
    """A service's database with an outbox and rows of its own, and where the log's topics ended when the test began."""

    def __init__(self, harness: Harness, database: Database, wakeups: Wakeups) -> None:
        self.harness = harness
        self.database = database
        self.wakeups = wakeups
        self._start: dict[TopicPartition, int] = {}
        self.renders = 0

    async def prepare(self) -> None:
        await self.harness.log.ensure_topics([CLAIMS, CONTENT, DECISIONS, DEAD_LETTERS])
        for topic in (CLAIMS, DECISIONS, DEAD_LETTERS):
            for number in range(topic.partitions):
                self._start[place(topic, number)] = await self.harness.log.end(place(topic, number))
        async with self.database.transaction() as tx:
            await tx.execute(f"CREATE TABLE {SCHEMA}.claim (claim_id uuid PRIMARY KEY, revision int, gone bool)")

    async def render(self, tx: Tx, key: str) -> Event | None:
        self.renders += 1
        cursor = await tx.execute(f"SELECT * FROM {SCHEMA}.claim WHERE claim_id = %s FOR SHARE", (key,))
        row = await cursor.fetchone()
        if row is None:
            raise Permanent("no such claim")
        return None if row["gone"] else a_claim(key, row["revision"])

    async def change(self, claim_id: str, revision: int, *, gone: bool = False) -> None:
        """As a service does it: the row, and 'publish it', in one transaction."""
        async with self.database.transaction() as tx:
            await tx.execute(
                f"INSERT INTO {SCHEMA}.claim VALUES (%s, %s, %s) ON CONFLICT (claim_id)"
                " DO UPDATE SET revision = excluded.revision, gone = excluded.gone",
                (claim_id, revision, gone),
            )
            await outbox.put_current(tx, SCHEMA, CLAIMS, key=claim_id, event_id=uuid4())

    async def put(self, key: str, reason: str, *, traceparent: str | None = None) -> UUID:
        event_id = uuid4()
        async with self.database.transaction() as tx:
            await outbox.put(
                tx, SCHEMA, DECISIONS, key=key, event=a_decision(reason), event_id=event_id, traceparent=traceparent
            )
        return event_id

    def relay(self) -> Relay:
        return Relay(
            self.database,
            self.wakeups,
            SCHEMA,
            self.harness.log,
            source="desk",
            renderers={CLAIMS.name: self.render},
            transactional_ids={CLAIMS.name: PUBLISHER},
        )

    @asynccontextmanager
    async def relaying(self, relay: Relay | None = None) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task((relay or self.relay()).run())
        try:
            yield task
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def published(self, topic: Topic) -> list[Record]:
        """What came to the topic since the test began, by partition; heartbeats left out."""
        log = self.harness.log
        found: list[Record] = []
        for number in range(topic.partitions):
            where = place(topic, number)
            end = await log.end(where)
            async with log.reader() as reader:
                await reader.assign({where: self._start[where]})
                while reader.position(where) < end:
                    found += await reader.read(timeout_seconds=0.2)
        return [one for one in found if one.key != HEARTBEAT_KEY]

    async def reasons(self) -> dict[str, list[str]]:
        """Decisions published, by key."""
        reasons: dict[str, list[str]] = {}
        for one in await self.published(DECISIONS):
            assert one.key is not None
            assert one.value is not None
            decision = DecisionTaken.model_validate_json(one.value)
            reasons.setdefault(one.key.decode(), []).append(decision.reason)
        return reasons

    async def revisions(self) -> dict[str, list[int | None]]:
        """Claims published, by key; None is a tombstone."""
        revisions: dict[str, list[int | None]] = {}
        for one in await self.published(CLAIMS):
            assert one.key is not None
            claim = None if one.value is None else ClaimChanged.model_validate_json(one.value)
            revisions.setdefault(one.key.decode(), []).append(None if claim is None else claim.revision)
        return revisions

    async def empty(self) -> bool:
        return await self.waiting() == 0

    async def waiting(self) -> int:
        async with self.database.transaction() as tx:
            row = await (
                await tx.execute(f"SELECT count(*) AS n FROM {SCHEMA}.outbox WHERE parked_at IS NULL")
            ).fetchone()
        assert row is not None
        return int(row["n"])

    async def reasons_parked(self) -> Sequence[str]:
        async with self.database.transaction() as tx:
            return [row["reason"] for row in await outbox.parked(tx, SCHEMA)]
