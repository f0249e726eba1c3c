"""The erasure worker: does on the log what `orders.py` ordered, and forgets the order when the log has acknowledged.

First an event for every URL is published to the matchers (`takedown.url_erased.v1`, in the order of its sightings) and what the log itself
can clear is cleared: sightings of the URL, match records of the content. `ERASURE_PUBLISHED_FOR` later that event is cleared too, for it
names the URL. Kafka cannot clear records: there retention alone ends them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection
from typing import Any

import psycopg
import structlog

from services.intake.sightings.publisher import LogWriter
from services.intake.store import erasures
from services.intake.store.schema import SCHEMA_NAME
from shared.contracts.event import data_of, headers_of, json_bytes
from shared.contracts.sightings import ERASURE_PUBLISHED_FOR, UrlErased
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.db.vacuum import vacuum
from shared.errors import Transient
from shared.ids import deterministic_id, timestamp
from shared.log.port import OutgoingRecord
from shared.log.postgres.log import SCHEMA as EVENTLOG
from shared.service.runtime import Runtime

log = structlog.get_logger()

_BATCH = 200
_POLL_SECONDS = 1.0
_PAUSE_SECONDS = 1.0
VACUUM_EVERY_SECONDS = 60.0
"""At most so often, once there is no more to erase for now."""

Rewrite = Callable[[bytes], bytes | None]


class ErasureWorker:
    """Carries out orders of erasure on the log. `run` it as a task. Each step may be done twice, so it may die anywhere."""

    def __init__(self, runtime: Runtime, writer: LogWriter) -> None:
        self._runtime = runtime
        self._writer = writer

    async def run(self) -> None:
        """Work until cancelled."""
        with self._runtime.wakeups.subscribe(erasures.ERASURES_WAKEUP) as woken:
            erased, vacuumed_at = False, -VACUUM_EVERY_SECONDS
            while True:
                try:
                    done = await self._publish() + await self._forget()
                except (Transient, psycopg.OperationalError) as error:
                    log.warning("erasure.interrupted", error=type(error).__name__)
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                erased = erased or done > 0
                if done:
                    continue
                if erased and time.monotonic() - vacuumed_at >= VACUUM_EVERY_SECONDS:
                    await self._vacuum()
                    erased, vacuumed_at = False, time.monotonic()
                await woken.wait(_POLL_SECONDS)

    async def _vacuum(self) -> None:
        """Vacuum the tables that an erasure deleted from. (The log's own records are redacted, not deleted by SQL of ours.)"""
        ours = (SCHEMA_NAME, EVENTLOG.name) if self._runtime.log.redacts else (SCHEMA_NAME,)
        await vacuum(self._runtime.database, *ours)

    async def _publish(self) -> int:
        """Publish to the matchers, clear sightings and matches. Returns how many orders were done."""
        async with self._runtime.database.transaction() as tx:
            rows = await erasures.erasures_ordered(tx, _BATCH)
        if not rows:
            return 0
        url_keys = {(row["url_key"], row["key_version"]) for row in rows if row["url_key"] is not None}
        await self._writer.publish([await self._erasure_record(*one) for one in sorted(url_keys)])
        await self._clear_sightings({url_key for url_key, _ in url_keys})
        await self._clear_matches({str(row["content_id"]) for row in rows})
        numbers = [row["erasure_id"] for row in rows]
        async with self._runtime.database.transaction() as tx:
            await erasures.mark_published(tx, numbers)
        log.info("erasure.published", urls=len(url_keys), orders=len(rows))
        return len(rows)

    async def _forget(self) -> int:
        """Clear the events that every matcher has had time to read. Returns how many orders are over."""
        published_for = self._runtime.policy.scaled(ERASURE_PUBLISHED_FOR)
        async with self._runtime.database.transaction() as tx:
            rows = await erasures.erasures_over(tx, published_for, _BATCH)
        if not rows:
            return 0
        url_keys = {row["url_key"] for row in rows}
        await self._redact(SIGHTINGS.name, url_keys, without_erasure_events(url_keys))
        async with self._runtime.database.transaction() as tx:
            await erasures.finish_erasures(tx, [row["erasure_id"] for row in rows])
        log.info("erasure.over", urls=len(url_keys))
        return len(rows)

    async def _clear_sightings(self, url_keys: Collection[str]) -> None:
        await self._redact(SIGHTINGS.name, url_keys, without_sightings(url_keys))

    async def _clear_matches(self, content_ids: Collection[str]) -> None:
        await self._redact(MATCHES.name, content_ids, without_matches(content_ids))

    async def _redact(self, topic: str, texts: Collection[str], rewrite: Rewrite) -> None:
        if texts:
            await self._runtime.log.redact(topic, containing=[as_in_json(text) for text in texts], rewrite=rewrite)

    async def _erasure_record(self, url_key: str, key_version: int) -> OutgoingRecord:
        now = self._runtime.clock()
        event = UrlErased(url_key=url_key, key_version=key_version, erased_at=now)
        event_id = deterministic_id(("url-erased", str(key_version), url_key, timestamp(now)))
        return OutgoingRecord(
            topic=SIGHTINGS.name,
            key=None,
            value=data_of(event),
            headers=headers_of(UrlErased, event_id=event_id, source="intake", time=now),
            partition=await self._writer.partition_of(SIGHTINGS.name, url_key.encode()),
        )


def as_in_json(text: str) -> bytes:
    """The text as it stands inside a JSON string of ours."""
    return json.dumps(text, ensure_ascii=False)[1:-1].encode()


def without_sightings(url_keys: Collection[str]) -> Rewrite:
    """A rewrite that takes the sightings of these URLs out of a batch; None when none is left. Any other record stays as it is."""

    def rewrite(value: bytes) -> bytes | None:
        data = _object(value)
        if data is None or "sightings" not in data:
            return value
        kept = [one for one in data["sightings"] if one.get("url_key") not in url_keys]
        if len(kept) == len(data["sightings"]):
            return value
        return json_bytes({**data, "sightings": kept}) if kept else None

    return rewrite


def without_erasure_events(url_keys: Collection[str]) -> Rewrite:
    """A rewrite that removes the erasure events of these URLs; batches stay as they are."""

    def rewrite(value: bytes) -> bytes | None:
        data = _object(value)
        return None if data is not None and "erased_at" in data and data.get("url_key") in url_keys else value

    return rewrite


def without_matches(content_ids: Collection[str]) -> Rewrite:
    """A rewrite that removes the matches of these contents."""

    def rewrite(value: bytes) -> bytes | None:
        data = _object(value)
        return None if data is not None and data.get("content_id") in content_ids else value

    return rewrite


def _object(value: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(value)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None
