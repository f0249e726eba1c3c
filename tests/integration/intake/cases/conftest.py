"""One intake for all tests of a module: each has a case of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest
import pytest_asyncio

from tests.fixtures_servers import own_database
from tests.integration.intake.harness import Intake, running_intake

_NUMBERS = count(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def intake(postgres_conninfo: str) -> AsyncIterator[Intake]:
    with own_database(postgres_conninfo) as conninfo:
        async with running_intake(conninfo, workers=False) as running:
            yield running


@pytest.fixture
def number() -> int:
    """Of this test alone: its case and its picture."""
    return next(_NUMBERS)


@pytest.fixture
def case_ref(number: int) -> str:
    return f"HL-{number:06d}"
