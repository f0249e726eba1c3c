"""Not seen is not gone: what a check makes of hosts that still have the picture, or that say nothing, over real HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from services.notifier.checks.checker import Checker
from services.notifier.checks.seen import Looked, Wanted
from services.notifier.domain.check_results import combined
from services.notifier.domain.model import Outcome
from shared.clock import system_clock
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.fingerprinter import Fingerprinter
from shared.outbound.fetch import Fetcher
from shared.policy import Policy
from shared.urls import canonical
from tests.data.still_there import (
    BASE,
    BLOCKED,
    INCONCLUSIVE,
    NOT_THERE,
    SHOWN_ON_A_PAGE,
    STILL_THERE,
    WHATEVER_THE_STATUS,
    Shape,
)
from tests.raw_host import RawHost, raw_host

POLICY = Policy(fetch_timeout_seconds=5.0)
CLEAR = frozenset((Outcome.GONE, Outcome.MISMATCH))


class Site:
    """A host that takes one shape after the other, and a checker that looks at it."""

    def __init__(self, host: RawHost, checker: Checker, register: Sequence[RegisteredFingerprint]) -> None:
        self.host = host
        self._checker = checker
        self._register = register

    async def look(self, shape: Shape) -> Looked:
        host = self.host
        host.requests.clear()
        host.otherwise = shape.otherwise
        host.answers = {**shape.others, shape.path.partition("?")[0]: shape.media}
        if shape.page is not None:
            host.answers["/page"] = shape.page
        exact = shape.exact_only
        url = host.url(shape.path)
        wanted = Wanted(
            takedown_id=uuid4(),
            target_kind="media",
            url=url,
            url_key=canonical(url).url_key,
            page_url=None if shape.page is None else host.url("/page"),
            register=tuple(one for one in self._register if not exact or one.algorithm != "pdq"),
        )
        return await self._checker.look(wanted)


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    async with (
        raw_host("127.0.1.92") as (host, guard),
        Fetcher(guard, user_agent="test") as fetcher,
        Fingerprinter(workers=1) as fingerprinter,
    ):
        register = [
            RegisteredFingerprint(
                algorithm=one.algorithm.value, value=one.hex, quality=one.quality, assurance=Assurance.VIEWED
            )
            for one in (await fingerprinter.fingerprint(BASE)).fingerprints()
            if one.orientation == "identity"
        ]
        yield Site(host, Checker(fetcher, fingerprinter, POLICY, system_clock, fingerprint_key=b"k" * 32), register)


def outcome_of(looked: Looked) -> Outcome:
    """Of medium and page together."""
    return combined(looked.media.outcome, None if looked.page is None else looked.page.outcome)


def told(looked: Looked) -> str:
    seen = [looked.media, *([looked.page] if looked.page is not None else [])]
    return f"{outcome_of(looked).value}: " + ", ".join(f"{one.outcome.value} {one.reason}" for one in seen)


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(STILL_THERE) >= 60
    assert len({one.name for one in (*STILL_THERE, *NOT_THERE)}) == len(STILL_THERE) + len(NOT_THERE)
    assert not [one.name for one in STILL_THERE if one.light in CLEAR]


@pytest.mark.parametrize(
    "shapes",
    [WHATEVER_THE_STATUS, SHOWN_ON_A_PAGE, BLOCKED, INCONCLUSIVE, NOT_THERE],
    ids=["whatever the status", "shown on a page", "blocked", "inconclusive", "not there"],
)
async def test_what_a_look_says(shapes: Sequence[Shape]) -> None:
    async with open_site() as site:
        seen = {one.name: await site.look(one) for one in shapes}
        wrong = {one.name: told(seen[one.name]) for one in shapes if outcome_of(seen[one.name]) != one.light}
        assert not wrong
