"""`takedown.dead-letters`: a reference to a record nobody could handle; never its payload."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.contracts.event import Count, Event, Hex, Moment, Name, Number, Text


class DeadLetter(Event):
    """A reference to a record that a consumer group could not handle. `digest` is the SHA-256 of the record's value, so that a person can
    tell two apart."""

    TYPE: ClassVar[str] = "takedown.dead_letter.v1"

    dead_letter_id: UUID
    group: Name
    topic: Name
    partition: Number
    offset: Count
    log: Text
    """The log the offset belongs to: `cluster/topic id`."""
    digest: Hex
    key: Name | None = None
    """Of a compacted topic: the content, claim or takedown the record was about, so that its current row can be published."""
    error: Name
    reason: Text
    at: Moment


class ReplayRequested(Event):
    """A person asks that a group handles a record again."""

    TYPE: ClassVar[str] = "takedown.replay_requested.v1"

    dead_letter_id: UUID
    group: Name
    topic: Name
    partition: Number
    offset: Count
    key: Name | None = None
    """The dead letter's."""
    requested_by: Name
    at: Moment


class Replayed(Event):
    """The group has handled a record again, or failed again (`error`)."""

    TYPE: ClassVar[str] = "takedown.replayed.v1"

    dead_letter_id: UUID
    group: Name
    outcome: Name
    """`handled`, `record_gone` or `failed`."""
    error: Name | None = None
    at: Moment


MODELS: dict[str, type[Event]] = {
    DeadLetter.TYPE: DeadLetter,
    ReplayRequested.TYPE: ReplayRequested,
    Replayed.TYPE: Replayed,
}
