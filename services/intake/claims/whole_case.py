"""Changes to a case that reach every claim of it: pausing and resuming it, and naming a site that must not be written to."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from services.intake.cases import case_rows
from services.intake.claims import content_steps, registered_content
from services.intake.claims.registered_content import RegisteredContent
from services.intake.domain.cases import CaseChange
from services.intake.domain.claims import SuspensionReason
from services.intake.store import claims, reports
from services.intake.store import content as contents
from services.intake.store.cases import cases
from shared.access import audit, stops
from shared.access.keyring import KeyRing
from shared.access.keys import Principal
from shared.contracts.claims import ClaimState
from shared.db.pool import Row, Tx
from shared.db.wakeups import notify
from shared.http.problems import Conflict, Forbidden, NotFound

_STOOD_BEHIND = (ClaimState.CONFIRMED, ClaimState.WITHDRAWING)


async def change_case(tx: Tx, principal: Principal, case_id: UUID, asked: CaseChange, *, keys: KeyRing) -> int:
    """Change a case; the new version. A domain that is named here as one not to be written to is so in each of its claims at once, and one
    that is taken off here stays in those; jurisdictions and whether evidence is wanted are each claim's, too, where they were asked.
    Raises as `case_rows.change_case`."""
    case = await _case(tx, principal, case_id)
    for claim in await claims.live_claims_of_case(tx, principal.organisation_id, case["case_ref"]):
        await _change_wishes(tx, claim, asked)
    return await case_rows.change_case(tx, principal, case_id, asked, keys=keys)


async def _change_wishes(tx: Tx, claim: Row, asked: CaseChange) -> None:
    before = {name: claim[name] for name in ("do_not_contact", "evidence_wanted", "subject_jurisdictions")}
    wishes = dict(before)
    if not set(asked.do_not_contact or ()) <= set(claim["do_not_contact"]):
        wishes["do_not_contact"] = sorted({*claim["do_not_contact"], *(asked.do_not_contact or ())})
    if asked.evidence_wanted is not None:
        wishes["evidence_wanted"] = asked.evidence_wanted
    if asked.subject_jurisdictions is not None:
        wishes["subject_jurisdictions"] = list(asked.subject_jurisdictions)
    if wishes == before:
        return
    async with registered_content.changing_content(tx, claim["content_id"]):
        changed = await claims.set_wishes(tx, claim["claim_id"], **wishes)
        if changed and await claims.was_published(tx, claim["claim_id"]):
            await registered_content.publish_claim(tx, claim["claim_id"])


async def pause_case(
    tx: Tx, principal: Principal, case_id: UUID, *, reason: str, asked_after: timedelta, now: datetime
) -> None:
    """Pause a case: everything confirmed of it is suspended, its links are not looked at, and nothing of it can be confirmed, until it is
    resumed. Raises NotFound, Conflict (paused already, or a draft)."""
    case, locked = await _locked(tx, principal, case_id)
    worse = reason == SuspensionReason.POSSIBLE_MINOR != case["paused_for"]
    if case["paused_at"] is not None and not worse:
        raise Conflict("This case is paused already.")
    if case["opened_at"] is None:
        raise Conflict("Nothing has been declared in this case, so there is nothing to pause.")
    why = SuspensionReason.of_decision(reason).value
    for content, claim_state in locked:
        if claim_state in _STOOD_BEHIND:
            await content_steps.suspend_content(tx, principal, content.content_id, reason=why, now=now)
        elif reason == SuspensionReason.POSSIBLE_MINOR and _ours_alone(content, principal):
            by = contents.of_organisation(principal.organisation_id)
            await content_steps.suspend_for(tx, content.content_id, SuspensionReason.POSSIBLE_MINOR, by=by)
    await cases.pause_case_row(tx, case_id, reason=reason, asked_after=asked_after)
    await notify(tx, stops.WAKEUP)  # looks at its links are broken off
    await audit.record(tx, principal, action="case.paused", object_kind="case", object_id=case_id)


async def resume_case(tx: Tx, principal: Principal, case_id: UUID, *, now: datetime) -> None:
    """End a pause: what was suspended with it is resumed. Raises NotFound, Conflict (it is not paused), Forbidden while something of it may
    show a minor: operations staff decide that."""
    case, locked = await _locked(tx, principal, case_id)
    if case["paused_at"] is None:
        raise Conflict("This case is not paused.")
    # Of a picture that others have declared too, and that nobody has confirmed, operations staff have nothing to decide over.
    undecided = case["paused_for"] == SuspensionReason.POSSIBLE_MINOR and any(
        claim_state not in _STOOD_BEHIND and not _ours_alone(content, principal) for content, claim_state in locked
    )
    if undecided or any(content.suspension is SuspensionReason.POSSIBLE_MINOR for content, _ in locked):
        raise Forbidden(
            "Something of this case may show a minor: operations staff have to decide over it first. What nobody has confirmed"
            " yet can be withdrawn."
        )
    by = contents.of_organisation(principal.organisation_id)
    for content, _ in locked:
        suspenders = {one for one, _ in await contents.suspensions_of(tx, content.content_id)}
        elsewhere = await cases.is_in_another_paused_case(
            tx, principal.organisation_id, content.content_id, case["case_id"]
        )
        if content.suspension is SuspensionReason.PERSON and by in suspenders and not elsewhere:
            await content_steps.resume_content(tx, principal, content.content_id, reason="case", now=now)
    await cases.resume_case_row(tx, case_id)
    await reports.queue_again(tx, principal.organisation_id, case["case_ref"])
    await audit.record(tx, principal, action="case.resumed", object_kind="case", object_id=case_id)


async def _case(tx: Tx, principal: Principal, case_id: UUID) -> Row:
    row = await cases.case_of_organisation(tx, principal.organisation_id, case_id)
    if row is None:
        raise NotFound(case_rows.NO_CASE)
    return row


async def _locked(
    tx: Tx, principal: Principal, case_id: UUID
) -> tuple[Row, list[tuple[RegisteredContent, ClaimState]]]:
    """The case's row and its contents, locked: contents first and by their ids, as everywhere. Raises NotFound, Conflict."""
    case = await _case(tx, principal, case_id)
    before = await claims.live_claims_of_case(tx, principal.organisation_id, case["case_ref"])
    found = {
        one: await registered_content.lock_content(tx, one) for one in dict.fromkeys(c["content_id"] for c in before)
    }
    locked = await cases.lock_case(tx, principal.organisation_id, case_id)
    if locked is None:
        raise NotFound(case_rows.NO_CASE)
    after = await claims.live_claims_of_case(tx, principal.organisation_id, locked["case_ref"])
    if {(one["claim_id"], one["content_id"]) for one in before} != {
        (one["claim_id"], one["content_id"]) for one in after
    }:
        raise Conflict("Somebody else is changing this case. Please try again.")
    states: dict[UUID, ClaimState] = {}
    for one in after:
        state = ClaimState(one["state"])
        if states.get(one["content_id"]) not in _STOOD_BEHIND:
            states[one["content_id"]] = state
    return locked, [(content, states[key]) for key, content in found.items() if content is not None]


def _ours_alone(content: RegisteredContent, principal: Principal) -> bool:
    return all(claim.organisation_id == principal.organisation_id for claim in content.claims)
