"""Deterministic identifiers: UUIDv5 (RFC 9562, section 5.5) over a compact UTF-8 JSON array of strings.

The same fact gets the same id wherever it is computed, so a repeat is recognised as one. Content, claim and report ids are
random and are not made here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE = uuid5(NAMESPACE_URL, "urn:takedown:v1")
FIRST_KEY_VERSION = 1
"""Version of the rule that makes a `url_key` of a URL (`shared/urls.py`) where a record, a row or a file names none."""


_compact_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def deterministic_id(parts: Iterable[str]) -> UUID:
    """UUIDv5 over the compact JSON array of `parts`."""
    return uuid5(NAMESPACE, _compact_json(list(parts)))


def takedown_id(content_id: UUID, target_kind: str, url_key: str, *, key_version: int = FIRST_KEY_VERSION) -> UUID:
    """The id of the effort to remove one content from one target."""
    return deterministic_id((str(content_id), target_kind, str(key_version), url_key))


def demand_id(takedown: UUID, rung: str, recipient: str, round_: int) -> UUID:
    """The id of one demand to one recipient in one round."""
    return deterministic_id((str(takedown), rung, recipient, str(round_)))


def message_id(demand: UUID, kind: str, number: int = 0) -> UUID:
    """The id of one message (its `webhook-id`), kept over all its attempts. `number` distinguishes reminders."""
    return deterministic_id((str(demand), kind, str(number)))


def thread_id(recipient: str, first_message: UUID) -> UUID:
    """The id of the mail thread of what is sent to one recipient about one matter, which its first message began."""
    return deterministic_id((recipient, str(first_message)))


def sighting_id(
    organisation_id: str,
    source: str,
    media_url: str,
    page_url: str | None,
    seen_at: datetime,
    fingerprints: Iterable[tuple[str, str]],
) -> UUID:
    """The id of one sighting. `fingerprints` are (algorithm, lower-case hex); their order does not matter."""
    flat = [part for pair in sorted(fingerprints) for part in pair]
    return deterministic_id((organisation_id, source, media_url, page_url or "", timestamp(seen_at), *flat))


def match_event_id(takedown: UUID, observation_id: UUID) -> UUID:
    """`ce_id` of a match: one for each (takedown, sighting or report)."""
    return deterministic_id((str(takedown), str(observation_id)))


def sightings_event_id(sighting_ids: Iterable[UUID]) -> UUID:
    """`ce_id` of a record of sightings."""
    return deterministic_id(str(one) for one in sighting_ids)


def content_alias(content_id: UUID, organisation_id: str) -> UUID:
    """What an organisation is shown as a content's id: private to it, so that nobody learns of another's claim."""
    return deterministic_id(("content-alias", str(content_id), organisation_id))


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place on the wire")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
