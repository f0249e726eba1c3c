"""A message, written for both channels: JSON for a webhook, plain text for a mailbox (see `message.py` for what it says)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.notifier.domain.model import MessageKind, Takedown
from services.notifier.notices import message as notice
from shared.policy import Policy
from shared.process.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class RenderedMessage:
    """`body` is the webhook's JSON."""

    body: bytes
    mail: notice.Mail
    thread: notice.Thread | None = None
    """Where the mail belongs; None for a test, which is about nothing."""


def capability_url(settings: Settings, token: str) -> str:
    """The page where the holder of a demand's token answers it. Without a public URL nothing is sent."""
    return f"{(settings.public_url or '').rstrip('/')}/host/d/{token}"


def answer_url(settings: Settings, demand_id: UUID) -> str:
    """Where a program answers a demand, with its token as bearer (`docs/hosts.md`)."""
    return f"{(settings.public_url or '').rstrip('/')}/host/v1/demands/{demand_id}"


def write_letter(
    takedown: Takedown,
    *,
    demand_id: UUID,
    kind: MessageKind,
    message_id: UUID,
    at: datetime,
    settings: Settings,
    policy: Policy,
    token: str,
) -> RenderedMessage | None:
    """Render the message of this kind about this demand; None when there is nothing to say any more (the target is erased)."""
    demand = takedown.demand(demand_id)
    if demand is None:
        return None
    try:
        message = notice.build(
            kind=kind,
            takedown=takedown,
            demand=demand,
            message_id=message_id,
            at=at,
            token=token,
            answer_url=answer_url(settings, demand_id),
            organisation=organisation_of(settings),
            policy=policy,
        )
    except notice.NothingToSay:
        return None
    return RenderedMessage(
        body=notice.body(message),
        mail=notice.mail(message, link=capability_url(settings, token)),
        thread=notice.thread_of(takedown, demand),
    )


def test_letter(settings: Settings, *, message_id: UUID, at: datetime) -> RenderedMessage:
    """Render a message that asks for nothing."""
    message = notice.host_test(message_id=message_id, at=at, organisation=organisation_of(settings))
    return RenderedMessage(body=notice.body(message), mail=notice.mail(message, link=""))


def organisation_of(settings: Settings) -> notice.DemandingOrganisation:
    """The organisation that sends demands, by the settings."""
    return notice.DemandingOrganisation(name=settings.organisation_name, contact=settings.organisation_contact)
