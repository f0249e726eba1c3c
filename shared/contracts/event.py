"""What every event has: a versioned type, a frozen pydantic model, and its CloudEvents envelope.

Wire: CloudEvents 1.0, Kafka protocol binding 1.0.2, binary content mode: attributes are `ce_*` headers, the value is the JSON data.
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shared.errors import Poison
from shared.field_errors import field_errors
from shared.ids import timestamp

Headers = Sequence[tuple[str, bytes]]
TOMBSTONE_TYPE = "takedown.tombstone.v1"
"""The `ce_type` of a record without a value; no reader of ours needs it."""

# What no column takes is refused as a record is parsed: `text` has no place for NUL, `bigint` and `int` have their ends, and a moment
# outside the calendar is written by PostgreSQL and never read again. An index takes a key of 2,700 bytes at most, so that what is
# looked up by itself is a `Name`, and a URL is looked up by its digest.

_WITHOUT_NUL = r"^[^\x00]*$"
NAME_CHARACTERS = 255
TEXT_CHARACTERS = 2_000
URL_CHARACTERS = 4_096
"""As `shared.urls` takes them."""
_HEX_CHARACTERS = 8_192

Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=_HEX_CHARACTERS)]
"""Lower-case hexadecimal."""
Name = Annotated[str, StringConstraints(pattern=_WITHOUT_NUL, max_length=NAME_CHARACTERS)]
"""A word or an opaque id."""
Text = Annotated[str, StringConstraints(pattern=_WITHOUT_NUL, max_length=TEXT_CHARACTERS)]
"""A few sentences."""
UrlText = Annotated[str, StringConstraints(pattern=_WITHOUT_NUL, max_length=URL_CHARACTERS)]
"""A URL, or its key; whether it can be fetched is for its reader to say."""
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What a `bigint` holds: revisions, offsets."""
Number = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
"""What an `int` holds: rounds, versions, distances."""

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
"""The earliest and the latest moment that an event may name. In UTC the year 1 of another zone has no year, a row with it is never read
again; and no wait can be added to what is near the end of the calendar."""


def known_to_calendars(moment: datetime) -> datetime:
    """The moment. Raises ValueError, a sentence for a person, for one that nobody can mean."""
    if not EARLIEST <= moment < LATEST:
        raise ValueError(f"This date must be in the years {EARLIEST.year} to {LATEST.year - 1}.")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(known_to_calendars)]


class Value(BaseModel):
    """A frozen value inside an event. Fields that are not known are accepted and dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(Value):
    """An event's data. `TYPE` is its CloudEvents type, version included."""

    TYPE: ClassVar[str]


AnyEvent = TypeVar("AnyEvent", bound=Event)


class UnknownEventType(Poison):
    """No model is known for this event type or version."""


class MalformedEvent(Poison):
    """The event does not fit its model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A decoded event. `event` is None for a tombstone (then `type` is empty)."""

    id: str
    source: str
    type: str
    time: datetime | None
    traceparent: str | None
    event: Event | None


def headers_of(
    event: type[Event], *, event_id: UUID, source: str, time: datetime, traceparent: str | None = None
) -> tuple[tuple[str, bytes], ...]:
    """The `ce_*` headers of an event in binary mode."""
    attributes = _attributes(event.TYPE, event_id, source, time) | {"content-type": "application/json"}
    if traceparent is not None:
        attributes["ce_traceparent"] = traceparent
    return _encoded(attributes)


def headers_of_tombstone(*, event_id: UUID, source: str, time: datetime) -> tuple[tuple[str, bytes], ...]:
    """The `ce_*` headers of a record without a value. Compaction takes it for a deletion; any reader of CloudEvents, for an event without
    data."""
    return _encoded(_attributes(TOMBSTONE_TYPE, event_id, source, time))


def _attributes(event_type: str, event_id: UUID, source: str, time: datetime) -> dict[str, str]:
    return {
        "ce_specversion": "1.0",
        "ce_id": str(event_id),
        "ce_source": f"urn:takedown:{source}",
        "ce_type": event_type,
        "ce_time": timestamp(time),
    }


def _encoded(attributes: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in attributes.items())


def data_of(event: Event) -> bytes:
    """The JSON data of an event, UTF-8, without unset optional fields."""
    return event.model_dump_json(exclude_none=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What an event's headers say. `type` is empty for a tombstone."""

    id: str
    source: str
    type: str
    time: datetime | None
    traceparent: str | None


def attributes_of(known: Container[str], *, value: bytes | None, headers: Headers) -> Attributes:
    """The attributes of the event in a record.

    Raises UnknownEventType (its `ce_type` is not in `known`) and MalformedEvent (no CloudEvent).
    """
    given = {name.lower(): data.decode("utf-8", "replace") for name, data in headers}
    event_type = "" if value is None else given.get("ce_type", "")
    if value is not None:
        if given.get("ce_specversion") != "1.0" or not given.get("ce_id"):
            raise MalformedEvent("not a CloudEvent 1.0 in binary mode")
        if not _keepable(given["ce_id"]):
            raise MalformedEvent("ce_id: too long, or with a character that no id has")
        if event_type not in known:
            raise UnknownEventType(event_type[:80])
    return Attributes(
        id=given.get("ce_id", ""),
        source=given.get("ce_source", ""),
        type=event_type,
        time=None if value is None else _time(given.get("ce_time")),
        traceparent=_traceparent(given.get("ce_traceparent")),
    )


def _keepable(text: str) -> bool:
    return len(text) <= NAME_CHARACTERS and text.isascii() and text.isprintable()


def _traceparent(text: str | None) -> str | None:
    """The trace of an event; one that cannot be kept is left out, since nothing rests on it."""
    return text if text is not None and _keepable(text) else None


def decode(models: Mapping[str, type[Event]], *, value: bytes | None, headers: Headers) -> Envelope:
    """The event in a record.

    Raises UnknownEventType (no model for `ce_type`) and MalformedEvent (no CloudEvent, or data that does not fit). The
    errors name fields, never values: a URL or a hash must not reach a log line.
    """
    attributes = attributes_of(models, value=value, headers=headers)
    return Envelope(
        id=attributes.id,
        source=attributes.source,
        type=attributes.type,
        time=attributes.time,
        traceparent=attributes.traceparent,
        event=None if value is None else read_event(models[attributes.type], value),
    )


def read_event(model: type[AnyEvent], value: bytes) -> AnyEvent:
    """The event of this model in a record's value. Raises MalformedEvent, which names fields, never values."""
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        raise MalformedEvent(_fields(error)) from None


def _fields(error: ValidationError) -> str:
    return "; ".join(f"/{'/'.join(str(part) for part in one.location)}: {one.kind}" for one in field_errors(error)[:5])


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def json_bytes(data: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
