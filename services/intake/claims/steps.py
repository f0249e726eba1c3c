"""The steps of a claim's life in tables: declared, confirmed, withdrawing, withdrawn. Each in its caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from services.intake.claims import negative_list, store
from services.intake.domain.claims import (
    SamePerson,
    TooLateAStart,
    WithdrawalStep,
    WrongState,
    check_confirmation,
    check_not_before,
    claim_assurance,
    in_words,
    next_withdrawal_step,
)
from services.intake.domain.schemas import ClaimRequest
from services.intake.erasure import orders
from shared.access import audit
from shared.access.auth import hold_key
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Assurance
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound
from shared.policy import Policy

_INSERT = """
INSERT INTO intake.claims (claim_id, content_id, organisation_id, case_ref, declaration, declared_by, declared_key,
    declared_assurance, subject_jurisdictions, do_not_contact, demands_not_before, declared_as, authority_recorded,
    evidence_wanted)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""

_CONFIRM = """
UPDATE intake.claims SET state = 'confirmed', confirmed_by = %s, confirmed_key = %s, confirmed_assurance = %s,
    confirmed_at = now(), assurance = %s
WHERE claim_id = %s
"""

_BEGIN_WITHDRAWAL = """
UPDATE intake.claims SET state = 'withdrawing', withdrawal_reason = %s, withdrawn_by = %s,
    withdrawal_due = clock_timestamp() + %s
WHERE claim_id = %s
"""

_UNDO = """
UPDATE intake.claims SET state = 'confirmed', withdrawal_reason = NULL, withdrawn_by = NULL, withdrawal_due = NULL
WHERE claim_id = %s
"""

# do_not_contact stays until the tombstone: a retraction still to be sent must not reach whom it names.
_FINISH_WITHDRAWAL = """
UPDATE intake.claims SET state = 'withdrawn', withdrawn_at = now(), withdrawal_due = NULL,
    withdrawal_reason = coalesce(withdrawal_reason, %s), withdrawn_by = coalesce(withdrawn_by, %s),
    case_ref = NULL, declaration = NULL, declared_as = NULL, subject_jurisdictions = '{}', demands_not_before = NULL
WHERE claim_id = %s
"""

# An answer kept for an Idempotency-Key holds the case reference; what is left is what a repeat still has to be told.
_ERASE_ANSWERS = """
UPDATE intake.idempotency SET answer = json_build_object('claim_id', answer ->> 'claim_id', 'state', 'withdrawn')
WHERE answer ->> 'claim_id' = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    claim_id: UUID
    content_id: UUID
    """The organisation's own alias."""


async def declare(tx: Tx, principal: Principal, asked: ClaimRequest) -> Declared:
    """A new claim, which waits for another person. Raises Invalid for a fingerprint near a known harmless one."""
    fingerprints = [one.parsed() for one in asked.fingerprints]
    await hold_key(tx, principal)
    await store.one_at_a_time(tx)
    await negative_list.check_claimable(tx, fingerprints)
    content_id = await store.known_or_new_content(tx, fingerprints)
    claim_id = uuid4()
    declaration = asked.declaration.model_dump(mode="json")
    await tx.execute(
        _INSERT,
        (
            claim_id,
            content_id,
            principal.organisation_id,
            asked.case_ref,
            Jsonb(declaration),
            principal.person_id,
            principal.key_id,
            asked.assurance.value,
            list(asked.subject_jurisdictions),
            list(asked.do_not_contact),
            asked.demands_not_before,
            asked.declaration.declared_as,
            asked.declaration.authority_recorded,
            asked.evidence_wanted,
        ),
    )
    await store.add_fingerprints(tx, claim_id, asked.fingerprints)
    await audit.record(tx, principal, action="claim.declared", object_kind="claim", object_id=claim_id)
    return Declared(claim_id=claim_id, content_id=await store.make_alias(tx, content_id, principal.organisation_id))


async def own_claim(tx: Tx, principal: Principal, claim_id: UUID) -> Row:
    """The claim's row, its content locked. Raises NotFound, also for another organisation's claim."""
    for _ in range(3):
        row = await read_claim(tx, principal, claim_id)
        await tx.execute("SELECT 1 FROM intake.content WHERE content_id = %s FOR UPDATE", (row["content_id"],))
        again = await read_claim(tx, principal, claim_id)
        if again["content_id"] == row["content_id"]:
            return again
    raise Conflict("The claim is being changed by somebody else. Please try again.")


async def confirm(
    tx: Tx, principal: Principal, claim_id: UUID, assurance: Assurance, *, now: datetime, policy: Policy
) -> None:
    """Another person's word: the claim counts from here on. Raises NotFound, Conflict, Forbidden (the claimant), Invalid."""
    await hold_key(tx, principal)
    row = await own_claim(tx, principal, claim_id)
    try:
        check_confirmation(
            state=ClaimState(row["state"]), declared_by=row["declared_by"], person_id=principal.person_id
        )
        check_not_before(row["demands_not_before"], now=now, longest=policy.demands_not_before_max)
    except WrongState as error:
        raise Conflict(error.detail) from None
    except SamePerson as error:
        raise Forbidden(str(error)) from None
    except TooLateAStart as error:
        raise Invalid(error.detail, pointer="#/demands_not_before") from None
    async with store.changing(tx, row["content_id"]):
        weaker = claim_assurance(Assurance(row["declared_assurance"]), assurance)
        await tx.execute(_CONFIRM, (principal.person_id, principal.key_id, assurance.value, weaker.value, claim_id))
        await store.publish_claim(tx, claim_id)
    await audit.record(tx, principal, action="claim.confirmed", object_kind="claim", object_id=claim_id)


async def withdraw(
    tx: Tx, principal: Principal, claim_id: UUID, reason: WithdrawalReason, *, undo_within: timedelta
) -> None:
    """Begin a withdrawal, or end it with a second person's word. Raises NotFound, Conflict."""
    row = await own_claim(tx, principal, claim_id)
    before = WithdrawalReason(row["withdrawal_reason"]) if row["withdrawal_reason"] else None
    try:
        step = next_withdrawal_step(
            state=ClaimState(row["state"]),
            asked_by=row["withdrawn_by"],
            reason_before=before,
            person_id=principal.person_id,
            reason=reason,
        )
    except WrongState as error:
        raise Conflict(error.detail) from None
    if step is WithdrawalStep.BEGIN:
        async with store.changing(tx, row["content_id"]):
            await tx.execute(_BEGIN_WITHDRAWAL, (reason.value, principal.person_id, undo_within, claim_id))
            await store.publish_claim(tx, claim_id)
        await audit.record(tx, principal, action="claim.withdrawing", object_kind="claim", object_id=claim_id)
    elif step is WithdrawalStep.FINISH:
        await finish_withdrawal(tx, row["content_id"], claim_id, reason=reason, person_id=principal.person_id)
        await audit.record(tx, principal, action="claim.withdrawn", object_kind="claim", object_id=claim_id)


async def undo_withdrawal(tx: Tx, principal: Principal, claim_id: UUID) -> None:
    """Take a withdrawal back while it is not final. Raises NotFound, Conflict."""
    row = await own_claim(tx, principal, claim_id)
    if row["state"] != ClaimState.WITHDRAWING:
        raise Conflict(f"The claim is {in_words(row['state'])}: there is no withdrawal to undo.")
    async with store.changing(tx, row["content_id"]):
        await tx.execute(_UNDO, (claim_id,))
        await store.publish_claim(tx, claim_id)
    await audit.record(tx, principal, action="claim.withdrawal_undone", object_kind="claim", object_id=claim_id)


async def finish_withdrawal(
    tx: Tx, content_id: UUID, claim_id: UUID, *, reason: WithdrawalReason | None = None, person_id: str | None = None
) -> None:
    """The claim is withdrawn: its fingerprints and case are erased, and with the last claim what is known of its content.

    The caller holds the content's lock. Claims still unconfirmed go on with a content of their own, since what is withdrawn
    never comes back under its id.
    """
    row = await (await tx.execute("SELECT revision FROM intake.claims WHERE claim_id = %s", (claim_id,))).fetchone()
    ever_published = row is not None and row["revision"] > 0
    async with store.changing(tx, content_id) as before:
        await orders.erase_reports_of_claim(tx, claim_id)
        await tx.execute(_FINISH_WITHDRAWAL, (reason.value if reason else None, person_id, claim_id))
        await tx.execute(_ERASE_ANSWERS, (str(claim_id),))
        await tx.execute("DELETE FROM intake.fingerprints WHERE claim_id = %s", (claim_id,))
        await tx.execute("DELETE FROM intake.variants WHERE claim_id = %s", (claim_id,))
        if ever_published:
            await store.publish_claim(tx, claim_id)
        live = [
            claim for claim in before.claims if claim.claim_id != claim_id and claim.state is not ClaimState.WITHDRAWN
        ]
        if not any(claim.state in (ClaimState.CONFIRMED, ClaimState.WITHDRAWING) for claim in live):
            if before.revision > 0:
                await store.move_to_new_content(tx, content_id, [claim.claim_id for claim in live])
                live = []
            if not live:
                await orders.order(tx, content_id)


async def read_claim(tx: Tx, principal: Principal, claim_id: UUID) -> Row:
    """The row of a claim of the organisation. Raises NotFound."""
    cursor = await tx.execute(
        "SELECT * FROM intake.claims WHERE claim_id = %s AND organisation_id = %s",
        (claim_id, principal.organisation_id),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound("Your organisation has no claim with this id.")
    return row
