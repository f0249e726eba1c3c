"""The supervisor process between an owner and its server: see ``shared/process/supervise.py``, which starts it.

Run as a script. Standard library only, one thread, and nothing of
``shared`` is imported, so that it starts in a few hundredths of a second and depends on no environment. Its protocol:

- standard output, a JSON object a line: ``started`` (pid), ``exited`` (status, negative = signal), ``stopped``, ``failed`` (reason);
- standard input: a line of JSON (``ServerSpec`` and ``owner_pid``), then a line each: ``restart on``, ``stop``, ``kill``; end of file
  means that the owner is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

POLL_SECONDS = 0.25
FAST_EXIT_SECONDS = 10.0
"""A server that lived for less than this after a restart counts as a failed restart."""
RESTARTS_GIVEN_UP = 6
"""This many failed restarts in a row (about 6 s of pauses in all) end the attempts."""


class _Supervisor:
    """Watches the owner and the server, and ends the server when the owner is gone."""

    def __init__(self, spec: dict[str, Any], pending_input: bytes) -> None:
        self.owner_pid: int = spec["owner_pid"]
        self.argv: list[str] = spec["argv"]
        self.cwd: str | None = spec["cwd"]
        self.log_path: str = spec["log_path"]
        self.run_as: list[int] | None = spec["run_as"]
        self.keep_fds: list[int] = spec["keep_fds"]
        self.server_death_signal: int = spec["server_death_signal"]
        self.stop_steps: list[dict[str, float]] = spec["stop"]
        self.orphaned_steps: list[dict[str, float]] = spec["orphaned"]
        self.restart = False
        self.kill_now = False
        self.server: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.failed_restarts = 0
        self.input = pending_input
        self.poll = select.poll()
        self.owner_fd = _watch_pid(self.owner_pid)

    def run(self) -> int:
        signal.signal(signal.SIGTERM, lambda *_: _wake("stop"))
        signal.signal(signal.SIGINT, lambda *_: _wake("stop"))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for fd in (0, wake_read):
            os.set_blocking(fd, False)
            self.poll.register(fd, select.POLLIN | select.POLLHUP)
        if self.owner_fd is not None:
            self.poll.register(self.owner_fd, select.POLLIN)
        if os.getppid() != self.owner_pid:  # it died before we looked
            return 0
        if self.take_input(b"") is not None:  # it changed its mind already
            _report(name="stopped")
            return 0
        if not self.start_server():
            return 1
        while True:
            ready = [fd for fd, _ in self.poll.poll(POLL_SECONDS * 1000)]
            if wake_read in ready:
                _drain(wake_read)
            if self.owner_fd in ready or os.getppid() != self.owner_pid:
                return self.finish(self.orphaned_steps)
            command = self.read_command() if 0 in ready else None
            if command in ("stop", "kill") or _wanted:
                return self.finish(self.stop_steps)
            if command == "gone":
                return self.finish(self.orphaned_steps)
            if self.server is not None and self.reap():
                code = self.after_exit()
                if code is not None:
                    return code

    def read_command(self) -> str | None:
        """The last whole command line on standard input; ``gone`` at its end."""
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return None
        if not data:
            return "gone"
        return self.take_input(data)

    def take_input(self, data: bytes) -> str | None:
        *lines, self.input = (self.input + data).split(b"\n")
        commands = [line.decode() for line in lines]
        self.restart = self.restart or "restart on" in commands
        self.kill_now = self.kill_now or "kill" in commands
        if self.kill_now:
            return "kill"
        return "stop" if "stop" in commands else None

    def start_server(self) -> bool:
        own_pid = os.getpid()
        death_signal = self.server_death_signal

        def prepare() -> None:  # in the child, after the change of user (which would have cleared the death signal)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold hashes and URLs
            _prctl(PR_SET_PDEATHSIG, death_signal)
            if os.getppid() != own_pid:
                os._exit(127)

        user: dict[str, Any] = {}
        if self.run_as is not None:
            user = {"user": self.run_as[0], "group": self.run_as[1], "extra_groups": []}
        try:
            with open(self.log_path, "ab") as log:
                self.server = subprocess.Popen(  # noqa: S603 - the owner's own command line
                    self.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.cwd,
                    pass_fds=self.keep_fds,
                    preexec_fn=prepare,  # noqa: PLW1509 - this process has one thread
                    process_group=0,
                    **user,
                )
        except (OSError, subprocess.SubprocessError) as error:
            _report(name="failed", reason=f"{self.argv[0]}: {error}")
            return False
        self.started_at = time.monotonic()
        _report(name="started", pid=self.server.pid)
        return True

    def reap(self) -> bool:
        """Collect ended children (orphans too); True once the server itself has ended."""
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if self.server is not None and pid == self.server.pid:
                self.server.returncode = os.waitstatus_to_exitcode(status)
                _report(name="exited", pid=pid, status=self.server.returncode)
                self.server = None
                ended = True
        return ended

    def after_exit(self) -> int | None:
        """The server ended by itself: start it again or give up. A number is our own exit code."""
        self.wait_for_none(1.0)
        self.kill_all()
        if not self.restart:
            _report(name="stopped")
            return 1
        lived = time.monotonic() - self.started_at
        self.failed_restarts = self.failed_restarts + 1 if lived < FAST_EXIT_SECONDS else 0
        if self.failed_restarts >= RESTARTS_GIVEN_UP:
            _report(name="failed", reason=f"ended {self.failed_restarts} times in a row")
            return 1
        pause_until = time.monotonic() + min(5.0, 0.1 * 2**self.failed_restarts)
        while (left := pause_until - time.monotonic()) > 0:
            time.sleep(min(left, 0.1))
            if self.read_command() is not None or _wanted or os.getppid() != self.owner_pid:
                return self.finish([])
        return None if self.start_server() else 1

    def finish(self, steps: Sequence[Mapping[str, float]]) -> int:
        for step in steps:
            if self.kill_now:
                break
            if self.server is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.server.pid, int(step["signal"]))
            if self.wait_for_none(step["seconds"]):
                break
        self.kill_all()
        _report(name="stopped")
        return 0

    def wait_for_none(self, seconds: float) -> bool:
        """Wait until no child is left; a ``kill`` meanwhile cuts it short. False on time-out."""
        deadline = time.monotonic() + seconds
        while True:
            self.reap()
            if not _children():
                return True
            self.read_command()
            if self.kill_now or time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def kill_all(self) -> None:
        """SIGKILL to every descendant: the children of a killed child become ours, so this ends."""
        deadline = time.monotonic() + 5.0
        while (pids := _children()) and time.monotonic() < deadline:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
            self.reap()


_wanted: list[str] = []


def _wake(what: str) -> None:
    _wanted.append(what)


def _drain(fd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 4096):
            pass


def _watch_pid(pid: int) -> int | None:
    """A pidfd, readable once ``pid`` has ended; ``None`` where the kernel has none (then the parent's id is polled)."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def _children() -> list[int]:
    """Process ids whose parent we are, zombies left out."""
    own = os.getpid()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as stat:
                fields = stat.read().rpartition(b")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == own and fields[0] != b"Z":
            found.append(int(entry))
    return found


def _report(**event: object) -> None:
    with contextlib.suppress(OSError):  # nobody reads any more, or the reader is far behind
        os.write(1, json.dumps(event).encode() + b"\n")


def _first_line(fd: int) -> tuple[bytes | None, bytes]:
    """The first line, and what came after it; ``None`` when the end comes before."""
    data = b""
    while b"\n" not in data:
        part = os.read(fd, 65536)
        if not part:
            return None, b""
        data += part
    line, _, rest = data.partition(b"\n")
    return line, rest


def _main() -> NoReturn:
    first_line, rest = _first_line(0)
    if first_line is None:  # the owner died before it had written it
        sys.exit(0)
    os.set_blocking(1, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    sys.exit(_Supervisor(json.loads(first_line), rest).run())


if __name__ == "__main__":
    _main()
