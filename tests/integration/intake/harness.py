"""The intake service on a database of its own, asked over HTTP (in-process ASGI), read through the log."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import httpx

import shared.db
from services.intake.service import SCHEMA, IntakeService, create
from shared.access.keyring import KeyRing
from shared.access.keys import Role, create_key
from shared.contracts.content import ContentChanged
from shared.contracts.event import Event, data_of, decode, headers_of
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.topics import CONTENT, TOPICS
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database, Row
from shared.db.wakeups import Wakeups
from shared.log.port import EventLog, OutgoingRecord, Record, TopicPartition
from shared.log.postgres.log import SCHEMA as EVENTLOG
from shared.log.postgres.log import PostgresLog
from shared.media.fingerprinter import Fingerprinter
from shared.outbound.fetch import Fetcher
from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import OutboundRuntime
from tests import claims

ACCESS = Schema(name="access", folder=Path(shared.db.__path__[0]) / "schemas" / "access")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person with a key."""

    key_id: UUID
    person_id: str
    organisation_id: str
    headers: dict[str, str]


@dataclass(kw_only=True)
class Intake:
    """The running service and what a test needs of its surroundings."""

    runtime: OutboundRuntime
    service: IntakeService
    client: httpx.AsyncClient
    database: Database
    log: EventLog
    members: dict[str, Member] = field(default_factory=dict)

    async def member(self, name: str, role: Role = Role.HELPLINE, organisation: str = "helpline-a") -> Member:
        """The person `name` of an organisation; made when first asked for."""
        if name not in self.members:
            async with self.database.transaction() as tx:
                key, secret = await create_key(tx, person_id=name, organisation_id=organisation, role=role)
            self.members[name] = Member(
                key_id=key.key_id,
                person_id=name,
                organisation_id=organisation,
                headers={"Authorization": f"Bearer {secret}"},
            )
        return self.members[name]

    async def post(self, path: str, body: Any = None, *, by: Member, key: str | None = None) -> httpx.Response:
        headers = {**by.headers, **({"Idempotency-Key": key} if key else {})}
        return await self.client.post(path, json=body, headers=headers)

    async def get(self, path: str, *, by: Member, **params: str) -> httpx.Response:
        return await self.client.get(path, params=params, headers=by.headers)

    async def declare(self, *, by: Member, expect: int = 201, **changes: Any) -> Any:
        """A claim; the answer's body."""
        response = await self.post("/v1/claims", claim_body(**changes), by=by, key=uuid4().hex)
        assert response.status_code == expect, response.text
        return response.json()

    async def confirmed(self, *, by: Member, confirmer: Member, assurance: str = "viewed", **changes: Any) -> Any:
        """A confirmed claim; its view."""
        declared = await self.declare(by=by, **changes)
        response = await self.post(
            f"/v1/claims/{declared['claim_id']}/confirmation", {"assurance": assurance}, by=confirmer
        )
        assert response.status_code == 200, response.text
        return response.json()

    async def rows(self, query: str, *parameters: object) -> list[Row]:
        async with self.database.transaction() as tx:
            return await (await tx.execute(query.encode(), parameters)).fetchall()

    async def records(self, topic: str) -> list[Record]:
        """Everything on a topic now."""
        found: list[Record] = []
        async with self.log.reader() as reader:
            partitions = [TopicPartition(topic=topic, partition=n) for n in range(await self.log.partitions_of(topic))]
            ends = {partition: await self.log.end(partition) for partition in partitions}
            await reader.assign({partition: await self.log.beginning(partition) for partition in partitions})
            while any(reader.position(partition) < end for partition, end in ends.items()):
                found += await reader.read(timeout_seconds=0.2)
        return found

    async def events(self, topic: str) -> list[Event]:
        """The events on a topic now, tombstones left out."""
        decoded = [
            decode(MODELS_BY_TOPIC[topic], value=record.value, headers=record.headers).event
            for record in await self.records(topic)
        ]
        return [event for event in decoded if event is not None]

    async def contents(self, *, for_erasure: bool = False) -> list[ContentChanged]:
        """The events of contents; or of what is looked for to be erased."""
        events = [event for event in await self.events(CONTENT.name) if isinstance(event, ContentChanged)]
        return [event for event in events if event.for_erasure == for_erasure]

    async def content_when(self, reached: Callable[[ContentChanged], bool]) -> ContentChanged:
        """The newest content event, once it is so."""

        async def look() -> ContentChanged | None:
            events = await self.contents()
            return events[-1] if events and reached(events[-1]) else None

        return await until(look)

    async def relay_idle(self) -> None:
        """Wait until the outbox is empty."""

        async def look() -> bool:
            return not await self.rows("SELECT 1 FROM intake.outbox LIMIT 1")

        await until(look)

    async def append(self, topic: str, key: str, event: Event) -> None:
        """Publish an event as another service would."""
        async with self.log.publisher() as publisher:
            headers = headers_of(type(event), event_id=uuid4(), source="test", time=datetime.now(UTC))
            await publisher.publish(
                [OutgoingRecord(topic=topic, key=key.encode(), value=data_of(event), headers=headers)]
            )

    async def real_content_id(self, alias: str) -> UUID:
        (row,) = await self.rows("SELECT content_id FROM intake.content_alias WHERE alias = %s", UUID(alias))
        found: UUID = row["content_id"]
        return found


@asynccontextmanager
async def running_intake(
    conninfo: str,
    *,
    policy: Policy | None = None,
    settings: Mapping[str, Any] | None = None,
    guard: AddressGuard | None = None,
    workers: bool = True,
) -> AsyncIterator[Intake]:
    """The service with its workers (or its HTTP face alone), on a fresh database and the log on PostgreSQL."""
    policy = policy or Policy()
    async with Database(conninfo) as database:
        await migrate(database, [ACCESS, EVENTLOG, SCHEMA])
        wakeups = Wakeups(database)
        log = PostgresLog(database, wakeups)
        await log.ensure_topics(TOPICS)
        guard = guard or AddressGuard()
        async with (
            Fetcher(guard, user_agent="test") as fetcher,
            Fingerprinter(workers=1) as fingerprinter,
        ):
            runtime = OutboundRuntime(
                settings=Settings(**(settings or {})),
                policy=policy,
                database=database,
                wakeups=wakeups,
                log=log,
                keys=KeyRing.from_root(bytes(range(32))),
                fetcher=fetcher,
                webhooks=fetcher,
                fingerprinter=fingerprinter,
                clock=lambda: datetime.now(UTC),
            )
            service = create(runtime)
            tasks = [asyncio.create_task(wakeups.run()), *([asyncio.create_task(service.run())] if workers else [])]
            try:
                transport = httpx.ASGITransport(app=create_app(runtime, [service]))
                async with httpx.AsyncClient(transport=transport, base_url="http://intake.test") as client:
                    intake = Intake(runtime=runtime, service=service, client=client, database=database, log=log)

                    async def ready() -> bool:
                        assert not tasks[-1].done(), tasks[-1].exception()
                        return not service.not_ready()

                    if workers:
                        await until(ready)
                    yield intake
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await log.close()


async def until(look: Callable[[], Awaitable[T | None]], *, seconds: float = 15) -> T:
    """Wait for a condition; the last look's value. Fails at the deadline."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = await look()
        if found:
            return found
        assert asyncio.get_running_loop().time() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.02)


def pdq(seed: int) -> str:
    """A PDQ value as real ones are: half of its bits set."""
    bits = random.Random(seed).sample(range(256), 128)
    return f"{sum(1 << bit for bit in bits):064x}"


def md5(seed: int) -> str:
    return hashlib.md5(str(seed).encode()).hexdigest()


def claim_body(**changes: Any) -> dict[str, Any]:
    """A claim that is in order; `declaration` changes are merged."""
    return claims.claim_body({"algorithm": "pdq", "value": pdq(1), "quality": 100}, **changes)


def sighting_body(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "media_url": f"https://host{number}.example/media/{number}.jpg",
        "page_url": f"https://host{number}.example/page/{number}",
        "seen_at": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(),
        "source": "crawler-1",
        "fingerprints": [{"algorithm": "pdq", "value": pdq(number), "quality": 90}],
        **changes,
    }
