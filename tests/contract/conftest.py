"""`harness`: each test that asks for it runs on both logs. `desk` and `group`: an outbox with its relays, and a runner, on them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import services.intake
from shared.db.migrations import Schema, migrate
from shared.db.pool import Database
from shared.db.wakeups import Wakeups
from tests.contract.log_harness import (
    Harness,
    KafkaHarness,
    PostgresHarness,
    kafka_harness,
    postgres_harness,
)
from tests.contract.outbox_desk import SCHEMA, Desk
from tests.contract.runner_group import Group


@pytest.fixture(params=["postgres", "kafka"])
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[Harness]:
    if request.param == "postgres":
        async with postgres_harness(request.getfixturevalue("fresh_database")) as on_postgres:
            yield on_postgres
    else:
        async with kafka_harness(request.getfixturevalue("kafka_bootstrap")) as on_kafka:
            yield on_kafka


@pytest.fixture
async def on_postgres(fresh_database: str) -> AsyncIterator[PostgresHarness]:
    async with postgres_harness(fresh_database) as harness:
        yield harness


@pytest.fixture
async def on_kafka(kafka_bootstrap: str) -> AsyncIterator[KafkaHarness]:
    async with kafka_harness(kafka_bootstrap) as harness:
        yield harness


@pytest.fixture
async def desk(harness: Harness, fresh_database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    shipped = Path(services.intake.__path__[0]) / "migrations" / "0001_outbox.sql"
    shutil.copy(shipped, tmp_path)
    async with Database(fresh_database) as database:
        await migrate(database, [Schema(name=SCHEMA, folder=tmp_path)])
        wakeups = Wakeups(database)
        listening = asyncio.create_task(wakeups.run())
        desk = Desk(harness, database, wakeups)
        await desk.prepare()
        try:
            yield desk
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@pytest.fixture
async def group(harness: Harness) -> Group:
    group = Group(harness)
    await group.prepare()
    return group
