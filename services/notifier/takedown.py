"""The state machine of a takedown: `decide(takedown, event, now, policy, around) -> (takedown, effects)`. Pure and total.

An event that means nothing in a state gives the same takedown and no effects, or a lifecycle note. Nothing a recipient does
can end a takedown: only our own checks confirm a removal.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.notifier.effects import Effect
from services.notifier.events import DecisionMade, Event, MatchReceived, Refusal, Surroundings
from services.notifier.states import MessageKind, Takedown
from shared.policy import Policy


def begin(takedown_id: UUID, content_id: UUID, event: MatchReceived, now: datetime) -> Takedown:
    """The takedown of a match heard for the first time, to be handed to `decide` with that match. Not for a match of withdrawn
    content, or one that must not be acted on (`acts_on`): those create nothing."""
    raise NotImplementedError


def acts_on(event: MatchReceived) -> bool:
    """False for a match whose guards say that it is never acted on."""
    raise NotImplementedError


def decide(
    takedown: Takedown, event: Event, now: datetime, policy: Policy, around: Surroundings
) -> tuple[Takedown, tuple[Effect, ...]]:
    """The takedown after this event, and what follows from it."""
    raise NotImplementedError


def may_send(
    takedown: Takedown, demand_id: UUID, kind: MessageKind, now: datetime, policy: Policy, around: Surroundings
) -> Refusal | None:
    """Whether this message may be attempted now; asked before every attempt. A refusal is handed to `decide` as
    `OutboundRefused`, and the message is parked (not due) until an effect names it again."""
    raise NotImplementedError


def decision_refused(takedown: Takedown, decision: DecisionMade) -> str | None:
    """Why this decision cannot be taken on this takedown now (a word for the API's answer), or None."""
    raise NotImplementedError
