"""Rule 10: children that are killed, cancelled or closed, and a parent that dies."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from shared.media.fingerprinter import (
    DEFAULT_LIMITS,
    DecoderUnavailable,
    Fingerprinter,
    Reason,
    Undecodable,
)
from tests.integration.shared.media.pictures import (
    alive,
    children_of,
    encoded,
    of_process,
    picture,
    slow_picture,
    until,
)

ROOT = Path(__file__).parents[4]


async def test_prepared_children_are_there_before_the_first_picture() -> None:
    async with Fingerprinter(workers=2) as fingerprinter:
        assert children_of(os.getpid()) == []
        await fingerprinter.prepare()
        children = children_of(os.getpid())
        assert len(children) == 2
        await fingerprinter.fingerprint(encoded(picture(), "PNG"))
        assert children_of(os.getpid()) == children


async def test_children_killed_while_idle_are_not_the_next_picture_s_fault() -> None:
    body = encoded(picture(40, 40), "PNG")
    async with Fingerprinter(workers=2) as two:
        await asyncio.gather(*(two.fingerprint(body) for _ in range(6)))
        children = children_of(os.getpid())
        assert len(children) == 2
        for child in children:
            os.kill(child, signal.SIGKILL)
        await until(lambda: not any(of_process(child, "stat") for child in children))  # and waited for
        assert (await two.fingerprint(body)).width == 40
        assert len(children_of(os.getpid())) == 1


async def test_a_child_killed_at_work_is_replaced_and_the_picture_tried_again(fingerprinter: Fingerprinter) -> None:
    await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))
    (child,) = children_of(os.getpid())
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(4000, 4000), "JPEG")))
    await asyncio.sleep(0.1)  # into the work; earlier or later the outcome is the same
    os.kill(child, signal.SIGKILL)
    assert (await work).width == 4000
    assert not alive(child)


async def test_a_picture_that_kills_twice_is_a_crash(fingerprinter: Fingerprinter) -> None:
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(6000, 6000), "JPEG")))
    killed: set[int] = set()
    while not work.done():
        for child in set(children_of(os.getpid())) - killed:
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        await asyncio.sleep(0.02)
    with pytest.raises(Undecodable) as caught:
        await work
    assert caught.value.reason is Reason.CRASHED
    assert not caught.value.no_media
    assert len(killed) == 2
    assert (await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))).width == 40


async def test_cancelled_work_leaves_no_stale_answer(fingerprinter: Fingerprinter) -> None:
    work = asyncio.create_task(fingerprinter.fingerprint(encoded(picture(3000, 3000), "JPEG")))
    await until(lambda: len(children_of(os.getpid())) == 1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert (await fingerprinter.fingerprint(encoded(picture(40, 50), "PNG"))).height == 50
    assert len(children_of(os.getpid())) == 1


async def test_closing_ends_the_children() -> None:
    one = Fingerprinter(workers=2)
    bodies = [encoded(picture(40, 40 + number), "PNG") for number in range(8)]
    answers = await asyncio.gather(*(one.fingerprint(body) for body in bodies))
    assert [answer.height for answer in answers] == [40 + number for number in range(8)]
    children = children_of(os.getpid())
    assert len(children) == 2
    await one.aclose()
    assert children_of(os.getpid()) == []
    assert not any(map(alive, children))
    with pytest.raises(DecoderUnavailable):
        await one.fingerprint(bodies[0])


async def test_closing_at_work_ends_the_work() -> None:
    one = Fingerprinter(workers=1)
    work = asyncio.create_task(one.fingerprint(slow_picture()))
    await until(lambda: len(children_of(os.getpid())) == 1)
    await one.aclose()
    with pytest.raises(Undecodable):
        await work
    assert children_of(os.getpid()) == []


PARENT = """
import asyncio, io, sys
from PIL import Image
from shared.media.fingerprinter import Fingerprinter

async def main():
    fingerprinter = Fingerprinter(workers=2)
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(buffer, "PNG")
    await asyncio.gather(*(fingerprinter.fingerprint(buffer.getvalue()) for _ in range(4)))
    large = io.BytesIO()
    Image.effect_noise((6000, 6000), 90).convert("RGB").save(large, "JPEG")
    if sys.argv[1] == "busy":
        asyncio.create_task(fingerprinter.fingerprint(large.getvalue()))
        await asyncio.sleep(0.2)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
async def test_children_end_with_a_parent_that_was_killed(state: str) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, state),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert parent.stdout is not None
        assert await parent.stdout.readline() == b"ready\n"
        children = children_of(parent.pid)
        assert len(children) == 2
    finally:
        parent.kill()
        await parent.wait()
    await until(lambda: not any(map(alive, children)), within_seconds=5)


async def test_the_child_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, fingerprinter: Fingerprinter) -> None:
    monkeypatch.setenv("TAKEDOWN_ROOT_KEY", "secret")
    await fingerprinter.fingerprint(encoded(picture(40, 40), "PNG"))
    (child,) = children_of(os.getpid())
    assert "TAKEDOWN" not in of_process(child, "environ")
    limits = of_process(child, "limits").splitlines()[1:]
    bounded = {line[:26].strip(): line[26:].split()[:2] for line in limits}
    assert bounded["Max core file size"] == ["0", "0"]  # the second: what it could raise it to
    assert bounded["Max file size"] == ["0", "0"]
    assert bounded["Max address space"] == [str(DEFAULT_LIMITS.memory_bytes)] * 2
