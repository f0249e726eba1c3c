"""Suspending and resuming a content, and adding fingerprints to it. Each in its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

from services.intake.claims import negative_list, registered_content
from services.intake.domain.claims import (
    ClaimFacts,
    SamePerson,
    SuspensionReason,
    WrongState,
    check_confirmation,
    claim_assurance,
    in_words,
)
from services.intake.domain.schemas import VariantsRequest
from services.intake.store import content as contents
from services.intake.store import variants
from services.intake.store.advisory_locks import lock_additions
from services.intake.store.claims import has_claim
from services.intake.store.content import row_of_content, stop_fetching
from services.intake.store.content_aliases import content_of_alias
from services.intake.store.schema import SCHEMA_NAME
from shared.access import audit
from shared.access.auth import lock_valid_key
from shared.access.keys import Principal, Role
from shared.contracts.claims import ClaimState
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.contracts.topics import DECISIONS
from shared.db.pool import Row, Tx
from shared.http.problems import Conflict, Forbidden, Invalid, NotFound
from shared.outbox import outbox
from shared.policy import Policy

DECISIONS_GROUP = "intake-decisions"

_READS = ["awaiting_confirmation", "confirmed", "withdrawing"]
_DECIDES = ["confirmed", "withdrawing"]


async def own_content(tx: Tx, principal: Principal, shown_id: UUID, *, to_decide: bool = False) -> UUID:
    """The content that somebody means by an id. Raises NotFound.

    Helpline staff name it by their organisation's alias and need a claim of theirs on it that is not withdrawn, and
    `to_decide` over it one that two people stood behind: one person who declares a known fingerprint has no say. Operations
    staff name it by the id takedowns carry, or by their own organisation's alias.
    """
    content_id = await content_of_alias(tx, shown_id, principal.organisation_id)
    if principal.role is Role.OPERATIONS:
        asked = content_id or shown_id
        if await row_of_content(tx, asked) is not None:
            return asked
    elif content_id is not None:
        states = _DECIDES if to_decide else _READS
        if await has_claim(tx, content_id, principal.organisation_id, states):
            return content_id
    raise NotFound("There is no content with this id that you may see.")


async def suspend_content(tx: Tx, principal: Principal, content_id: UUID, *, reason: str, now: datetime) -> None:
    """Suspend the content until somebody resumes it; the decision goes out beside it, so that demands stop at once."""
    await suspend_for(tx, content_id, SuspensionReason.of_decision(reason), by=_suspended_by(principal))
    await publish_decision(tx, principal, content_id, DecisionKind.SUSPEND, reason=reason, now=now)
    await audit.record(tx, principal, action="content.suspended", object_kind="content", object_id=content_id)


def _suspended_by(principal: Principal) -> str:
    return (
        contents.OPERATIONS
        if principal.role is Role.OPERATIONS
        else contents.of_organisation(principal.organisation_id)
    )


async def suspend_for(tx: Tx, content_id: UUID, asked: SuspensionReason, *, by: str) -> None:
    """Suspend for this reason; `possible_minor` stays what it is under any other."""
    async with registered_content.changing_content(tx, content_id) as content:
        await registered_content.suspend(tx, content, asked, by=by)


async def resume_content(tx: Tx, principal: Principal, content_id: UUID, *, reason: str, now: datetime) -> None:
    """End a suspension: operations staff any, an organisation its own. Raises Conflict where there is none, Forbidden for `possible_minor`
    and `key`, and for what others suspended, by anybody but operations."""
    async with registered_content.changing_content(tx, content_id) as content:
        if content.suspension is None:
            raise Conflict("This content is not suspended.")
        if content.suspension is not SuspensionReason.PERSON and principal.role is not Role.OPERATIONS:
            raise Forbidden(
                "This content may show a minor, or rests on a revoked key: only operations staff can resume it."
            )
        by = None if principal.role is Role.OPERATIONS else _suspended_by(principal)
        if by is not None and by not in {one for one, _ in await contents.suspensions_of(tx, content_id)}:
            raise Forbidden("Your organisation did not suspend this content: only operations staff can resume it.")
        left = await registered_content.lift_suspension(tx, content, by=by)
        if by is None:
            await stop_fetching(tx, content_id, stopped=False)
    if left is None:
        await publish_decision(tx, principal, content_id, DecisionKind.RESUME, reason=reason, now=now)
    await audit.record(tx, principal, action="content.resumed", object_kind="content", object_id=content_id)


async def add_variants(
    tx: Tx, principal: Principal, content_id: UUID, asked: VariantsRequest, *, policy: Policy
) -> tuple[UUID, UUID]:
    """Fingerprints for a confirmed claim, which wait for another person; (variant id, claim id).

    Raises NotFound, Conflict (the claim is not confirmed, or has them all), Invalid (too many, or near a known
    harmless one).
    """
    await lock_valid_key(tx, principal)
    await lock_additions(tx)
    await negative_list.check_claimable(tx, [one.parsed() for one in asked.fingerprints])
    content = await registered_content.lock_content(tx, content_id)
    if content is None or content.facts.state is ContentState.WITHDRAWN:
        raise NotFound("There is no content with this id that you may see.")
    claim = _claim_to_extend(content.claims, principal.organisation_id, asked.claim_id)
    if len(claim.fingerprints) + len(asked.fingerprints) > policy.fingerprints_per_claim:
        raise Invalid(
            f"A claim can have at most {policy.fingerprints_per_claim} fingerprints.", pointer="#/fingerprints"
        )
    variant_id = uuid4()
    await variants.insert_variants(
        tx,
        variant_id,
        claim.claim_id,
        person_id=principal.person_id,
        key_id=principal.key_id,
        assurance=asked.assurance.value,
    )
    if not await registered_content.add_fingerprints(tx, claim.claim_id, asked.fingerprints, variant_id=variant_id):
        raise Conflict("The claim has these fingerprints already.")
    await audit.record(tx, principal, action="variant.added", object_kind="claim", object_id=claim.claim_id)
    return variant_id, claim.claim_id


async def confirm_variants(
    tx: Tx, principal: Principal, content_id: UUID, variant_id: UUID, assurance: Assurance
) -> None:
    """Confirm variants by another person: they count from here on. Raises NotFound, Conflict, Forbidden (who added them)."""
    await lock_valid_key(tx, principal)
    async with registered_content.changing_content(tx, content_id) as content:
        row = await _own_variant(tx, principal, content_id, variant_id)
        if row["claim_state"] != ClaimState.CONFIRMED:
            raise Conflict(
                f"The claim is {in_words(row['claim_state'])}; variants can be confirmed only for a confirmed claim."
            )
        try:
            state = ClaimState.CONFIRMED if row["confirmed_by"] else ClaimState.AWAITING_CONFIRMATION
            check_confirmation(state=state, declared_by=row["added_by"], person_id=principal.person_id)
        except WrongState:
            raise Conflict("These variants are confirmed already.") from None
        except SamePerson as error:
            raise Forbidden(str(error)) from None
        weaker = claim_assurance(Assurance(row["added_assurance"]), assurance)
        await variants.confirm_variants_row(
            tx,
            variant_id,
            person_id=principal.person_id,
            key_id=principal.key_id,
            confirmed=assurance.value,
            assurance=weaker.value,
        )
        if row["distrusted"]:  # as if the key had been revoked after it
            await registered_content.suspend(tx, content, SuspensionReason.KEY, by=contents.REVOKED_KEY)
    await audit.record(tx, principal, action="variant.confirmed", object_kind="claim", object_id=row["claim_id"])


def _claim_to_extend(claims: tuple[ClaimFacts, ...], organisation_id: str, claim_id: UUID | None) -> ClaimFacts:
    own = [claim for claim in claims if claim.organisation_id == organisation_id]
    if claim_id is not None:
        own = [claim for claim in own if claim.claim_id == claim_id]
    if not own:
        raise NotFound("Your organisation has no claim with this id on this content.")
    for claim in own:
        if claim.state is ClaimState.CONFIRMED:
            return claim
    raise Conflict("Variants can be added only to a confirmed claim.")


async def _own_variant(tx: Tx, principal: Principal, content_id: UUID, variant_id: UUID) -> Row:
    row = await variants.variants_of_organisation(tx, variant_id, content_id, principal.organisation_id)
    if row is None:
        raise NotFound("Your organisation has no variants with this id on this content.")
    return row


async def publish_decision(
    tx: Tx, principal: Principal, content_id: UUID, kind: DecisionKind, *, reason: str, now: datetime
) -> None:
    """Publish a decision for the other services. It is marked as handled here in the same transaction, so that reading it back later undoes
    nothing that came after it."""
    content = await registered_content.lock_content(tx, content_id)
    if content is None or content.revision == 0:
        return  # nobody else knows this content
    decision = DecisionTaken(
        decision_id=uuid4(),
        kind=kind,
        content_id=content_id,
        person_id=principal.person_id,
        organisation_id=principal.organisation_id,
        reason=reason,
        decided_at=now,
    )
    await outbox.mark(tx, SCHEMA_NAME, group=DECISIONS_GROUP, event_id=str(decision.decision_id))
    await outbox.put(tx, SCHEMA_NAME, DECISIONS, key=str(content_id), event=decision, event_id=decision.decision_id)
