"""What a demand says. Pure: the body of a message, as data and as plain text.

Rule 5: it is safe in the uploader's hands. It holds no case reference, content id, location of the person, detail of how the
content was recognised, staff name or fingerprint of the register. It never says in which capacity somebody declared the content
(that would tell a hostile operator who acted), only that we act for a person depicted, and that only where authority is on
record. `forwardable` may be passed on as it is: it holds neither a capability nor a contact, and asks its reader for nothing but
to disable access. Rule 8: a demand asks to disable access, not to send copies, not to say who reported it, and to preserve only
where a claim wants evidence.

Numbers printed here are the real ones, never scaled by `Policy.clock_scale`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.notifier.domain.model import Demand, MessageKind, Observed, PrintedTerms, RetractionReason, Takedown
from services.notifier.notices import wording as text
from services.notifier.regimes import REGIMES, Regime
from shared import ids
from shared.errors import Permanent
from shared.policy import Policy

PRESERVED_ITEMS = ("content", "upload_records", "account_records", "access_logs")


class NothingToSay(Permanent):
    """This message cannot be made: its target is erased, or its kind is not one of a demand."""


class _Part(BaseModel):
    """A part of a message."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DemandingOrganisation(_Part):
    """Who asks."""

    name: str
    contact: str


class ObservedAt(_Part):
    """What was seen, by our own check or by a person, and where: the address dialled, never where we looked from. `at` is when it
    was last seen before this was said, also where a demand rests on an earlier look."""

    at: AwareDatetime
    seen_by: Literal["check", "person"]
    ip: str | None = None
    port: int | None = None
    final_url: str | None = None
    status: int | None = None
    content_type: str | None = None
    size_bytes: int | None = None
    as_part: Literal[True] | None = None
    """What is at the address is a larger picture, of which the content is a part."""


class Preserve(_Part):
    """Keep what is disabled, where nobody but those who must can see it. Asked of the recipient alone."""

    requested: bool = True
    days: int
    items: tuple[str, ...] = PRESERVED_ITEMS
    restricted: bool = True


class DemandItem(_Part):
    """One removal demand. Either `regime` and `respond_within_seconds` (a law), or `requested_by` (none).

    `answer_url` takes answers, with `token` as bearer. `capacity` is there where authority is on record, `preserve` where evidence
    is wanted.
    """

    demand_id: UUID
    url: str
    page_url: str | None = None
    token: str
    answer_url: str
    regime: str | None = None
    requested_by: AwareDatetime | None = None
    respond_within_seconds: int | None = None
    issued_at: AwareDatetime
    observed: ObservedAt | None = None
    action: Literal["disable_access"] = "disable_access"
    preserve: Preserve | None = None
    capacity: Literal["acting_for_person_depicted"] | None = None
    statement: str
    forwardable: str
    established_by: Literal["fingerprint", "person"]


class EndItem(_Part):
    """A demand that no longer asks for anything: no URL, no capability."""

    demand_id: UUID
    issued_at: AwareDatetime
    statement: str


class Data(_Part):
    """The data of a message."""

    message_id: UUID
    """Equal to `webhook-id`, kept over all attempts."""
    organisation: DemandingOrganisation
    items: tuple[DemandItem | EndItem, ...] = Field(max_length=1)


class Message(_Part):
    """What is sent. `timestamp` is when the message was made, not when it is attempted."""

    type: MessageKind
    timestamp: AwareDatetime
    data: Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """The same as plain text. `text` ends with a newline; `subject` is one line without a URL."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The mail thread of what is sent to one recipient about one takedown, in whatever round: begun by `first_message`."""

    thread_id: UUID
    first_message: UUID


def build(
    *,
    kind: MessageKind,
    takedown: Takedown,
    demand: Demand,
    message_id: UUID,
    at: datetime,
    token: str,
    answer_url: str,
    organisation: DemandingOrganisation,
    policy: Policy,
) -> Message:
    """The message of this kind for this demand; `at` is when the message was made. Raises NothingToSay."""
    item: DemandItem | EndItem
    if kind in (MessageKind.RETRACTED, MessageKind.CLOSED):
        item = EndItem(
            demand_id=demand.demand_id,
            issued_at=demand.printed.issued_at,
            statement=_last_words(kind, takedown, demand),
        )
    elif kind is MessageKind.HOST_TEST:
        raise NothingToSay("A test has no demand.")
    else:
        item = _demand_item(kind, takedown, demand, token, answer_url, policy)
    return Message(type=kind, timestamp=at, data=Data(message_id=message_id, organisation=organisation, items=(item,)))


def host_test(*, message_id: UUID, at: datetime, organisation: DemandingOrganisation) -> Message:
    """A message that asks for nothing: does it arrive, is its signature accepted."""
    return Message(
        type=MessageKind.HOST_TEST,
        timestamp=at,
        data=Data(message_id=message_id, organisation=organisation, items=()),
    )


def thread_of(takedown: Takedown, demand: Demand) -> Thread:
    """The thread of a message about this demand."""
    first = min((one for one in takedown.demands if one.recipient == demand.recipient), key=lambda one: one.round)
    message_id = ids.message_id(first.demand_id, first.kind.value)
    return Thread(thread_id=ids.thread_id(demand.recipient, message_id), first_message=message_id)


def body(message: Message) -> bytes:
    """The JSON to sign and send, UTF-8, without what is unknown. The same message gives the same bytes."""
    return message.model_dump_json(exclude_none=True).encode()


def mail(message: Message, *, link: str) -> Mail:
    """The message as an e-mail. Its URLs are no links (`hxxps`); `link`, the capability to answer, is one."""
    sender = message.data.organisation
    if not message.data.items:
        return Mail(subject=text.one_line(f"Test message from {sender.name}"), text=text.test(sender.name))
    item = message.data.items[0]
    if isinstance(item, EndItem):
        return Mail(
            subject=text.subject(message.type, sender.name, str(item.demand_id)),
            text=text.end(
                name=sender.name,
                contact=sender.contact,
                reference=str(item.demand_id),
                issued_at=item.issued_at,
                statement=item.statement,
            ),
        )
    regime = REGIMES[item.regime].section if item.regime is not None else None
    seen = item.observed
    return Mail(
        subject=text.subject(
            message.type,
            sender.name,
            str(item.demand_id),
            respond_within_seconds=item.respond_within_seconds,
            requested_by=item.requested_by,
        ),
        text=text.demand(
            opening=text.OPENINGS[message.type],
            name=sender.name,
            contact=sender.contact,
            reference=str(item.demand_id),
            issued_at=item.issued_at,
            url=item.url,
            page_url=item.page_url,
            seen=text.sighting(
                at=seen.at,
                seen_by=seen.seen_by,
                address=seen.ip,
                port=seen.port,
                status=seen.status,
                size_bytes=seen.size_bytes,
                as_part=seen.as_part is True,
            )
            if seen is not None
            else None,
            regime=regime,
            respond_within_seconds=item.respond_within_seconds,
            requested_by=item.requested_by,
            preserve_days=None if item.preserve is None else item.preserve.days,
            statement=item.statement,
            forwardable=item.forwardable,
            link=link,
        ),
    )


def _demand_item(
    kind: MessageKind, takedown: Takedown, demand: Demand, token: str, answer_url: str, policy: Policy
) -> DemandItem:
    target, printed = takedown.target, demand.printed
    if target is None:
        raise NothingToSay("The target is erased.")
    regime = REGIMES[printed.regime]
    first = kind in (MessageKind.ISSUED, MessageKind.REAPPEARED)
    return DemandItem(
        demand_id=demand.demand_id,
        url=target.url,
        page_url=target.page_url,
        token=token,
        answer_url=answer_url,
        regime=regime.id if regime.binding else None,
        requested_by=printed.requested_by,
        respond_within_seconds=printed.respond_within_seconds,
        issued_at=printed.issued_at,
        observed=_observed(printed.observed if first else _newest(takedown, demand)),
        preserve=Preserve(days=policy.preserve_days) if printed.evidence_wanted else None,
        capacity="acting_for_person_depicted" if printed.authority else None,
        statement=_statement(regime, printed),
        forwardable=text.forwardable(target.url),
        established_by=takedown.match.basis,
    )


def _statement(regime: Regime, printed: PrintedTerms) -> str:
    words = regime.words(authority=printed.authority)
    return f"{words} {text.TWO_CONFIRMED}" if printed.two_confirmed else words


def _newest(takedown: Takedown, demand: Demand) -> Observed | None:
    """The newest observation: what our last look saw, else what the demand itself quotes."""
    seen = takedown.last_seen
    return demand.printed.observed if seen is None or seen.observed is None else seen.observed


def _observed(seen: Observed | None) -> ObservedAt | None:
    if seen is None:
        return None
    return ObservedAt(
        at=seen.at,
        seen_by=seen.seen_by,
        ip=seen.ip,
        port=seen.port,
        final_url=seen.final_url,
        status=seen.status,
        content_type=seen.content_type,
        size_bytes=seen.size_bytes,
        as_part=True if seen.as_part else None,
    )


def _last_words(kind: MessageKind, takedown: Takedown, demand: Demand) -> str:
    if kind is MessageKind.CLOSED:
        return text.CLOSED
    words = takedown.retraction if demand.retraction is None else demand.retraction.words
    if words is RetractionReason.SENT_IN_ERROR:
        return text.SENT_IN_ERROR
    return text.NO_FURTHER_ACTION
