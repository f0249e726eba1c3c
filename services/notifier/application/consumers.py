"""What the notifier reads: matches, content, claims, decisions. Each handler is one transaction with its inbox mark."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from services.notifier.application.decisions import apply_decision
from services.notifier.application.unit_of_work import UnitOfWork, UnitOfWorkFactory, keep_decision
from services.notifier.domain.events import FloodHeld, MatchReceived, TermsChanged
from services.notifier.domain.model import MatchFacts, Target
from services.notifier.domain.takedown import acts_on, begin
from services.notifier.store import content as store_content
from services.notifier.store import negative_list
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
from shared.urls import BadUrl, canonical

GROUPS = {
    "notifier.content": CONTENT,
    "notifier.claims": CLAIMS,
    "notifier.matches": MATCHES,
    "notifier.decisions": DECISIONS,
}
"""Group -> its topic."""

_HOUR = timedelta(hours=1)

# Hosts at which this content was matched within the time at more than the distance, leaving out what a person has let go on;
# and the takedowns that can still be held.
_FLOOD = """
SELECT count(DISTINCT host) AS hosts,
       array_agg(takedown_id ORDER BY takedown_id) FILTER (WHERE state IN ('discovered', 'open')) AS takedown_ids
FROM notifier.takedowns
WHERE content_id = %s AND distance > %s AND created_at > statement_timestamp() - %s::interval
  AND NOT 'flood' = ANY(holds_released) AND state NOT IN ('rejected', 'dismissed', 'withdrawn')
"""


class Consumer:
    """The handlers of the notifier's groups."""

    def __init__(self, applier: UnitOfWorkFactory) -> None:
        self._applier = applier

    async def on_content(self, envelope: Envelope, record: Record) -> None:
        """Apply a content's state if it is newer; tell its takedowns; let waiting matches go on. A tombstone: withdrawn.

        Entries of the negative list stand on the same topic, and are what checks must not take for content.
        """
        event = envelope.event
        if isinstance(event, NegativeEntry):
            await self._on_negative_entry(event)
            return
        content_id = event.content_id if isinstance(event, ContentChanged) else _key(record)
        if event is None and await self._left_negative_list(content_id):
            return
        async with self._applier.scope(content_id, exclusive=True) as scope:
            if event is None:
                if scope.content.state is ContentState.WITHDRAWN:
                    return
                event = ContentChanged(
                    content_id=content_id,
                    revision=scope.content.revision,
                    state=ContentState.WITHDRAWN,
                    withdrawn_for=scope.content.withdrawn_for,
                    changed_at=record.append_time,
                )
            elif not isinstance(event, ContentChanged) or event.revision <= scope.content.revision:
                return
            before = scope.content.view
            stood = scope.content.state
            scope.content = await store_content.apply_content(scope.tx, event)
            if ContentState.WITHDRAWN in (stood, event.state):
                await (
                    scope.reread_terms()
                )  # of withdrawn content all claims count: who must not be contacted is not told either
            if scope.content.view != before:
                await scope.tell_content_changed()
            await self._let_waiting_go_on(scope)

    async def _on_negative_entry(self, event: NegativeEntry) -> None:
        async with self._applier.runtime.database.transaction() as tx:
            await negative_list.add(tx, event)

    async def _left_negative_list(self, entry_id: UUID) -> bool:
        async with self._applier.runtime.database.transaction() as tx:
            return await negative_list.remove(tx, entry_id)

    async def on_claim(self, envelope: Envelope, record: Record) -> None:
        """Apply a claim if it is newer; tell the takedowns when the terms changed."""
        event = envelope.event
        if not isinstance(event, ClaimChanged):
            return  # a tombstone: the claim's withdrawal came before it
        async with self._applier.scope(event.content_id, exclusive=True) as scope:
            before = scope.terms
            if not await store_content.apply_claim(scope.tx, event):
                return
            await scope.reread_terms()
            if scope.terms != before:
                await scope.apply_to_all(TermsChanged())
            await self._let_waiting_go_on(scope)

    async def on_match(self, envelope: Envelope, record: Record) -> None:
        """Find or make the takedown; a match that overtook its content or claim waits."""
        event = envelope.event
        if not isinstance(event, MatchFound):
            return  # `sighting_unmatched` is intake's
        exclusive = self._may_flood(event)
        async with self._applier.scope(event.content_id, exclusive=exclusive, takedown_id=event.takedown_id) as scope:
            group = next(name for name, topic in GROUPS.items() if topic is MATCHES)
            if await outbox.mark(scope.tx, SCHEMA.name, group=group, event_id=envelope.id):
                await self._receive(scope, envelope.id, event)

    async def on_decision(self, envelope: Envelope, record: Record) -> None:
        """Apply a decision taken at intake. Our own come back and are known."""
        event = envelope.event
        if not isinstance(event, DecisionTaken):
            return
        content_id = event.content_id
        if event.takedown_id is not None:
            async with self._applier.runtime.database.transaction() as tx:
                content_id = await content_of(tx, event.takedown_id)
        if content_id is None:
            return
        async with self._applier.scope(content_id, exclusive=True) as scope:
            if await keep_decision(scope.tx, event):
                await apply_decision(scope, event, by_operations=False)

    async def _let_waiting_go_on(self, scope: UnitOfWork) -> None:
        if scope.content.state is ContentState.WITHDRAWN or self._ready(scope, 0):
            for event_id, event in await store_content.take_waiting(scope.tx, scope.content_id):
                await self._receive(scope, event_id, event)

    def _ready(self, scope: UnitOfWork, revision: int) -> bool:
        content = scope.content
        return content.view.state is ContentState.ACTIVE and content.revision >= revision and scope.terms is not None

    async def _receive(self, scope: UnitOfWork, event_id: str, event: MatchFound) -> None:
        if scope.content.state is ContentState.WITHDRAWN:
            return
        received = received_of(event)
        takedown = await scope.load(event.takedown_id)
        if takedown is not None:
            await scope.apply(takedown, received)
        elif not self._ready(scope, event.content_revision):
            await store_content.park_match(scope.tx, event_id, event)
        elif acts_on(received):
            fresh = begin(event.takedown_id, event.content_id, received, scope.now)
            await scope.apply(fresh, received, new=True)
            if self._may_flood(event):
                await self._guard_flood(scope)

    def _may_flood(self, event: MatchFound) -> bool:
        return (event.distance or 0) > self._applier.runtime.policy.flood_distance_over

    async def _guard_flood(self, scope: UnitOfWork) -> None:
        policy = self._applier.runtime.policy
        cursor = await scope.tx.execute(_FLOOD, (scope.content_id, policy.flood_distance_over, policy.scaled(_HOUR)))
        row = await cursor.fetchone()
        if row is None or row["hosts"] <= policy.flood_hosts_per_hour:
            return
        for takedown_id in row["takedown_ids"] or ():
            takedown = await scope.load(takedown_id)
            if takedown is not None:
                await scope.apply(takedown, FloodHeld(hosts=row["hosts"]))


def received_of(event: MatchFound) -> MatchReceived:
    """The match as the pure code takes it. Raises Poison for a URL that nobody can fetch."""
    try:
        host = canonical(event.url).host
        page_host = None if event.page_url is None else canonical(event.page_url).host
    except BadUrl as error:
        raise Poison(f"/url: {error.title}") from None
    return MatchReceived(
        match=MatchFacts(
            basis=event.basis,
            seen_at=event.seen_at,
            observed_by=event.observed_by,
            assurance=event.assurance,
            algorithm=event.algorithm,
            distance=event.distance,
            orientation=event.orientation,
            quality=event.quality,
            fingerprint_ref=event.fingerprint_ref,
            guards=event.guards,
            asserted_by=event.asserted_by,
            sighting_id=event.sighting_id,
            report_id=event.report_id,
        ),
        target=Target(
            kind=event.target_kind,
            url=event.url,
            url_key=event.url_key,
            key_version=event.key_version,
            host=host,
            page_url=event.page_url,
            page_host=page_host,
        ),
    )


def _key(record: Record) -> UUID:
    try:
        return UUID((record.key or b"").decode())
    except ValueError:
        raise Poison("/key: no content id") from None
