"""What the notifier answers to people. A key of role `reader` is shown no host, no URL and no recipient: those fields are absent for it."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from services.notifier.domain.model import TakedownState, TaskKind
from shared.contracts.decisions import DecisionKind
from shared.http.answers import Answer, Moment, example
from shared.http.paging import ListAnswer

_TAKEDOWN_ID = "b9f6a1d2-5c3e-5f7a-8b1d-2e3f4a5b6c7d"
_CONTENT_ID = "6a1c0f5e-8a53-5b3e-9f5c-7c8d9e0f1a2b"
_DEMAND_ID = "c91be0f4-7a6c-5062-8465-96713a513c40"
_TASK_ID = "41a9d2c7-6b0e-5d38-9f47-0c5a1e2b3d4f"
_AT = "2026-03-02T09:15:00.000000Z"
_LATER = "2026-03-04T09:15:00.000000Z"

_DEMAND = {
    "demand_id": _DEMAND_ID,
    "recipient": "example-host",
    "rung": "site_operator",
    "round": 1,
    "state": "delivered",
    "regime": "voluntary",
    "issued_at": _AT,
    "delivered_at": _AT,
    "deadline": _LATER,
}
_TAKEDOWN = {
    "takedown_id": _TAKEDOWN_ID,
    "content_id": _CONTENT_ID,
    "target_kind": "media",
    "state": "open",
    "round": 1,
    "host": "host.example",
    "url": "https://host.example/media/1.jpg",
    "page_url": "https://host.example/gallery",
    "created_at": _AT,
    "changed_at": _AT,
    "held_for": None,
    "removed_for": None,
    "check_due_at": _LATER,
    "overdue": False,
    "demands": [_DEMAND],
}
_ANSWER = {
    "answer_id": "2c9a7f10-5d4e-5b3a-8f6c-1a2b3c4d5e6f",
    "demand_id": "c91be0f4-7a6c-5062-8465-96713a513c40",
    "kind": "response",
    "reason": "not_hosted_here",
    "method": None,
    "details": None,
    "via": "api",
    "received_at": _AT,
    "times": 1,
}
_TASK = {
    "task_id": _TASK_ID,
    "kind": "dispute",
    "scope": "content",
    "takedown_id": _TAKEDOWN_ID,
    "content_id": _CONTENT_ID,
    "demand_id": _DEMAND_ID,
    "key_id": None,
    "reason": "consent_claimed",
    "owner": "operations",
    "due_at": _LATER,
    "opened_at": _AT,
    "closed_at": None,
    "resolution": None,
}
_HOST = {
    "organisation": "example-host",
    "name": "Example Host",
    "domains": ["host.example"],
    "rung": "site_operator",
    "webhook_url": "https://host.example/takedown",
    "webhook_secrets": 1,
    "webhook_gone_at": None,
    "email": None,
    "next_rung": "example-cdn",
    "posture": "normal",
    "bound_by": [],
    "country": "NL",
    "held": False,
    "updated_at": _AT,
}
ERROR_EXAMPLE = {"line": 2, "column": "webhook_url", "detail": "Use an address that begins with https://."}


class DemandSummary(BaseModel):
    """One demand of a takedown."""

    demand_id: UUID
    recipient: Annotated[str | None, Field(description="The recipient's key in the directory.")] = None
    rung: str
    round: int
    state: str
    regime: str
    issued_at: Moment
    delivered_at: Moment | None
    deadline: Moment | None


class TakedownSummary(Answer):
    """One takedown in a list."""

    model_config = example(_TAKEDOWN)

    takedown_id: UUID
    content_id: Annotated[UUID, Field(description="For a helpline, its own id for this content.")]
    target_kind: Literal["media", "page"]
    state: TakedownState
    round: int
    host: str | None = None
    url: str | None = None
    page_url: str | None = None
    created_at: Moment
    changed_at: Moment
    held_for: str | None
    removed_for: str | None
    check_due_at: Moment | None
    overdue: bool
    fetching_stopped: Annotated[
        bool,
        Field(
            description="It may depict a minor: nothing of it is fetched, and only operations staff see where it is."
        ),
    ] = False
    demands: list[DemandSummary]


class CheckSummary(BaseModel):
    """One look at the target."""

    check_id: UUID
    reason: str
    started_at: Moment
    ended_at: Moment
    outcome: str
    page_outcome: str | None
    detail: str | None
    vantage: str
    address: str | None = None
    status: int | None
    final_url: str | None = None
    content_type: str | None
    size_bytes: int | None
    algorithm: str | None
    distance: int | None
    view: str | None
    """How the part of the picture was found that is the content, or nearly; None: no part is. `whole_distance`: of the whole picture."""
    whole_distance: int | None
    browser: str | None
    """What became of a browser's looks, a word each; None: none was asked."""


class AttemptSummary(BaseModel):
    """One delivery of a message."""

    attempt_id: UUID
    message_id: UUID
    demand_id: UUID
    kind: str
    number: int
    channel: str
    started_at: Moment
    ended_at: Moment | None
    outcome: str | None
    detail: str | None
    status: int | None
    address: str | None = None


class AnswerSummary(Answer):
    """What a recipient answered."""

    model_config = example(_ANSWER)

    answer_id: UUID
    demand_id: UUID
    kind: str
    reason: str | None
    method: str | None
    details: dict[str, str | int | bool | None] | None = None
    via: str
    received_at: Moment
    times: Annotated[int, Field(description="How often this same answer was given.")] = 1


class TaskOfTakedown(BaseModel):
    """A task of this takedown."""

    task_id: UUID
    kind: TaskKind
    reason: str
    owner: str
    due_at: Moment
    opened_at: Moment
    closed_at: Moment | None
    resolution: str | None


class Happened(BaseModel):
    """One entry of the time line."""

    sequence: int
    kind: str
    state: str
    round: int
    at: Moment
    facts: dict[str, str | int | float | bool | list[str] | None]


class MatchSummary(BaseModel):
    """What agreed; no fingerprint."""

    basis: str
    seen_at: Moment
    observed_by: str
    assurance: str | None
    algorithm: str | None
    distance: int | None
    orientation: str | None
    quality: int | None
    guards: list[str]


class TakedownView(TakedownSummary):
    """One takedown with all that happened: newest checks and attempts first, at most 200 of each,
    and the newest 200 answers."""

    model_config = example(
        {
            **_TAKEDOWN,
            "checks": [],
            "attempts": [],
            "answers": [],
            "tasks": [],
            "time_line": [
                {
                    "sequence": 1,
                    "kind": "takedown.discovered",
                    "state": "discovered",
                    "round": 1,
                    "at": _AT,
                    "facts": {},
                }
            ],
            "match": None,
        }
    )

    checks: list[CheckSummary]
    attempts: list[AttemptSummary]
    answers: list[AnswerSummary]
    tasks: list[TaskOfTakedown]
    time_line: list[Happened]
    match: MatchSummary | None


class AnswerList(ListAnswer[AnswerSummary]):
    """What recipients answered about one takedown, the oldest first."""

    model_config = example({"items": [_ANSWER], "next": None})


class TakedownList(ListAnswer[TakedownSummary]):
    """Takedowns, the newest first."""

    model_config = example({"items": [_TAKEDOWN], "next": None})


class TaskView(Answer):
    """A task: what needs a person, and by when."""

    model_config = example(_TASK)

    task_id: UUID
    kind: TaskKind
    scope: str
    takedown_id: UUID | None
    content_id: Annotated[UUID, Field(description="For a helpline, its own id for this content.")]
    demand_id: UUID | None
    key_id: Annotated[
        UUID | None,
        Field(description="For operations, where the task is about an API key: which. Its `scope` is `key`."),
    ]
    reason: str
    owner: str
    due_at: Moment
    opened_at: Moment
    closed_at: Moment | None
    resolution: str | None


class TaskList(ListAnswer[TaskView]):
    """Tasks, the oldest first."""

    model_config = example({"items": [_TASK], "next": None})


class DecisionKept(Answer):
    """A decision that was taken."""

    model_config = example({"decision_id": "7d2f4c81-9f0e-4a3b-8c5d-1e2f3a4b5c6d", "kind": "release"})

    decision_id: UUID
    kind: DecisionKind


class HostView(Answer):
    """An organisation of the directory. `webhook_secrets` is how many it has; none is ever shown."""

    model_config = example(_HOST)

    organisation: str
    name: str
    domains: list[str]
    rung: str
    webhook_url: str | None
    webhook_secrets: int
    webhook_gone_at: Moment | None
    email: str | None
    next_rung: str | None
    posture: str
    bound_by: list[str]
    country: str | None
    held: bool
    updated_at: Moment


class HostList(Answer):
    """The whole directory, and the domains that are on hold."""

    model_config = example({"items": [_HOST], "holds": ["other.example"]})

    items: list[HostView]
    holds: list[str]


class HostsImported(Answer):
    """How many organisations of the file were new, changed, or as they were."""

    model_config = example({"added": 2, "changed": 1, "unchanged": 40})

    added: int
    changed: int
    unchanged: int


class HostTested(Answer):
    """What came of a test message."""

    model_config = example(
        {
            "message_id": "0e5f6a7b-8c9d-4e0f-9a1b-2c3d4e5f6a7b",
            "channel": "webhook",
            "outcome": "accepted",
            "reason": "accepted",
            "status": 200,
        }
    )

    message_id: UUID
    channel: Literal["webhook", "email"]
    outcome: str
    reason: str
    status: int | None


class HoldView(Answer):
    """Whether a domain is on hold: nothing is sent to whoever answers for it."""

    model_config = example({"domain": "host.example", "held": True, "known": True})

    domain: str
    held: bool
    known: bool | None = None
    """Of a hold: whether an organisation of the directory or a takedown is at it."""


class OutboundChanged(Answer):
    """Whether anything is sent at all."""

    model_config = example({"on": True})

    on: bool


class OutboundView(OutboundChanged):
    """Whether anything is sent at all, and the domains that are on hold."""

    model_config = example({"on": True, "holds": ["host.example"]})

    holds: list[str]
