"""Works off due checks: claims one, looks (no lock is kept meanwhile), and decides on the takedown in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog

from services.notifier.application.failing_jobs import report_failure
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.checks.checker import Checker
from services.notifier.checks.seen import Looked, Seen, Wanted
from services.notifier.domain.events import CheckCompleted
from services.notifier.domain.model import Observed, Outcome, Takedown, TakedownState
from services.notifier.domain.schedule import is_browser_watch
from services.notifier.store import checks, content, takedowns
from services.notifier.store.checks import DUE_CHECKS, DueCheck
from shared.access import stops
from shared.contracts.content import RegisteredFingerprint
from shared.db.due_worker import DueWorker, NoLongerWanted
from shared.db.pool import Tx
from shared.media.fingerprints import fingerprint_ref
from shared.media.looks.url_look import NotSeen
from shared.process.metrics import CHECKS
from shared.urls import address_key

log = structlog.get_logger(__name__)

SLOTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What a look saw, and when it began."""

    looked: Looked
    started_at: datetime


class CheckWorker:
    """Makes the checks that are due."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        runtime = units_of_work.runtime
        self._units_of_work = units_of_work
        self._database = runtime.database
        self._vantage = runtime.settings.vantage
        self._policy = runtime.policy
        self._fingerprinter = runtime.fingerprinter
        self._keys = runtime.keys
        self._checker = Checker(
            runtime.fetcher,
            runtime.fingerprinter,
            runtime.policy,
            runtime.clock,
            fingerprint_key=runtime.keys.fingerprint_ref,
            browser=runtime.browser,
        )
        self.due = DueWorker(
            "checks",
            runtime.database,
            runtime.wakeups,
            DUE_CHECKS,
            member=runtime.settings.member,
            wakeup=takedowns.CHECKS_WAKEUP,
            slots=SLOTS,
            per_place=runtime.policy.connections_per_host,
            longest_seconds=self._checker.longest_seconds,
            do=self._check_all,
            unwanted=self._unwanted,
            stop_wakeups=(takedowns.STOPPED_WAKEUP, stops.WAKEUP),
            failed=self._failed,
        )

    async def run(self) -> None:
        preparing = asyncio.create_task(self._fingerprinter.prepare())
        try:
            await self.due.run()
        finally:
            preparing.cancel()
            await asyncio.gather(preparing, return_exceptions=True)

    async def _unwanted(self, tx: Tx, looking: Collection[DueCheck]) -> Mapping[DueCheck, str]:
        """Which looks under way are not wanted any more: a suspension stops fetches at once, by deleting the due check or by a stop of the
        content."""
        going_on = await checks.that_are_wanted(tx, [due.takedown_id for due in looking])
        return {due: "called_off" for due in looking if due.takedown_id not in going_on}

    async def _failed(self, due: DueCheck, failures: int) -> None:
        await report_failure(self._units_of_work, due.content_id, due.takedown_id, "check", failures)

    async def _check_all(self, due: Sequence[DueCheck]) -> None:
        for one in due:
            await self.check(one)

    async def check(self, due: DueCheck) -> None:
        """One check, from what is wanted to the takedown's decision. Raises Transient; it is then due again."""
        try:
            seen = await self.due.while_wanted(due, self._read_and_look(due))
        except NoLongerWanted:
            log.info("check.broken_off", takedown_id=str(due.takedown_id))
            async with (
                self._database.transaction() as tx
            ):  # where its content is stopped, it is due once that is lifted
                await DUE_CHECKS.release(tx, (due.takedown_id,), due.lease_id)
            return
        if seen is None:
            return
        looked, started_at = seen.looked, seen.started_at
        completed = self._completed(looked, check_id=uuid4(), started_at=started_at)
        CHECKS.labels(completed.outcome).inc()
        async with self._units_of_work.begin(due.content_id, exclusive=False, takedown_id=due.takedown_id) as unit:
            takedown = await unit.load(due.takedown_id)
            assert takedown is not None
            await DUE_CHECKS.release(unit.tx, (due.takedown_id,), due.lease_id)
            await self._record(unit.tx, due, completed, looked, erased=takedown.target is None)
            if takedown.match.basis == "person" and takedown.target is not None and looked.media.fingerprints:
                await checks.keep_seen(unit.tx, due.takedown_id, _reference(looked, takedown))
            await unit.apply(takedown, completed)

    async def _read_and_look(self, due: DueCheck) -> _Seen | None:
        async with self._database.transaction() as tx:
            found = await self._wanted(tx, due)
            if found is None:  # erased or stopped in between
                await DUE_CHECKS.release(tx, (due.takedown_id,), due.lease_id)
                return None
        wanted, started_at = found
        return _Seen(looked=await self._checker.look(wanted), started_at=started_at)

    async def _wanted(self, tx: Tx, due: DueCheck) -> tuple[Wanted, datetime] | None:
        """What to look for, and the database's time as the look begins."""
        row = await checks.read_due_check(tx, due)
        if row is None or row["url"] is None:
            return None
        adopted = row["adopted_at"] is not None
        wanted = Wanted(
            takedown_id=due.takedown_id,
            target_kind=row["target_kind"],
            url=row["url"],
            url_key=address_key(row["url"]).url_key,
            page_url=row["page_url"],
            register=content.fingerprints_from(row["fingerprints"]),
            reference=content.fingerprints_from(row["reference"]) if adopted else (),
            adopted=adopted,
            rejected=frozenset(row["rejected"]),
            seen_before=row["seen_before"],
            harmless=tuple(row["harmless"]),
            may_draw=self._may_draw(due, row),
        )
        return wanted, row["now"]

    def _may_draw(self, due: DueCheck, row: Mapping[str, Any]) -> bool:
        """Whether this check may use the browser: of the looks at what is removed, only some do."""
        if row["state"] != TakedownState.REMOVED or due.reason != "watch" or row["removed_at"] is None:
            return True
        return is_browser_watch(removed_at=row["removed_at"], now=row["now"], policy=self._policy)

    def _completed(self, looked: Looked, *, check_id: UUID, started_at: datetime) -> CheckCompleted:
        media, page = looked.media, looked.page
        # What a demand quotes is what showed the content: the page, where the medium's own URL no longer does.
        on_page = page is not None and media.outcome is not Outcome.PRESENT and page.outcome is Outcome.PRESENT
        showing = page if page is not None and on_page else media
        agreement = media.agreement or (page.agreement if page else None)
        near = None if agreement is not None else media.near
        page_near = None if agreement is not None or page is None else page.near
        best = agreement or near
        by_view = page if page is not None and (on_page or (near is None and page_near is not None)) else media
        return CheckCompleted(
            check_id=check_id,
            started_at=started_at,
            outcome=media.outcome,
            vantage=self._vantage,
            reason=media.reason,
            status=media.status,
            no_such_domain=media.reason == NotSeen.NO_SUCH_DOMAIN,
            probably_present=near is not None or page_near is not None,
            algorithm=None if best is None else best.algorithm.value,
            distance=None if best is None else best.distance,
            assurance=None if best is None else best.assurance,
            guards=() if best is None else best.guards,
            view=by_view.view and by_view.view.value,
            whole_distance=by_view.whole_distance,
            page_outcome=None if page is None else page.outcome,
            page_status=None if page is None else page.status,
            page_no_such_domain=page is not None and page.reason == NotSeen.NO_SUCH_DOMAIN,
            page_reason=None if page is None else page.reason,
            page_distance=None if page_near is None else page_near.distance,
            browser=" ".join(looked.drawn) or None,
            observed=_as_seen(showing),
        )

    async def _record(self, tx: Tx, due: DueCheck, completed: CheckCompleted, looked: Looked, *, erased: bool) -> None:
        observed = None if erased else looked.media.observed
        await checks.record(
            tx,
            {
                "check_id": completed.check_id,
                "takedown_id": due.takedown_id,
                "reason": due.reason,
                "started_at": completed.started_at,
                "outcome": completed.outcome,
                "page_outcome": completed.page_outcome,
                "detail": completed.reason,
                "vantage": completed.vantage,
                "address": f"{observed.ip}:{observed.port}" if observed else None,
                "status": completed.status,
                "page_status": completed.page_status,
                "final_url": observed and observed.final_url,
                "content_type": observed and observed.content_type,
                "size_bytes": observed and observed.size_bytes,
                "algorithm": completed.algorithm,
                "distance": completed.distance,
                "view": completed.view,
                "whole_distance": completed.whole_distance,
                "browser": completed.browser,
                "fingerprint_refs": None if erased else self._refs(looked),
            },
        )

    def _refs(self, looked: Looked) -> list[str] | None:
        """What was seen that is the content, or nearly, as a rejection would name it. None: nothing."""
        found = looked.media if looked.media.settled else looked.page
        if found is None or not found.settled or not found.fingerprints:
            return None
        return sorted({fingerprint_ref(self._keys.fingerprint_ref, one) for one in found.known})


def _as_seen(seen: Seen) -> Observed | None:
    """What a demand quotes of a look, with whether the content was a part of what is there."""
    if seen.observed is None or seen.view is None:
        return seen.observed
    return replace(seen.observed, as_part=seen.view.is_part)


def _reference(looked: Looked, takedown: Takedown) -> list[dict[str, object]]:
    """The fetched fingerprints, as they would stand in the register."""
    return [
        RegisteredFingerprint(
            algorithm=one.algorithm.value,
            value=one.hex,
            quality=one.quality,
            orientation=one.orientation,
            assurance=takedown.match.assurance,
        ).model_dump(mode="json", exclude_none=True)
        for one in looked.media.fingerprints
    ]
