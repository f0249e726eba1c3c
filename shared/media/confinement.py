"""Confines a child process before it reads what strangers made: it gives up its account, files, network and other processes.

Decoders and parsers are C code fed by uploaders. One that was taken over can then compute and answer on its pipe, and nothing else:

- as root it becomes an account of its own that owns nothing;
- `no_new_privs`: no program it could start would have more rights;
- Landlock: no file, no TCP, no signal to others (kernel 5.13 and later);
- seccomp: a list of the system calls that decoding needs; any other fails with EPERM. No opening, no socket, no process, no thread, no
  memory that can be run.

Whatever the kernel lacks is left out and named by `confine`, and the rest holds. The libraries: landlockpy, and pyseccomp over the
system's libseccomp (its filter is checked by a test, call by call).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import importlib
import os
import resource
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Any

_PR_SET_NO_NEW_PRIVS = 38
_PROT_EXEC = 4

_CALLS = frozenset(
    {
        *("read", "readv", "write", "writev", "lseek", "close", "fstat", "poll", "ppoll", "fcntl"),  # requests, answers
        *("brk", "munmap", "mremap", "madvise"),
        *("clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time"),
        # Its own alarm and limits, wound up for each job.
        *("alarm", "setitimer", "getitimer", "getrusage", "getrlimit", "setrlimit"),
        *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall"),
        # Threads that are there already.
        *("futex", "futex_time64", "sched_yield", "sched_getaffinity", "set_robust_list", "rseq", "membarrier"),
        # Who and where it is.
        *("getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getcpu", "uname", "sysinfo"),
        *("getrandom", "exit", "exit_group"),
    }
)


class Means(StrEnum):
    """What confines a process."""

    ACCOUNT = "account"
    NO_NEW_PRIVILEGES = "no_new_privs"
    LANDLOCK = "landlock"
    SECCOMP = "seccomp"


def confine(*, ids: tuple[int, int] | None, before_seccomp: Callable[[], None] = lambda: None) -> tuple[Means, ...]:
    """Confine this process for good. Returns what this system does not have. Call it once every module is loaded, in the one thread there
    is. `ids`: (user, group) to become, where we are root. `before_seccomp` may start threads: they are confined too, and later there are
    none.

    Call it once every module is loaded, in the one thread there is. `ids`: (user, group) to become, where we are root.
    `before_seccomp` may start threads: they are confined too, and later there are none.
    """
    landlock, seccomp = _loaded("landlockpy"), _loaded("pyseccomp")  # while files can still be opened
    missing = [
        means
        for means, take in (
            (Means.NO_NEW_PRIVILEGES, _gain_nothing),
            (Means.LANDLOCK, lambda: _leave_files(landlock)),
            (Means.ACCOUNT, lambda: _become(ids)),
        )
        if not _taken(take)
    ]
    before_seccomp()
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if not _taken(lambda: _filter_calls(seccomp)):
        missing.append(Means.SECCOMP)
    return tuple(missing)


def _loaded(name: str) -> Any:
    """A library, or None where it cannot be used here (pyseccomp looks for the system's libseccomp while it is imported)."""
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError, AttributeError):
        return None


def _taken(take: Callable[[], None]) -> bool:
    """False where this system lacks it: an old kernel, or one that was told not to, or a missing library."""
    try:
        take()
    except (OSError, RuntimeError, AttributeError, ValueError):
        return False
    return True


def _become(ids: tuple[int, int] | None) -> None:
    if os.geteuid() != 0:
        return
    if ids is None:
        raise OSError(errno.EPERM, "no account to become")
    user, group = ids
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)  # and with it every capability goes


def _gain_nothing() -> None:
    if sys.platform != "linux" or ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(errno.ENOSYS, "no_new_privs")


def _leave_files(landlock: Any) -> None:
    """Give up all files with Landlock: it handles everything this kernel knows, and no rule allows any of it. Raises AttributeError without
    the library."""
    with landlock.Ruleset(scoped=landlock.Scope.ABSTRACT_UNIX_SOCKET | landlock.Scope.SIGNAL) as ruleset:
        ruleset.restrict()


def _filter_calls(seccomp: Any) -> None:
    """Filter system calls with seccomp. Raises AttributeError without the library."""
    allowed = seccomp.SyscallFilter(defaction=seccomp.ERRNO(errno.EPERM))
    allowed.set_attr(seccomp.Attr.CTL_TSYNC, 1)  # the threads that are there too
    # The calls of another architecture (32-bit ones on a 64-bit machine) end the process.
    allowed.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    not_executable = seccomp.Arg(2, seccomp.MASKED_EQ, _PROT_EXEC, 0)
    rules: list[tuple[str, tuple[Any, ...]]] = [
        *((name, ()) for name in _CALLS),
        *((name, (not_executable,)) for name in ("mmap", "mmap2", "mprotect")),
        ("prlimit64", (seccomp.Arg(0, seccomp.EQ, 0),)),  # its own limits alone
    ]
    for name, arguments in rules:
        with contextlib.suppress(OSError):  # a call that this architecture, or this libseccomp, does not know
            allowed.add_rule(seccomp.ALLOW, name, *arguments)
    allowed.load()
