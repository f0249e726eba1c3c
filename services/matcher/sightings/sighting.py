"""A sighting as it stands in its partition, and what is remembered of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.media.fingerprints import Fingerprint, Orientation

Url = tuple[int, str]
"""(key_version, url_key)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSighting:
    """One sighting as it stands in the partition. `appended_at` is the log's append time."""

    partition: int
    offset: int
    appended_at: datetime
    sighting_id: UUID
    url_key: str
    key_version: int
    media_url: str
    page_url: str | None
    source: str
    seen_at: datetime
    report_id: UUID | None
    fingerprints: tuple[Fingerprint, ...]
    reported_by: str | None = None
    traceparent: str | None = None

    @property
    def url(self) -> Url:
        return (self.key_version, self.url_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """A fingerprint at a URL, and its last sighting. Of the sighting's fingerprints `seen` has this one alone.

    `given`: the orientations of which the sighting had a PDQ value.
    """

    fingerprint: Fingerprint
    seen: StoredSighting
    given: frozenset[Orientation] = frozenset()


def url_digest(key_version: int, url_key: str) -> bytes:
    """16 bytes that stand for a URL and do not reveal it. Nobody can find another URL for the digest of one that is given."""
    return hashlib.blake2b(f"{key_version} {url_key}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
