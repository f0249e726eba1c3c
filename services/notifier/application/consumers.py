"""What the notifier reads: matches, content, claims, decisions. Each handler is one transaction with its inbox mark."""

from __future__ import annotations

from uuid import UUID

from services.notifier.application.decisions import apply_decision
from services.notifier.application.matches import let_waiting_go_on, may_flood, receive_match
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.events import TermsChanged
from services.notifier.store import content as store_content
from services.notifier.store import decisions, negative_list
from services.notifier.store.takedowns import SCHEMA, content_of
from shared.contracts.claims import ClaimChanged
from shared.contracts.content import ContentChanged, ContentState, NegativeEntry
from shared.contracts.decisions import DecisionTaken
from shared.contracts.event import Envelope
from shared.contracts.matches import MatchFound
from shared.contracts.topics import CLAIMS, CONTENT, DECISIONS, MATCHES
from shared.errors import Poison
from shared.log.port import Record
from shared.outbox import outbox

GROUPS = {
    "notifier.content": CONTENT,
    "notifier.claims": CLAIMS,
    "notifier.matches": MATCHES,
    "notifier.decisions": DECISIONS,
}
"""The topic that each consumer group reads."""


class Consumer:
    """The handlers of the notifier's groups."""

    def __init__(self, units_of_work: UnitOfWorkFactory) -> None:
        self._units_of_work = units_of_work

    async def on_content(self, envelope: Envelope, record: Record) -> None:
        """Apply a content's state if it is newer: decide again on its takedowns, and let waiting matches go on. A tombstone: withdrawn.

        Entries of the negative list stand on the same topic, and are what checks must not take for content.
        """
        event = envelope.event
        if isinstance(event, NegativeEntry):
            await self._on_negative_entry(event)
            return
        content_id = event.content_id if isinstance(event, ContentChanged) else _key(record)
        if event is None and await self._left_negative_list(content_id):
            return
        if isinstance(event, ContentChanged) and event.for_erasure:  # a match of it is of nothing that is pursued
            event = event.model_copy(update={"state": ContentState.WITHDRAWN, "fingerprints": ()})
        async with self._units_of_work.begin(content_id, exclusive=True) as unit:
            if event is None:
                if unit.content.state is ContentState.WITHDRAWN:
                    return
                event = ContentChanged(
                    content_id=content_id,
                    revision=unit.content.revision,
                    state=ContentState.WITHDRAWN,
                    withdrawn_for=unit.content.withdrawn_for,
                    changed_at=record.append_time,
                )
            elif not isinstance(event, ContentChanged) or event.revision <= unit.content.revision:
                return
            before = unit.content.view
            stood = unit.content.state
            unit.content = await store_content.apply_content(unit.tx, event)
            if ContentState.WITHDRAWN in (stood, event.state):
                await (
                    unit.reread_terms()
                )  # of withdrawn content all claims count: who must not be contacted is not notified either
            if unit.content.view != before:
                await unit.apply_content_change()
            await let_waiting_go_on(unit)

    async def _on_negative_entry(self, event: NegativeEntry) -> None:
        async with self._units_of_work.runtime.database.transaction() as tx:
            await negative_list.add(tx, event)

    async def _left_negative_list(self, entry_id: UUID) -> bool:
        async with self._units_of_work.runtime.database.transaction() as tx:
            return await negative_list.remove(tx, entry_id)

    async def on_claim(self, envelope: Envelope, record: Record) -> None:
        """Apply a claim if it is newer, and decide again on the takedowns when the terms changed."""
        event = envelope.event
        if not isinstance(event, ClaimChanged):
            return  # a tombstone: the claim's withdrawal came before it
        async with self._units_of_work.begin(event.content_id, exclusive=True) as unit:
            before = unit.terms
            if not await store_content.apply_claim(unit.tx, event):
                return
            await unit.reread_terms()
            if unit.terms != before:
                await unit.apply_to_all(TermsChanged())
            await let_waiting_go_on(unit)

    async def on_match(self, envelope: Envelope, record: Record) -> None:
        """Find or make the takedown; a match that overtook its content or claim waits."""
        event = envelope.event
        if not isinstance(event, MatchFound):
            return  # `sighting_unmatched` is intake's
        exclusive = may_flood(event, self._units_of_work.runtime.policy)
        async with self._units_of_work.begin(
            event.content_id, exclusive=exclusive, takedown_id=event.takedown_id
        ) as unit:
            group = next(name for name, topic in GROUPS.items() if topic is MATCHES)
            if await outbox.mark(unit.tx, SCHEMA.name, group=group, event_id=envelope.id):
                await receive_match(unit, envelope.id, event)

    async def on_decision(self, envelope: Envelope, record: Record) -> None:
        """Apply a decision taken at intake. Our own come back and are known."""
        event = envelope.event
        if not isinstance(event, DecisionTaken):
            return
        content_id = event.content_id
        if event.takedown_id is not None:
            async with self._units_of_work.runtime.database.transaction() as tx:
                content_id = await content_of(tx, event.takedown_id)
        if content_id is None:
            return
        async with self._units_of_work.begin(content_id, exclusive=True) as unit:
            if await decisions.keep(unit.tx, event):
                await apply_decision(unit, event, by_operations=False)


def _key(record: Record) -> UUID:
    try:
        return UUID((record.key or b"").decode())
    except ValueError:
        raise Poison("/key: no content id") from None
