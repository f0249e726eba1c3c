"""What ends a takedown or stops it, and who hears of it: a confirmed removal, and (rule 7) suspension and its end, withdrawal,
rejection, dismissal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from services.notifier.domain import contact_rules, schedule
from services.notifier.domain.builder import ENDED, SETTLED, UNFINISHED, TakedownBuilder
from services.notifier.domain.demands import set_timers
from services.notifier.domain.effects import (
    CancelMessages,
    CancelTimers,
    EndMessage,
    EraseTarget,
    RecordRejection,
    UndoRejection,
)
from services.notifier.domain.events import DecisionMade
from services.notifier.domain.holds import hold, look_again, start
from services.notifier.domain.model import (
    ConfirmedRemoval,
    Demand,
    DemandState,
    HoldReason,
    MessageKind,
    Refusal,
    Rejection,
    Retraction,
    RetractionReason,
    Suspension,
    Takedown,
    TakedownState,
    TaskKind,
)
from shared import ids
from shared.contracts.claims import WithdrawalReason
from shared.policy import Policy

IN_ERROR = frozenset({WithdrawalReason.NOT_NCII.value, WithdrawalReason.WRONG_CONTENT.value})


def suspend(draft: TakedownBuilder, by: Literal["content", "person"], reason: str) -> None:
    """Nothing is fetched, checked or sent from now on; where to resume is remembered."""
    takedown = draft.takedown
    known = takedown.suspension
    if takedown.state in ENDED or (known is not None and by in known.by):
        return
    if known is not None:
        draft.change(suspension=replace(known, by=(*known.by, by)))
        draft.note("takedown.suspended", by=by, reason=reason)
        return
    draft.change(suspension=Suspension(by=(by,), resume_to=takedown.state))
    draft.no_check()
    draft.emit(CancelTimers())
    for demand in takedown.demands:
        if demand.state is DemandState.DUE:
            draft.change_demand(demand.demand_id, parked=True)
    draft.move(TakedownState.SUSPENDED, by=by, reason=reason)


def resume(draft: TakedownBuilder, by: Literal["content", "person"]) -> None:
    """One suspension ends; with the last, a look is due before anything is sent."""
    suspension = draft.takedown.suspension
    if suspension is None or by not in suspension.by:
        return
    left = tuple(one for one in suspension.by if one != by)
    if left:
        draft.change(suspension=replace(suspension, by=left))
        draft.note("takedown.still_suspended", by=",".join(left))
        return
    back = suspension.resume_to
    draft.change(suspension=None, resumed_at=draft.now)
    draft.move(back, reason="resumed")
    tell_again(draft)
    if back is TakedownState.DISCOVERED:
        start(draft)
        return
    if back is TakedownState.HELD:
        if draft.takedown.held_for is HoldReason.ASSERTED:
            draft.check(draft.now, "resumption")
        return
    draft.check(draft.now, "resumption")
    for demand in draft.takedown.demands:
        if demand.round == draft.takedown.round and not demand.parked:
            set_timers(draft, demand)
        if back is TakedownState.REMOVED and demand.state is DemandState.CLOSED and demand.may_be_known:
            # What was under way when it was suspended; an accepted message is not sent twice.
            draft.send(demand, MessageKind.CLOSED)


def withdraw(draft: TakedownBuilder, reason: str | None) -> None:
    """The content is no longer pursued: retract, then erase the target and all that was kept of it."""
    if draft.state is TakedownState.WITHDRAWN:
        return
    already_ended = draft.state in ENDED
    words = RetractionReason.SENT_IN_ERROR if reason in IN_ERROR else RetractionReason.NO_FURTHER_ACTION
    if already_ended and draft.takedown.retraction is RetractionReason.SENT_IN_ERROR:
        words = RetractionReason.SENT_IN_ERROR
    draft.close_tasks("withdrawn")
    if not already_ended:
        draft.stop()
    _leave(draft)
    draft.move(TakedownState.WITHDRAWN, reason=reason or "unknown")
    tell_again(draft)
    _retract(draft, words)
    draft.emit(EraseTarget())
    takedown = draft.takedown
    matter = contact_rules.matter_of(takedown, draft.around)
    draft.change(
        target=None,
        last_seen=None,
        rejection=None,
        match=replace(takedown.match, fingerprint_ref=None, sighting_id=None),
        demands=tuple(_erased(one, matter) for one in takedown.demands),
    )


def _erased(demand: Demand, matter: contact_rules.Matter) -> Demand:
    """Without what names the target; what the claims say of its recipient by the target's host is kept as a yes or no."""
    named = contact_rules.refusal_of_recipient(demand, matter) is Refusal.DO_NOT_CONTACT
    return replace(demand, printed=replace(demand.printed, observed=None), do_not_contact=named)


def reject(draft: TakedownBuilder, event: DecisionMade) -> None:
    """The match is wrong: this picture makes no takedown of this content again, and everybody asked hears "sent in error", unless that is
    undone: in a while, or once a second person has rejected it too, at once."""
    if draft.state is TakedownState.REJECTED:
        _reject_confirmed(draft)
    else:
        draft.change(rejection=Rejection(person_id=event.person_id, at=draft.now))
        _end(draft, TakedownState.REJECTED, RetractionReason.SENT_IN_ERROR)
        wait = draft.policy.rejection_undone_alone
        if any(told_at_the_end(draft, one) for one in draft.takedown.demands):
            draft.open_task(TaskKind.REJECTION, "one_person_rejected", within=wait)
    draft.emit(RecordRejection(content_id=draft.takedown.content_id))


def _reject_confirmed(draft: TakedownBuilder) -> None:
    rejection = draft.takedown.rejection
    if rejection is None:
        return
    draft.change(rejection=replace(rejection, confirmed=True))
    draft.close_task(TaskKind.REJECTION, "confirmed")
    for demand in draft.takedown.demands:
        if demand.retraction is not None:
            draft.change_demand(demand.demand_id, retraction=replace(demand.retraction, not_before=None))
    tell_again(draft)


def reject_again_refusal(takedown: Takedown, person_id: str, now: datetime, policy: Policy) -> str | None:
    """Why a rejection cannot be confirmed by this person (a word), or None."""
    rejection = takedown.rejection
    waits = rejection is not None and now < rejection.at + policy.scaled(policy.rejection_undone_alone)
    if takedown.state is not TakedownState.REJECTED or rejection is None or rejection.confirmed or not waits:
        return "already_ended"
    return "own_rejection" if rejection.person_id == person_id else None


def unreject_refusal(takedown: Takedown, event: DecisionMade, now: datetime, policy: Policy) -> str | None:
    """Why this rejection cannot be undone by this person now (a word), or None: alone at first, later it takes another."""
    rejection = takedown.rejection or event.rejection
    if takedown.state is not TakedownState.REJECTED:
        return "not_rejected"
    if rejection is None or rejection.person_id != event.person_id:
        return None
    return "own_rejection" if now >= rejection.at + policy.scaled(policy.rejection_undone_alone) else None


def unreject(draft: TakedownBuilder) -> None:
    """It was the content after all: looked at again in a new round. What was not told yet of the error is not told any more."""
    draft.close_task(TaskKind.REJECTION, "unrejected")
    for demand in draft.takedown.demands:
        if demand.retraction is not None and demand.retraction.words is RetractionReason.SENT_IN_ERROR:
            draft.emit(EndMessage(message_id=_retraction_id(demand, demand.retraction), reason="unrejected"))
            draft.change_demand(demand.demand_id, retraction=replace(demand.retraction, undone=True))
    draft.change(rejection=None)
    reopen(draft)
    draft.emit(UndoRejection(content_id=draft.takedown.content_id))


def reject_silently(draft: TakedownBuilder) -> None:
    """A person rejected this picture for this content at another URL: nobody was asked here, nothing is said."""
    _end(draft, TakedownState.REJECTED, RetractionReason.SENT_IN_ERROR)


def dismiss(draft: TakedownBuilder) -> None:
    """A person ends it for another reason: those with an open demand hear that no further action is asked."""
    _end(draft, TakedownState.DISMISSED, RetractionReason.NO_FURTHER_ACTION)


def _end(draft: TakedownBuilder, to: TakedownState, words: RetractionReason) -> None:
    draft.close_tasks(to.value)
    draft.stop()
    _leave(draft)
    draft.move(to)
    _retract(draft, words)


def _leave(draft: TakedownBuilder) -> None:
    """What means something in the state that ends here alone."""
    draft.change(suspension=None, held_for=None, first_look=None, gone=None, removal=None)
    draft.change_climb(wanted=False, named=None)


def reopen(draft: TakedownBuilder) -> None:
    """A person asks for another look at what was dismissed: a new round, for the old demands were taken back."""
    if draft.takedown.demands:
        draft.next_round()
    draft.change(retraction=None)
    look_again(draft, "reopened")


def held_after_rejection(draft: TakedownBuilder) -> None:
    """Another picture at a target whose match was rejected: a person looks first."""
    if draft.takedown.demands:
        draft.next_round()
    draft.change(retraction=None, rejection=None)
    hold(draft, HoldReason.REJECTED_BEFORE)


# Removed


def removed(draft: TakedownBuilder, reason: str) -> None:
    """Confirmed by our own looks. Everybody with an open demand hears of it; from now on it is watched."""
    if not draft.takedown.demands:
        reason = "not_found"
    draft.change(removal=ConfirmedRemoval(at=draft.now, reason=reason), first_look=None, gone=None)
    draft.change_climb(wanted=False, named=None)
    draft.emit(CancelTimers())
    draft.emit(CancelMessages())
    draft.move(TakedownState.REMOVED, reason=reason)
    for demand in draft.takedown.demands:
        if demand.state not in SETTLED:
            close(draft, demand)
    keep = frozenset({TaskKind.DISPUTE}) if draft.around.content.new_demands_held else frozenset()
    draft.close_tasks("removed", keep=keep)
    watch(draft)


def close(draft: TakedownBuilder, demand: Demand) -> None:
    """The demand is settled; its recipient is told, if it ever heard of the demand and may be written to."""
    demand = draft.move_demand(demand.demand_id, DemandState.CLOSED)
    demand = draft.quieten(demand.demand_id)
    if demand.may_be_known and may_be_written_to(draft, demand):
        draft.send(demand, MessageKind.CLOSED)


def may_be_written_to(draft: TakedownBuilder, demand: Demand) -> bool:
    """Whether this recipient hears of the end. What else stands against it is seen before the attempt, and a person's."""
    refused = contact_rules.refusal_of_recipient(demand, contact_rules.matter_of(draft.takedown, draft.around))
    return refused not in contact_rules.HEARS_NOTHING


def watch(draft: TakedownBuilder) -> None:
    known = draft.takedown.removal or ConfirmedRemoval(at=draft.now, reason="gone")
    draft.change(removal=replace(known, watches=known.watches + 1))
    draft.check(schedule.next_watch(removed_at=known.at, now=draft.now, policy=draft.policy), "watch")


# Who hears of it


def _retract(draft: TakedownBuilder, words: RetractionReason) -> None:
    """Take every demand back that these words concern. One taken back before is told again only if it was an error after all."""
    draft.change(retraction=words)
    in_error = words is RetractionReason.SENT_IN_ERROR
    for demand in draft.takedown.demands:
        if demand.state is DemandState.RETRACTED:
            concerned = in_error and (demand.retraction is None or demand.retraction.words is not words)
        else:
            concerned = demand.state in UNFINISHED or (in_error and demand.may_be_known)
        if concerned:
            take_back(draft, demand)


def take_back(draft: TakedownBuilder, demand: Demand) -> None:
    """Retract one demand with the words of the takedown's end; its recipient is told, if it was asked and may be written to."""
    words, not_before = draft.takedown.retraction or RetractionReason.NO_FURTHER_ACTION, _told_from(draft)
    draft.move_demand(demand.demand_id, DemandState.RETRACTED)
    known = demand.retraction
    if known is None:
        draft.change_demand(demand.demand_id, retraction=Retraction(words=words, not_before=not_before))
    elif known.words is not words:  # if not sent yet, the words that follow say it all
        draft.emit(EndMessage(message_id=_retraction_id(demand, known), reason="superseded"))
        again = Retraction(words=words, number=known.number + 1, not_before=not_before)
        draft.change_demand(demand.demand_id, retraction=again)
    taken_back = draft.quieten(demand.demand_id)
    if told_at_the_end(draft, taken_back):
        _send_retraction(draft, taken_back)


def _told_from(draft: TakedownBuilder) -> datetime | None:
    """When those asked may hear of a rejection that one person made; None: at once."""
    rejection = draft.takedown.rejection
    if draft.state is not TakedownState.REJECTED or rejection is None or rejection.confirmed:
        return None
    return rejection.at + draft.policy.scaled(draft.policy.rejection_undone_alone)


def _send_retraction(draft: TakedownBuilder, demand: Demand) -> None:
    known = demand.retraction
    due = None if known is None or known.not_before is None else max(draft.now, known.not_before)
    draft.send(demand, MessageKind.RETRACTED, 0 if known is None else known.number, due)


def _retraction_id(demand: Demand, retraction: Retraction) -> UUID:
    return ids.message_id(demand.demand_id, MessageKind.RETRACTED.value, retraction.number)


def told_at_the_end(draft: TakedownBuilder, demand: Demand) -> bool:
    """Whether this recipient hears of the retraction: it was asked, and it is not one that must hear nothing."""
    undone = demand.retraction is not None and demand.retraction.undone
    return demand.may_be_known and not undone and may_be_written_to(draft, demand)


def tell_again(draft: TakedownBuilder) -> None:
    """Retractions that were refused before an attempt are due again; an accepted one is not sent twice."""
    for demand in draft.takedown.demands:
        if demand.state is DemandState.RETRACTED and told_at_the_end(draft, demand):
            _send_retraction(draft, demand)
