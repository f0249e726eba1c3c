"""`takedown.decisions`: what people decided, and what a host's answer decides until a person looks."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Literal
from uuid import UUID

from shared.contracts.event import Event, Hex, Moment, Name, Text


class DecisionKind(StrEnum):
    """What can be decided."""

    RELEASE = "release"
    REJECT = "reject"
    REROUTE = "reroute"
    RECHECK = "recheck"
    ESCALATE = "escalate"
    DISMISS = "dismiss"
    SUSPEND = "suspend"
    RESUME = "resume"
    BOUNCED = "bounced"
    STOP_FETCHING = "stop_fetching"
    """Of a content: nothing of it is fetched or shown any more. What was asked for goes on."""
    RESUME_FETCHING = "resume_fetching"
    UNREJECT = "unreject"
    """A rejection was wrong: what it ended is looked at again, in a new round."""
    LOOKED = "looked"
    """A person has looked at the target: `looked` says what was seen."""
    HOLD = "hold"
    """Of a content: no demand that was not issued yet goes out, at any host, until somebody releases it."""


class DecisionTaken(Event):
    """Keyed by `takedown_id`, else `content_id`. `person_id` is opaque; a host's answer names `host:<recipient>`."""

    TYPE: ClassVar[str] = "takedown.decision.v1"

    decision_id: UUID
    kind: DecisionKind
    content_id: UUID | None = None
    takedown_id: UUID | None = None
    demand_id: UUID | None = None
    task_id: UUID | None = None
    person_id: Name
    organisation_id: Name
    reason: Text
    recipient: Name | None = None
    """For `reroute`: the directory's key of the organisation to ask instead."""
    fingerprint_refs: tuple[Hex, ...] = ()
    """For `reject` and `unreject`: what the picture that is (or after all is not) another one agreed by, as matches and looks name it. Both
    name the content beside the takedown."""
    looked: Literal["present", "gone"] | None = None
    """For `looked`: what the person saw at `seen_at`, and how it was looked at (a word)."""
    seen_at: Moment | None = None
    how: Name | None = None
    decided_at: Moment


MODELS = {DecisionTaken.TYPE: DecisionTaken}
