"""`takedown.decisions`: what a person (or a host's answer, in a person's stead until one looks) decided."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from shared.contracts.event import Event, Moment, Name, Text


class DecisionKind(StrEnum):
    RELEASE = "release"
    REJECT = "reject"
    REROUTE = "reroute"
    RECHECK = "recheck"
    ESCALATE = "escalate"
    DISMISS = "dismiss"
    SUSPEND = "suspend"
    RESUME = "resume"
    BOUNCED = "bounced"


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
    decided_at: Moment


MODELS = {DecisionTaken.TYPE: DecisionTaken}
