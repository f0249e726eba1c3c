"""Rule 12: no file holds up another. Quick ones pass a slow one, checks pass reports, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
import struct
import time
from collections.abc import Callable

import pytest

from shared.media.decoder_pool import Priority
from shared.media.fingerprinter import Fingerprinter, Undecodable
from shared.media.lanes import Places
from tests.integration.shared.media.pictures import children_of, confined, encoded, picture, slow_picture, until
from tests.integration.shared.test_media_hostile import gif

SMALL = encoded(picture(48, 40), "PNG")


def heavy_gif() -> bytes:
    """300 kB that make thousands of frames of 36 Mpx."""
    return gif(6000, 6000, 13_000)


async def test_quick_pictures_pass_slow_ones_that_hold_every_place() -> None:
    async with Fingerprinter(workers=2, quick_seconds=0.3) as two:
        await two.prepare()
        endless = slow_picture()
        slow = [asyncio.ensure_future(two.fingerprint(endless)) for _ in range(4)]
        await asyncio.sleep(0)
        quick = await asyncio.gather(*(two.fingerprint(SMALL) for _ in range(20)))
        assert [one.width for one in quick] == [48] * 20
        assert sum(one.done() for one in slow) <= 1, "they are still at it"
        assert len(children_of(os.getpid())) <= 3
        for one in slow:
            one.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_slow_picture_that_gave_way_is_looked_at_in_the_end() -> None:
    async with Fingerprinter(workers=1, quick_seconds=0.2) as one:
        large = encoded(picture(5000, 4000), "JPEG", quality=60)
        slow = [asyncio.ensure_future(one.fingerprint(large)) for _ in range(3)]
        await asyncio.sleep(0)
        quick = [asyncio.ensure_future(one.fingerprint(SMALL)) for _ in range(5)]
        assert [(await each).width for each in quick] == [48] * 5
        assert [(await each).width for each in slow] == [5000] * 3
    assert children_of(os.getpid()) == []


async def test_a_slow_picture_goes_on_where_nobody_waits() -> None:
    """It is begun once: what has been decoded is not thrown away."""
    async with Fingerprinter(workers=1, quick_seconds=0.1) as one:
        await one.prepare()
        (child,) = children_of(os.getpid())
        assert (await one.fingerprint(encoded(picture(5000, 4000), "JPEG", quality=60))).width == 5000
        assert children_of(os.getpid()) == [child]


async def test_an_animation_s_work_is_bounded() -> None:
    async with confined(wall_seconds=250) as one:  # its processor time is what counts, on a busy machine too
        await one.prepare()
        (child,) = children_of(os.getpid())
        spent = processor_seconds(child)
        media = await one.fingerprint(heavy_gif())
        assert children_of(os.getpid()) == [child]
        assert not media.complete
        assert processor_seconds(child) - spent < 15


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_checks_come_before_reports() -> None:
    order: list[str] = []

    async def ask(what: str, priority: Priority) -> None:
        await one.fingerprint(SMALL, priority=priority)
        order.append(what)

    async with Fingerprinter(workers=1, quick_seconds=60) as one:
        await one.prepare()
        work = [asyncio.ensure_future(ask("first", Priority.REPORT))]
        await asyncio.sleep(0)
        work += [asyncio.ensure_future(ask("report", Priority.REPORT)) for _ in range(4)]
        await asyncio.sleep(0)
        work += [asyncio.ensure_future(ask("check", Priority.CHECK)) for _ in range(4)]
        await asyncio.gather(*work)
    assert order == ["first", *["check"] * 4, *["report"] * 4]


@pytest.mark.parametrize(
    "broken", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", struct.pack("<HHH", 0, 1, 9)]
)
async def test_a_job_that_fails_is_that_job_s_failure_alone(broken: bytes) -> None:
    async with Fingerprinter(workers=1) as one:
        outcomes = await asyncio.gather(
            *(one.fingerprint(body) for body in (SMALL, broken, SMALL)), return_exceptions=True
        )
    assert isinstance(outcomes[1], Undecodable)
    assert not any(isinstance(outcomes[number], Exception) for number in (0, 2))


# --- places, without a process -------------------------------------------------------------------------------------------


async def waiting(places: Places, order: list[float], rank: float) -> asyncio.Task[None]:
    async def wait() -> None:
        await places.take(rank)
        order.append(rank)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    return task


async def test_places_are_given_by_rank_and_by_turn() -> None:
    places, order = Places(1), list[float]()
    assert places.take_free()
    for rank in (5.0, 1.0, 3.0):
        await waiting(places, order, rank)
    for _ in range(3):
        places.give_back()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert order == [1.0, 3.0, 5.0]


def test_a_report_that_waited_long_comes_before_a_check_that_just_came() -> None:
    now = time.monotonic()
    assert now - 11 + Priority.REPORT.value < now + Priority.CHECK.value < now + Priority.REPORT.value


@pytest.mark.parametrize("when", ["before it was given", "in the moment it was given"])
async def test_a_place_is_not_lost_with_one_who_gave_up(when: str) -> None:
    places, order = Places(1), list[float]()
    assert places.take_free()
    one = await waiting(places, order, 1.0)
    if when == "before it was given":
        one.cancel()
        places.give_back()
    else:
        places.give_back()
        one.cancel()
    await asyncio.gather(one, return_exceptions=True)
    assert places.take_free()
    assert not places.wanted


async def test_many_who_come_and_give_up_lose_no_place() -> None:
    async with Fingerprinter(workers=2, quick_seconds=0.05) as two:
        await two.prepare()
        work = [asyncio.ensure_future(two.fingerprint(SMALL)) for _ in range(30)]
        for number, one in enumerate(work):
            if number % 3:
                one.cancel()
            await asyncio.sleep(0)
        await asyncio.gather(*work, return_exceptions=True)
        ready: Callable[[], bool] = lambda: len(children_of(os.getpid())) <= 3  # noqa: E731
        await until(ready)
        assert [one.width for one in await asyncio.gather(*(two.fingerprint(SMALL) for _ in range(4)))] == [48] * 4
