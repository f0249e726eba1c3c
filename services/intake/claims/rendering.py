"""Renders what the relay publishes for a key of an outbox row: the key's current row, read under its lock. No row: a tombstone."""

from __future__ import annotations

from uuid import UUID

from services.intake.claims import negative_list
from services.intake.claims.registered_content import claim_facts
from services.intake.domain.claims import SuspensionReason, derive
from services.intake.store import claims, content
from shared.contracts.claims import ClaimChanged
from shared.contracts.content import ContentChanged
from shared.contracts.event import Event
from shared.db.pool import Tx


async def render_content(tx: Tx, key: str) -> Event | None:
    """The event of `takedown.content` for a content or an entry of the negative list."""
    row = await content.row_for_share(tx, UUID(key))
    if row is None:
        return await negative_list.current_entry(tx, UUID(key))
    facts = derive(
        await claim_facts(tx, row["content_id"]),
        SuspensionReason(row["hold"]) if row["hold"] else None,
        fetching_stopped=row["fetching_stopped"],
    )
    return ContentChanged(
        content_id=row["content_id"],
        revision=row["revision"],
        state=facts.state,
        suspended_for=facts.suspended_for,
        withdrawn_for=facts.withdrawn_for,
        fetching=facts.fetching,
        assurance=facts.assurance,
        fingerprints=facts.fingerprints,
        changed_at=row["changed_at"],
    )


async def render_claim(tx: Tx, key: str) -> Event | None:
    """The claim's event of `takedown.claims`: no case reference, no person."""
    row = await claims.published_claim(tx, UUID(key))
    return None if row is None else ClaimChanged(**row)
