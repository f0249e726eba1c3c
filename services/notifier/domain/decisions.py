"""What a person's decision does to a takedown, and when it cannot be taken."""

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
    send_retractions_again,
    suspend,
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
    PersonLook,
    Takedown,
    TakedownState,
    TaskKind,
)
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind
from shared.policy import Policy

ASKABLE = ASKING | {TakedownState.VERIFYING}
FOR_A_PERSON_ALONE = frozenset(
    {HoldReason.FLOOD, HoldReason.REJECTED_BEFORE, HoldReason.DEMAND_LIMIT, HoldReason.KEY_LIMIT}
)
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
            return "suspended" if state is TakedownState.SUSPENDED else _look_refusal(takedown, decision.look, now)
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


def _look_refusal(takedown: Takedown, look: PersonLook | None, now: datetime) -> str | None:
    if look is None:
        return None
    if look.seen_at > now:
        return "look_in_future"
    seen = _last_seen_by_anybody(takedown)
    return "seen_since" if not look.present and seen is not None and look.seen_at <= seen else None


def _last_seen_by_anybody(takedown: Takedown) -> datetime | None:
    ours, persons = takedown.last_seen, takedown.seen_by_person
    moments = [*(() if ours is None else (ours.at,)), *(() if persons is None else (persons.seen_at,))]
    return max(moments, default=None)


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


def decided(builder: TakedownBuilder, event: DecisionMade) -> None:
    """Apply a person's decision; one that cannot be taken now is noted, and changes nothing else."""
    refused = refusal_to_decide(builder.takedown, event, builder.now, builder.policy)
    facts = {"decision_id": str(event.decision_id), "decision": event.kind.value}
    if refused is not None:
        builder.note("decision.refused", **facts, reason=refused)
        return
    builder.note("decision.made", **facts)
    match event.kind:
        case DecisionKind.RELEASE:
            _release(builder, event)
        case DecisionKind.REJECT:
            reject(builder, event)
        case DecisionKind.UNREJECT:
            unreject(builder)
        case DecisionKind.DISMISS:
            dismiss(builder)
        case DecisionKind.LOOKED:
            _looked(builder, event)
        case DecisionKind.SUSPEND:
            suspend(builder, "person", "person")
        case DecisionKind.RESUME:
            resume(builder, "person")
        case DecisionKind.RECHECK:
            _recheck(builder)
        case DecisionKind.REROUTE:
            builder.close_task(TaskKind.SUGGESTED_RECIPIENT, "rerouted")
            builder.close_task(TaskKind.UNKNOWN_HOST, "rerouted")
            builder.close_task(TaskKind.UNKNOWN_POSTURE, "rerouted")
            for waiting in waiting_for_a_suggestion(builder):
                leave(builder, waiting)
            builder.change_climb(named=event.recipient, wanted=True)
            ask_when_seen(builder)
        case DecisionKind.ESCALATE:
            _escalate(builder)
        case DecisionKind.BOUNCED:
            _bounced(builder, event)


def _release_adopts(takedown: Takedown) -> bool:
    """Whether a release makes what we fetched the reference: then it takes another person than the one who asserted it."""
    person = takedown.match.basis == "person"
    return takedown.held_for is HoldReason.ASSERTED or (takedown.held_for is HoldReason.FIRST_CHECK and person)


def _release(builder: TakedownBuilder, event: DecisionMade) -> None:
    reason = builder.takedown.held_for
    if reason is None or not _releases_the_hold(builder.takedown, event):
        _task_settled(builder, event.task_kind)
        return
    builder.release_hold(reason)
    if _release_adopts(builder.takedown):
        builder.change(releases=replace(builder.takedown.releases, reference_adopted=True))
        builder.emit(AdoptReference())
    look_again(builder, "released")


def _task_settled(builder: TakedownBuilder, kind: TaskKind | None) -> None:
    """A person settled a task of a takedown that is not held."""
    if kind is None:
        return
    builder.close_task(kind, "released")
    if kind is TaskKind.SEEN_BY_PERSON:
        _seen_by_two(builder)
    elif kind is TaskKind.UNKNOWN_POSTURE:
        _clear_postures(builder)
    elif kind is TaskKind.SUGGESTED_RECIPIENT:
        for waiting in waiting_for_a_suggestion(builder):
            escalate(builder, waiting, "suggestion_settled")
    elif kind is TaskKind.SILENT and builder.takedown.last_check is not None:
        builder.change(
            last_check=replace(builder.takedown.last_check, silent_since=None)
        )  # again after as long a silence
    elif kind is TaskKind.LOW_ASSURANCE:
        builder.release_hold(HoldReason.LOW_ASSURANCE)
    elif kind is TaskKind.DISPUTE:
        for demand in builder.current_demands():
            if demand.state is DemandState.DISPUTED and builder.state is not TakedownState.REMOVED:
                builder.move_demand(demand.demand_id, DemandState.DELIVERED, reason="settled")
                builder.change_demand(demand.demand_id, waits=False)
    if builder.state in ENDED:
        send_retractions_again(builder)
    elif builder.state in ASKING and (
        builder.takedown.climb.wanted or any(one.parked for one in builder.current_demands())
    ):
        builder.check(builder.now, "released")


def _looked(builder: TakedownBuilder, event: DecisionMade) -> None:
    """Apply what a person saw. What one person sees there waits for another's release; what one sees gone, for a second look a day later.
    Neither is stronger than what our own last look saw there."""
    look = event.look
    if look is None:
        return
    ago = max(0, int((builder.now - look.seen_at).total_seconds()))
    builder.note("person.looked", outcome="present" if look.present else "gone", how=look.how, seen_seconds_ago=ago)
    if look.present:
        _seen_there(builder, look)
    else:
        _seen_gone(builder, look)


def _seen_there(builder: TakedownBuilder, look: PersonLook) -> None:
    """Record that a person sees it, which waits for another's release. Before a look of ours that saw it gone, it only makes a check
    due."""
    look = replace(look, outdated=_we_saw_it_gone_since(builder.takedown, look.seen_at))
    if look.outdated:
        builder.note("person.contradicted", outcome="gone")
        builder.check(builder.now, "seen_by_person")
    known = builder.takedown.seen_by_person
    said = (look,) if known is None else (known, look)
    newest = max(said, key=lambda one: (not one.outdated, one.seen_at))
    persons = {person for one in said for person in (one.person_id, *one.others)}
    others = tuple(sorted(persons - {newest.person_id}))
    builder.change(
        seen_by_person=replace(newest, others=others), gone_by_person_at=None, gone_by_person_received_at=None
    )
    if newest is look:
        builder.close_task(TaskKind.SEEN_BY_PERSON, "seen_again")
    builder.open_task(TaskKind.SEEN_BY_PERSON, "before_our_own_look" if newest.outdated else newest.how)


def _we_saw_it_gone_since(takedown: Takedown, seen_at: datetime) -> bool:
    last, gone, removal = takedown.last_check, takedown.gone, takedown.removal
    since = [last.at] if last is not None and last.outcome in (Outcome.GONE, Outcome.MISMATCH) else []
    since += [gone.since] if gone is not None and gone.since is not None else []
    since += [removal.at] if removal is not None else []
    return any(seen_at < at for at in since)


def _seen_gone(builder: TakedownBuilder, look: PersonLook) -> None:
    """Record that a person sees it gone. A second look ends the takedown, made and sent a day later, if nobody else still sees it."""
    takedown, there = builder.takedown, builder.takedown.seen_by_person
    if takedown.last_check is not None and takedown.last_check.outcome is Outcome.PRESENT:
        builder.note("person.contradicted", outcome="present")
        return
    first, seen = takedown.gone_by_person_at, _last_seen_by_anybody(takedown)
    if first is None or (seen is not None and first <= seen):
        builder.change(gone_by_person_at=look.seen_at, gone_by_person_received_at=builder.now)
        return
    # Where it was not kept when the first was sent, it was so long after it at most.
    sent = takedown.gone_by_person_received_at or first + builder.policy.scaled(builder.policy.person_look_valid_for)
    apart = builder.policy.scaled(builder.policy.person_gone_apart)
    if builder.state not in ASKABLE or look.seen_at - first < apart or builder.now - sent < apart:
        return
    if there is not None and {there.person_id, *there.others} != {look.person_id}:
        builder.note("person.contradicted", outcome="present")
        return
    builder.change(seen_by_person=None, gone_by_person_at=None, gone_by_person_received_at=None)
    removed(builder, "seen_gone")


VOUCHED = frozenset({HoldReason.FIRST_CHECK, HoldReason.LOW_ASSURANCE, HoldReason.PROBABLY_PRESENT})
"""Holds that two people settle who see the content there. What was asserted has a release of its own."""


def _seen_by_two(builder: TakedownBuilder) -> None:
    """Go on as if our own look had seen it, since another person vouches for the first; but no look of ours ends it alone."""
    look, takedown = builder.takedown.seen_by_person, builder.takedown
    if look is None:
        return
    builder.change(seen_by_person=None)
    if look.outdated:
        builder.check(builder.now, "seen_by_person")
        return
    if takedown.last_seen is None or takedown.last_seen.at < look.seen_at:
        seen = Observed(at=look.seen_at, seen_by="person")
        builder.change(last_seen=LastSeen(at=look.seen_at, observed=seen))
    gone = takedown.gone
    if builder.state is TakedownState.REMOVED and takedown.demands:
        builder.next_round()
        builder.change(removal=None)
        _ask_from(builder, TakedownState.REAPPEARED)
    elif builder.state is TakedownState.VERIFYING and gone is not None and gone.seen_in is not TakedownState.DISCOVERED:
        builder.change(gone=None)
        builder.move(gone.seen_in, reason="seen_by_people")
        for demand in builder.current_demands():
            set_timers(builder, demand)
    elif builder.state in (TakedownState.DISCOVERED, TakedownState.VERIFYING, TakedownState.REMOVED):
        _ask_from(builder, TakedownState.OPEN)
    elif builder.state is TakedownState.HELD and takedown.held_for in VOUCHED:
        builder.release_hold(takedown.held_for)
        unhold(builder, "seen_by_people")
        _ask_from(builder, TakedownState.OPEN)
    if builder.state in ASKING:
        ask_when_seen(builder)
        look_later(builder)


def _ask_from(builder: TakedownBuilder, state: TakedownState) -> None:
    builder.change(first_look=None, gone=None, removal=None)
    builder.change_climb(wanted=True)
    builder.move(state, reason="seen_by_people")


def waiting_for_a_suggestion(builder: TakedownBuilder) -> tuple[Demand, ...]:
    """Demands whose recipient declined and named somebody else, whom a person has not read yet."""
    return tuple(one for one in builder.current_demands() if one.state is DemandState.REFUSED and not one.escalated)


def _clear_postures(builder: TakedownBuilder) -> None:
    """Record that a person chose to ask these recipients although their posture is unknown."""
    routes, takedown = builder.around.routes, builder.takedown
    chosen = [one.recipient for one in takedown.demands]
    waiting = _waiting_posture(builder)
    if waiting is not None:
        chosen.append(waiting)
    unknown = [key for key in chosen if (found := routes.by_key(key)) and found.posture is Posture.UNKNOWN]
    builder.change_climb(postures_cleared=tuple(dict.fromkeys((*takedown.climb.postures_cleared, *unknown))))


def _waiting_posture(builder: TakedownBuilder) -> str | None:
    """The organisation whose unknown posture holds the next demand up."""
    takedown, terms = builder.takedown, builder.around.terms
    if takedown.target is None or terms is None or not takedown.climb.wanted:
        return None
    choice = next_choice(builder, takedown.target.host)
    return choice.organisation.key if isinstance(choice, UnknownPosture) else None


def _recheck(builder: TakedownBuilder) -> None:
    if builder.state is TakedownState.DISMISSED:
        if builder.around.content.state is ContentState.ACTIVE:
            reopen(builder)
    elif builder.state is TakedownState.HELD:
        look_again(builder, "recheck")
    else:
        builder.check(builder.now, "recheck")


def _escalate(builder: TakedownBuilder) -> None:
    """Ask the next rung now: past the recipient for which a person's choice is awaited, or from the last one asked."""
    builder.close_task(TaskKind.SUGGESTED_RECIPIENT, "passed_over")
    if builder.takedown.climb.wanted:
        waiting = _waiting_posture(builder)
        if waiting is not None:
            builder.change_climb(skipped=(*builder.takedown.climb.skipped, waiting))
            builder.close_task(TaskKind.UNKNOWN_POSTURE, "passed_over")
        elif builder.takedown.task(TaskKind.UNKNOWN_HOST) is not None and builder.state in ASKING:
            exhausted(builder)
            return
        ask_when_seen(builder)
        return
    waiting_demands = [one for one in builder.current_demands() if not one.escalated]
    if waiting_demands:
        escalate(builder, waiting_demands[-1], "decision")
    else:
        builder.change_climb(wanted=True)
        ask_when_seen(builder)


def _bounced(builder: TakedownBuilder, event: DecisionMade) -> None:
    demand = builder.takedown.demand(event.demand_id) if event.demand_id is not None else None
    if demand is not None and demand.state not in (DemandState.CLOSED, DemandState.RETRACTED, DemandState.REFUSED):
        builder.open_task(TaskKind.UNDELIVERABLE, "bounced", demand_id=demand.demand_id)
        undeliverable(builder, demand, "bounced")
