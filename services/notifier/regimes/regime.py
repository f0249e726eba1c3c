"""What a law (or its absence) asks of a demand: one frozen value each.

That our own check has seen the content, and how it was recognised, is asked by no law: it is our policy (rule 1), and it may
hold a demand, but it does not decide which law the demand cites.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Element(StrEnum):
    """What a demand has to hold."""

    LOCATION = "location"
    """Where the content is (a URL)."""
    REQUESTER = "requester"
    """Who asks."""
    CONTACT = "contact"
    """How to reach who asks."""
    STATEMENT = "statement"
    """The good-faith statement."""
    AUTHORITY = "authority"
    """That it is made for a person depicted, whose authority is on record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """`clock` is the recipient's time from the first accepted delivery; None (no law): the policy's `voluntary_response`.

    `valid_from` is the first day it may be relied on. `source` says what this file was written from and `read_on` when;
    `enacted_text_read` is whether that was the law itself
    (None: there is no law to read). `rungs` are those whose recipients it can bind (None: all). `capacity` is said after
    `statement` where authority is recorded, and only there.
    """

    id: str
    version: str
    section: str
    valid_from: date
    source: str
    read_on: date
    enacted_text_read: bool | None
    binding: bool
    rungs: frozenset[str] | None
    clock: timedelta | None
    required: frozenset[Element]
    statement: str
    capacity: str

    @property
    def printed(self) -> str | None:
        """The law as a demand names it; None where there is none."""
        return self.section if self.binding else None

    def binds_on(self, rung: str) -> bool:
        """Whether it can bind a recipient on this rung."""
        return self.rungs is None or rung in self.rungs

    def words(self, *, authority: bool) -> str:
        """What a demand states; of authority only where it is recorded."""
        return f"{self.statement} {self.capacity}" if authority else self.statement
