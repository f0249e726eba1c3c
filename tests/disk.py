"""What is on a disk, and which processes are alive: for tests of what must not stay behind."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def files_with(pieces: list[bytes], *, newer_than: float) -> list[str]:
    """Files on any disk, written since, that hold one of these. What lies in memory (tmpfs, proc) is no disk."""
    disks = _disks()
    found = []
    own = str(Path(__file__).parents[1])
    for folder, folders, files in os.walk("/"):
        with contextlib.suppress(OSError):
            folders[:] = [one for one in folders if _device(os.path.join(folder, one)) in disks]
            if folder.startswith(own):
                folders[:] = []
                continue
            for name in files:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    if (
                        stat.S_ISREG(status.st_mode)
                        and status.st_mtime >= newer_than
                        and 0 < status.st_size < 200_000_000
                    ):
                        data = Path(path).read_bytes()
                        if any(piece in data for piece in pieces):
                            found.append(path)
    return found


def files_written_by(pids: list[int]) -> list[str]:
    """The files on a disk that these processes hold open for writing."""
    found = []
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError, StopIteration):
                    status = os.stat(f"/proc/{pid}/fd/{fd}")
                    info = Path(f"/proc/{pid}/fdinfo/{fd}").read_text().splitlines()
                    flags = int(next(line for line in info if line.startswith("flags:")).split()[1], 8)
                    if stat.S_ISREG(status.st_mode) and flags & os.O_ACCMODE and status.st_dev in _disks():
                        found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return found


def _disks() -> set[int]:
    return {os.stat(folder).st_dev for folder in ("/", "/tmp", "/var/tmp", Path.home())} - {os.stat("/dev/shm").st_dev}


def _device(path: str) -> int:
    return os.lstat(path).st_dev


def alive(pid: int) -> bool:
    """It runs: a process that has ended and waits for its parent does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    return False
