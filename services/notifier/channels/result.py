"""The result of one attempt, whatever the channel: a failure is data, no exception."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AttemptOutcome(StrEnum):
    """How an attempt ended. `accepted`: a 2xx or an SMTP 250, which is *delivered* and nothing more. `transient`: to be tried again.
    `permanent`: this address takes nothing, ever."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"
    PERMANENT = "permanent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """The end of one attempt. `reason` is a word for the time line, never a text of the other side."""

    outcome: AttemptOutcome
    reason: str
    status: int | None = None
    """HTTP status or SMTP reply code; None: there was no answer."""
    address: str | None = None
    """`ip:port` that was dialled (webhook)."""
    retry_after_seconds: float | None = None
    own_fault: bool = False
    """What failed is ours (our mail server, what we are to it), not the recipient's."""
    endpoint_gone: bool = False
    """The recipient said that this endpoint is no more (410): no other demand goes there."""
    elapsed_seconds: float = 0.0
