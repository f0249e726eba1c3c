"""Reads `takedown.matches`: settles reports, and remembers the URLs a content was matched at, for its erasure."""

from __future__ import annotations

from services.intake.store import erasures, reports
from services.intake.store.content import row_for_share
from services.intake.store.matched_urls import remember_urls
from services.intake.store.report_sightings import sighting_answered
from services.intake.store.report_takedowns import add_takedown
from shared.contracts.content import ContentState
from shared.contracts.event import Envelope
from shared.contracts.matches import NEVER_ACTED_ON, MatchFound, SightingUnmatched
from shared.db.pool import Database
from shared.log.port import Record
from shared.process.metrics import REPORTS
from shared.urls import BadUrl, url_keys

MATCHES_GROUP = "intake-matches"


class MatchesHandler:
    """Handles matches for reports and erasures. Every effect is the same a second time, so a repeated event needs no inbox mark."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, envelope: Envelope, _: Record) -> None:
        match envelope.event:
            case MatchFound() as found:
                await self._found(found)
            case SightingUnmatched() as unmatched:
                async with self._database.transaction() as tx:
                    await sighting_answered(tx, unmatched.report_id, unmatched.sighting_id)
                    settled = await reports.settle_report(tx, unmatched.report_id)
                _count(settled)

    async def _found(self, found: MatchFound) -> None:
        settled = None
        async with self._database.transaction() as tx:
            content = await row_for_share(tx, found.content_id)
            withdrawn = content is None or content["state"] == ContentState.WITHDRAWN
            if withdrawn:
                # A match that was under way when its content was withdrawn: what it carries is erased after it.
                await erasures.order_some_urls_and_matches(tx, found.content_id, _keys_of(found))
            else:
                await remember_urls(tx, found.content_id, _keys_of(found))
                if found.report_id is not None:
                    guards = NEVER_ACTED_ON.intersection(found.guards)
                    await add_takedown(
                        *(tx, found.report_id, found.takedown_id, found.content_id),
                        guards=guards,
                        fingerprint_ref=found.fingerprint_ref,
                    )
            if found.report_id is not None:
                if found.sighting_id is not None:
                    await sighting_answered(tx, found.report_id, found.sighting_id)
                settled = await reports.settle_report(tx, found.report_id)
                if withdrawn:
                    await reports.delete_unmatched_report(tx, found.report_id)
        _count(settled)


def _keys_of(found: MatchFound) -> set[tuple[str, int]]:
    """(url_key, key_version): the match's own, and every other that its URL has: sightings of it may stand under any."""
    own = {(found.url_key, found.key_version)}
    try:
        return own | {(one.url_key, one.key_version) for one in url_keys(found.url)}
    except BadUrl:
        return own


def _count(settled: str | None) -> None:
    if settled is not None:
        REPORTS.labels(settled).inc()
