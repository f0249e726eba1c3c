"""The report worker: takes due reports, fetches their URLs, publishes sightings, and a person's match where one was asserted."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from services.intake.claims.registered_content import RegisteredContent, lock_content, read_content
from services.intake.domain.claims import SuspensionReason
from services.intake.domain.sightings import batched
from services.intake.reports.fetcher import SOURCE, ReportLook, ReportLooker
from services.intake.sightings.publisher import LogWriter
from services.intake.store import reports
from services.intake.store.matched_urls import possible_minor_urls
from services.intake.store.report_sightings import plan_sightings
from services.intake.store.report_takedowns import add_takedown
from services.intake.store.reports import Taken
from services.intake.store.schema import SCHEMA_NAME
from shared.access import stops
from shared.contracts.content import Assurance, ContentState
from shared.contracts.matches import MatchFound, TargetKind
from shared.contracts.topics import MATCHES, SIGHTINGS
from shared.db.due_worker import DueWorker, NoLongerWanted
from shared.db.pool import Tx
from shared.ids import match_event_id, takedown_id
from shared.outbox import outbox
from shared.process.metrics import REPORTS
from shared.service.runtime import OutboundRuntime
from shared.urls import address_key, canonical

log = structlog.get_logger()

WORKERS = 4
ATTEMPTS = 3
RETRY_AFTER = (timedelta(seconds=30), timedelta(minutes=5))
TOTAL_SECONDS = 60.0
"""For one look, all media of a page together."""


def why_not(content: RegisteredContent | None, *, asserted: bool) -> str | None:
    """Why a report that names this content is not followed; None when it is. Nothing that may depict a minor is fetched."""
    if content is None:
        return "content_withdrawn"
    if content.suspension is SuspensionReason.POSSIBLE_MINOR or content.fetching_stopped:
        return "possible_minor"
    match content.facts.state:
        case ContentState.WITHDRAWN:
            return "content_withdrawn"
        case ContentState.SUSPENDED:
            return "content_suspended"
        case ContentState.AWAITING_CONFIRMATION if asserted:
            return "content_not_confirmed"
    return None


class ReportWorker:
    """Works off due reports, `WORKERS` at a time. `run` it as a task."""

    def __init__(self, runtime: OutboundRuntime, writer: LogWriter) -> None:
        self._runtime = runtime
        self._writer = writer
        self._looker = ReportLooker(
            fetcher=runtime.fetcher,
            fingerprinter=runtime.fingerprinter,
            policy=runtime.policy,
            clock=runtime.clock,
            forbidden=self._forbidden,
        )

        self._worker = DueWorker(
            "reports",
            runtime.database,
            runtime.wakeups,
            reports.REPORTS,
            member=runtime.settings.member,
            wakeup=reports.REPORTS_WAKEUP,
            slots=WORKERS,
            longest_seconds=TOTAL_SECONDS,
            do=self._follow_all,
            unwanted=self._unwanted,
            stop_wakeups=(stops.WAKEUP,),
            failed=self._failed,
            failed_again=[runtime.policy.scaled(wait) for wait in RETRY_AFTER],
        )

    async def run(self) -> None:
        """Work until cancelled."""
        await self._worker.run()

    async def _follow_all(self, taken: Sequence[Taken]) -> None:
        for report in taken:
            await self._follow(report)

    async def _follow(self, report: Taken) -> None:
        if report.fetch:
            await self._look(report)
            return
        refusal = await self._refusal(report)
        await self._finish(report, ReportLook(state=None if refusal is None else "refused", why=refusal))

    async def _look(self, report: Taken) -> None:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                looked = await self._look_while_wanted(report)
        except TimeoutError:
            looked = ReportLook(state="unreachable", why="timed_out", again=True)
        if looked.again and report.attempt < ATTEMPTS:
            wait = self._runtime.policy.scaled(RETRY_AFTER[min(report.attempt, len(RETRY_AFTER)) - 1])
            async with self._runtime.database.transaction() as tx:
                await reports.reschedule_report(tx, report, wait)
            log.info("report.again", report_id=str(report.report_id), why=looked.why, attempt=report.attempt)
            return
        refusal = await self._refusal(report)
        if refusal is not None:  # suspended, withdrawn or erased while we looked
            looked = ReportLook(state="refused", why=refusal)
        if looked.media:
            async with self._runtime.database.transaction() as tx:
                if not await plan_sightings(tx, report.report_id, report.attempt, looked.media):
                    return
            partitions = await self._writer.partitions_of(SIGHTINGS.name)
            now = self._runtime.clock()
            await self._writer.publish(batched(looked.media, partitions=partitions, source="intake", now=now))
        await self._finish(report, looked)

    async def _look_while_wanted(self, report: Taken) -> ReportLook:
        """Look at the report's URL. The look is broken off, with its fetches, once it is not wanted any more."""
        try:
            return await self._worker.while_wanted(report, self._read_and_look(report))
        except NoLongerWanted as stopped:
            return ReportLook(state="refused", why=stopped.detail)

    async def _read_and_look(self, report: Taken) -> ReportLook:
        refusal = await self._refusal(report)
        if refusal is not None:
            return ReportLook(state="refused", why=refusal)
        return await self._looker.look(
            report.url,
            organisation_id=report.organisation_id,
            report_id=report.report_id,
            reported_by=report.reported_by,
        )

    async def _unwanted(self, tx: Tx, looking: Collection[Taken]) -> Mapping[Taken, str]:
        """What forbids a look, by report; a look takes up to a minute."""
        keys = {report: address_key(report.url).url_key for report in looking}
        forbidden = await self._forbidden_now(tx, set(keys.values()))
        found = {report: await self._refusal_now(tx, report) for report in looking}
        unwanted = {report: why for report, why in found.items() if why is not None}
        return {report: "possible_minor" for report in looking if keys[report] in forbidden} | unwanted

    async def _finish(self, report: Taken, looked: ReportLook) -> None:
        """Record what became of the report, with a person's match where there is one, in one transaction."""
        now = self._runtime.clock()
        async with self._runtime.database.transaction() as tx:
            content = await lock_content(tx, report.content_id) if report.content_id is not None else None
            state, why = looked.state or "fetched", looked.why
            match = None
            if report.asserted and (looked.state is None or (looked.page and looked.state == "no_media")):
                why = why_not(content, asserted=True)
                if why is None and content is not None:
                    match, state, why = person_match(report, looked, content, now), "fetched", looked.why
                else:
                    state = "refused"
            if not await reports.finish_report(tx, report, state, why):
                return
            if match is not None:
                await add_takedown(tx, report.report_id, match.takedown_id, match.content_id)
                await outbox.put(
                    tx,
                    SCHEMA_NAME,
                    MATCHES,
                    key=str(match.takedown_id),
                    event=match,
                    event_id=match_event_id(match.takedown_id, report.report_id),
                )
            if state == "fetched":
                state = await reports.settle_report(tx, report.report_id) or state
        REPORTS.labels(state).inc()
        log.info("report.looked_at", report_id=str(report.report_id), state=state, why=why)

    async def _failed(self, report: Taken, failures: int) -> None:
        """End a report whose look raised again and again."""
        if failures >= ATTEMPTS:
            await self._finish(report, ReportLook(state="failed", why="look_failed"))

    async def _refusal(self, report: Taken) -> str | None:
        async with self._runtime.database.transaction() as tx:
            return await self._refusal_now(tx, report)

    async def _refusal_now(self, tx: Tx, report: Taken) -> str | None:
        if not await reports.is_taken(tx, report):
            return "erased"
        if await reports.is_of_paused_case(tx, report.report_id):
            return reports.CASE_PAUSED
        if report.content_id is None:
            return "content_withdrawn" if report.asserted else None
        why = why_not(await read_content(tx, report.content_id), asserted=report.asserted)
        if why is not None:
            return why
        reasons = await stops.reasons_of(tx, report.content_id)  # another service's, of which we have not heard yet
        if reasons & {stops.FETCHING, SuspensionReason.POSSIBLE_MINOR.value}:
            return "possible_minor"
        return "content_suspended" if reasons else None

    async def _forbidden(self, url_keys: Collection[str]) -> frozenset[str]:
        async with self._runtime.database.transaction() as tx:
            return await self._forbidden_now(tx, url_keys)

    async def _forbidden_now(self, tx: Tx, url_keys: Collection[str]) -> frozenset[str]:
        return await possible_minor_urls(tx, url_keys)


def person_match(report: Taken, looked: ReportLook, content: RegisteredContent, now: datetime) -> MatchFound:
    """The match a person's word makes: of the media, else of a page that yields none."""
    kind: TargetKind = "page" if looked.page and not looked.media else "media"
    first = looked.media[0] if looked.media else None
    url = first.media_url if first else report.url
    key = canonical(url)
    return MatchFound(
        takedown_id=takedown_id(content.content_id, kind, key.url_key, key_version=key.key_version),
        content_id=content.content_id,
        content_revision=content.revision,
        basis="person",
        target_kind=kind,
        url=url,
        url_key=key.url_key,
        key_version=key.key_version,
        page_url=first.page_url if first else None,
        report_id=report.report_id,
        seen_at=now,
        observed_by=SOURCE,
        assurance=content.facts.assurance or Assurance.UNSEEN,
        asserted_by=report.person_id,
        reported_by=report.reported_by,
    )
