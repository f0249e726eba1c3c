"""A table that is searched by many threads while it changes: a small head that takes what is new, and frozen parts behind it.

A search works on one state, a value that never changes; each change puts a new state in its place. So a search sees the table as it
was at one moment, and the next one sees what has been added. Merging builds a new part beside the old ones and exchanges them at the end.

Parts grow geometrically (a merge takes in the later parts that are not much larger than what is merged), so that an entry is
copied a few times in its life, and not at each merge.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Generic, Self

import numpy as np

from services.matcher.index.merging_parts import (
    ContentT,
    HeadT,
    HeadView,
    Measures,
    Part,
    SearchCounts,
    State,
    all_alive,
)
from services.matcher.index.protocol import AlreadyIndexed, Hashes, Hits, Numbers

_TAKE_IN_UP_TO = 4
"""A merge takes in the part before it unless that is more than this many times larger."""

Task = Callable[[], None]
RunMerge = Callable[[Task], None]


def in_background(task: Task) -> None:
    """Run a merge in a thread of its own, which does not keep the process alive."""
    threading.Thread(target=task, name="index-merge", daemon=True).start()


@dataclass(slots=True)
class _Merge:
    """A merge under way."""

    first: int
    count: int
    removed: list[int]
    """Ids removed from what is being merged, since it began."""


class TieredTable(ABC, Generic[ContentT, HeadT]):
    """Add, remove and find by id. The kinds of table say how values are frozen and searched.

    `first_part_at`: entries before anything is frozen at all; `head_limit`: entries in the head, once there is a part, that start a merge.
    Every method may be called from any thread. `run_merge` runs a merge: in a thread, or at once in tests.
    """

    def __init__(
        self, *, value_bytes: int, first_part_at: int, head_limit: int, run_merge: RunMerge = in_background
    ) -> None:
        self._value_bytes = value_bytes
        self._first_part_at = first_part_at
        self._head_limit = head_limit
        self._run_merge = run_merge
        self._changing = threading.Condition()
        self._merge: _Merge | None = None
        self._failure: Exception | None = None
        self._merges = 0
        self._merge_seconds = 0.0
        self._state: State[ContentT, HeadT] = State(parts=(), sealed=None, head=self._fresh_head())

    def __deepcopy__(self, _memo: object) -> Self:
        """Another table with the same entries: frozen parts never change and are shared, what is new is copied."""
        with self._changing:
            other = copy(self)
            state = self._state
        other._changing = threading.Condition()
        other._merge = None
        other._state = replace(state, sealed=None)
        pieces = [view.entries() for view in state.heads()]
        other._begin_head(*(np.concatenate(column) for column in zip(*pieces, strict=True)))
        return other

    # What a kind of table says

    @abstractmethod
    def _new_head(self) -> HeadT: ...

    @abstractmethod
    def _freeze(self, values: Hashes) -> ContentT: ...

    @abstractmethod
    def _values_of(self, content: ContentT) -> Hashes:
        """uint8[n, value_bytes], by slot."""

    @abstractmethod
    def query(self, values: Hashes) -> Hits: ...

    # What is asked of it

    def __len__(self) -> int:
        return len(self._state)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays and of the head's table of ids."""
        state = self._state
        return sum(part.nbytes for part in state.parts) + sum(view.head.nbytes for view in state.heads())

    @property
    def head_size(self) -> int:
        """Entries that are not frozen yet."""
        return sum(map(len, self._state.heads()))

    @property
    def counts(self) -> SearchCounts:
        """What searching has come to, where a kind of table counts it."""
        return SearchCounts()

    def measures(self) -> Measures:
        return Measures(
            head_entries=self.head_size,
            nbytes=self.nbytes,
            merges=self._merges,
            merge_seconds=self._merge_seconds,
            counts=self.counts,
        )

    def add(self, id: int, value: bytes) -> None:
        """Found by the next query. Raises AlreadyIndexed, and ValueError for a value of another size."""
        if len(value) != self._value_bytes:
            raise ValueError(f"a value has {self._value_bytes} bytes, not {len(value)}")
        self.add_many(np.array([id], dtype=np.int64), np.frombuffer(value, dtype=np.uint8).reshape(1, -1))

    def add_many(self, ids: Numbers, values: Hashes) -> None:
        """`ids` int64[n], `values` uint8[n, value_bytes]. Raises AlreadyIndexed (then nothing is added) and ValueError for a wrong shape.

        As many as a merge would take are frozen before it returns, and it waits for a merge that is under way.
        """
        self._check(values)
        if ids.shape != (len(values),) or ids.dtype != np.int64:
            raise ValueError(f"{ids.dtype}{list(ids.shape)} ids for {len(values)} values")
        with self._changing:
            while len(ids) >= self._limit() and self._merge is not None:
                self._changing.wait()
            self._refuse_present(ids)
            if len(ids) >= self._limit():
                self._add_part(ids, values)
                return
            view = self._state.head
            view.head.append(view.count, ids, values)
            self._state = replace(self._state, head=view.longer(len(ids)))
            task = self._due_merge()
        if task is not None:
            self._run_merge(task)

    def remove(self, id: int) -> bool:
        """False when it was not there. The next query does not find it; its value is gone from memory with the next merge."""
        return self.remove_many(np.array([id], dtype=np.int64)) == 1

    def remove_many(self, ids: Numbers) -> int:
        """Those of `ids` (int64[n]) that are there go at once; how many they were."""
        with self._changing:
            before = len(self._state)
            left = self._remove_from_heads(ids.tolist())
            if left:
                self._remove_from_parts(np.unique(np.array(left, dtype=np.int64)))
            removed = before - len(self._state)
            task = self._due_merge() if left else None
        if task is not None:
            self._run_merge(task)
        return removed

    def compact(self) -> None:
        """Merge everything into one part here and now: afterwards nothing removed is left in memory."""
        with self._changing:
            while self._merge is not None:
                self._changing.wait()
            task = self._begin_merge(0)
        task()
        self.settle()

    def settle(self) -> None:
        """Wait for the merge that is under way. Raises what a merge has failed with; what it would have merged is still there."""
        with self._changing:
            while self._merge is not None:
                self._changing.wait()
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    # Changing the state, with the lock held

    def _check(self, values: Hashes) -> None:
        if values.dtype != np.uint8 or values.ndim != 2 or values.shape[1] != self._value_bytes:
            raise ValueError(f"uint8[n, {self._value_bytes}] is needed, not {values.dtype}{list(values.shape)}")

    def _limit(self) -> int:
        return self._head_limit if self._state.parts else self._first_part_at

    def _refuse_present(self, ids: Numbers) -> None:
        numbers: list[int] = ids.tolist()
        present = len(numbers) > 1 and len(set(numbers)) != len(numbers)
        present = present or any(not view.head.rows.keys().isdisjoint(numbers) for view in self._state.heads())
        if present or any(len(part.slots_of(ids)) for part in self._state.parts):
            raise AlreadyIndexed("an id is present already")

    def _remove_from_heads(self, ids: Sequence[int]) -> Sequence[int]:
        """Those that were in neither head."""
        for view in self._state.heads():
            rows = {id: row for id in ids if (row := view.head.rows.pop(id, None)) is not None}
            if not rows:
                continue
            changed = view.without(list(rows.values()))
            if view is self._state.head:
                self._state = replace(self._state, head=changed)
            else:
                assert self._merge is not None
                self._merge.removed.extend(rows)
                self._state = replace(self._state, sealed=changed)
            ids = [id for id in ids if id not in rows]
        return ids

    def _remove_from_parts(self, ids: Numbers) -> None:
        parts, merge = list(self._state.parts), self._merge
        for place, part in enumerate(parts):
            slots = part.slots_of(ids)
            if not len(slots):
                continue
            if merge is not None and merge.first <= place < merge.first + merge.count:
                merge.removed.extend(part.ids[slots].tolist())
            parts[place] = part.without(slots)
        self._state = replace(self._state, parts=tuple(parts))

    def _add_part(self, ids: Numbers, values: Hashes) -> None:
        first = self._first_taken_in(len(ids))
        taken = self._state.parts[first:]
        built = self._build(taken, None, (ids, values))
        self._state = replace(self._state, parts=(*self._state.parts[:first], built))

    # Merging

    def _due_merge(self) -> Task | None:
        state = self._state
        if self._merge is not None:
            return None
        if not state.parts and 2 * len(state.head) <= state.head.count >= self._limit():
            self._begin_head(*state.head.entries())  # much came and went: still too little to freeze
            return None
        hollow = [place for place, part in enumerate(state.parts) if 4 * part.removed > len(part.ids)]
        full = state.head.count >= self._limit()
        if not hollow and not full:
            return None
        return self._begin_merge(min([self._first_taken_in(state.head.count), *hollow]))

    def _fresh_head(self) -> HeadView[HeadT]:
        return HeadView(head=self._new_head(), count=0, marks=np.zeros(64, dtype=np.bool_))

    def _begin_head(self, ids: Numbers, values: Hashes) -> None:
        view = self._fresh_head()
        view.head.append(0, ids, values)
        self._state = replace(self._state, head=view.longer(len(ids)))

    def _first_taken_in(self, count: int) -> int:
        parts = self._state.parts
        first = len(parts)
        while first and len(parts[first - 1].ids) <= _TAKE_IN_UP_TO * count:
            first -= 1
            count += len(parts[first].ids)
        return first

    def _begin_merge(self, first: int) -> Task:
        state = self._state
        merge = self._merge = _Merge(first, len(state.parts) - first, [])
        self._state = sealed = replace(state, sealed=state.head, head=self._fresh_head())
        return lambda: self._run(merge, sealed)

    def _run(self, merge: _Merge, state: State[ContentT, HeadT]) -> None:
        began = time.monotonic()
        try:
            built = self._build(state.parts[merge.first :], state.sealed)
        except Exception as error:  # noqa: BLE001 - kept for `settle`; the table stays whole, its head is searched as before
            self._give_up(error)
            return
        with self._changing:
            if merge.removed:
                built = built.without(built.slots_of(np.array(merge.removed, dtype=np.int64)))
            parts = self._state.parts
            after = parts[merge.first + merge.count :]
            merged = (built,) if len(built.ids) else ()
            self._state = replace(self._state, parts=(*parts[: merge.first], *merged, *after), sealed=None)
            self._merge = None
            self._merges += 1
            self._merge_seconds += time.monotonic() - began
            task = self._due_merge()
            self._changing.notify_all()
        if task is not None:
            self._run_merge(task)

    def _give_up(self, error: Exception) -> None:
        with self._changing:
            state = self._state
            assert state.sealed is not None
            ids, values = state.sealed.entries()
            newer, newer_values = state.head.entries()
            self._state = replace(state, sealed=None)
            self._begin_head(np.concatenate([ids, newer]), np.concatenate([values, newer_values]))
            self._merge, self._failure = None, error
            self._changing.notify_all()

    def _build(
        self,
        parts: Sequence[Part[ContentT]],
        head: HeadView[HeadT] | None,
        more: tuple[Numbers, Hashes] | None = None,
    ) -> Part[ContentT]:
        """One part of all that is there, its slots in the order of ids."""
        pieces = [
            (part.ids[alive], self._values_of(part.content)[alive]) for part in parts for alive in [part.living()]
        ]
        if head is not None:
            pieces.append(head.entries())
        if more is not None:
            pieces.append(more)
        ids = np.concatenate([piece[0] for piece in pieces])
        values = np.concatenate([piece[1] for piece in pieces])
        del pieces
        if (ids[1:] <= ids[:-1]).any():
            order = np.argsort(ids, kind="stable")
            ids, values = ids[order], values[order]
        return Part(ids=ids, alive=all_alive(len(ids)), removed=0, content=self._freeze(values))
