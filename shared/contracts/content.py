"""`takedown.content`: one record a content, compacted. It is the only topic with the register's fingerprints. It also has one record for
each entry of the negative list: whoever has read the topic to its end has read both."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.event import Count, Event, Hex, Moment, Name, Number, Value


class ContentState(StrEnum):
    """The states of a content."""

    AWAITING_CONFIRMATION = "awaiting_confirmation"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    WITHDRAWN = "withdrawn"


class Assurance(StrEnum):
    """How sure a person is. viewed_with_subject = viewed > partner = unseen (see `strength`)."""

    VIEWED_WITH_SUBJECT = "viewed_with_subject"
    VIEWED = "viewed"
    PARTNER = "partner"
    UNSEEN = "unseen"

    @property
    def sure(self) -> bool:
        """Whether a person saw the content: the strong half of the scale."""
        return self in (Assurance.VIEWED, Assurance.VIEWED_WITH_SUBJECT)


def weaker(one: Assurance, other: Assurance) -> Assurance:
    """A claim's assurance: the weaker of its two steps. Equal strength keeps the first."""
    return other if one.sure and not other.sure else one


def stronger(one: Assurance, other: Assurance) -> Assurance:
    """A fingerprint's assurance over its claims. Of equal strength the one listed first: no order of claims changes it."""
    return min(one, other, key=list(Assurance).index)


Algorithm = Literal["pdq", "md5", "sha1", "sha256"]


class RegisteredFingerprint(Value):
    """A fingerprint of confirmed content. `max_distance` None means the algorithm's own (PDQ 31, exact 0)."""

    algorithm: Algorithm
    value: Hex
    quality: Number | None = None
    origin: Literal["original", "variant"] = "original"
    orientation: Name = "identity"
    assurance: Assurance
    max_distance: Number | None = None


class ContentChanged(Event):
    """The whole state of a content. Only a higher `revision` is applied. No fingerprints once withdrawn."""

    TYPE: ClassVar[str] = "takedown.content.v1"

    content_id: UUID
    revision: Count
    state: ContentState
    suspended_for: Name | None = None
    """Why suspended: `person`, `possible_minor`, `key`, `withdrawing`."""
    withdrawn_for: Name | None = None
    """Why withdrawn: `subject_request`, `not_ncii`, `wrong_content`, `unconfirmed`, …"""
    fetching: Literal["allowed", "stopped"] = "allowed"
    """Stopped: it may depict a minor, and nothing of it is fetched or shown until a person has decided. Its state stays what it is."""
    for_erasure: bool = False
    """This is no content, but what a withdrawn one was known by, under an id of its own and for a time: matchers say where it was seen, so
    that it is erased there. Nothing else may come of a match of it."""
    assurance: Assurance | None = None
    fingerprints: tuple[RegisteredFingerprint, ...] = ()
    changed_at: Moment


class NegativeEntry(Event):
    """A confirmed entry of the negative list (known harmless hashes). It never changes; its tombstone says that it was removed."""

    TYPE: ClassVar[str] = "takedown.negative_entry.v1"

    entry_id: UUID
    algorithm: Algorithm
    value: Hex
    confirmed_at: Moment


MODELS: dict[str, type[Event]] = {ContentChanged.TYPE: ContentChanged, NegativeEntry.TYPE: NegativeEntry}
