"""Arrays that are appended to."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_FIRST_CAPACITY = 64


class Growing:
    """What was read of it never changes when it grows."""

    __slots__ = ("array", "count")

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        shape = (_FIRST_CAPACITY,) if width is None else (_FIRST_CAPACITY, width)
        self.array: npt.NDArray[Any] = np.zeros(shape, dtype=dtype)
        self.count = 0

    def extend(self, more: Any) -> None:
        """`more`: a sequence or an array of what it holds."""
        end = self.count + len(more)
        if end > len(self.array):
            larger = np.zeros((max(end, 2 * len(self.array)), *self.array.shape[1:]), dtype=self.array.dtype)
            larger[: self.count] = self.array[: self.count]
            self.array = larger
        self.array[self.count : end] = more
        self.count = end

    def view(self) -> npt.NDArray[Any]:
        """What is there now."""
        return self.array[: self.count]
