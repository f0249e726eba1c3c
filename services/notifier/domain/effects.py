"""What a decision asks for. Every effect becomes a row, in one transaction with the takedown's new state."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.notifier.domain.events import TimerKind
from services.notifier.domain.model import MessageKind, TaskKind, TaskScope
from shared.contracts.decisions import DecisionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleCheck:
    """Set the takedown's one due check to exactly this time (`decide` has already chosen the earliest)."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelCheck:
    """Delete the due check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendMessage:
    """The message (by its deterministic id) is due at `due`: insert it, or make the existing one due again unless it was
    accepted, failed for good or cancelled by its end."""

    message_id: UUID
    demand_id: UUID
    kind: MessageKind
    number: int
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndMessage:
    """Make no further attempt at the message."""

    message_id: UUID
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelMessages:
    """End every message of the takedown without an accepted attempt, of one demand or of all (`demand_id` None); not a
    `demand.retracted`: whoever was asked hears that, whatever comes after."""

    demand_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTimer:
    """Fire `TimerFired` at this time; one row for each (takedown, kind, demand, number), set anew if it exists."""

    kind: TimerKind
    demand_id: UUID
    number: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimers:
    """Remove the timers of one demand, or all of the takedown's (`demand_id` None)."""

    demand_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A person is needed. `scope` content: one open task of this kind for the whole content, whoever asks first; key: one for all that
    rests on the word of the same API key."""

    task_id: UUID
    kind: TaskKind
    reason: str
    due: datetime
    owner: Literal["operations", "helpline"]
    scope: TaskScope = "takedown"
    demand_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseTask:
    """Close the task. `resolution` is a word."""

    task_id: UUID
    kind: TaskKind
    resolution: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """One entry of the takedown's history (`takedown.lifecycle`): ids, counts and words only."""

    sequence: int
    kind: str
    state: str
    round: int
    at: datetime
    facts: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishTarget:
    """Publish the target's current row on `takedown.targets` (new, or its page became known)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EraseTarget:
    """Tombstone the target on `takedown.targets`, and erase every URL, fingerprint and answer's text kept of this takedown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishDecision:
    """Publish a decision about the content in a host's stead (until a person looks), and let it count here at once."""

    kind: DecisionKind
    content_id: UUID
    reason: str
    demand_id: UUID
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRejection:
    """What this takedown was matched by, and what its last look saw, is rejected for its content; every other takedown that this made
    gets the same decision."""

    content_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRejection:
    """What was rejected with this takedown is so no more; every other takedown that this ended gets the same decision."""

    content_id: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptReference:
    """The fingerprints of the last fetched media become this takedown's reference (an asserted one, released)."""


Effect = (
    ScheduleCheck
    | CancelCheck
    | SendMessage
    | EndMessage
    | CancelMessages
    | ScheduleTimer
    | CancelTimers
    | OpenTask
    | CloseTask
    | Lifecycle
    | PublishTarget
    | EraseTarget
    | PublishDecision
    | RecordRejection
    | UndoRejection
    | AdoptReference
)
