"""What a law (or its absence) asks of a demand: one frozen value each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum


class Element(StrEnum):
    """What a demand has to hold."""

    LOCATION = "location"
    """Where the content is (a URL)."""
    OBSERVATION = "observation"
    """When and where our own check saw it there."""
    REQUESTER = "requester"
    """Who asks."""
    CONTACT = "contact"
    """How to reach who asks."""
    STATEMENT = "statement"
    """The good-faith statement."""
    ESTABLISHED = "established"
    """How the content was recognised there (a fingerprint, or a person)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """`clock` is the recipient's time from the first accepted delivery; None (no law): the policy's `voluntary_response`.

    `valid_from` is the first day it may be relied on. `source` says what this file was written from and `read_on` when;
    `enacted_text_read` is whether that was the law itself
    (None: there is no law to read).
    """

    id: str
    version: str
    section: str
    valid_from: date
    source: str
    read_on: date
    enacted_text_read: bool | None
    binding: bool
    clock: timedelta | None
    required: frozenset[Element]
    statement: str

    @property
    def printed(self) -> str | None:
        """The law as a demand names it; None where there is none."""
        return self.section if self.binding else None
