"""A notifier on real PostgreSQL with hosts on real sockets, for its integration tests. Events are published on the log, as its
neighbours would; what a host received is read off the host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp

import shared.db
from services.notifier import service
from services.notifier.directory.csv_import import render_csv
from services.notifier.directory.store import import_csv
from shared.access.keyring import KeyRing
from shared.access.keys import Role, create_key
from shared.clock import system_clock
from shared.contracts.content import ContentState
from shared.contracts.topics import TOPICS
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from shared.log.postgres.log import SCHEMA as EVENTLOG
from shared.log.postgres.log import PostgresLog
from shared.media.fingerprinter import Fingerprinter
from shared.outbound.fetch import Fetcher
from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from shared.process.settings import Settings
from shared.service.app import create_app
from shared.service.runtime import OutboundRuntime
from tests.hosts import QUIET_SECONDS, Host, Received, picture, secret, serving_hosts
from tests.neighbours import Neighbours

ACCESS = Schema(name="access", folder=Path(shared.db.__path__[0]) / "schemas" / "access")
FAST = Policy(clock_scale=1 / 3600)
"""An hour is a second."""
BY_PERSON: dict[str, Any] = {
    "basis": "person",
    "asserted_by": "person-1",
    "algorithm": None,
    "distance": None,
    "orientation": None,
    "quality": None,
    "fingerprint_ref": None,
}
"""What a match says that a person asserts, in place of what agreed."""


class World(Neighbours):
    """The notifier, its database, its log and its hosts."""

    def __init__(self, runtime: OutboundRuntime, hosts: dict[str, Host]) -> None:
        super().__init__(runtime)
        self.hosts = hosts
        self.service = service.create(runtime)
        self._task: asyncio.Task[None] | None = None

    # The notifier's life

    async def start(self) -> None:
        self._task = asyncio.create_task(self.service.run())

    async def stop(self) -> None:
        """As a kill would: whatever is under way ends here."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def service_task(self) -> asyncio.Task[None]:
        assert self._task is not None
        return self._task

    def check_alive(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    async def restart(self) -> None:
        await self.stop()
        self.service = service.create(self.runtime)
        await self.start()

    @asynccontextmanager
    async def second_process(self) -> AsyncIterator[World]:
        """Another notifier beside this one, as a process of its own would be."""
        runtime = replace(self.runtime, settings=self.runtime.settings.model_copy(update={"member": "1"}))
        other = World(runtime, self.hosts)
        await other.start()
        try:
            yield other
        finally:
            await other.stop()

    # What people do

    async def withdraw_everything(self) -> None:
        """Every content is withdrawn at its subject's request."""
        for row in await self.rows("SELECT content_id, revision FROM notifier.content"):
            await self.content(
                None,
                content_id=row["content_id"],
                revision=row["revision"] + 1,
                state=ContentState.WITHDRAWN,
                withdrawn_for="subject_request",
            )

    async def key(self, role: Role, *, person: str = "person-1", organisation: str = "helpline") -> dict[str, str]:
        """Headers of a new key."""
        async with self.runtime.database.transaction() as tx:
            _, text = await create_key(tx, person_id=person, organisation_id=organisation, role=role)
        return {"authorization": f"Bearer {text}"}

    async def directory(self, text: str) -> None:
        async with self.runtime.database.transaction() as tx:
            await import_csv(tx, self.runtime.keys, text)

    async def know_hosts(self, **columns: dict[str, str]) -> None:
        """All hosts into the directory, of normal posture; `columns` changes one host's."""
        rows = []
        for host in self.hosts.values():
            short = host.name.partition(".")[0]
            row = {
                "organisation": short,
                "domains": host.name,
                "webhook_url": host.webhook_url,
                "webhook_secrets": host.secret,
                "posture": "normal",
            } | columns.get(short, {})
            rows.append(row)
        await self.directory(render_csv(rows))

    async def outbound(self, on: bool = True) -> None:
        async with self.runtime.database.transaction() as tx:
            await tx.execute("UPDATE notifier.outbound SET is_on = %s", (on,))
            await tx.execute("SELECT pg_notify('notifier_messages', '')")

    # What is there

    async def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        async with self.runtime.database.transaction() as tx:
            return await (await tx.execute(query.encode(), parameters)).fetchall()

    async def value(self, query: str, *parameters: object) -> Any:
        rows = await self.rows(query, *parameters)
        return None if not rows else next(iter(rows[0].values()))

    async def run(self, statement: str, *parameters: object) -> None:
        async with self.runtime.database.transaction() as tx:
            await tx.execute(statement.encode(), parameters)

    async def until_true(self, query: str, *parameters: object, seconds: float = 15.0) -> None:
        """Wait until the first value of the query's first row is true."""

        async def true() -> bool:
            return bool(await self.value(query, *parameters))

        await self.until(true, seconds=seconds, what=query)

    async def ask(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        role: Role = Role.OPERATIONS,
        person: str = "person-1",
    ) -> tuple[int, dict[str, Any]]:
        """One request of a person to the notifier's HTTP face: status and answer."""
        headers = await self.key(role, person=person)
        async with (
            serve_app(self.runtime, self.service) as base,
            aiohttp.ClientSession(headers=headers) as client,
            client.request(method, base + path, json=body) as answer,
        ):
            return answer.status, await answer.json()

    async def decide(self, *, person: str = "person-1", **asked: object) -> tuple[int, dict[str, Any]]:
        """A person of operations decides."""
        body = {"reason": "test"} | {name: str(value) for name, value in asked.items()}
        return await self.ask("POST", "/v1/decisions", body, person=person)

    async def state(self, takedown: UUID) -> str | None:
        found: str | None = await self.value("SELECT state FROM notifier.takedowns WHERE takedown_id = %s", takedown)
        return found

    async def history(self, takedown: UUID) -> list[str]:
        rows = await self.rows("SELECT kind FROM notifier.lifecycle WHERE takedown_id = %s ORDER BY sequence", takedown)
        return [row["kind"] for row in rows]

    async def until(self, condition: Callable[[], Any], *, seconds: float = 15.0, what: str = "") -> Any:
        """Wait until the condition (plain or async) is true; its value."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            self.check_alive()
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
            assert asyncio.get_running_loop().time() < deadline, f"waited {seconds:.0f} s for {what or 'a condition'}"
            await asyncio.sleep(0.02)

    async def until_state(self, takedown: UUID, state: str, *, seconds: float = 15.0) -> None:
        async def reached() -> bool:
            return await self.state(takedown) == state

        try:
            await self.until(reached, seconds=seconds)
        except AssertionError:
            raise AssertionError(
                f"waited for {state}, is {await self.state(takedown)}: {await self.history(takedown)}"
            ) from None


@asynccontextmanager
async def serve_app(runtime: OutboundRuntime, one: service.Notifier) -> AsyncIterator[str]:
    """The notifier's HTTP face on a real socket; its base URL."""
    import uvicorn

    config = uvicorn.Config(create_app(runtime, [one]), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def open_world(
    conninfo: str, *names: str, policy: Policy = FAST, start: bool = True, **settings: Any
) -> AsyncIterator[World]:
    """A world with one host for each name (`<name>.test`), each at an address of its own."""
    async with Database(conninfo) as database, serving_hosts(*names) as hosts:
        pairs = {host.name: f"{host.address}:{host.port}" for host in hosts.values()}
        values: dict[str, Any] = {
            "public_url": "https://takedown.example",
            "root_key": "11" * 32,
            "outbound_allow": tuple(pairs.values()),
            "static_hosts": pairs,
            "allow_static_hosts": True,
            "policy": policy,
        } | settings
        chosen = Settings(**values)
        guard = AddressGuard.of(chosen.outbound_allow, chosen.static_hosts, allow_static_hosts=True)
        wakeups = Wakeups(database)
        log = PostgresLog(database, wakeups)
        await migrate(database, [ACCESS, EVENTLOG, service.SCHEMA])
        await log.ensure_topics(TOPICS)
        async with (
            Fetcher(guard, user_agent="test") as fetcher,
            Fetcher(guard, user_agent="test") as webhooks,
            Fingerprinter(workers=1) as fingerprinter,
        ):
            runtime = OutboundRuntime(
                settings=chosen,
                policy=policy,
                database=database,
                wakeups=wakeups,
                log=log,
                keys=KeyRing.from_root(bytes.fromhex("11" * 32)),
                fetcher=fetcher,
                webhooks=webhooks,
                fingerprinter=fingerprinter,
                clock=system_clock,
            )
            world = World(runtime, hosts)
            listening = asyncio.create_task(wakeups.run())
            if start:
                await world.start()
            try:
                yield world
            finally:
                await world.stop()
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                await log.close()


__all__ = [
    "FAST",
    "QUIET_SECONDS",
    "Host",
    "Received",
    "World",
    "aiohttp",
    "open_world",
    "picture",
    "secret",
    "serve_app",
]
