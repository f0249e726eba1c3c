"""The Chromium process: its account, its profile in memory, its pipe, and its end.

It is driven through a pipe (`--remote-debugging-pipe`), so no port exists by which a page or another account of the machine
could drive it. It dies with us, however we die (`shared/process/supervise.py`), and leaves nothing on disk: its home, profile, caches and
temporary files are one folder on a tmpfs, removed at its end and, after a kill -9, at the next start.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.db.embedded.files import Account, NoAccount, choose_account
from shared.errors import TakedownError
from shared.media.browser.program import arguments
from shared.process.supervise import ServerSpec, SupervisedServer, SupervisorEvent

FOLDER_PREFIX = "takedown-browser-"
_STOP_SECONDS = 8.0


class BrowserUnavailable(TakedownError):
    """The browser could not be started."""


class BrowserStartTimedOut(BrowserUnavailable):
    """The browser took too long to start: the machine is busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserProgram:
    """What is started. `run_as`: the account where we are root (default: `takedown`). Without `sandbox`, a page that breaks into a
    renderer has that account: for machines alone whose kernel gives no user namespaces, and said at the start."""

    path: Path
    run_as: str | None = None
    sandbox: bool = True
    script_memory_mb: int = 384
    """Of one page's JavaScript."""
    trusted_keys: tuple[str, ...] = ()


class BrowserProcess:
    """One Chromium from `start` to `stop`. `to_browser` and `from_browser` are the ends of its pipe, ours to close.

    The methods block. `on_end` is called on another thread once it has ended by itself.
    """

    def __init__(self, folder: Path, lock: int, server: SupervisedServer, to_browser: int, from_browser: int) -> None:
        self.folder = folder
        self.to_browser = to_browser
        self.from_browser = from_browser
        self._lock = lock
        self._server = server

    @classmethod
    def start(cls, program: BrowserProgram, *, proxy_url: str, on_end: Callable[[], None]) -> BrowserProcess:
        """Start Chromium. Raises BrowserUnavailable."""
        try:
            account = choose_account(program.run_as)
        except NoAccount as error:
            raise BrowserUnavailable(str(error)) from None
        memory = memory_folder()
        sweep(memory)
        folder, lock = _make_folder(memory, account)
        pipes: list[int] = [*os.pipe(), *os.pipe()]
        its_input, to_browser, from_browser, its_output = pipes
        ended = threading.Event()

        def heard(event: SupervisorEvent) -> None:
            if event.name in ("exited", "lost", "failed") and not ended.is_set():
                ended.set()
                on_end()

        try:
            for fd in (its_input, its_output):
                if account.ids_to_take is not None:
                    os.fchown(fd, account.uid, account.gid)
            command = arguments(
                profile=folder,
                proxy_url=proxy_url,
                sandbox=program.sandbox,
                script_memory_mb=program.script_memory_mb,
                trusted_keys=program.trusted_keys,
            )
            # Chromium wants its pipe at 3 and 4; the shell becomes Chromium.
            shell = f'exec "$0" "$@" 3</proc/self/fd/{its_input} 4>/proc/self/fd/{its_output}'
            spec = ServerSpec(
                argv=("/bin/sh", "-c", shell, str(program.path), *command),
                log_path=os.devnull,  # what it says may hold a URL
                stop=(),  # SIGKILL at once: nothing of it is worth keeping
                orphaned=(),
                cwd=str(folder),
                run_as=account.ids_to_take,
                keep_fds=(its_input, its_output, lock),
            )
            server = SupervisedServer(spec, env=_environment(folder), on_event=heard)
        except OSError as error:
            for fd in (to_browser, from_browser, lock):
                os.close(fd)
            shutil.rmtree(folder, ignore_errors=True)
            raise BrowserUnavailable(error.strerror or "") from None
        finally:
            os.close(its_input)
            os.close(its_output)
        return cls(folder, lock, server, to_browser, from_browser)

    @property
    def supervisor_pid(self) -> int:
        return self._server.supervisor_pid

    @property
    def running(self) -> bool:
        return self._server.running

    def memory_bytes(self) -> int:
        """The memory of Chromium and its children: their own, and shared memory as often as it is mapped."""
        return sum(map(_memory_of, descendants(self.supervisor_pid)))

    def stop(self) -> None:
        """End it by force, and remove its folder."""
        self._server.stop(_STOP_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def close_pipe(self) -> None:
        """Close the pipe, for a caller that has not handed its ends on."""
        for fd in (self.to_browser, self.from_browser):
            with contextlib.suppress(OSError):
                os.close(fd)

    def kill(self) -> None:
        """Send SIGKILL to all of it; `stop` is still to be called."""
        self._server.kill()


def memory_folder() -> Path:
    """A folder on a tmpfs that every account may use. Raises BrowserUnavailable where there is none."""
    candidates = [Path("/dev/shm"), Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent"), Path("/tmp")]  # noqa: S108 - looked at below
    for folder in candidates:
        if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK) and _file_system(folder) in ("tmpfs", "ramfs"):
            return folder
    raise BrowserUnavailable("no tmpfs (/dev/shm, $XDG_RUNTIME_DIR) for its profile.")


def sweep(memory: Path) -> None:
    """Remove what killed processes have left: folders whose lock nobody holds."""
    for folder in memory.glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.lstat().st_uid not in (os.geteuid(), _account_of(folder)):
                continue
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def descendants(pid: int) -> list[int]:
    """The process ids below this one."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError), open(f"/proc/{entry}/stat", "rb") as stat:
                parents.setdefault(int(stat.read().rpartition(b")")[2].split()[1]), []).append(int(entry))
    found, left = [], [pid]
    while left:
        children = parents.get(left.pop(), [])
        found += children
        left += children
    return found


def _memory_of(pid: int) -> int:
    total = 0
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1]) * 1024
    return total


def _account_of(folder: Path) -> int:
    """The user id that made a browser's folder: as root its owner (the unprivileged account's), else our own."""
    return folder.lstat().st_uid if os.geteuid() == 0 else os.geteuid()


def _make_folder(memory: Path, account: Account) -> tuple[Path, int]:
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=memory))
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    account.give(folder)
    return folder, lock


def _file_system(folder: Path) -> str:
    """The type of the file system a folder is on (proc(5), mountinfo)."""
    best, kind = "", ""
    real = os.path.realpath(folder)
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            point = fields.split()[4]
            if (real + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
                best, kind = point, rest.split()[0]
    return kind


def _environment(folder: Path) -> dict[str, str]:
    """Chromium's environment variables: no secret of ours, and no folder but its own."""
    home = str(folder)
    return {
        "PATH": os.defpath + ":/usr/bin:/usr/local/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "XDG_CACHE_HOME": home,
        "XDG_CONFIG_HOME": home,
        "XDG_RUNTIME_DIR": home,
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "DBUS_SYSTEM_BUS_ADDRESS": "disabled:",
    }
