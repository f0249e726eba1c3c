"""`intake` with a small site of pictures as its web, and Ann, who works there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from tests.integration.intake.harness import Intake, Member, running_intake
from tests.integration.intake.reports.pictures_site import (
    ADDRESS,
    Site,
)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    app = web.Application()
    app.router.add_get("/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = web.TCPSite(runner, ADDRESS, 0)
    await listener.start()
    made.port = runner.addresses[0][1]
    yield made
    await runner.cleanup()


@pytest.fixture
async def intake(fresh_database: str, site: Site) -> AsyncIterator[Intake]:
    guard = AddressGuard(
        allow=[(ADDRESS, site.port)], static_hosts={"pics.test": (ADDRESS, site.port)}, allow_static_hosts=True
    )
    # Time is shortened so that the second and third look come soon.
    async with running_intake(fresh_database, guard=guard, policy=Policy(clock_scale=0.001)) as running:
        yield running


@pytest.fixture
async def ann(intake: Intake) -> Member:
    return await intake.member("ann")
