"""The negative list (known harmless hashes) in its table: declared, confirmed by another person, removed.

Entries and content keep apart: no value is near a claim's fingerprint and on the list at once, whichever comes first. All who
add to either hold one lock from their look to their commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

from services.intake.domain.claims import SamePerson, WrongState, check_confirmation
from services.intake.domain.schemas import NegativeEntryRequest
from services.intake.store import negative_list as entries
from services.intake.store.advisory_locks import lock_additions
from services.intake.store.fingerprints import is_near_content
from services.intake.store.schema import SCHEMA_NAME
from shared.access import audit
from shared.access.auth import lock_valid_key
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState
from shared.contracts.content import NegativeEntry
from shared.contracts.topics import CONTENT
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound, Refused
from shared.media.fingerprints import Fingerprint
from shared.outbox import outbox

OBJECT_KIND = "negative_entry"


class NearContent(Refused):
    """The register has this hash, or a PDQ value within 31 bits of it."""


async def declare_entry(tx: Tx, principal: Principal, asked: NegativeEntryRequest) -> UUID:
    """A new entry, which waits for another person. Raises NearContent, Conflict (it is on the list)."""
    await lock_valid_key(tx, principal)
    await lock_additions(tx)
    fingerprint = asked.parsed()
    await _check_apart(tx, fingerprint.algorithm, fingerprint.value, pointer="#/value")
    entry_id = uuid4()
    if not await entries.insert_entry(
        tx,
        entry_id,
        fingerprint,
        reason=asked.reason,
        person_id=principal.person_id,
        key_id=principal.key_id,
    ):
        raise Conflict("This value is on the negative list already, or is waiting to be confirmed.")
    await audit.record(tx, principal, action="negative_entry.declared", object_kind=OBJECT_KIND, object_id=entry_id)
    return entry_id


async def confirm_entry(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    """Another person confirms an entry, which is then published to the matchers. Raises NotFound, Conflict, Forbidden (who declared it),
    NearContent."""
    await lock_valid_key(tx, principal)
    await lock_additions(tx)
    row = await lock_entry(tx, entry_id)
    state = ClaimState.CONFIRMED if row["confirmed_at"] else ClaimState.AWAITING_CONFIRMATION
    try:
        check_confirmation(state=state, declared_by=row["declared_by"], person_id=principal.person_id)
    except WrongState:
        raise Conflict("This entry is confirmed already.") from None
    except SamePerson:
        raise Forbidden("Whoever declared an entry cannot confirm it. Another person must.") from None
    await _check_apart(tx, row["algorithm"], bytes(row["value"]))
    await entries.save_entry_confirmation(tx, entry_id, person_id=principal.person_id, key_id=principal.key_id)
    await _publish(tx, entry_id)
    await audit.record(tx, principal, action="negative_entry.confirmed", object_kind=OBJECT_KIND, object_id=entry_id)


async def remove_entry(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    """Take an entry off the list, its row with it. One person is enough: it can only let more be acted on. Raises NotFound."""
    await _remove(tx, principal, await lock_entry(tx, entry_id))


async def remove_of_key(tx: Tx, principal: Principal, key_id: UUID) -> None:
    """Take off the list what this key declared or confirmed."""
    for row in await entries.entries_of_key(tx, key_id):
        await _remove(tx, principal, row)


async def erase_unconfirmed(tx: Tx, principal: Principal, kept: timedelta) -> None:
    """Forget entries that nobody confirmed within `kept`, a duration."""
    for entry_id in await entries.delete_unconfirmed_entries(tx, kept):
        await _audit_removal(tx, principal, entry_id)


async def check_claimable(tx: Tx, fingerprints: Sequence[Fingerprint]) -> None:
    """Raises Invalid for a fingerprint of a claim that is near an entry: the list is there to stop just this mistake.

    Call it under `lock_additions`. Nothing is accepted that would then not be acted on: whoever is sure has the entry removed.
    """
    place = await entries.first_near_entry(tx, fingerprints)
    if place is not None:
        raise Invalid(
            "This is on the negative list of known harmless hashes, or close to an entry. Operations staff can remove the entry.",
            pointer=f"#/fingerprints/{place}",
        )


async def current_entry(tx: Tx, entry_id: UUID) -> NegativeEntry | None:
    """The entry's event; None: a tombstone."""
    row = await entries.published_entry(tx, entry_id)
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
    row = await entries.entry_for_update(tx, entry_id)
    if row is None:
        raise NotFound("There is no entry with this id on the negative list.")
    return row


async def _check_apart(tx: Tx, algorithm: str, value: bytes, *, pointer: str | None = None) -> None:
    if await is_near_content(tx, algorithm, value):
        raise NearContent("the value is that of registered content, or within 31 bits of it", pointer=pointer)


async def _remove(tx: Tx, principal: Principal, row: Row) -> None:
    await entries.delete_entry(tx, row["entry_id"])
    if row["confirmed_at"] is not None:
        await _publish(tx, row["entry_id"])
    await _audit_removal(tx, principal, row["entry_id"])


async def _publish(tx: Tx, entry_id: UUID) -> None:
    await outbox.put_current(tx, SCHEMA_NAME, CONTENT, key=str(entry_id), event_id=uuid4())


async def _audit_removal(tx: Tx, principal: Principal, entry_id: UUID) -> None:
    await audit.record(tx, principal, action="negative_entry.removed", object_kind=OBJECT_KIND, object_id=entry_id)
