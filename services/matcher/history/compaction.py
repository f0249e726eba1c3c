"""Builds a segment of a history beside everything else: from parts as they were when it began, whatever becomes of them meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import numpy as np
import numpy.typing as npt

from services.matcher.history.segments import Built, build
from services.matcher.sightings.columns import Columns, Mask


@dataclass(eq=False, slots=True, kw_only=True)
class CompactionJob:
    """The building of one segment from the parts `sources`, as they were when it began. `seconds`: by the clock, what it took."""

    sources: tuple[int, ...]
    into: int
    frozen: tuple[tuple[Columns, Mask], ...]
    folder: Path | None
    built: Built | None = None
    failure: OSError | None = None
    seconds: float = 0.0
    done: bool = False

    def run(self) -> None:
        began = time.monotonic()
        try:
            self.built = build(self.frozen, self.folder)
        except OSError as error:  # no space, most likely: what was to be merged stays as it is
            self.failure = error
            if self.folder is not None:
                rmtree(self.folder, ignore_errors=True)
        self.seconds = time.monotonic() - began
        self.done = True


def died_meanwhile(built: Built, alive: Sequence[Mask]) -> npt.NDArray[np.int64]:
    """The entries of what was built that died in their sources since it began."""
    there = np.zeros(len(built.source), dtype=np.bool_)
    for place, mask in enumerate(alive):
        mine = built.source == place
        there[mine] = mask[built.row[mine]]
    return np.flatnonzero(~there)
