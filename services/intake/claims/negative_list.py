"""The negative list (known harmless hashes) in its table: declared, confirmed by another person, removed.

Entries and content keep apart: no value is near a claim's fingerprint and on the list at once, whichever comes first. All who
add to either hold one lock from their look to their commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID, uuid4

from services.intake.claims import store
from services.intake.domain.claims import SamePerson, WrongState, check_confirmation
from services.intake.domain.schemas import NegativeEntryRequest
from shared.access import audit
from shared.access.auth import hold_key
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState
from shared.contracts.content import NegativeEntry
from shared.contracts.topics import CONTENT
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound, Refused
from shared.media.fingerprints import PDQ_MAX_DISTANCE, Algorithm, Fingerprint
from shared.outbox import outbox

OBJECT_KIND = "negative_entry"

# Two PDQ values agree within 31 bits, any others when they are equal. A scan of the register: rare, and about a second a million.
_NEAR = f"""
({{one}}.algorithm = {{other}}.algorithm AND CASE WHEN {{one}}.algorithm = '{Algorithm.PDQ}'
 THEN bit_count(('x' || encode({{one}}.value, 'hex'))::bit(256) # ('x' || encode({{other}}.value, 'hex'))::bit(256))
      <= {PDQ_MAX_DISTANCE}
 ELSE {{one}}.value = {{other}}.value END)
"""

_NEAR_CONTENT = f"""
SELECT 1 FROM (VALUES (%s::text, %s::bytea)) AS asked (algorithm, value)
JOIN intake.fingerprints f ON {_NEAR.format(one="f", other="asked")} LIMIT 1
"""

_ON_THE_LIST = f"""
SELECT asked.place FROM unnest(%s::text[], %s::bytea[]) WITH ORDINALITY AS asked (algorithm, value, place)
JOIN intake.negative_list n ON n.confirmed_at IS NOT NULL AND {_NEAR.format(one="n", other="asked")}
ORDER BY asked.place LIMIT 1
"""

_INSERT = """
INSERT INTO intake.negative_list (entry_id, algorithm, value, reason, declared_by, declared_key)
VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (algorithm, value) DO NOTHING RETURNING entry_id
"""

_CONFIRM = """
UPDATE intake.negative_list SET confirmed_by = %s, confirmed_key = %s, confirmed_at = now() WHERE entry_id = %s
"""

_OF_KEY = """
SELECT entry_id, confirmed_at FROM intake.negative_list WHERE %(key)s IN (declared_key, confirmed_key)
ORDER BY entry_id FOR UPDATE
"""

_UNCONFIRMED = """
DELETE FROM intake.negative_list
WHERE confirmed_at IS NULL AND created_at <= statement_timestamp() - %s::interval RETURNING entry_id
"""

_CURRENT = """
SELECT entry_id, algorithm, value, confirmed_at FROM intake.negative_list
WHERE entry_id = %s AND confirmed_at IS NOT NULL FOR SHARE
"""


class NearContent(Refused):
    """The register has this value, or one within 31 bits of it."""


async def declare_entry(tx: Tx, principal: Principal, asked: NegativeEntryRequest) -> UUID:
    """A new entry, which waits for another person. Raises NearContent, Conflict (it is on the list)."""
    await hold_key(tx, principal)
    await store.one_at_a_time(tx)
    fingerprint = asked.parsed()
    await _check_apart(tx, fingerprint.algorithm, fingerprint.value, pointer="#/value")
    entry_id = uuid4()
    cursor = await tx.execute(
        _INSERT,
        (
            entry_id,
            fingerprint.algorithm.value,
            fingerprint.value,
            asked.reason,
            principal.person_id,
            principal.key_id,
        ),
    )
    if await cursor.fetchone() is None:
        raise Conflict("This value is on the negative list already, or is waiting to be confirmed.")
    await audit.record(tx, principal, action="negative_entry.declared", object_kind=OBJECT_KIND, object_id=entry_id)
    return entry_id


async def confirm_entry(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    """Another person's word: matchers are told. Raises NotFound, Conflict, Forbidden (who declared it), NearContent."""
    await hold_key(tx, principal)
    await store.one_at_a_time(tx)
    row = await lock_entry(tx, entry_id)
    state = ClaimState.CONFIRMED if row["confirmed_at"] else ClaimState.AWAITING_CONFIRMATION
    try:
        check_confirmation(state=state, declared_by=row["declared_by"], person_id=principal.person_id)
    except WrongState:
        raise Conflict("This entry is confirmed already.") from None
    except SamePerson:
        raise Forbidden("Whoever declared an entry cannot confirm it. Another person must.") from None
    await _check_apart(tx, row["algorithm"], bytes(row["value"]))
    await tx.execute(_CONFIRM, (principal.person_id, principal.key_id, entry_id))
    await _publish(tx, entry_id)
    await audit.record(tx, principal, action="negative_entry.confirmed", object_kind=OBJECT_KIND, object_id=entry_id)


async def remove_entry(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    """Take an entry off the list, its row with it. One person is enough: it can only let more be acted on. Raises NotFound."""
    await _remove(tx, principal, await lock_entry(tx, entry_id))


async def remove_of_key(tx: Tx, principal: Principal, key_id: UUID) -> None:
    """Take off the list what this key declared or confirmed."""
    for row in await (await tx.execute(_OF_KEY, {"key": key_id})).fetchall():
        await _remove(tx, principal, row)


async def erase_unconfirmed(tx: Tx, principal: Principal, kept: object) -> None:
    """Forget entries that nobody confirmed within `kept`, a duration."""
    for row in await (await tx.execute(_UNCONFIRMED, (kept,))).fetchall():
        await _audit_removal(tx, principal, row["entry_id"])


async def check_claimable(tx: Tx, fingerprints: Sequence[Fingerprint]) -> None:
    """Raises Invalid for a fingerprint of a claim that is near an entry: the list is there to stop just this mistake.

    Call it under `store.one_at_a_time`. Nothing is accepted that would then not be acted on: whoever is sure has the entry removed.
    """
    cursor = await tx.execute(
        _ON_THE_LIST, ([f.algorithm.value for f in fingerprints], [f.value for f in fingerprints])
    )
    row = await cursor.fetchone()
    if row is not None:
        raise Invalid(
            "This is on the negative list of known harmless hashes, or close to an entry. Operations staff can remove the entry.",
            pointer=f"#/fingerprints/{row['place'] - 1}",
        )


async def current_entry(tx: Tx, entry_id: UUID) -> NegativeEntry | None:
    """The entry's event; None: a tombstone."""
    row = await (await tx.execute(_CURRENT, (entry_id,))).fetchone()
    if row is None:
        return None
    return NegativeEntry(
        entry_id=entry_id,
        algorithm=row["algorithm"],
        value=bytes(row["value"]).hex(),
        confirmed_at=row["confirmed_at"],
    )


async def lock_entry(tx: Tx, entry_id: UUID) -> Row:
    """The entry's row under its lock. Raises NotFound."""
    row = await (
        await tx.execute("SELECT * FROM intake.negative_list WHERE entry_id = %s FOR UPDATE", (entry_id,))
    ).fetchone()
    if row is None:
        raise NotFound("There is no entry with this id on the negative list.")
    return row


async def _check_apart(tx: Tx, algorithm: str, value: bytes, *, pointer: str | None = None) -> None:
    if await (await tx.execute(_NEAR_CONTENT, (algorithm, value))).fetchone() is not None:
        raise NearContent("the value is that of registered content, or within 31 bits of it", pointer=pointer)


async def _remove(tx: Tx, principal: Principal, row: Row) -> None:
    await tx.execute("DELETE FROM intake.negative_list WHERE entry_id = %s", (row["entry_id"],))
    if row["confirmed_at"] is not None:
        await _publish(tx, row["entry_id"])
    await _audit_removal(tx, principal, row["entry_id"])


async def _publish(tx: Tx, entry_id: UUID) -> None:
    await outbox.put_current(tx, store.SCHEMA_NAME, CONTENT, key=str(entry_id), event_id=uuid4())


async def _audit_removal(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    await audit.record(tx, principal, action="negative_entry.removed", object_kind=OBJECT_KIND, object_id=entry_id)
