"""What the relay publishes of a key: its current row, read under the row's lock. No row: a tombstone."""

from __future__ import annotations

from uuid import UUID

from services.intake.claims import negative_list
from services.intake.claims.store import claim_facts
from services.intake.domain.claims import Hold, derive
from shared.contracts.claims import ClaimChanged
from shared.contracts.content import ContentChanged
from shared.contracts.event import Event
from shared.db.pool import Tx

_CONTENT = "SELECT content_id, revision, hold, changed_at FROM intake.content WHERE content_id = %s FOR SHARE"

_CLAIM = """
SELECT claim_id, content_id, revision, state, organisation_id, assurance, subject_jurisdictions, do_not_contact,
       demands_not_before, withdrawal_reason, declared_as, authority_recorded, evidence_wanted, changed_at
FROM intake.claims WHERE claim_id = %s FOR SHARE
"""


async def render_content(tx: Tx, key: str) -> Event | None:
    """The event of `takedown.content` for a content or an entry of the negative list."""
    row = await (await tx.execute(_CONTENT, (UUID(key),))).fetchone()
    if row is None:
        return await negative_list.current_entry(tx, UUID(key))
    facts = derive(await claim_facts(tx, row["content_id"]), Hold(row["hold"]) if row["hold"] else None)
    return ContentChanged(
        content_id=row["content_id"],
        revision=row["revision"],
        state=facts.state,
        suspended_for=facts.suspended_for,
        withdrawn_for=facts.withdrawn_for,
        assurance=facts.assurance,
        fingerprints=facts.fingerprints,
        changed_at=row["changed_at"],
    )


async def render_claim(tx: Tx, key: str) -> Event | None:
    """The claim's event of `takedown.claims`: no case reference, no person."""
    row = await (await tx.execute(_CLAIM, (UUID(key),))).fetchone()
    return None if row is None else ClaimChanged(**row)
