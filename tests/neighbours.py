"""What a notifier's neighbours publish: contents, claims, decisions, matches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from shared.contracts.claims import ClaimChanged, ClaimState
from shared.contracts.content import Assurance, ContentChanged, ContentState, RegisteredFingerprint
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.event import Event, data_of, headers_of
from shared.contracts.matches import MatchFound
from shared.contracts.topics import CLAIMS, CONTENT, DECISIONS, MATCHES, Topic
from shared.ids import takedown_id
from shared.log.port import OutgoingRecord
from shared.service.runtime import OutboundRuntime
from shared.urls import canonical


class Neighbours:
    """Publishes on the notifier's log as intake and the matcher do."""

    def __init__(self, runtime: OutboundRuntime) -> None:
        self.runtime = runtime

    async def publish(self, topic: Topic, key: str, event: Event, event_id: UUID | None = None) -> None:
        record = OutgoingRecord(
            topic=topic.name,
            key=key.encode(),
            value=data_of(event),
            headers=headers_of(type(event), event_id=event_id or uuid4(), source="test", time=datetime.now(UTC)),
        )
        async with self.runtime.log.publisher() as publisher:
            await publisher.publish([record])

    async def intake_decides(self, content_id: UUID, kind: DecisionKind, reason: str) -> DecisionTaken:
        """Publish a decision over a content as intake does."""
        decided = DecisionTaken(
            decision_id=uuid4(),
            kind=kind,
            content_id=content_id,
            person_id="person-2",
            organisation_id="helpline",
            reason=reason,
            decided_at=await self.runtime.database.now(),
        )
        await self.publish(DECISIONS, str(content_id), decided, decided.decision_id)
        return decided

    async def content(
        self, body: bytes | None, *, content_id: UUID | None = None, revision: int = 1, **fields: Any
    ) -> UUID:
        """Publish a content with the fingerprints of `body`, or with those given."""
        content_id = content_id or uuid4()
        assurance = fields.pop("assurance", Assurance.VIEWED)
        given: tuple[RegisteredFingerprint, ...] = fields.pop("fingerprints", ())
        found = () if body is None else (await self.runtime.fingerprinter.fingerprint(body)).fingerprints()
        fingerprints = given or tuple(
            RegisteredFingerprint(
                algorithm=one.algorithm.value, value=one.hex, quality=one.quality, assurance=assurance
            )
            for one in found
            if one.orientation == "identity"
        )
        state = fields.pop("state", ContentState.ACTIVE)
        event = ContentChanged(
            content_id=content_id,
            revision=revision,
            state=state,
            assurance=assurance,
            fingerprints=fingerprints,
            changed_at=datetime.now(UTC),
            **fields,
        )
        await self.publish(CONTENT, str(content_id), event)
        return content_id

    async def claim(self, content_id: UUID, *, claim_id: UUID | None = None, revision: int = 1, **fields: Any) -> UUID:
        claim_id = claim_id or uuid4()
        values: dict[str, Any] = {
            "state": ClaimState.CONFIRMED,
            "organisation_id": "helpline",
            "declared_as": "subject",
            "authority_recorded": True,
        } | fields
        event = ClaimChanged(
            claim_id=claim_id, content_id=content_id, revision=revision, changed_at=datetime.now(UTC), **values
        )
        await self.publish(CLAIMS, str(claim_id), event)
        return claim_id

    async def confirmed(self, body: bytes, **fields: Any) -> UUID:
        """A content that is active, with its claim."""
        content_id = await self.content(body)
        await self.claim(content_id, **fields)
        return content_id

    async def tombstone(self, content_id: UUID) -> None:
        """What compaction leaves of a content in the end."""
        headers = headers_of(ContentChanged, event_id=uuid4(), source="test", time=datetime.now(UTC))
        async with self.runtime.log.publisher() as publisher:
            await publisher.publish(
                [OutgoingRecord(topic=CONTENT.name, key=str(content_id).encode(), value=None, headers=headers)]
            )

    async def match(self, content_id: UUID, url: str, *, revision: int = 1, **fields: Any) -> UUID:
        """Publish a match of this content at this URL; gives the takedown's id."""
        key = canonical(url)
        kind = fields.pop("target_kind", "media")
        identifier = takedown_id(content_id, kind, key.url_key)
        values: dict[str, Any] = {
            "basis": "fingerprint",
            "sighting_id": uuid4(),
            "algorithm": "pdq",
            "distance": 4,
            "orientation": "identity",
            "quality": 100,
            "fingerprint_ref": uuid4().hex * 2,
            "assurance": Assurance.VIEWED,
            "observed_by": "crawler-1",
        } | fields
        event = MatchFound(
            takedown_id=identifier,
            content_id=content_id,
            content_revision=revision,
            target_kind=kind,
            url=url,
            url_key=key.url_key,
            seen_at=datetime.now(UTC) - timedelta(minutes=5),
            **values,
        )
        await self.publish(MATCHES, str(identifier), event)
        return identifier
