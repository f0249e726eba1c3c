"""A case from its first field to its end. Each in its caller's transaction; what is written of people is sealed before it reaches a row."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from psycopg.errors import UniqueViolation

from services.intake.domain.cases import CaseChange, CaseDetails, CaseRequest, urgency
from services.intake.domain.claims import SuspensionReason
from services.intake.store.cases import cases, ended_cases
from shared.access import audit
from shared.access.keyring import KeyRing, OtherRootKey
from shared.access.keys import Principal
from shared.access.people import is_person
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Invalid, NotFound

NO_CASE = "Your organisation has no case with this id."
UNCONFIRMED = "unconfirmed"
"""Why a case has ended of which nobody ever confirmed a picture."""
NOTHING_ADDED = "Somebody in this case may be a minor: nothing is added to it, and no link of it is looked at."
_TAKEN = "Your organisation has a case with this reference already. Open that one, or give this one another reference."


async def begin_case(tx: Tx, principal: Principal, asked: CaseRequest, *, keys: KeyRing) -> UUID:
    """A new case, a draft until a claim of it is declared. Raises Conflict for a reference that is taken, Invalid for an owner nobody
    knows."""
    case_id = uuid4()
    owner = await _owner(tx, principal, asked.owner or principal.person_id)
    details = asked.details()
    made = await cases.insert_case(
        tx,
        case_id=case_id,
        organisation_id=principal.organisation_id,
        case_ref=asked.case_ref,
        digest=_digest(keys, principal.organisation_id, asked.case_ref),
        owner=owner,
        urgency=urgency(details.urgent),
        next_contact_at=asked.next_contact_at,
        review_on=asked.review_on,
        sealed=_sealed(keys, case_id, details),
    )
    if not made:
        raise Conflict(_TAKEN)
    await audit.record(tx, principal, action="case.begun", object_kind="case", object_id=case_id)
    return case_id


async def change_case(tx: Tx, principal: Principal, case_id: UUID, asked: CaseChange, *, keys: KeyRing) -> int:
    """Change what was given; the new version. The caller holds the rows of the contents that this changes. Raises NotFound, Conflict
    (changed meanwhile, a reference that is taken or fixed, words that cannot be read), Invalid."""
    row = await cases.lock_case(tx, principal.organisation_id, case_id)
    if row is None:
        raise NotFound(NO_CASE)
    if row["version"] != asked.version:
        raise Conflict("A colleague has changed this case meanwhile. Read it again, and make your change anew.")
    given = asked.model_fields_set
    case_ref = asked.case_ref if "case_ref" in given else row["case_ref"]
    if case_ref != row["case_ref"] and row["opened_at"] is not None:
        raise Conflict("The reference of a case is fixed once something has been declared under it.")
    try:
        before = read_details(keys, row)
    except OtherRootKey:
        raise Conflict(
            "What is written in this case was sealed with another root key: restore that key first."
        ) from None
    details = asked.details(before)
    values: dict[str, Any] = {
        "case_id": case_id,
        "version": asked.version,
        "case_ref": case_ref,
        "digest": _digest(keys, principal.organisation_id, case_ref),
        "owner": await _owner(tx, principal, asked.owner) if asked.owner is not None else row["owner"],
        "urgency": urgency(details.urgent),
        "next_contact_at": asked.next_contact_at if "next_contact_at" in given else row["next_contact_at"],
        "review_on": asked.review_on if "review_on" in given else row["review_on"],
        "sealed": _sealed(keys, case_id, details),
    }
    try:
        await cases.save_case(tx, values)
    except UniqueViolation:
        raise Conflict(_TAKEN) from None
    await audit.record(tx, principal, action="case.changed", object_kind="case", object_id=case_id)
    return asked.version + 1


async def open_case(tx: Tx, principal: Principal, case_ref: str, *, keys: KeyRing) -> None:
    """End the draft state of the case of this reference, since something is declared for it; it is made where it is not there. Called under
    the content's lock. Raises Conflict where somebody in it may be a minor."""
    paused_for = await cases.open_case(
        tx,
        case_id=uuid4(),
        organisation_id=principal.organisation_id,
        case_ref=case_ref,
        digest=keys.ended_case_of(principal.organisation_id, case_ref),
        owner=principal.person_id,
    )
    if paused_for == SuspensionReason.POSSIBLE_MINOR:
        raise Conflict(NOTHING_ADDED)


async def end_case(tx: Tx, organisation_id: str, case_ref: str | None, *, reason: str) -> None:
    """Erase the case with its last live claim; that there was one is kept, by a digest. Called under the content's lock."""
    if case_ref is None:
        return
    gone = await cases.delete_without_claims(tx, organisation_id, case_ref)
    if gone is not None and gone["digest"] is not None:
        await ended_cases.keep_ended_case(tx, bytes(gone["digest"]), reason)


def read_details(keys: KeyRing, row: Row) -> CaseDetails:
    """What is written in a case. Raises OtherRootKey."""
    if row["sealed"] is None:
        return CaseDetails()
    return CaseDetails.model_validate_json(keys.unseal_words(bytes(row["sealed"]), row["case_id"]))


def _sealed(keys: KeyRing, case_id: UUID, details: CaseDetails) -> bytes | None:
    if details == CaseDetails():
        return None
    return keys.seal_words(details.model_dump_json(exclude_none=True), case_id)


def _digest(keys: KeyRing, organisation_id: str, case_ref: str | None) -> bytes | None:
    return None if case_ref is None else keys.ended_case_of(organisation_id, case_ref)


async def _owner(tx: Tx, principal: Principal, person_id: str) -> str:
    if not await is_person(tx, organisation_id=principal.organisation_id, person_id=person_id):
        raise Invalid("Your organisation has nobody with this id.", pointer="#/owner")
    return person_id
