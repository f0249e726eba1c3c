"""When and where the kernels are compiled: on first use, off the threads that answer, with a cache on disk that survives a restart."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

_SOURCES = Path(__file__).with_name("kernels")
_lock = threading.Lock()
_cache_dir: Path | None = None
_loaded: ModuleType | None = None


class UnsafeCache(ValueError):
    """The directory of compiled code could be written by others, who would then run code here."""


def keep_compiled_in(directory: Path) -> None:
    """Where compiled kernels are kept; created with mode 0700. `NUMBA_CACHE_DIR` in the environment wins over it.

    Call before the first index grows. Without it they are kept beside their sources.
    Raises UnsafeCache for a directory that somebody else owns or may write to.
    """
    global _cache_dir
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = directory.stat()
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeCache(f"{directory} is owned or writable by others")
    _cache_dir = directory


def kernels() -> ModuleType:
    """The module of kernels. The first call imports numba (about a second); each function compiles at its first call."""
    global _loaded
    with _lock:
        if _loaded is None:
            _loaded = _import()
        return _loaded


def kernels_if_loaded() -> ModuleType | None:
    return _loaded


def _import() -> ModuleType:
    named = os.environ.get("NUMBA_CACHE_DIR")
    _cache_in(Path(named) if named else _cache_dir or _SOURCES / "__pycache__")
    try:
        from services.matcher.index import kernels as module
    except RuntimeError:
        # numba finds no directory it can write to. Compiled anew in each process, then: slower to start, not wrong.
        _cache_in(Path(tempfile.mkdtemp(prefix="takedown-kernels-")))
        from services.matcher.index import kernels as module
    return module


def _cache_in(directory: Path) -> None:
    """In a folder for these very sources: numba compiles a function anew when its own file has changed, not when one it calls has."""
    import numba

    settings: Any = numba.config  # its names come into being when it is read
    settings.CACHE_DIR = str(directory / _digest_of_sources())


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
