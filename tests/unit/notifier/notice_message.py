"""A demand's message as the tests of its text have it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from services.notifier.domain.model import (
    Demand,
    MessageKind,
    Takedown,
)
from services.notifier.notices.message import (
    DemandingOrganisation,
    Message,
    body,
    build,
    mail,
)
from shared import ids
from shared.policy import Policy
from tests.unit.notifier.takedown_story import START, Story

TOKEN = "tok_9f8e7d6c5b4a"
LINK = f"https://demands.helpline.example/host/d/{TOKEN}"
ANSWER_URL = "https://demands.helpline.example/host/v1/demands/1"
US = DemandingOrganisation(name="Helpline", contact="desk@helpline.example")
DEMAND_KINDS = [MessageKind.ISSUED, MessageKind.REAPPEARED, MessageKind.REMINDED, MessageKind.STILL_PRESENT]
LAST_KINDS = [MessageKind.RETRACTED, MessageKind.CLOSED]


def message(
    takedown: Takedown, demand: Demand, kind: MessageKind = MessageKind.ISSUED, policy: Policy | None = None
) -> Message:
    return build(
        kind=kind,
        takedown=takedown,
        demand=demand,
        message_id=ids.message_id(demand.demand_id, kind.value),
        at=START,
        token=TOKEN,
        answer_url=ANSWER_URL,
        organisation=US,
        policy=policy or Policy(),
    )


def says(demand: Demand, **printed: Any) -> Demand:
    """The demand with other words in it."""
    return replace(demand, printed=replace(demand.printed, **printed))


def issued() -> tuple[Takedown, Demand]:
    story = Story.opened()
    return story.takedown, story.demand


def both(made: Message) -> tuple[str, str]:
    """What is read of a message: the statement of its webhook, and its mail as one line."""
    (item,) = json.loads(body(made))["data"]["items"]
    return item["statement"], " ".join(mail(made, link=LINK).text.split())
