"""Waiting on the main thread without sleeping through a signal.

Python runs a signal's handler between two of its own instructions, on the main thread. A signal that comes after the last look
for one and before a blocking call (a lock's ``acquire``, ``waitpid``), or that the kernel gives to another thread, is only noted:
the call is not interrupted, and the handler runs when something else ends it, which may be never. So a Ctrl-C can be lost. The
remedy is the wake-up file descriptor (https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd): every signal writes to
it, on whichever thread it comes, and the wait is a ``poll`` that sees it. Event loops do the same by themselves.

Linux only (eventfd). Libraries looked at: none offers a blocking wait of this kind without an event loop.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import signal
import threading
import time
import weakref
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

_DRAIN_BYTES = 4096


class InterruptibleEvent:
    """As ``threading.Event``, but no signal is slept through while the main thread waits.

    Signal handlers run during ``wait`` as they would anywhere; what they raise (KeyboardInterrupt) leaves it. ``set`` takes no lock,
    so a handler may call it.
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._fd)

    def set(self) -> None:
        """Let everybody pass who waits, now and later."""
        with contextlib.suppress(BlockingIOError):  # set some 2**64 times, so it is set
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it was not set
            os.eventfd_read(self._fd)

    def is_set(self) -> bool:
        return bool(_ready([self._fd], timeout_seconds=0))

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until it is set; False on time-out."""
        if threading.current_thread() is not threading.main_thread():
            return bool(_ready([self._fd], timeout_seconds))
        return _wait_with_signals(self._fd, timeout_seconds)


class InterruptibleQueue(Generic[T]):
    """What other threads hand over to one that takes; no signal is slept through while that is the main thread."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._filled = InterruptibleEvent()

    def put(self, item: T) -> None:
        self._items.append(item)
        self._filled.set()

    def empty(self) -> bool:
        return not self._items

    def get(self, timeout_seconds: float) -> T:
        """The oldest item. Raises queue.Empty when none comes in time."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            self._filled.clear()  # before the look: what is put after it sets it again
            if self._items:
                return self._items.popleft()
            if not self._filled.wait(max(0.0, deadline - time.monotonic())):
                raise queue.Empty


def _wait_with_signals(fd: int, timeout_seconds: float | None) -> bool:
    """On the main thread: wait until ``fd`` is readable while signal handlers run; False on time-out."""
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    woken, wake_up = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    before, noted = -1, b""
    try:
        before = signal.set_wakeup_fd(wake_up, warn_on_full_buffer=False)
        # What came before this line has been handled by now; what comes after it ends the poll.
        while True:
            ready = _ready([fd, woken], None if deadline is None else max(0.0, deadline - time.monotonic()))
            if fd in ready:
                return True
            if not ready:
                return False
            noted += _drained(woken)
    finally:
        # First of all: were the pipe closed before, signals would write to whatever takes its number.
        signal.set_wakeup_fd(before)
        noted += _drained(woken)
        os.close(woken)
        os.close(wake_up)
        if before != -1 and noted:  # an event loop learns only from these bytes which signals came
            with contextlib.suppress(OSError):
                os.write(before, noted)


def _ready(fds: list[int], timeout_seconds: float | None) -> set[int]:
    """Which of them can be read; none on time-out."""
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return {fd for fd, _ in poll.poll(None if timeout_seconds is None else timeout_seconds * 1000)}


def _drained(fd: int) -> bytes:
    try:
        return os.read(fd, _DRAIN_BYTES)
    except BlockingIOError:
        return b""
