"""The state folders of the model's processes: real files, and what is left of a folder when its process dies amid writing.

Functions of `os` that make, rename or remove files are counted while a process is at its files. When it is to die at one of them, the
folder is copied as it is just before: that is what a process started later finds. Nothing is synced: a process dies, not the machine.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

_COUNTED = ("open", "fsync", "replace", "mkdir", "unlink", "rmdir")
_LOCK = "lock"


class Disk:
    """To be used in a `with`; the folders go with it."""

    def __enter__(self) -> Self:
        self._root = Path(tempfile.mkdtemp(prefix="takedown-model-"))
        self._user: str | None = None
        self._steps_left = 0
        self._made = 0
        self._remains: Path | None = None
        self._patch = pytest.MonkeyPatch()
        for name in _COUNTED:
            self._patch.setattr(os, name, self._counted(getattr(os, name)))
        list_folder = os.listdir
        self._patch.setattr(
            os, "listdir", lambda path=".": sorted(list_folder(path))
        )  # the same run from the same seed
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.undo()
        shutil.rmtree(self._root)

    def folder(self, name: str) -> Path:
        return self._root / name

    # Dying amid writing

    @contextmanager
    def used_by(self, name: str) -> Iterator[None]:
        """What is done inside is done to the files of this process."""
        self._user = name
        try:
            yield
        finally:
            self._user = None

    def die_at(self, step: int) -> None:
        """Who uses its files next dies just before the so manieth thing done to them, counted from 1."""
        self._steps_left = step

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self._user is not None and self._steps_left:
                self._steps_left -= 1
                if not self._steps_left:
                    self._remains = self.copy(self._user)
            return None if real.__name__ == "fsync" else real(*given, **named)

        return call

    def take_remains(self) -> Path | None:
        """What was left when a process died as `die_at` said; None when it did not come to that."""
        self._steps_left = 0
        remains, self._remains = self._remains, None
        return remains

    # Copies and damage

    def copy(self, name: str) -> Path | None:
        """The process's folder as it is now; None where there is none."""
        if not self.folder(name).exists():
            return None
        self._made += 1
        copied = self._root / f"copy-{self._made}"
        shutil.copytree(self.folder(name), copied)
        return copied

    def wipe(self, name: str) -> None:
        """Somebody deletes the process's folder."""
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def put_back(self, name: str, copied: Path) -> None:
        """The process's folder is as it was when this copy was made."""
        self.wipe(name)
        shutil.copytree(copied, self.folder(name))

    def files(self, name: str, pattern: str = "**/*") -> list[Path]:
        """Those that count, without the lock and what was never finished, in the same order in each run."""
        found = [one for one in self.folder(name).glob(pattern) if one.is_file() and one.name != _LOCK]
        finished = [one for one in found if not one.suffix]
        return sorted(
            finished, key=lambda one: (one.relative_to(self.folder(name)).parts[0], one.parent.name, one.name)
        )

    def damage(self, path: Path, rng: random.Random) -> str:
        """Harm a file in one of the ways a disk may; which."""
        how = rng.choice(["cut", "emptied", "flipped", "gone"])
        raw = bytearray(path.read_bytes())
        if how == "gone":
            path.unlink()
        elif how == "flipped" and raw:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
            path.write_bytes(raw)
        else:
            path.write_bytes(raw[: len(raw) // 2] if how == "cut" else b"")
        return how
