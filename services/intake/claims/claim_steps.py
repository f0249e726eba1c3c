"""The steps of a claim's life in tables: declared, confirmed, withdrawing, withdrawn. Each in its caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from services.intake.cases import case_rows
from services.intake.claims import erasure_search, negative_list, registered_content
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
from services.intake.store import claims, content
from services.intake.store.advisory_locks import lock_additions
from services.intake.store.cases import cases
from services.intake.store.content_aliases import make_alias
from services.intake.store.fingerprints import delete_fingerprints_of_claim
from services.intake.store.idempotency import erase_answers_of_claim
from services.intake.store.variants import delete_variants_of_claim
from shared.access import audit
from shared.access.auth import lock_valid_key
from shared.access.keyring import KeyRing
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState, WithdrawalReason
from shared.contracts.content import Assurance
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound
from shared.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The ids of a new claim."""

    claim_id: UUID
    content_id: UUID
    """The organisation's own alias."""


async def declare_claim(tx: Tx, principal: Principal, asked: ClaimRequest, *, keys: KeyRing) -> Declared:
    """A new claim, which waits for another person; its case is there from then on. Raises Invalid for a fingerprint near a known harmless
    one."""
    fingerprints = [one.parsed() for one in asked.fingerprints]
    await lock_valid_key(tx, principal)
    await lock_additions(tx)
    await negative_list.check_claimable(tx, fingerprints)
    content_id = await registered_content.known_or_new_content(tx, fingerprints)
    await case_rows.open_case(tx, principal, asked.case_ref, keys=keys)
    claim_id = uuid4()
    await claims.insert_claim(
        tx,
        {
            "claim_id": claim_id,
            "content_id": content_id,
            "organisation_id": principal.organisation_id,
            "case_ref": asked.case_ref,
            "declaration": Jsonb(asked.declaration.model_dump(mode="json")),
            "declared_by": principal.person_id,
            "declared_key": principal.key_id,
            "declared_assurance": asked.assurance.value,
            "subject_jurisdictions": list(asked.subject_jurisdictions),
            "do_not_contact": list(asked.do_not_contact),
            "demands_not_before": asked.demands_not_before,
            "declared_as": asked.declaration.declared_as,
            "authority_recorded": asked.declaration.authority_recorded,
            "evidence_wanted": asked.evidence_wanted,
        },
    )
    await registered_content.add_fingerprints(tx, claim_id, asked.fingerprints)
    await audit.record(tx, principal, action="claim.declared", object_kind="claim", object_id=claim_id)
    return Declared(claim_id=claim_id, content_id=await make_alias(tx, content_id, principal.organisation_id))


async def own_claim(tx: Tx, principal: Principal, claim_id: UUID) -> Row:
    """The claim's row, its content locked. Raises NotFound, also for another organisation's claim."""
    for _ in range(3):
        row = await read_claim(tx, principal, claim_id)
        await content.ask_for_update(tx, row["content_id"])
        again = await read_claim(tx, principal, claim_id)
        if again["content_id"] == row["content_id"]:
            return again
    raise Conflict("The claim is being changed by somebody else. Please try again.")


async def confirm_claim(
    tx: Tx, principal: Principal, claim_id: UUID, assurance: Assurance, *, now: datetime, policy: Policy
) -> None:
    """Confirm a claim by another person: it counts from here on. Raises NotFound, Conflict, Forbidden (the claimant), Invalid."""
    await lock_valid_key(tx, principal)
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
    if await cases.paused_for(tx, principal.organisation_id, row["case_ref"]) is not None:
        raise Conflict("This case is paused. Nothing of it is confirmed until it goes on.")
    async with registered_content.changing_content(tx, row["content_id"]):
        weaker = claim_assurance(Assurance(row["declared_assurance"]), assurance)
        await claims.save_confirmation(
            tx,
            claim_id,
            person_id=principal.person_id,
            key_id=principal.key_id,
            confirmed=assurance.value,
            assurance=weaker.value,
        )
        await registered_content.publish_claim(tx, claim_id)
    await audit.record(tx, principal, action="claim.confirmed", object_kind="claim", object_id=claim_id)


async def withdraw_claim(
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
        async with registered_content.changing_content(tx, row["content_id"]):
            await claims.begin_withdrawal(
                tx, claim_id, reason=reason.value, person_id=principal.person_id, undo_within=undo_within
            )
            await registered_content.publish_claim(tx, claim_id)
        await audit.record(tx, principal, action="claim.withdrawing", object_kind="claim", object_id=claim_id)
    elif step is WithdrawalStep.FINISH:
        await finish_withdrawal(tx, row["content_id"], claim_id, reason=reason, person_id=principal.person_id)
        await audit.record(tx, principal, action="claim.withdrawn", object_kind="claim", object_id=claim_id)


async def undo_withdrawal(tx: Tx, principal: Principal, claim_id: UUID) -> None:
    """Take a withdrawal back while it is not final. Raises NotFound, Conflict."""
    row = await own_claim(tx, principal, claim_id)
    if row["state"] != ClaimState.WITHDRAWING:
        raise Conflict(f"The claim is {in_words(row['state'])}: there is no withdrawal to undo.")
    async with registered_content.changing_content(tx, row["content_id"]):
        await claims.take_withdrawal_back(tx, claim_id)
        await registered_content.publish_claim(tx, claim_id)
    await audit.record(tx, principal, action="claim.withdrawal_undone", object_kind="claim", object_id=claim_id)


async def finish_withdrawal(
    tx: Tx, content_id: UUID, claim_id: UUID, *, reason: WithdrawalReason | None = None, person_id: str | None = None
) -> None:
    """The claim is withdrawn: its fingerprints and case are erased, and with the last claim what is known of its content.

    The caller holds the content's lock. Claims still unconfirmed go on with a content of their own, since what is withdrawn
    never comes back under its id.
    """
    ever_published = await claims.was_published(tx, claim_id)
    async with registered_content.changing_content(tx, content_id) as before:
        await orders.erase_reports_of_claim(tx, content_id, claim_id)
        whose, case_ref, said = await claims.case_of_claim(tx, claim_id)
        await claims.end_withdrawal(tx, claim_id, reason=reason.value if reason else None, person_id=person_id)
        why = said or (reason.value if reason else case_rows.UNCONFIRMED)
        await case_rows.end_case(tx, whose, case_ref, reason=why)
        await erase_answers_of_claim(tx, claim_id)
        await delete_fingerprints_of_claim(tx, claim_id)
        await delete_variants_of_claim(tx, claim_id)
        if ever_published:
            await registered_content.publish_claim(tx, claim_id)
        live = [
            claim for claim in before.claims if claim.claim_id != claim_id and claim.state is not ClaimState.WITHDRAWN
        ]
        if not any(claim.state in (ClaimState.CONFIRMED, ClaimState.WITHDRAWING) for claim in live):
            if before.revision > 0:
                await registered_content.move_to_new_content(tx, content_id, [claim.claim_id for claim in live])
                live = []
            if not live:
                await orders.order_erasure(tx, content_id)
                await erasure_search.begin(tx, before)


async def read_claim(tx: Tx, principal: Principal, claim_id: UUID) -> Row:
    """The row of a claim of the organisation. Raises NotFound."""
    row = await claims.claim_of_organisation(tx, claim_id, principal.organisation_id)
    if row is None:
        raise NotFound("Your organisation has no claim with this id.")
    return row
