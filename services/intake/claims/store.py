"""Content and claims in tables: SQL by hand, and the one way a change becomes an event.

Every change of what belongs to a content runs inside `changing(tx, content_id)`: it takes the content's row lock, and when the
register's view of the content is another afterwards, raises the revision and queues the content's event.
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
    Hold,
    derive,
    rests_on_distrusted,
    stronger_hold,
)
from services.intake.domain.schemas import GivenFingerprint
from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Assurance, ContentState
from shared.contracts.topics import CLAIMS, CONTENT
from shared.db.pool import Row, Tx
from shared.http.problems import NotFound
from shared.ids import content_alias
from shared.media.fingerprints import Fingerprint
from shared.outbox import outbox

SCHEMA_NAME = "intake"

_LOCK_CONTENT = "SELECT * FROM intake.content WHERE content_id = %s FOR UPDATE"

_CLAIM_FACTS = """
SELECT claim_id, organisation_id, state, assurance, withdrawal_reason,
       EXISTS (SELECT 1 FROM intake.distrusted_keys k WHERE k.key_id IN (c.declared_key, c.confirmed_key)) AS distrusted
FROM intake.claims c WHERE content_id = %s ORDER BY created_at, claim_id
"""

# A variant's fingerprints have the assurance of its own two steps; unconfirmed ones have none, and are in no union.
_FINGERPRINT_FACTS = """
SELECT f.claim_id, f.algorithm, f.value, f.quality, f.origin, f.orientation, f.max_distance,
       CASE WHEN f.variant_id IS NULL THEN c.assurance ELSE v.assurance END AS assurance
FROM intake.fingerprints f
JOIN intake.claims c USING (claim_id)
LEFT JOIN intake.variants v ON v.variant_id = f.variant_id
WHERE c.content_id = %s
"""

_HOLD = "UPDATE intake.content SET hold = %s WHERE content_id = %s"

_SAVE_CONTENT = """
UPDATE intake.content
SET revision = revision + %(published)s::int, state = %(state)s, suspended_for = %(suspended_for)s,
    withdrawn_for = %(withdrawn_for)s, changed_at = now(),
    withdrawn_at = CASE WHEN %(state)s = 'withdrawn' THEN coalesce(withdrawn_at, now()) END
WHERE content_id = %(content_id)s
"""

# The oldest content that is not withdrawn and has one of these fingerprints. A variant nobody confirmed makes nothing known: one
# person alone would tie another's claim to a content they have a say over.
_KNOWN = """
SELECT k.content_id FROM unnest(%s::text[], %s::bytea[]) AS asked (algorithm, value)
JOIN intake.fingerprints f ON f.algorithm = asked.algorithm AND f.value = asked.value
JOIN intake.claims c ON c.claim_id = f.claim_id
JOIN intake.content k ON k.content_id = c.content_id
LEFT JOIN intake.variants v ON v.variant_id = f.variant_id
WHERE k.state <> 'withdrawn' AND (f.variant_id IS NULL OR v.confirmed_by IS NOT NULL)
ORDER BY k.created_at, k.content_id LIMIT 1
"""

_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('intake claims', 0))"

_ADD_FINGERPRINT = """
INSERT INTO intake.fingerprints (claim_id, variant_id, algorithm, value, quality, origin, orientation, max_distance)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
"""


class RegisteredContent:
    """A locked content: its row, its claims, and what they make. Read anew after a change."""

    def __init__(self, row: Row, claims: tuple[ClaimFacts, ...]) -> None:
        self.content_id: UUID = row["content_id"]
        self.revision: int = row["revision"]
        self.stored_state = ContentState(row["state"])
        self.hold = Hold(row["hold"]) if row["hold"] else None
        self.claims = claims

    @property
    def facts(self) -> ContentFacts:
        return derive(self.claims, self.hold)


async def lock_content(tx: Tx, content_id: UUID) -> RegisteredContent | None:
    """The content under its row lock; None when there is no such row."""
    async with tx.pipeline():  # in one go; what is asked last is read when the lock is had
        locked = await tx.execute(_LOCK_CONTENT, (content_id,))
        facts = await _ask_claim_facts(tx, content_id)
    row = await locked.fetchone()
    return None if row is None else RegisteredContent(row, await _claim_facts(*facts))


async def read_content(tx: Tx, content_id: UUID) -> RegisteredContent | None:
    """The content as it is, without a lock."""
    row = await (await tx.execute("SELECT * FROM intake.content WHERE content_id = %s", (content_id,))).fetchone()
    return None if row is None else RegisteredContent(row, await claim_facts(tx, content_id))


@asynccontextmanager
async def changing(tx: Tx, content_id: UUID) -> AsyncIterator[RegisteredContent]:
    """Change a content, its claims or their fingerprints inside this block. Raises NotFound.

    Unconfirmed content is never published: its first event follows its first confirmation.
    """
    before = await lock_content(tx, content_id)
    if before is None:
        raise NotFound()
    yield before
    await settle(tx, before)


async def settle(tx: Tx, before: RegisteredContent) -> None:
    """Save what the content has become, and publish it where the register is to know."""
    after = await lock_content(tx, before.content_id)
    assert after is not None
    if rests_on_distrusted(after.claims) and not rests_on_distrusted(before.claims):
        after.hold = await hold(tx, after, Hold.KEY)
    facts = after.facts
    if facts == before.facts and facts.state is before.stored_state:
        return
    published = before.revision > 0 or facts.state in (ContentState.ACTIVE, ContentState.SUSPENDED)
    await tx.execute(
        _SAVE_CONTENT,
        {
            "published": published,
            "state": facts.state.value,
            "suspended_for": facts.suspended_for,
            "withdrawn_for": facts.withdrawn_for,
            "content_id": before.content_id,
        },
    )
    if published:
        await publish_content(tx, before.content_id)


async def hold(tx: Tx, content: RegisteredContent, asked: Hold) -> Hold:
    """Suspend a locked content for this reason; `possible_minor` stays what it is under any other. What holds it now."""
    now = stronger_hold(content.hold, asked)
    await tx.execute(_HOLD, (now.value, content.content_id))
    return now


async def release(tx: Tx, content: RegisteredContent) -> None:
    """End what holds a locked content."""
    await tx.execute(_HOLD, (None, content.content_id))


async def publish_content(tx: Tx, content_id: UUID) -> None:
    """Queue the content's current row for the log."""
    await outbox.put_current(tx, SCHEMA_NAME, CONTENT, key=str(content_id), event_id=uuid4())


async def publish_claim(tx: Tx, claim_id: UUID) -> None:
    """Raise the claim's revision and queue its current row for the log."""
    await tx.execute(
        "UPDATE intake.claims SET revision = revision + 1, changed_at = now() WHERE claim_id = %s", (claim_id,)
    )
    await outbox.put_current(tx, SCHEMA_NAME, CLAIMS, key=str(claim_id), event_id=uuid4())


async def claim_facts(tx: Tx, content_id: UUID) -> tuple[ClaimFacts, ...]:
    """The claims of a content, oldest first, with their fingerprints."""
    async with tx.pipeline():
        asked = await _ask_claim_facts(tx, content_id)
    return await _claim_facts(*asked)


async def _ask_claim_facts(tx: Tx, content_id: UUID) -> tuple[AsyncCursor[Row], AsyncCursor[Row]]:
    return await tx.execute(_FINGERPRINT_FACTS, (content_id,)), await tx.execute(_CLAIM_FACTS, (content_id,))


async def _claim_facts(of_fingerprints: AsyncCursor[Row], of_claims: AsyncCursor[Row]) -> tuple[ClaimFacts, ...]:
    fingerprints: dict[UUID, list[ClaimFingerprint]] = {}
    for row in await of_fingerprints.fetchall():
        fingerprints.setdefault(row["claim_id"], []).append(
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
            fingerprints=tuple(fingerprints.get(row["claim_id"], ())),
            distrusted=row["distrusted"],
        )
        for row in await of_claims.fetchall()
    )


async def one_at_a_time(tx: Tx) -> None:
    """Hold off, until the commit, all who add fingerprints to a claim or to the negative list. Taken before any row's lock.

    Two claims at once would each make a content of the same image; a claim and an entry at once would not see each other.
    """
    await tx.execute(_ONE_AT_A_TIME)


async def known_or_new_content(tx: Tx, fingerprints: Sequence[Fingerprint]) -> UUID:
    """The oldest live content with one of these fingerprints, else a new one. Call it under `one_at_a_time`."""
    found = await (
        await tx.execute(_KNOWN, ([f.algorithm.value for f in fingerprints], [f.value for f in fingerprints]))
    ).fetchone()
    if found is not None:
        content_id: UUID = found["content_id"]
        row = await (await tx.execute(_LOCK_CONTENT, (content_id,))).fetchone()
        if row is not None and row["state"] != ContentState.WITHDRAWN:
            return content_id
    return await new_content(tx)


async def new_content(tx: Tx) -> UUID:
    """A content of its own, unpublished."""
    content_id = uuid4()
    await tx.execute("INSERT INTO intake.content (content_id) VALUES (%s)", (content_id,))
    return content_id


async def move_to_new_content(tx: Tx, content_id: UUID, claim_ids: Sequence[UUID]) -> None:
    """Give these claims a content of their own; their organisations go on calling it by the id they know.

    An organisation that keeps a claim on the old content (withdrawn by now) calls both by one id: the new one is found. A hold
    goes with them: what may depict a minor still may.
    """
    if not claim_ids:
        return
    fresh = await new_content(tx)
    await tx.execute(
        "UPDATE intake.content SET hold = (SELECT hold FROM intake.content WHERE content_id = %s) WHERE content_id = %s",
        (content_id, fresh),
    )
    moved = await tx.execute(
        "UPDATE intake.claims SET content_id = %s WHERE claim_id = ANY (%s) RETURNING organisation_id",
        (fresh, list(claim_ids)),
    )
    organisations = sorted({row["organisation_id"] for row in await moved.fetchall()})
    await tx.execute(
        "UPDATE intake.content_alias SET content_id = %s WHERE content_id = %s AND organisation_id = ANY (%s)",
        (fresh, content_id, organisations),
    )


async def add_fingerprints(
    tx: Tx, claim_id: UUID, fingerprints: Sequence[GivenFingerprint], *, variant_id: UUID | None = None
) -> int:
    """Add to a claim; a value it has already is left as it is. Returns how many were new."""
    added = 0
    for given in fingerprints:
        one = given.parsed()
        cursor = await tx.execute(
            _ADD_FINGERPRINT,
            (
                claim_id,
                variant_id,
                one.algorithm.value,
                one.value,
                one.quality,
                one.origin.value,
                one.orientation.value,
                given.max_distance,
            ),
        )
        added += cursor.rowcount
    return added


async def make_alias(tx: Tx, content_id: UUID, organisation_id: str) -> UUID:
    """The organisation's own id for this content, from its first claim on it."""
    await tx.execute(
        "INSERT INTO intake.content_alias (organisation_id, alias, content_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (organisation_id, content_alias(content_id, organisation_id), content_id),
    )
    return await alias_of(tx, content_id, organisation_id)


async def alias_of(tx: Tx, content_id: UUID, organisation_id: str) -> UUID:
    """What the organisation calls this content."""
    row = await (
        await tx.execute(
            "SELECT alias FROM intake.content_alias WHERE content_id = %s AND organisation_id = %s",
            (content_id, organisation_id),
        )
    ).fetchone()
    return content_alias(content_id, organisation_id) if row is None else row["alias"]


async def content_of_alias(tx: Tx, alias: UUID, organisation_id: str) -> UUID | None:
    """The content an organisation calls by this id."""
    row = await (
        await tx.execute(
            "SELECT content_id FROM intake.content_alias WHERE organisation_id = %s AND alias = %s",
            (organisation_id, alias),
        )
    ).fetchone()
    return None if row is None else row["content_id"]
