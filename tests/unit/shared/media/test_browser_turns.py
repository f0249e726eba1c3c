"""An hour's looks are shared: no site's pages, however many or slow, and no number of sites, take them from all others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLimits, BrowserOutcome
from shared.media.browser.process import BrowserProgram
from shared.media.browser.turns import HOUR_SECONDS, FairTurns, LooksOfTheHour, TakenLook
from shared.outbound.guard import AddressGuard
from shared.policy import Policy

SPENT, SITE = BrowserOutcome.HOUR_SPENT, BrowserOutcome.SITE_SPENT


def takes(hour: LooksOfTheHour, site: str, now: float = 0.0, *, seconds: float = 0.0, part: float = 1.0) -> int:
    """How many looks the site gets, one after the other."""
    count = 0
    while isinstance(taken := hour.take(site, now, part=part), TakenLook):
        hour.lasted(taken, seconds)
        count += 1
    return count


def test_one_site_alone_gets_a_third_and_leaves_the_rest() -> None:
    hour = LooksOfTheHour(limit=600, site_share=0.5)
    assert takes(hour, "evil.example") == 200
    assert hour.take("evil.example", 0.0) is SITE
    assert takes(hour, "other.example") == 134, "half of what each site before it left"
    assert takes(hour, "evil.example", HOUR_SECONDS) == 200, "an hour later it begins anew"


def test_slow_pages_use_up_time_not_number() -> None:
    hour = LooksOfTheHour(limit=600, site_share=0.5)
    assert takes(hour, "slow.example", seconds=45.0) == pytest.approx(200 / 7.5, abs=1)
    assert isinstance(hour.take("other.example", 0.0), TakenLook)


def test_what_is_only_hoped_for_leaves_half_to_confirmations() -> None:
    hour = LooksOfTheHour(limit=100)
    assert takes(hour, "a.example", part=0.5) == 50
    assert hour.take("b.example", 0.0, part=0.5) is SPENT
    assert takes(hour, "b.example") == 50
    assert hour.take("c.example", 0.0) is SPENT


def test_a_look_that_was_not_made_costs_nothing() -> None:
    hour = LooksOfTheHour(limit=1)
    taken = hour.take("a.example", 0.0)
    assert isinstance(taken, TakenLook)
    hour.give_back(taken)
    assert isinstance(hour.take("b.example", 0.0), TakenLook)


@given(limit=st.integers(20, 600), sites=st.integers(1, 12), seconds=st.floats(0, 60), share=st.floats(0.1, 1.0))
def test_who_had_none_gets_one_while_there_are_any(limit: int, sites: int, seconds: float, share: float) -> None:
    hour = LooksOfTheHour(limit=limit, site_share=share)
    for number in range(sites):
        takes(hour, f"s{number}.example", seconds=seconds)
    left = limit - sum(hour.of_site(f"s{number}.example") for number in range(sites))
    assert isinstance(hour.take("victim.example", 0.0), TakenLook) == (left >= 1)


@pytest.mark.parametrize("seconds", [0.0, 45.0])
def test_a_dozen_sites_do_not_take_all(seconds: float) -> None:
    hour = LooksOfTheHour(limit=Policy().browser_looks_per_hour, site_share=Policy().browser_site_share)
    had = [takes(hour, f"s{number}.example", seconds=seconds) for number in range(12)]
    assert had == sorted(had, reverse=True)
    assert takes(hour, "victim.example") >= 4, "both confirmations of a medium and its page"


async def test_a_turn_goes_to_the_site_that_had_least() -> None:
    hour = LooksOfTheHour(limit=100)
    turns = FairTurns(1, hour)
    order: list[str] = []
    first = asyncio.Event()

    async def look(site: str, until: asyncio.Event | None = None) -> None:
        assert isinstance(hour.take(site, 0.0), TakenLook)
        async with turns.turn(site, within_seconds=5.0):
            order.append(site)
            if until is not None:
                await until.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(look("evil.example", first))
        for _ in range(5):
            group.create_task(look("evil.example"))
        group.create_task(look("victim.example"))
        given_up = group.create_task(look("evil.example"))
        while not order:  # noqa: ASYNC110 - turns of the loop, no time
            await asyncio.sleep(0)
        given_up.cancel()
        first.set()
    assert order[:2] == ["evil.example", "victim.example"]
    assert len(order) == 7
    async with turns.turn("late.example", within_seconds=0.1):
        with pytest.raises(TimeoutError):
            async with turns.turn("later.example", within_seconds=0.01):
                raise AssertionError("two had a turn")
    async with turns.turn("again.example", within_seconds=0.1):
        pass


async def test_a_browser_says_whose_share_is_used_up() -> None:
    limits = BrowserLimits(looks_an_hour=6, site_share=0.5)
    async with Browser(BrowserProgram(path=Path("/bin/false")), AddressGuard(), limits=limits) as browser:
        outcomes = [(await browser.look(f"https://a{number}.evil.example/x")).outcome for number in range(3)]
        assert outcomes[-1] is SITE, "names under one domain are one site"
        assert SITE not in outcomes[:2]
        assert (await browser.look("https://victim.example/")).outcome is BrowserOutcome.UNAVAILABLE
