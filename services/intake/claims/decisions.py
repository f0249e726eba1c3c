"""Reads `takedown.decisions`: suspensions and resumptions of a content that others decided (a host's `possible_minor`, operations)."""

from __future__ import annotations

import structlog

from services.intake.claims import registered_content
from services.intake.claims.actors import decider
from services.intake.claims.content_steps import DECISIONS_GROUP
from services.intake.domain.claims import SuspensionReason
from services.intake.store import content, rejections
from services.intake.store.schema import SCHEMA_NAME
from shared.access import audit
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Envelope
from shared.db.pool import Database, Tx
from shared.log.port import Record
from shared.outbox import outbox

log = structlog.get_logger()

APPLIED = frozenset(
    (DecisionKind.SUSPEND, DecisionKind.RESUME, DecisionKind.STOP_FETCHING, DecisionKind.RESUME_FETCHING)
)
OF_PICTURES = frozenset((DecisionKind.REJECT, DecisionKind.UNREJECT))
HOST_PREFIX = "host:"
"""How a decision names a recipient in a person's place."""


class DecisionsHandler:
    """Applies each decision once; our own are marked as handled where they were made."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, envelope: Envelope, _: Record) -> None:
        if isinstance(envelope.event, DecisionTaken):
            await self.apply_once(envelope.event)

    async def apply_once(self, event: DecisionTaken) -> None:
        """Apply a decision that stops or resumes a content or its fetching; any other, and one already handled, changes nothing."""
        if event.content_id is None or event.kind not in APPLIED | OF_PICTURES:
            return
        async with self._database.transaction() as tx:
            if not await outbox.mark(tx, SCHEMA_NAME, group=DECISIONS_GROUP, event_id=str(event.decision_id)):
                return
            if event.kind in OF_PICTURES:
                await _picture_decided(tx, event)
            else:
                await self._apply(tx, event)

    async def _apply(self, tx: Tx, event: DecisionTaken) -> None:
        assert event.content_id is not None
        before = await registered_content.lock_content(tx, event.content_id)
        if before is None:
            return  # erased meanwhile
        by_host = event.person_id.startswith(HOST_PREFIX)
        match event.kind:
            case DecisionKind.STOP_FETCHING:
                action = "content.fetching_stopped"
                await content.stop_fetching(tx, before.content_id, stopped=True)
            case DecisionKind.SUSPEND if by_host:  # of before: only a person suspends
                action = "content.fetching_stopped"
                await content.stop_fetching(tx, before.content_id, stopped=True)
            case DecisionKind.SUSPEND:
                action = "content.suspended"
                asked = SuspensionReason.of_decision(event.reason)
                await registered_content.suspend(tx, before, asked, by=content.OPERATIONS)
            case _ if by_host:
                log.warning("decision.ignored", decision_id=str(event.decision_id), reason="a host resumes nothing")
                return
            case DecisionKind.RESUME_FETCHING:
                action = "content.fetching_resumed"
                await content.stop_fetching(tx, before.content_id, stopped=False)
            case _:
                action = "content.resumed"
                await registered_content.lift_suspension(tx, before, by=None)
                await content.stop_fetching(tx, before.content_id, stopped=False)
        await registered_content.settle_content(tx, before)
        who = decider(event.person_id, event.organisation_id)
        await audit.record(tx, who, action=action, object_kind="content", object_id=event.content_id)


async def _picture_decided(tx: Tx, event: DecisionTaken) -> None:
    """What a report led to is another picture, or after all it is not."""
    assert event.content_id is not None
    what = [*event.fingerprint_refs, *((str(event.takedown_id),) if event.takedown_id is not None else ())]
    if event.kind is DecisionKind.REJECT:
        await rejections.keep_rejection(tx, event.content_id, what)
    else:
        await rejections.undo_rejection(tx, event.content_id, what)
