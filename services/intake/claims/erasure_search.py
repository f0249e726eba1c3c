"""Where withdrawn content was seen that never was matched: while it was suspended, or before a matcher knew of it.

Only matchers have what was seen, and only fingerprints find it. So what the content was known by is published to them once more, under an
id that nobody knows, and they answer with matches as ever. Each match of it is one of a content that is gone, whose URL is erased.
"""

from __future__ import annotations

from uuid import uuid4

from services.intake.claims.registered_content import RegisteredContent
from services.intake.domain.claims import union
from services.intake.store import erasures
from services.intake.store.schema import SCHEMA_NAME
from shared.contracts.claims import ClaimState
from shared.contracts.content import ContentChanged, ContentState
from shared.contracts.topics import CONTENT
from shared.db.pool import Tx
from shared.outbox import outbox

_KNOWN = (ClaimState.CONFIRMED, ClaimState.WITHDRAWING)


async def begin(tx: Tx, withdrawn: RegisteredContent) -> None:
    """Start the search for where this content was seen. Nothing to do for one that was never published."""
    fingerprints = union(claim for claim in withdrawn.claims if claim.state in _KNOWN)
    if withdrawn.revision == 0 or not fingerprints:
        return
    search_id = uuid4()
    now = await (await tx.execute("SELECT now() AS now")).fetchone()
    assert now is not None
    search = ContentChanged(
        content_id=search_id,
        revision=1,
        state=ContentState.ACTIVE,
        fetching="stopped",
        for_erasure=True,
        fingerprints=fingerprints,
        changed_at=now["now"],
    )
    await erasures.begin_search(tx, search_id)
    await outbox.put(tx, SCHEMA_NAME, CONTENT, key=str(search_id), event=search, event_id=uuid4())
