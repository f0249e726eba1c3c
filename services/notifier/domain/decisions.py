"""What a person's decision does, and when it cannot be taken."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from services.notifier.domain.builder import ASKING, ENDED, TakedownBuilder
from services.notifier.domain.demands import (
    ask_when_seen,
    escalate,
    exhausted,
    leave,
    next_choice,
    set_timers,
    undeliverable,
)
from services.notifier.domain.effects import AdoptReference
from services.notifier.domain.endings import (
    dismiss,
    reject,
    reject_again_refusal,
    removed,
    reopen,
    resume,
    suspend,
    tell_again,
    unreject,
    unreject_refusal,
)
from services.notifier.domain.events import DecisionMade
from services.notifier.domain.holds import look_again, look_later, task_of, unhold
from services.notifier.domain.ladder import Posture, UnknownPosture
from services.notifier.domain.model import (
    Demand,
    DemandState,
    HoldReason,
    LastSeen,
    Observed,
    Outcome,
    Takedown,
    TakedownState,
    TaskKind,
)
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy

ASKABLE = ASKING | {TakedownState.VERIFYING}
FOR_A_PERSON_ALONE = frozenset({HoldReason.FLOOD, HoldReason.REJECTED_BEFORE, HoldReason.DEMAND_LIMIT})
"""Holds that no look of ours settles: another look would let a demand out that nobody released."""


def refusal_to_decide(takedown: Takedown, decision: DecisionMade, now: datetime, policy: Policy) -> str | None:
    """Why this decision cannot be taken on this takedown now, as a word; None: it can."""
    state = takedown.state
    if state is TakedownState.WITHDRAWN:
        return "withdrawn"
    match decision.kind:
        case DecisionKind.RELEASE:
            return _release_refusal(takedown, decision)
        case DecisionKind.REJECT if state in ENDED:
            return reject_again_refusal(takedown, decision.person_id, now, policy)
        case DecisionKind.REJECT | DecisionKind.DISMISS:
            return "already_ended" if state in ENDED else None
        case DecisionKind.LOOKED if state in ENDED:
            return "already_ended"
        case DecisionKind.LOOKED:
            return "suspended" if state is TakedownState.SUSPENDED else None
        case DecisionKind.UNREJECT:
            return unreject_refusal(takedown, decision, now, policy)
        case DecisionKind.SUSPEND:
            done = state in ENDED or _suspended_by_a_person(takedown)
            return "already_stopped" if done else None
        case DecisionKind.RESUME:
            return None if _suspended_by_a_person(takedown) else "not_suspended"
        case DecisionKind.STOP_FETCHING | DecisionKind.RESUME_FETCHING | DecisionKind.HOLD:
            return "needs_content"
        case DecisionKind.RECHECK:
            if state is TakedownState.HELD and takedown.held_for is HoldReason.FETCHING_STOPPED:
                return "fetching_stopped"
            if state is TakedownState.HELD and takedown.held_for in FOR_A_PERSON_ALONE:
                return "needs_release"
            return "not_checked" if state in (TakedownState.SUSPENDED, TakedownState.REJECTED) else None
        case DecisionKind.REROUTE:
            if decision.recipient is None:
                return "recipient_missing"
            return None if state in ASKABLE else "nothing_to_ask"
        case DecisionKind.ESCALATE:
            return None if state in ASKABLE else "nothing_to_ask"
        case DecisionKind.BOUNCED:
            demand = takedown.demand(decision.demand_id) if decision.demand_id is not None else None
            bounces = demand is not None and demand.delivery is not None and state not in ENDED
            return None if bounces else "no_such_delivery"


def _suspended_by_a_person(takedown: Takedown) -> bool:
    return takedown.suspension is not None and "person" in takedown.suspension.by


def _release_refusal(takedown: Takedown, decision: DecisionMade) -> str | None:
    if decision.task_kind is TaskKind.UNKNOWN_HOST:
        return "unknown_host"  # made again by the next look, as long as the directory does not name it
    if decision.task_kind is TaskKind.POSSIBLE_MINOR:
        return "fetching_stopped"
    if decision.task_kind is TaskKind.SEEN_BY_PERSON and takedown.seen_by_person is not None:
        if takedown.state is TakedownState.SUSPENDED:
            return "suspended"
        return "own_look" if takedown.seen_by_person.person_id == decision.person_id else None
    if _releases_the_hold(takedown, decision):
        if takedown.held_for is HoldReason.FETCHING_STOPPED:
            return "fetching_stopped"
        own = takedown.match.asserted_by is not None and takedown.match.asserted_by == decision.person_id
        return "own_assertion" if own and _release_adopts(takedown) else None
    if decision.task_kind is None or takedown.task(decision.task_kind) is None:
        return "not_held"
    if takedown.state is TakedownState.SUSPENDED and decision.task_kind is task_of(takedown):
        return "suspended"
    return None


def _releases_the_hold(takedown: Takedown, decision: DecisionMade) -> bool:
    """Whether it is the hold that is released: by its own task, or where no task is named. Another task settles itself alone."""
    return takedown.state is TakedownState.HELD and decision.task_kind in (None, task_of(takedown))


def decided(draft: TakedownBuilder, event: DecisionMade) -> None:
    """A person decided; a decision that cannot be taken now is noted, and changes nothing else."""
    refused = refusal_to_decide(draft.takedown, event, draft.now, draft.policy)
    facts = {"decision_id": str(event.decision_id), "decision": event.kind.value}
    if refused is not None:
        draft.note("decision.refused", **facts, reason=refused)
        return
    draft.note("decision.made", **facts)
    match event.kind:
        case DecisionKind.RELEASE:
            _release(draft, event)
        case DecisionKind.REJECT:
            reject(draft, event)
        case DecisionKind.UNREJECT:
            unreject(draft)
        case DecisionKind.DISMISS:
            dismiss(draft)
        case DecisionKind.LOOKED:
            _looked(draft, event)
        case DecisionKind.SUSPEND:
            suspend(draft, "person", "person")
        case DecisionKind.RESUME:
            resume(draft, "person")
        case DecisionKind.RECHECK:
            _recheck(draft)
        case DecisionKind.REROUTE:
            draft.close_task(TaskKind.SUGGESTED_RECIPIENT, "rerouted")
            draft.close_task(TaskKind.UNKNOWN_HOST, "rerouted")
            draft.close_task(TaskKind.UNKNOWN_POSTURE, "rerouted")
            for waiting in waiting_for_a_suggestion(draft):
                leave(draft, waiting)
            draft.change_climb(named=event.recipient, wanted=True)
            ask_when_seen(draft)
        case DecisionKind.ESCALATE:
            _escalate(draft)
        case DecisionKind.BOUNCED:
            _bounced(draft, event)


def _release_adopts(takedown: Takedown) -> bool:
    """Whether a release makes what we fetched the reference: then it takes another person than the one who asserted it."""
    person = takedown.match.basis == "person"
    return takedown.held_for is HoldReason.ASSERTED or (takedown.held_for is HoldReason.FIRST_CHECK and person)


def _release(draft: TakedownBuilder, event: DecisionMade) -> None:
    reason = draft.takedown.held_for
    if reason is None or not _releases_the_hold(draft.takedown, event):
        _task_settled(draft, event.task_kind)
        return
    draft.release_hold(reason)
    if _release_adopts(draft.takedown):
        draft.change(releases=replace(draft.takedown.releases, reference_adopted=True))
        draft.emit(AdoptReference())
    look_again(draft, "released")


def _task_settled(draft: TakedownBuilder, kind: TaskKind | None) -> None:
    """A person settled a task of a takedown that is not held."""
    if kind is None:
        return
    draft.close_task(kind, "released")
    if kind is TaskKind.SEEN_BY_PERSON:
        _seen_by_two(draft)
    elif kind is TaskKind.UNKNOWN_POSTURE:
        _clear_postures(draft)
    elif kind is TaskKind.SUGGESTED_RECIPIENT:
        for waiting in waiting_for_a_suggestion(draft):
            escalate(draft, waiting, "suggestion_settled")
    elif kind is TaskKind.SILENT and draft.takedown.last_check is not None:
        draft.change(
            last_check=replace(draft.takedown.last_check, silent_since=None)
        )  # told again after as long a silence
    elif kind is TaskKind.LOW_ASSURANCE:
        draft.release_hold(HoldReason.LOW_ASSURANCE)
    elif kind is TaskKind.DISPUTE:
        for demand in draft.current_demands():
            if demand.state is DemandState.DISPUTED and draft.state is not TakedownState.REMOVED:
                draft.move_demand(demand.demand_id, DemandState.DELIVERED, reason="settled")
                draft.change_demand(demand.demand_id, waits=False)
    if draft.state in ENDED:
        tell_again(draft)
    elif draft.state in ASKING and (draft.takedown.climb.wanted or any(one.parked for one in draft.current_demands())):
        draft.check(draft.now, "released")


def _looked(draft: TakedownBuilder, event: DecisionMade) -> None:
    """A person looked. What one sees there waits for another's release; what one sees gone, for a second look a day later. Neither is
    stronger than what our own last look saw there."""
    look = event.look
    if look is None:
        return
    ago = max(0, int((draft.now - look.seen_at).total_seconds()))
    draft.note("person.looked", outcome="present" if look.present else "gone", how=look.how, seen_seconds_ago=ago)
    takedown = draft.takedown
    if look.present:
        draft.close_task(TaskKind.SEEN_BY_PERSON, "seen_again")
        draft.change(seen_by_person=look, gone_by_person_at=None)
        draft.open_task(TaskKind.SEEN_BY_PERSON, look.how)
    elif takedown.last_check is not None and takedown.last_check.outcome is Outcome.PRESENT:
        draft.note("person.contradicted", outcome="present")
    elif takedown.gone_by_person_at is None:
        draft.change(gone_by_person_at=look.seen_at)
    elif draft.state in ASKABLE and _day_apart(draft, takedown.gone_by_person_at, look.seen_at):
        draft.change(seen_by_person=None)
        removed(draft, "seen_gone")


def _day_apart(draft: TakedownBuilder, first: datetime, second: datetime) -> bool:
    return second - first >= draft.policy.scaled(draft.policy.person_gone_apart)


VOUCHED = frozenset({HoldReason.FIRST_CHECK, HoldReason.LOW_ASSURANCE, HoldReason.PROBABLY_PRESENT})
"""Holds that two people settle who see the content there. What was asserted has a release of its own, by which our looks know it."""


def _seen_by_two(draft: TakedownBuilder) -> None:
    """One person saw it there and another vouches for that: as our own look would have, but that no look of ours ends it alone."""
    look, takedown = draft.takedown.seen_by_person, draft.takedown
    if look is None:
        return
    draft.change(seen_by_person=None)
    if takedown.last_seen is None or takedown.last_seen.at < look.seen_at:
        seen = Observed(at=look.seen_at, seen_by="person")
        draft.change(last_seen=LastSeen(at=look.seen_at, observed=seen))
    gone = takedown.gone
    if draft.state is TakedownState.REMOVED and takedown.demands:
        draft.next_round()
        draft.change(removal=None)
        _ask_from(draft, TakedownState.REAPPEARED)
    elif draft.state is TakedownState.VERIFYING and gone is not None and gone.seen_in is not TakedownState.DISCOVERED:
        draft.change(gone=None)
        draft.move(gone.seen_in, reason="seen_by_people")
        for demand in draft.current_demands():
            set_timers(draft, demand)
    elif draft.state in (TakedownState.DISCOVERED, TakedownState.VERIFYING, TakedownState.REMOVED):
        _ask_from(draft, TakedownState.OPEN)
    elif draft.state is TakedownState.HELD and takedown.held_for in VOUCHED:
        draft.release_hold(takedown.held_for)
        unhold(draft, "seen_by_people")
        _ask_from(draft, TakedownState.OPEN)
    if draft.state in ASKING:
        ask_when_seen(draft)
        look_later(draft)


def _ask_from(draft: TakedownBuilder, state: TakedownState) -> None:
    draft.change(first_look=None, gone=None, removal=None)
    draft.change_climb(wanted=True)
    draft.move(state, reason="seen_by_people")


def waiting_for_a_suggestion(draft: TakedownBuilder) -> tuple[Demand, ...]:
    """Demands whose recipient declined and named somebody else, whom a person has not read yet."""
    return tuple(one for one in draft.current_demands() if one.state is DemandState.REFUSED and not one.escalated)


def _clear_postures(draft: TakedownBuilder) -> None:
    """A person chose to ask these although nobody knows their posture."""
    routes, takedown = draft.around.routes, draft.takedown
    chosen = [one.recipient for one in takedown.demands]
    waiting = _waiting_posture(draft)
    if waiting is not None:
        chosen.append(waiting)
    unknown = [key for key in chosen if (found := routes.by_key(key)) and found.posture is Posture.UNKNOWN]
    draft.change_climb(postures_cleared=tuple(dict.fromkeys((*takedown.climb.postures_cleared, *unknown))))


def _waiting_posture(draft: TakedownBuilder) -> str | None:
    """The organisation whose unknown posture holds the next demand up."""
    takedown, terms = draft.takedown, draft.around.terms
    if takedown.target is None or terms is None or not takedown.climb.wanted:
        return None
    choice = next_choice(draft, takedown.target.host)
    return choice.organisation.key if isinstance(choice, UnknownPosture) else None


def _recheck(draft: TakedownBuilder) -> None:
    if draft.state is TakedownState.DISMISSED:
        if draft.around.content.state is ContentState.ACTIVE:
            reopen(draft)
    elif draft.state is TakedownState.HELD:
        look_again(draft, "recheck")
    else:
        draft.check(draft.now, "recheck")


def _escalate(draft: TakedownBuilder) -> None:
    """Climb now: over the recipient that a choice waits for, or from the last one asked."""
    draft.close_task(TaskKind.SUGGESTED_RECIPIENT, "passed_over")
    if draft.takedown.climb.wanted:
        waiting = _waiting_posture(draft)
        if waiting is not None:
            draft.change_climb(skipped=(*draft.takedown.climb.skipped, waiting))
            draft.close_task(TaskKind.UNKNOWN_POSTURE, "passed_over")
        elif draft.takedown.task(TaskKind.UNKNOWN_HOST) is not None and draft.state in ASKING:
            exhausted(draft)
            return
        ask_when_seen(draft)
        return
    waiting_demands = [one for one in draft.current_demands() if not one.escalated]
    if waiting_demands:
        escalate(draft, waiting_demands[-1], "decision")
    else:
        draft.change_climb(wanted=True)
        ask_when_seen(draft)


def _bounced(draft: TakedownBuilder, event: DecisionMade) -> None:
    demand = draft.takedown.demand(event.demand_id) if event.demand_id is not None else None
    if demand is not None and demand.state not in (DemandState.CLOSED, DemandState.RETRACTED, DemandState.REFUSED):
        draft.open_task(TaskKind.UNDELIVERABLE, "bounced", demand_id=demand.demand_id)
        undeliverable(draft, demand, "bounced")
