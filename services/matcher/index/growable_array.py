"""Arrays that can be appended to."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

_FIRST_CAPACITY = 64


class Growing:
    """An array that grows. What was read of it never changes when it grows, which it may do beside a `view` in another thread."""

    __slots__ = ("array", "count")

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        shape = (_FIRST_CAPACITY,) if width is None else (_FIRST_CAPACITY, width)
        self.array: npt.NDArray[Any] = np.zeros(shape, dtype=dtype)
        self.count = 0

    @classmethod
    def of(cls, array: npt.NDArray[Any]) -> Self:
        """Of this array, which from now on is its own."""
        growing = cls.__new__(cls)
        growing.array, growing.count = array, len(array)
        return growing

    def extend(self, more: Any) -> None:
        """`more`: a sequence or an array of what it holds."""
        end = self.count + len(more)
        self.make_room(len(more))
        self.array[self.count : end] = more
        self.count = end

    @property
    def room(self) -> int:
        """How many more it takes without being moved."""
        return len(self.array) - self.count

    def make_room(self, count: int) -> None:
        """Move what is there where there is room for so many more, should there be none: a copy of it all."""
        if count > self.room:
            capacity = max(self.count + count, 2 * len(self.array))
            larger = np.zeros((capacity, *self.array.shape[1:]), dtype=self.array.dtype)
            larger[: self.count] = self.array[: self.count]
            self.array = larger

    def view(self) -> npt.NDArray[Any]:
        """What is there now."""
        # The count before the array: one that grows meanwhile has at least so many, an older one might have fewer.
        count = self.count
        return self.array[:count]
