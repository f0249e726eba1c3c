"""What a view is: a name and a rectangle."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from shared.media.fingerprints import Hashes
from shared.media.pdq import Luma, Pixels

Levels = npt.NDArray[np.int16]
"""int16[height, width] luma in 0-255: whole numbers that may be subtracted."""
PlaneT = TypeVar("PlaneT", Luma, Levels)
Flags = npt.NDArray[np.bool_]

MIN_SHARE = 0.05
"""Of the picture's area: what is smaller is no view."""
MIN_SIDE_PLACES = 24
"""Of a view, in places of the small picture that is searched: PDQ samples 64 of them."""


class ViewName(StrEnum):
    """How a view was found."""

    TRIM = "trim"
    """Without its even margins."""
    LAX_TRIM = "lax_trim"
    """Without its margins, even where there are words or signs on them."""
    BLOCK = "block"
    """The longest stretch of rows and columns that are not even."""
    CELL = "cell"
    """Between seams that go through from side to side."""
    HALF = "half"
    QUARTER = "quarter"
    TURN = "turn"
    """Turned by a few degrees."""

    @property
    def is_part(self) -> bool:
        """It is less than the whole picture."""
        return self is not ViewName.TURN


class Area(NamedTuple):
    """A rectangle in places of a plane: [left, right) and [top, bottom)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def places(self) -> int:
        return self.width * self.height

    def of(self, plane: PlaneT) -> PlaneT:
        """What lies in it."""
        return plane[self.top : self.bottom, self.left : self.right]

    @property
    def halved(self) -> Area:
        """The same at half the scale."""
        return Area(*(place // 2 for place in self))

    def within(self, outer: Area) -> Area:
        """An area of what lies in `outer`, in places of the plane that `outer` is of."""
        return Area(outer.left + self.left, outer.top + self.top, outer.left + self.right, outer.top + self.bottom)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A part of a plane, looked at as a picture of its own. `degrees`: by which the plane is turned first, against the clock."""

    name: ViewName
    area: Area
    degrees: int = 0

    @property
    def fixed(self) -> bool:
        """It lies at the same place of each picture."""
        return self.name in (ViewName.HALF, ViewName.QUARTER, ViewName.TURN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PicturePart:
    """A view as it is told: `rectangle` has its left, top, right and bottom as shares of the picture's sides (0 to 1). `of`: the number
    of the picture's view (`MediaFingerprints.views`) that it is a part of. The quality is that of the part as it is."""

    name: ViewName
    rectangle: tuple[float, float, float, float]
    hashes: Hashes
    of: int = 0


def is_large(area: Area, plane: Pixels | Levels) -> bool:
    """Whether an area of this plane is large enough to be a view."""
    return min(area.width, area.height) >= MIN_SIDE_PLACES and area.places >= MIN_SHARE * plane.size


def whole(plane: Pixels | Levels) -> Area:
    height, width = plane.shape
    return Area(0, 0, width, height)
