"""Who is asked next: a pure choice from a frozen view of the directory.

A host belongs to the organisation that lists its longest suffix. The first rung is that organisation (the site operator), the
next the one its entry names (the hosting provider).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Posture(StrEnum):
    NORMAL = "normal"
    HOSTILE = "hostile"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """One entry of the directory, as the pure code sees it: no secret, no address.

    `channel` None: nothing is known (or configured) to reach it by. `domains` are lower-case ASCII without a leading dot;
    `bound_by` are regime ids; `next_rung` is the key of the organisation to ask after this one.
    """

    key: str
    name: str
    domains: tuple[str, ...]
    channel: Literal["webhook", "email"] | None
    posture: Posture
    bound_by: tuple[str, ...] = ()
    next_rung: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A view of the directory: at least the target host's organisation, what its `next_rung` leads to, every recipient of a
    demand already made, and the organisation a `reroute` names. More does no harm."""

    organisations: tuple[Organisation, ...] = ()

    def by_key(self, key: str) -> Organisation | None:
        return next((one for one in self.organisations if one.key == key), None)
