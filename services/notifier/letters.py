"""A message, written for its channel: JSON for a webhook, plain text for a mailbox. Everything in it is safe to forward.

The same message is written the same at every attempt: it rests on the demand, which is fixed by its first attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.events import Sender
from services.notifier.regimes import REGIMES
from services.notifier.states import Demand, MessageKind, Takedown
from shared.contracts.event import json_bytes
from shared.ids import timestamp as rfc3339
from shared.policy import Policy
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Letter:
    """`body` is the webhook's JSON; `subject` and `text` are the mail's."""

    body: bytes
    subject: str
    text: str


def write_letter(
    takedown: Takedown,
    *,
    demand_id: UUID,
    kind: MessageKind,
    message_id: UUID,
    timestamp: datetime,
    sender: Sender,
    settings: Settings,
    policy: Policy,
    token: str,
) -> Letter:
    """The message of this kind about this demand. `token` is the demand's capability."""
    demand = takedown.demand(demand_id)
    assert demand is not None
    item: dict[str, object] = {"demand_id": str(demand_id)}
    if kind is not MessageKind.RETRACTED and takedown.target is not None:
        item |= _whole(takedown, demand, policy, token)
    message = {
        "type": kind.value,
        "timestamp": rfc3339(timestamp),
        "data": {"message_id": str(message_id), "organisation": sender.name, "items": [item]},
    }
    return Letter(body=json_bytes(message), subject="", text="")


def _whole(takedown: Takedown, demand: Demand, policy: Policy, token: str) -> dict[str, object]:
    assert takedown.target is not None
    return {
        "url": takedown.target.url,
        "page_url": takedown.target.page_url,
        "token": token,
        "issued_at": rfc3339(demand.issued_at),
        "statement": REGIMES[demand.regime].statement,
    }
