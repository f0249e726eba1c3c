"""A wait on the main thread is ended by a signal, also by one that interrupts no system call of it."""

from __future__ import annotations

import asyncio
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.process.signals import InterruptibleEvent, InterruptibleQueue
from tests.signalling import send_past_the_main_thread, wait_until_asleep

NUMBER = signal.SIGUSR1
LONG_SECONDS = 30.0

SERVER = """
from shared.process.supervise import ServerSpec, SupervisedServer

spec = ServerSpec(argv=("/bin/sleep", "600"), log_path="/dev/null", stop=(), orphaned=())
SupervisedServer(spec).wait()
"""
EVENT = """
import threading
from shared.process.signals import InterruptibleEvent

threading.Thread(target=threading.Event().wait, daemon=True).start()
InterruptibleEvent().wait()
"""
QUEUE = """
import threading
from shared.process.signals import InterruptibleQueue

threading.Thread(target=threading.Event().wait, daemon=True).start()
InterruptibleQueue().get(600)
"""


@pytest.mark.parametrize("program", [SERVER, EVENT, QUEUE], ids=["server", "event", "queue"])
def test_ctrl_c_ends_a_wait_though_it_interrupts_no_call(program: str) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        try:
            wait_until_asleep(process.pid)
            send_past_the_main_thread(process.pid, signal.SIGINT)
            assert process.wait(20) == -signal.SIGINT
        finally:
            process.kill()


@pytest.fixture
def handled() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Sets what is done by the signal."""
    before = signal.getsignal(NUMBER)

    def handle(act: Callable[[], object]) -> None:
        signal.signal(NUMBER, lambda *_: act())

    yield handle
    signal.signal(NUMBER, before)


def from_another_thread(act: Callable[[], object]) -> threading.Thread:
    """Do it once the main thread is asleep."""

    def when_asleep() -> None:
        wait_until_asleep(os.getpid())
        act()

    thread = threading.Thread(target=when_asleep)
    thread.start()
    return thread


def signal_here() -> None:
    """To the thread that calls it."""
    signal.pthread_kill(threading.get_ident(), NUMBER)


def test_a_handler_may_set_the_event_that_is_waited_for(handled: Callable[[Callable[[], object]], None]) -> None:
    event = InterruptibleEvent()
    handled(event.set)
    thread = from_another_thread(signal_here)
    assert event.wait(LONG_SECONDS)
    thread.join()


def test_a_signal_whose_handler_returns_does_not_end_the_wait(handled: Callable[[Callable[[], object]], None]) -> None:
    event = InterruptibleEvent()
    heard: list[bool] = []
    handled(lambda: heard.append(event.is_set()))

    def twice_and_set() -> None:
        signal_here()
        wait_until_asleep(os.getpid())
        signal_here()
        wait_until_asleep(os.getpid())
        event.set()

    thread = from_another_thread(twice_and_set)
    assert event.wait(LONG_SECONDS)
    thread.join()
    assert heard == [False, False]


def test_what_a_handler_raises_leaves_the_wait_and_leaves_nothing_behind(
    handled: Callable[[Callable[[], object]], None],
) -> None:
    class Heard(Exception):
        pass

    def heard() -> None:
        raise Heard

    handled(heard)
    event = InterruptibleEvent()
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    thread = from_another_thread(signal_here)
    with pytest.raises(Heard):
        event.wait(LONG_SECONDS)
    thread.join()
    assert not event.wait(0)
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before
    assert signal.set_wakeup_fd(-1) == -1


async def test_an_event_loop_hears_what_came_during_a_wait_within_it() -> None:
    heard = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(NUMBER, heard.set)
    try:
        event = InterruptibleEvent()

        def signal_and_set() -> None:
            signal_here()
            event.set()

        thread = from_another_thread(signal_and_set)
        assert event.wait(LONG_SECONDS)
        thread.join()
        await asyncio.wait_for(heard.wait(), 5)
    finally:
        loop.remove_signal_handler(NUMBER)


def test_an_event_stays_set_for_all_until_it_is_cleared() -> None:
    event = InterruptibleEvent()
    passed = InterruptibleQueue[bool]()
    threads = [threading.Thread(target=lambda: passed.put(event.wait(LONG_SECONDS))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not event.is_set()
    assert not event.wait(0.01)
    event.set()
    event.set()
    assert [passed.get(LONG_SECONDS) for _ in threads] == [True] * 3
    assert event.wait()
    assert event.is_set()
    event.clear()
    event.clear()
    assert not event.is_set()
    assert not event.wait(0)
    for thread in threads:
        thread.join()


def test_a_queue_gives_all_in_order_and_says_when_there_is_nothing() -> None:
    items = InterruptibleQueue[int]()
    with pytest.raises(queue.Empty):
        items.get(0.01)

    def put_all() -> None:
        for number in range(10_000):
            items.put(number)

    thread = threading.Thread(target=put_all)
    thread.start()
    assert [items.get(LONG_SECONDS) for _ in range(10_000)] == list(range(10_000))
    thread.join()
    assert items.empty()
    items.put(1)
    assert not items.empty()
    assert items.get(0) == 1
    with pytest.raises(queue.Empty):
        items.get(0)
