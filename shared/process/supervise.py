"""Run a server process that stops by itself when its owner dies, however the owner dies.

A ``kill -9`` runs no handler, so the owner can not stop its server. Between the two stands a small supervisor process
(``shared/process/supervisor_process.py``: standard library only, one thread). It

- watches the owner through a pidfd *and* through a control pipe. Neither alone is enough: a pipe stays open for as long as
  any forked child of the owner lives, and pidfds need Linux 5.3. ``PR_SET_PDEATHSIG`` is tied to the *thread* that forked,
  so it is used only below the (one-threaded) supervisor, for the case that the supervisor itself is killed;
- is the "child subreaper" of everything below it, so that orphans of a killed server (PostgreSQL's backends have sessions
  of their own) come back to it and none is left running;
- starts the server again when asked to (``restart_from_now_on``), with a pause that grows.

Linux only. Libraries looked at: ``subprocess`` alone (no death watch), ``psutil`` (finds children, but does not adopt
orphans), supervisord and circus (daemons with configuration of their own).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.process.signals import InterruptibleEvent

_PROGRAM = Path(__file__).with_name("supervisor_process.py")


@dataclass(frozen=True, kw_only=True)
class StopStep:
    """Send ``signal``, then wait up to ``seconds`` for everything to be gone. After the last step comes SIGKILL."""

    signal: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """What to run, and how to end it.

    ``run_as`` is ``(uid, gid)`` or ``None``; ``log_path`` takes the server's output (opened with the supervisor's rights);
    ``orphaned`` is the ladder used once the owner has died, so its seconds bound how long the server outlives it.
    ``keep_fds`` (lock files) stay open in the supervisor and the server: the lock is free when the last of them is gone.
    ``server_death_signal`` is what the server gets should the supervisor itself be killed.
    """

    argv: tuple[str, ...]
    log_path: str
    stop: tuple[StopStep, ...]
    orphaned: tuple[StopStep, ...]
    cwd: str | None = None
    run_as: tuple[int, int] | None = None
    server_death_signal: int = int(signal.SIGKILL)
    keep_fds: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SupervisorEvent:
    """One line of the supervisor's report.

    ``name``: ``started`` (``pid``), ``exited`` (``pid``, ``status``: negative is a signal), ``stopped``, ``failed`` (``reason``);
    ``lost`` is added here when the supervisor ended without a last word.
    """

    name: str
    pid: int | None = None
    status: int | None = None
    reason: str | None = None


class SupervisedServer:
    """The owner's end: starts the supervisor, hears its events, asks it to stop. Usable from any thread.

    ``on_event`` is called for each event on a thread of this object.
    """

    def __init__(
        self,
        spec: ServerSpec,
        *,
        env: Mapping[str, str] | None = None,
        on_event: Callable[[SupervisorEvent], None] | None = None,
    ) -> None:
        self._lock = threading.RLock()
        self._ended = InterruptibleEvent()
        self._on_event = on_event
        self._server_pid: int | None = None
        self._last: SupervisorEvent | None = None
        first_line = json.dumps({"owner_pid": os.getpid(), **asdict(spec)})
        # -I -S: neither the environment nor site-packages can change what runs here.
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(_PROGRAM), spec.log_path],  # the path only names it for `ps`
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(os.environ if env is None else env),
            pass_fds=spec.keep_fds,
            start_new_session=True,
        )
        self._send(first_line)
        threading.Thread(target=self._read_events, name="supervisor-events", daemon=True).start()

    @property
    def supervisor_pid(self) -> int:
        return self._process.pid

    @property
    def server_pid(self) -> int | None:
        """Process id of the running server; ``None`` before it started and after it ended."""
        with self._lock:
            return self._server_pid

    @property
    def last_event(self) -> SupervisorEvent | None:
        with self._lock:
            return self._last

    @property
    def running(self) -> bool:
        """False once the supervisor has ended."""
        return not self._ended.is_set()

    def restart_from_now_on(self) -> None:
        """From now on the server is started again when it ends by itself (until ``stop``)."""
        self._send("restart on")

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until the supervisor has ended; False on time-out. On the main thread no signal is slept through."""
        return self._ended.wait(timeout_seconds)

    def stop(self, timeout_seconds: float) -> None:
        """Stop the server by its ladder; by force after ``timeout_seconds``. Does nothing when it has ended."""
        self._send("stop")
        if not self.wait(timeout_seconds):
            self.kill()
        self._release()

    def kill(self) -> None:
        """SIGKILL to the server and all it started, at once."""
        self._send("kill")
        if not self.wait(6.0):  # a supervisor that hangs: its death signal takes the server along
            self._process.kill()
            self.wait(5.0)
        self._release()

    def _release(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the supervisor has ended already, or we closed the pipe
            assert self._process.stdin is not None
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _read_events(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._take(SupervisorEvent(**json.loads(line)))
        self._process.wait()
        last = self.last_event
        lost = None if last is not None and last.name in ("stopped", "failed") else SupervisorEvent(name="lost")
        with self._lock:
            self._server_pid = None
            self._last = lost or self._last
        self._ended.set()
        if lost is not None and self._on_event is not None:
            self._on_event(lost)

    def _take(self, event: SupervisorEvent) -> None:
        with self._lock:
            self._last = event
            if event.name == "started":
                self._server_pid = event.pid
            elif event.name == "exited":
                self._server_pid = None
        if self._on_event is not None:
            self._on_event(event)
