"""What ends a takedown or stops it, and who is notified: a confirmed removal, and (rule 7) suspension and its end, withdrawal, rejection,
dismissal."""

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


def suspend(builder: TakedownBuilder, by: Literal["content", "person"], reason: str) -> None:
    """Suspend the takedown: nothing is fetched, checked or sent from now on; the state to resume is remembered."""
    takedown = builder.takedown
    known = takedown.suspension
    if takedown.state in ENDED or (known is not None and by in known.by):
        return
    if known is not None:
        builder.change(suspension=replace(known, by=(*known.by, by)))
        builder.note("takedown.suspended", by=by, reason=reason)
        return
    builder.change(suspension=Suspension(by=(by,), resume_to=takedown.state))
    builder.no_check()
    builder.emit(CancelTimers())
    for demand in takedown.demands:
        if demand.state is DemandState.DUE:
            builder.change_demand(demand.demand_id, parked=True)
    builder.move(TakedownState.SUSPENDED, by=by, reason=reason)


def resume(builder: TakedownBuilder, by: Literal["content", "person"]) -> None:
    """End one suspension; with the last, a look is due before anything is sent."""
    suspension = builder.takedown.suspension
    if suspension is None or by not in suspension.by:
        return
    left = tuple(one for one in suspension.by if one != by)
    if left:
        builder.change(suspension=replace(suspension, by=left))
        builder.note("takedown.still_suspended", by=",".join(left))
        return
    back = suspension.resume_to
    builder.change(suspension=None, resumed_at=builder.now)
    builder.move(back, reason="resumed")
    send_retractions_again(builder)
    if back is TakedownState.DISCOVERED:
        start(builder)
        return
    if back is TakedownState.HELD:
        if builder.takedown.held_for is HoldReason.ASSERTED:
            builder.check(builder.now, "resumption")
        return
    builder.check(builder.now, "resumption")
    for demand in builder.takedown.demands:
        if demand.round == builder.takedown.round and not demand.parked:
            set_timers(builder, demand)
        if back is TakedownState.REMOVED and demand.state is DemandState.CLOSED and demand.may_be_known:
            # What was under way when it was suspended; an accepted message is not sent twice.
            builder.send(demand, MessageKind.CLOSED)


def withdraw(builder: TakedownBuilder, reason: str | None) -> None:
    """End the takedown because its content is withdrawn: retract its demands, then erase the target and everything kept of it."""
    if builder.state is TakedownState.WITHDRAWN:
        return
    already_ended = builder.state in ENDED
    words = RetractionReason.SENT_IN_ERROR if reason in IN_ERROR else RetractionReason.NO_FURTHER_ACTION
    if already_ended and builder.takedown.retraction is RetractionReason.SENT_IN_ERROR:
        words = RetractionReason.SENT_IN_ERROR
    builder.close_tasks("withdrawn")
    if not already_ended:
        builder.stop()
    _leave(builder)
    builder.move(TakedownState.WITHDRAWN, reason=reason or "unknown")
    send_retractions_again(builder)
    _retract(builder, words)
    builder.emit(EraseTarget())
    takedown = builder.takedown
    matter = contact_rules.matter_of(takedown, builder.around)
    builder.change(
        target=None,
        last_seen=None,
        rejection=None,
        match=replace(takedown.match, fingerprint_ref=None, sighting_id=None, reported_by=None),
        demands=tuple(_erased(one, matter) for one in takedown.demands),
    )


def _erased(demand: Demand, matter: contact_rules.Matter) -> Demand:
    """The demand without what names the target; what the claims say of its recipient by the target's host is kept as a yes or no."""
    named = contact_rules.refusal_of_recipient(demand, matter) is Refusal.DO_NOT_CONTACT
    return replace(demand, printed=replace(demand.printed, observed=None), do_not_contact=named)


def reject(builder: TakedownBuilder, event: DecisionMade) -> None:
    """End the takedown because the match is wrong: this picture makes no takedown of this content again. Everybody who was asked is
    notified that it was sent in error, after a while in which that can be undone, or at once when a second person has rejected it too."""
    if builder.state is TakedownState.REJECTED:
        _reject_confirmed(builder)
    else:
        builder.change(rejection=Rejection(person_id=event.person_id, at=builder.now))
        _end(builder, TakedownState.REJECTED, RetractionReason.SENT_IN_ERROR)
        wait = builder.policy.rejection_undone_alone
        if any(to_be_notified_of_end(builder, one) for one in builder.takedown.demands):
            builder.open_task(TaskKind.REJECTION, "one_person_rejected", within=wait)
    builder.emit(RecordRejection(content_id=builder.takedown.content_id))


def _reject_confirmed(builder: TakedownBuilder) -> None:
    rejection = builder.takedown.rejection
    if rejection is None:
        return
    builder.change(rejection=replace(rejection, confirmed=True))
    builder.close_task(TaskKind.REJECTION, "confirmed")
    for demand in builder.takedown.demands:
        if demand.retraction is not None:
            builder.change_demand(demand.demand_id, retraction=replace(demand.retraction, not_before=None))
    send_retractions_again(builder)


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


def unreject(builder: TakedownBuilder) -> None:
    """Undo a rejection: the takedown is looked at again in a new round. Recipients who were not notified of the error yet are not notified
    any more."""
    builder.close_task(TaskKind.REJECTION, "unrejected")
    for demand in builder.takedown.demands:
        if demand.retraction is not None and demand.retraction.words is RetractionReason.SENT_IN_ERROR:
            builder.emit(EndMessage(message_id=_retraction_id(demand, demand.retraction), reason="unrejected"))
            builder.change_demand(demand.demand_id, retraction=replace(demand.retraction, undone=True))
    builder.change(rejection=None)
    reopen(builder)
    builder.emit(UndoRejection(content_id=builder.takedown.content_id))


def reject_silently(builder: TakedownBuilder) -> None:
    """End a takedown because a person rejected this picture for this content at another URL: nobody was asked here, so nobody is
    notified."""
    _end(builder, TakedownState.REJECTED, RetractionReason.SENT_IN_ERROR)


def dismiss(builder: TakedownBuilder) -> None:
    """End the takedown for another reason that a person has: recipients with an open demand are notified that nothing more is asked."""
    _end(builder, TakedownState.DISMISSED, RetractionReason.NO_FURTHER_ACTION)


def _end(builder: TakedownBuilder, to: TakedownState, words: RetractionReason) -> None:
    builder.close_tasks(to.value)
    builder.stop()
    _leave(builder)
    builder.move(to)
    _retract(builder, words)


def _leave(builder: TakedownBuilder) -> None:
    """Drop what has a meaning only in the state that ends here."""
    builder.change(suspension=None, held_for=None, first_look=None, gone=None, removal=None)
    builder.change_climb(wanted=False, named=None)


def reopen(builder: TakedownBuilder) -> None:
    """Look again at what was dismissed, since a person asks for it: a new round, for the old demands were taken back."""
    if builder.takedown.demands:
        builder.next_round()
    builder.change(retraction=None)
    look_again(builder, "reopened")


def held_after_rejection(builder: TakedownBuilder) -> None:
    """Hold a takedown whose match was rejected, and where another picture was found: a person looks first."""
    if builder.takedown.demands:
        builder.next_round()
    builder.change(retraction=None, rejection=None)
    hold(builder, HoldReason.REJECTED_BEFORE)


# Removed


def removed(builder: TakedownBuilder, reason: str) -> None:
    """Confirm the removal, by our own looks. Recipients with an open demand are notified; from now on the target is watched."""
    if not builder.takedown.demands:
        reason = "not_found"
    builder.change(removal=ConfirmedRemoval(at=builder.now, reason=reason), first_look=None, gone=None)
    builder.change_climb(wanted=False, named=None)
    builder.emit(CancelTimers())
    builder.emit(CancelMessages())
    builder.move(TakedownState.REMOVED, reason=reason)
    for demand in builder.takedown.demands:
        if demand.state not in SETTLED:
            close(builder, demand)
    keep = frozenset({TaskKind.DISPUTE}) if builder.around.content.new_demands_held else frozenset()
    builder.close_tasks("removed", keep=keep)
    watch(builder)


def close(builder: TakedownBuilder, demand: Demand) -> None:
    """Close a demand that is settled; its recipient is notified, if it may know of the demand and may be written to."""
    demand = builder.move_demand(demand.demand_id, DemandState.CLOSED)
    demand = builder.quieten(demand.demand_id)
    if demand.may_be_known and may_be_written_to(builder, demand):
        builder.send(demand, MessageKind.CLOSED)


def may_be_written_to(builder: TakedownBuilder, demand: Demand) -> bool:
    """Whether this recipient may be notified of the end. What else forbids it is seen before the attempt, and is for a person."""
    refused = contact_rules.refusal_of_recipient(demand, contact_rules.matter_of(builder.takedown, builder.around))
    return refused not in contact_rules.HEARS_NOTHING


def watch(builder: TakedownBuilder) -> None:
    known = builder.takedown.removal or ConfirmedRemoval(at=builder.now, reason="gone")
    builder.change(removal=replace(known, watches=known.watches + 1))
    builder.check(schedule.next_watch(removed_at=known.at, now=builder.now, policy=builder.policy), "watch")


# Who hears of it


def _retract(builder: TakedownBuilder, words: RetractionReason) -> None:
    """Take back every demand that these words concern. The recipient of one taken back before is notified again only if it was an error
    after all."""
    builder.change(retraction=words)
    in_error = words is RetractionReason.SENT_IN_ERROR
    for demand in builder.takedown.demands:
        if demand.state is DemandState.RETRACTED:
            concerned = in_error and (demand.retraction is None or demand.retraction.words is not words)
        else:
            concerned = demand.state in UNFINISHED or (in_error and demand.may_be_known)
        if concerned:
            take_back(builder, demand)


def take_back(builder: TakedownBuilder, demand: Demand) -> None:
    """Retract one demand with the words of the takedown's end; its recipient is notified, if it was asked and may be written to."""
    words, not_before = builder.takedown.retraction or RetractionReason.NO_FURTHER_ACTION, _retraction_due_from(builder)
    builder.move_demand(demand.demand_id, DemandState.RETRACTED)
    known = demand.retraction
    if known is None:
        builder.change_demand(demand.demand_id, retraction=Retraction(words=words, not_before=not_before))
    elif known.words is not words:  # if not sent yet, the words that follow say it all
        builder.emit(EndMessage(message_id=_retraction_id(demand, known), reason="superseded"))
        again = Retraction(words=words, number=known.number + 1, not_before=not_before)
        builder.change_demand(demand.demand_id, retraction=again)
    taken_back = builder.quieten(demand.demand_id)
    if to_be_notified_of_end(builder, taken_back):
        _send_retraction(builder, taken_back)


def _retraction_due_from(builder: TakedownBuilder) -> datetime | None:
    """When those asked may be notified of a rejection that one person made; None: at once."""
    rejection = builder.takedown.rejection
    if builder.state is not TakedownState.REJECTED or rejection is None or rejection.confirmed:
        return None
    return rejection.at + builder.policy.scaled(builder.policy.rejection_undone_alone)


def _send_retraction(builder: TakedownBuilder, demand: Demand) -> None:
    known = demand.retraction
    due = None if known is None or known.not_before is None else max(builder.now, known.not_before)
    builder.send(demand, MessageKind.RETRACTED, 0 if known is None else known.number, due)


def _retraction_id(demand: Demand, retraction: Retraction) -> UUID:
    return ids.message_id(demand.demand_id, MessageKind.RETRACTED.value, retraction.number)


def to_be_notified_of_end(builder: TakedownBuilder, demand: Demand) -> bool:
    """Whether this recipient is to be notified of the retraction: it may know of the demand, and may be written to."""
    undone = demand.retraction is not None and demand.retraction.undone
    return demand.may_be_known and not undone and may_be_written_to(builder, demand)


def send_retractions_again(builder: TakedownBuilder) -> None:
    """Make retractions due again that were refused before an attempt; an accepted one is not sent twice."""
    for demand in builder.takedown.demands:
        if demand.state is DemandState.RETRACTED and to_be_notified_of_end(builder, demand):
            _send_retraction(builder, demand)
