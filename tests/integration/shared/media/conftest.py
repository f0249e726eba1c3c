"""`fingerprinter`: a pool of one decoding process for each test that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.media.fingerprinter import Fingerprinter


@pytest.fixture
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1) as one:
        yield one
