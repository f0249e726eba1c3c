"""Signals at a moment, and at a thread, of the test's choosing."""

from __future__ import annotations

import ctypes
import signal
import time
from pathlib import Path

from tests.fixtures_servers import wait_until

_ASLEEP_LOOKS = 5
_LOOK_SECONDS = 0.01


def handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal by now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def wait_until_asleep(pid: int) -> None:
    """The main thread waits for something, and has done so for a while."""
    looks = 0

    def asleep() -> bool:
        nonlocal looks
        time.sleep(_LOOK_SECONDS)
        state = Path(f"/proc/{pid}/task/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        looks = looks + 1 if state == "S" else 0
        return looks >= _ASLEEP_LOOKS

    wait_until(asleep, seconds=30)


def send_past_the_main_thread(pid: int, number: signal.Signals) -> None:
    """Send it while the main thread is asleep, and to another thread: no system call of the main thread is interrupted.

    To the program this is what a signal is that comes between Python's last look for one and a blocking call, but it is so each
    time: what the main thread waits in has to be ended by the signal itself.
    """
    wait_until_asleep(pid)
    others = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if int(task.name) != pid]
    assert others, "it has one thread"
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.tgkill(pid, others[0], int(number)) == 0, ctypes.get_errno()
