"""Records of the log as the join's values. Parsing happens here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from services.matcher.history.history import History
from services.matcher.register.register import Register
from services.matcher.register.view import ViewEntry
from services.matcher.sightings.batch import SeenBatch
from shared.contracts.content import MODELS as CONTENT_MODELS
from shared.contracts.content import ContentChanged, NegativeEntry
from shared.contracts.event import Envelope, MalformedEvent, attributes_of, decode, read_event
from shared.contracts.sightings import MODELS as SIGHTINGS_MODELS
from shared.contracts.sightings import UrlErased, read_sightings
from shared.errors import Poison
from shared.log.port import Record


class NotHandled(Poison):
    """The record could not be handled, for an unforeseen reason."""


@contextmanager
def _whatever_fails_is_poison() -> Iterator[None]:
    """Turn whatever is raised for one record into Poison: its reader references it in the dead letters and reads on. The text of an error
    may quote a value."""
    try:
        yield
    except Poison:
        raise
    except Exception as error:
        raise NotHandled(type(error).__name__) from error


def decode_sightings(record: Record) -> SeenBatch | UrlErased:
    """The sightings of a batch, or an erasure. Raises Poison; a fingerprint that cannot be used is left out."""
    with _whatever_fails_is_poison():
        return _decode_sightings(record)


def _decode_sightings(record: Record) -> SeenBatch | UrlErased:
    attributes = attributes_of(SIGHTINGS_MODELS, value=record.value, headers=record.headers)
    if record.value is not None and attributes.type == UrlErased.TYPE:
        return read_event(UrlErased, record.value)
    return SeenBatch(
        () if record.value is None else read_sightings(record.value),  # a tombstone has no meaning here
        partition=record.partition,
        offset=record.offset,
        appended_at=record.append_time,
        traceparent=attributes.traceparent,
    )


def admit_record(history: History, offset: int, decoded: SeenBatch | UrlErased) -> None:
    """Let the history know of one record of its partition. Raises Poison for one that it cannot keep."""
    with _whatever_fails_is_poison():
        if isinstance(decoded, UrlErased):
            history.erase((decoded.key_version, decoded.url_key), offset)
        else:
            history.admit(decoded)


def apply_content(register: Register, record: Record) -> tuple[ViewEntry, ...]:
    """Let the register know of one record of `takedown.content`; the entries that must meet the histories.

    Raises Poison when it cannot be read; the content, if it can be identified, is then out of the register.
    """
    try:
        with _whatever_fails_is_poison():
            envelope = decode(CONTENT_MODELS, value=record.value, headers=record.headers)
            return _apply(register, record, envelope)
    except Poison:
        content_id = _content_id(record.key)
        if content_id is not None:
            register.apply_unreadable(content_id)
        raise


def _apply(register: Register, record: Record, envelope: Envelope) -> tuple[ViewEntry, ...]:
    if isinstance(envelope.event, ContentChanged):
        return register.apply(record.offset, envelope.event, traceparent=envelope.traceparent)
    if isinstance(envelope.event, NegativeEntry):
        register.negative_list.apply(envelope.event)
        return ()
    content_id = _content_id(record.key)
    if content_id is None:
        raise MalformedEvent("a tombstone whose key is no content id")
    if not register.negative_list.remove(content_id):
        register.apply_tombstone(content_id)
    return ()


def _content_id(key: bytes | None) -> UUID | None:
    try:
        return UUID((key or b"").decode())
    except ValueError:
        return None
