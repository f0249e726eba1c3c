"""A content with its claims, and the one way a change of them becomes an event.

Every change of what belongs to a content runs inside `changing_content(tx, content_id)`: it takes the content's row lock, and when
the register's view of the content is another afterwards, raises the revision and queues the content's event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from psycopg import AsyncCursor

from services.intake.domain.claims import (
    ClaimFacts,
    ClaimFingerprint,
    ContentFacts,
    SuspensionReason,
    derive,
    rests_on_distrusted,
    stronger_reason,
)
from services.intake.domain.schemas import GivenFingerprint
from services.intake.store import claims, content, content_aliases, fingerprints
from services.intake.store.schema import SCHEMA_NAME
from shared.access import stops
from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Assurance, ContentState
from shared.contracts.topics import CLAIMS, CONTENT
from shared.db.pool import Row, Tx
from shared.http.problems import NotFound
from shared.media.fingerprints import Fingerprint
from shared.outbox import outbox


class RegisteredContent:
    """A locked content: its row, its claims, and the facts that follow from them. Read it anew after a change."""

    def __init__(self, row: Row, own_claims: tuple[ClaimFacts, ...]) -> None:
        self.content_id: UUID = row["content_id"]
        self.revision: int = row["revision"]
        self.stored_state = ContentState(row["state"])
        self.suspension = SuspensionReason(row["hold"]) if row["hold"] else None
        self.fetching_stopped: bool = row["fetching_stopped"]
        self.claims = own_claims

    @property
    def facts(self) -> ContentFacts:
        return derive(self.claims, self.suspension, fetching_stopped=self.fetching_stopped)


async def lock_content(tx: Tx, content_id: UUID) -> RegisteredContent | None:
    """The content under its row lock; None when there is no such row."""
    async with tx.pipeline():  # in one go; what is asked last is read when the lock is had
        locked = await content.ask_for_update(tx, content_id)
        facts = await _ask_claim_facts(tx, content_id)
    row = await locked.fetchone()
    return None if row is None else RegisteredContent(row, await _claim_facts(*facts))


async def read_content(tx: Tx, content_id: UUID) -> RegisteredContent | None:
    """The content as it is, without a lock."""
    row = await content.row_of_content(tx, content_id)
    return None if row is None else RegisteredContent(row, await claim_facts(tx, content_id))


@asynccontextmanager
async def changing_content(tx: Tx, content_id: UUID) -> AsyncIterator[RegisteredContent]:
    """Change a content, its claims or their fingerprints inside this block. Raises NotFound.

    Unconfirmed content is never published: its first event follows its first confirmation.
    """
    before = await lock_content(tx, content_id)
    if before is None:
        raise NotFound()
    yield before
    await settle_content(tx, before)


async def settle_content(tx: Tx, before: RegisteredContent) -> None:
    """Save the state that follows from the content's claims now, and publish it where the register is to know."""
    after = await lock_content(tx, before.content_id)
    assert after is not None
    if rests_on_distrusted(after.claims) and not rests_on_distrusted(before.claims):
        after.suspension = await suspend(tx, after, SuspensionReason.KEY, by=content.REVOKED_KEY)
    facts = after.facts
    if facts == before.facts and facts.state is before.stored_state:
        return
    published = before.revision > 0 or facts.state in (ContentState.ACTIVE, ContentState.SUSPENDED)
    await content.save_content(
        tx,
        before.content_id,
        published=published,
        state=facts.state.value,
        suspended_for=facts.suspended_for,
        withdrawn_for=facts.withdrawn_for,
    )
    if published:
        await _keep_stop(tx, before.content_id, facts)
        await publish_content(tx, before.content_id)


async def _keep_stop(tx: Tx, content_id: UUID, facts: ContentFacts) -> None:
    """What this answer stops is stopped by its commit, whoever hears of the event, and when."""
    if facts.state is ContentState.WITHDRAWN:
        await stops.put(tx, content_id, by=SCHEMA_NAME, reason=stops.WITHDRAWN)
    elif facts.state is ContentState.SUSPENDED:
        await stops.put(tx, content_id, by=SCHEMA_NAME, reason=facts.suspended_for or facts.state.value)
    else:
        await stops.lift(tx, content_id, by=SCHEMA_NAME)


async def suspend(tx: Tx, registered: RegisteredContent, asked: SuspensionReason, *, by: str) -> SuspensionReason:
    """Suspend a locked content for this reason; `possible_minor` stays what it is under any other. Gives the reason that counts now.
    `by`: see `store/content.py`."""
    await content.add_suspension(tx, registered.content_id, by=by, reason=asked.value)
    now = stronger_reason(registered.suspension, asked)
    await content.set_suspension(tx, registered.content_id, now.value)
    return now


async def lift_suspension(tx: Tx, registered: RegisteredContent, *, by: str | None) -> SuspensionReason | None:
    """End every suspension of a locked content, or (`by`) the one of this suspender. Gives the strongest reason left, if any."""
    await content.end_suspensions(tx, registered.content_id, by=by)
    left: SuspensionReason | None = None
    for _, reason in await content.suspensions_of(tx, registered.content_id):
        left = stronger_reason(left, SuspensionReason(reason))
    await content.set_suspension(tx, registered.content_id, None if left is None else left.value)
    return left


async def publish_content(tx: Tx, content_id: UUID) -> None:
    """Queue the content's current row for the log."""
    await outbox.put_current(tx, SCHEMA_NAME, CONTENT, key=str(content_id), event_id=uuid4())


async def publish_claim(tx: Tx, claim_id: UUID) -> None:
    """Raise the claim's revision and queue its current row for the log."""
    await claims.raise_revision(tx, claim_id)
    await outbox.put_current(tx, SCHEMA_NAME, CLAIMS, key=str(claim_id), event_id=uuid4())


async def claim_facts(tx: Tx, content_id: UUID) -> tuple[ClaimFacts, ...]:
    """The claims of a content, oldest first, with their fingerprints."""
    async with tx.pipeline():
        asked = await _ask_claim_facts(tx, content_id)
    return await _claim_facts(*asked)


async def _ask_claim_facts(tx: Tx, content_id: UUID) -> tuple[AsyncCursor[Row], AsyncCursor[Row]]:
    return await fingerprints.ask_fingerprint_facts(tx, content_id), await claims.ask_facts(tx, content_id)


async def _claim_facts(of_fingerprints: AsyncCursor[Row], of_claims: AsyncCursor[Row]) -> tuple[ClaimFacts, ...]:
    by_claim: dict[UUID, list[ClaimFingerprint]] = {}
    for row in await of_fingerprints.fetchall():
        by_claim.setdefault(row["claim_id"], []).append(
            ClaimFingerprint(
                algorithm=row["algorithm"],
                value=bytes(row["value"]),
                quality=row["quality"],
                origin=row["origin"],
                orientation=row["orientation"],
                assurance=Assurance(row["assurance"]) if row["assurance"] else None,
                max_distance=row["max_distance"],
            )
        )
    return tuple(
        ClaimFacts(
            claim_id=row["claim_id"],
            organisation_id=row["organisation_id"],
            state=ClaimState(row["state"]),
            assurance=Assurance(row["assurance"]) if row["assurance"] else None,
            withdrawal_reason=WithdrawalReason(row["withdrawal_reason"]) if row["withdrawal_reason"] else None,
            fingerprints=tuple(by_claim.get(row["claim_id"], ())),
            distrusted=row["distrusted"],
        )
        for row in await of_claims.fetchall()
    )


async def known_or_new_content(tx: Tx, asked: Sequence[Fingerprint]) -> UUID:
    """The oldest live content with one of these fingerprints, else a new one. Call it under `lock_additions`."""
    content_id = await fingerprints.content_with_one_of(tx, asked)
    if content_id is not None:
        row = await (await content.ask_for_update(tx, content_id)).fetchone()
        if row is not None and row["state"] != ContentState.WITHDRAWN:
            return content_id
    return await content.insert_content(tx)


async def move_to_new_content(tx: Tx, content_id: UUID, claim_ids: Sequence[UUID]) -> None:
    """Give these claims a content of their own; their organisations go on calling it by the id they know.

    An organisation that keeps a claim on the old content (withdrawn by now) calls both by one id: the new one is found. A suspension
    goes with them: what may depict a minor still may.
    """
    if not claim_ids:
        return
    fresh = await content.insert_content(tx)
    await content.copy_stops(tx, content_id, to=fresh)
    await content.copy_suspensions(tx, content_id, to=fresh)
    organisations = await claims.move_claims(tx, claim_ids, to=fresh)
    await content_aliases.move_aliases(tx, content_id, organisations, to=fresh)


async def add_fingerprints(
    tx: Tx, claim_id: UUID, given: Sequence[GivenFingerprint], *, variant_id: UUID | None = None
) -> int:
    """Add fingerprints to a claim; a value that it has already is left as it is. Returns how many were new."""
    added = 0
    for one in given:
        added += await fingerprints.insert_fingerprint(
            tx, claim_id, one.parsed(), variant_id=variant_id, max_distance=one.max_distance
        )
    return added
