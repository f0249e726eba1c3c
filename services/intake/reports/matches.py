"""Reads `takedown.matches`: settles reports, and remembers the URLs a content was matched at, for its erasure."""

from __future__ import annotations

from services.intake.erasure import orders
from services.intake.reports import store
from shared.contracts.content import ContentState
from shared.contracts.event import Envelope
from shared.contracts.matches import NEVER_ACTED_ON, MatchFound, SightingUnmatched
from shared.db.pool import Database
from shared.log.port import Record
from shared.process.metrics import REPORTS

MATCHES_GROUP = "intake-matches"

_CONTENT = "SELECT state FROM intake.content WHERE content_id = %s FOR SHARE"

_REMEMBER = """
INSERT INTO intake.matched_urls (content_id, url_key, key_version) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING
"""


class MatchesHandler:
    """Every effect is the same a second time, so a repeat needs no mark."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, envelope: Envelope, _: Record) -> None:
        match envelope.event:
            case MatchFound() as found:
                await self._found(found)
            case SightingUnmatched() as unmatched:
                async with self._database.transaction() as tx:
                    await store.answered(tx, unmatched.report_id, unmatched.sighting_id)
                    settled = await store.settle(tx, unmatched.report_id)
                _count(settled)

    async def _found(self, found: MatchFound) -> None:
        settled = None
        async with self._database.transaction() as tx:
            content = await (await tx.execute(_CONTENT, (found.content_id,))).fetchone()
            withdrawn = content is None or content["state"] == ContentState.WITHDRAWN
            if withdrawn:
                # A match that was under way when its content was withdrawn: what it carries is erased after it.
                await orders.order_late(tx, found.content_id, found.url_key, found.key_version)
            else:
                await tx.execute(_REMEMBER, (found.content_id, found.url_key, found.key_version))
                if found.report_id is not None:
                    guards = NEVER_ACTED_ON.intersection(found.guards)
                    await store.add_takedown(tx, found.report_id, found.takedown_id, found.content_id, guards=guards)
            if found.report_id is not None:
                if found.sighting_id is not None:
                    await store.answered(tx, found.report_id, found.sighting_id)
                settled = await store.settle(tx, found.report_id)
                if withdrawn:
                    await orders.erase_late_report(tx, found.report_id)
        _count(settled)


def _count(settled: str | None) -> None:
    if settled is not None:
        REPORTS.labels(settled).inc()
