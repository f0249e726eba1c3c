"""`harness`: each test that asks for it runs on both logs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.log_harness import Harness, KafkaHarness, PostgresHarness, kafka_harness, postgres_harness


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
