"""Ways to leave out one rule of the files that a process starts again from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from services.matcher.consumer.assignment import PartitionAssignment
from services.matcher.consumer.commits import OffsetPair
from services.matcher.consumer.partitions import THE_CONTENT
from services.matcher.consumer.snapshots import Snapshots
from services.matcher.consumer.worker import Matcher
from services.matcher.history.segments import read_columns
from services.matcher.index import array_file as index_file_module
from services.matcher.index.array_file import StoredIndex
from services.matcher.register.contents import NONE
from services.matcher.register.register import FrozenRegister, Register
from services.matcher.sightings.columns import Columns, empty
from services.matcher.state import files as state_files_module
from services.matcher.state.files import StateFiles
from tests.simulation.join.omissions import Patch


def withdrawals_not_in_the_file(patch: Patch) -> None:
    """Content without an entry is not written."""
    write = StateFiles.write_register

    def active_alone(self: StateFiles, frozen: FrozenRegister) -> None:
        firsts = frozen.contents["first"]
        left = np.flatnonzero(firsts != NONE)
        place = np.full(len(firsts), NONE, dtype=np.int32)
        place[left] = np.arange(len(left), dtype=np.int32)
        entries = {**frozen.entries, "content": place[frozen.entries["content"]]}
        contents = {name: column[left] for name, column in frozen.contents.items()}
        write(self, replace(frozen, entries=entries, contents=contents))

    patch(StateFiles, "write_register", active_alone)


def register_of_any_log(patch: Patch) -> None:
    async def usable(self: Matcher, register: Register, logs: Any) -> bool:
        end = await self._dependencies.log.end(THE_CONTENT)
        return not register.too_old(self._dependencies.clock()) and register.position <= end

    patch(Matcher, "_usable", usable)


def register_ahead_of_its_log(patch: Patch) -> None:
    async def usable(self: Matcher, register: Register, logs: Any) -> bool:
        return register.log_id == logs.content and not register.too_old(self._dependencies.clock())

    patch(Matcher, "_usable", usable)


def history_of_any_log(patch: Patch) -> None:
    usable = PartitionAssignment.usable

    def of_this_log(self: PartitionAssignment, history: Any, end: int) -> bool:
        history.log_id = self.logs.sightings
        return usable(self, history, end)

    patch(PartitionAssignment, "usable", of_this_log)


def history_ahead_of_its_log(patch: Patch) -> None:
    usable = PartitionAssignment.usable
    patch(PartitionAssignment, "usable", lambda self, history, end: usable(self, history, max(end, history.position)))


def history_of_any_age(patch: Patch) -> None:
    usable = PartitionAssignment.usable

    def just_told(self: PartitionAssignment, history: Any, end: int) -> bool:
        history.erasures_known_at = self.dependencies.clock()
        return usable(self, history, end)

    patch(PartitionAssignment, "usable", just_told)


def age_from_the_date_of_the_file(patch: Patch) -> None:
    freeze = Snapshots._freeze_register

    async def dated(self: Any, now: datetime) -> None:
        at_end_at, self._register.at_end_at = self._register.at_end_at, now
        await freeze(self, now)
        self._register.at_end_at = at_end_at

    patch(Snapshots, "_freeze_register", dated)


def content_offset_in_the_file(patch: Patch) -> None:
    freeze, resume = Snapshots._freeze_history, PartitionAssignment.resume_point
    in_file: dict[Path | None, int] = {}

    def with_content(self: Any, owned: Any, now: datetime) -> None:
        freeze(self, owned, now)
        if owned.committed is not None:
            in_file[owned.history.folder] = owned.committed.content

    async def resume_point(self: PartitionAssignment, owned: Any) -> OffsetPair:
        kept = in_file.get(owned.history.folder, 0)
        pair = await resume(self, owned)
        return replace(pair, content=max(pair.content, kept))

    patch(Snapshots, "_freeze_history", with_content)
    patch(PartitionAssignment, "resume_point", resume_point)


def what_died_is_not_in_the_file(patch: Patch) -> None:
    patch(state_files_module, "_mask", lambda manifest, number, count: np.ones(count, dtype=np.bool_))


def files_are_believed(patch: Patch) -> None:
    def unchecked(name: str, header: Any, view: memoryview, base: int) -> StoredIndex:
        arrays = {}
        for array_name, type_name, shape, place, _ in header["arrays"]:
            size = math.prod(shape) * np.dtype(type_name).itemsize
            piece = view[base + place : base + place + size]
            arrays[array_name] = np.frombuffer(piece, dtype=np.dtype(type_name)).reshape(shape)
        return StoredIndex(kind=header["kind"], words=tuple(header["words"]), arrays=arrays)

    patch(index_file_module, "_read_arrays", unchecked)


def what_is_gone_was_empty(patch: Patch) -> None:
    def read(path: Path) -> Columns:
        return read_columns(path) if path.exists() else empty()

    patch(state_files_module, "read_columns", read)


def damage_is_an_error(patch: Patch) -> None:
    def read(read: Callable[[], Any], discard: Callable[[], None], *, what: str) -> Any:
        return read()

    patch(state_files_module, "_read", read)
