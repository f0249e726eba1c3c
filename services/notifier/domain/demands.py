"""Who is asked, when, and on what law: from a check that sees the content to a demand, and up the ladder."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from services.notifier import regimes
from services.notifier.domain import contact_rules, schedule
from services.notifier.domain.builder import ASKING, CLOCK_RUNS, TakedownBuilder
from services.notifier.domain.effects import CancelMessages, CancelTimers, ScheduleTimer
from services.notifier.domain.events import Terms, TimerKind
from services.notifier.domain.holds import last_present_stands, may_rest_on_a_look, seen_lately
from services.notifier.domain.ladder import (
    Ask,
    Choice,
    Exhausted,
    Organisation,
    Posture,
    UnknownHost,
    UnknownPosture,
    next_recipient,
)
from services.notifier.domain.model import (
    Demand,
    DemandState,
    MessageKind,
    PrintedTerms,
    Rung,
    TakedownState,
    TaskKind,
)
from services.notifier.regimes import Element, Regime
from shared import ids
from shared.policy import Policy


def ask_when_seen(draft: TakedownBuilder) -> None:
    """Ask the next rung: now if our last look is fresh, else after the look that this makes due (or was, and it said nothing)."""
    if draft.state not in ASKING:
        return
    looked = draft.check_ended or draft.fetching_stopped
    if seen_lately(draft) or (looked and last_present_stands(draft)):
        ask_next(draft)
    else:
        draft.check(draft.now, "before_demand")


def ask_next(draft: TakedownBuilder) -> None:
    """Make the demand that is wanted, if nothing stands against it. The caller has a fresh look, or one that said nothing and may
    rest on the last that saw it."""
    takedown, around = draft.takedown, draft.around
    if not takedown.climb.wanted or takedown.target is None or around.terms is None:
        return
    if around.content.new_demands_held:
        draft.note("demand.waits", reason="disputed")
        return
    if around.content.fetching_stopped and not last_present_stands(draft):
        draft.note("demand.waits", reason="fetching_stopped")
        return
    not_before = around.terms.demands_not_before
    if not_before is not None and not_before > draft.now:
        draft.check(not_before, "not_before")
        draft.note("demand.waits", reason="not_before")
        return
    if takedown.climb.named is not None and _ask_named(draft, takedown.climb.named):
        return
    choice = next_choice(draft, takedown.target.host)
    if not isinstance(choice, UnknownHost) and choice.passed_over:
        draft.open_task(TaskKind.UNDELIVERABLE, "no_channel")
    match choice:
        case UnknownHost():
            draft.open_task(TaskKind.UNKNOWN_HOST, "not_in_directory")
        case UnknownPosture():
            draft.close_task(TaskKind.UNKNOWN_HOST, "in_directory")
            draft.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses")
        case Exhausted():
            exhausted(draft)
        case Ask():
            draft.close_task(TaskKind.UNKNOWN_HOST, "in_directory")
            draft.close_task(TaskKind.UNKNOWN_POSTURE, "settled")
            _issue(draft, choice)


def next_choice(draft: TakedownBuilder, host: str) -> Choice:
    """Who would be asked next, by the ladder of the target's host."""
    matter = contact_rules.matter_of(draft.takedown, draft.around)
    return next_recipient(
        draft.around.routes,
        host,
        refusal_of=lambda organisation: contact_rules.refusal(organisation, matter),
        asked={one.recipient for one in draft.current_demands()},
        skipped=draft.takedown.climb.skipped,
    )


def exhausted(draft: TakedownBuilder) -> None:
    """Nobody is left: a person hears of it, and it is still checked."""
    draft.change_climb(wanted=False)
    draft.close_task(TaskKind.UNKNOWN_HOST, "ladder_exhausted")
    draft.close_task(TaskKind.UNKNOWN_POSTURE, "ladder_exhausted")
    if draft.state is not TakedownState.UNREMOVED:
        draft.move(TakedownState.UNREMOVED)
    draft.open_task(TaskKind.LADDER_EXHAUSTED, "nobody_left_to_ask")


def _ask_named(draft: TakedownBuilder, key: str) -> bool:
    """Ask the organisation a person named. False: it must not be asked, and the ladder goes on.

    Its posture may be unknown: naming it is a person's choice. Hostile and `do_not_contact` stay out.
    """
    draft.change_climb(named=None)
    organisation = draft.around.routes.by_key(key)
    matter = contact_rules.matter_of(draft.takedown, draft.around, chosen=(key,))
    refused = contact_rules.refusal(organisation, matter)
    current = draft.current_demands()
    if organisation is None or refused is not None or key in {one.recipient for one in current}:
        draft.note("reroute.refused", reason="already_asked" if refused is None else refused.value)
        return False
    if organisation.posture is Posture.UNKNOWN:
        draft.change_climb(postures_cleared=(*draft.takedown.climb.postures_cleared, key))
    rung = current[-1].rung if current else Rung.SITE_OPERATOR
    _issue(draft, Ask(organisation=organisation, rung=rung, domain=(*organisation.domains, "")[0]))
    return True


def _issue(draft: TakedownBuilder, ask: Ask) -> None:
    """Make the demand: its regime and printed times are fixed now; its clock starts at the first accepted delivery."""
    takedown, policy, now = draft.takedown, draft.policy, draft.now
    recipient = ask.organisation
    regime = _law_for(draft, recipient, ask.rung)
    # That our own check saw it is asked by no law, but by rule 1.
    if regime is None or takedown.last_seen is None or takedown.last_seen.observed is None:
        draft.open_task(TaskKind.UNDELIVERABLE, "required_elements_missing")
        draft.note("demand.waits", reason="required_elements_missing")
        return
    # What was taken back was never removed: it is not "back".
    told_before = any(
        one.recipient == recipient.key and one.attempted_at is not None and one.state is not DemandState.RETRACTED
        for one in takedown.demands
    )
    demand = Demand(
        demand_id=ids.demand_id(takedown.takedown_id, ask.rung.value, recipient.key, takedown.round),
        rung=ask.rung,
        recipient=recipient.key,
        recipient_domain=ask.domain,
        country=recipient.country,
        round=takedown.round,
        state=DemandState.DUE,
        kind=MessageKind.REAPPEARED if told_before else MessageKind.ISSUED,
        printed=_printed(draft, regime),
        give_up_at=now + policy.scaled(policy.undelivered_escalates_after),
    )
    draft.change(demands=(*takedown.demands, demand))
    draft.change_climb(wanted=False, named=None)
    if draft.state is TakedownState.UNREMOVED:
        draft.close_task(TaskKind.LADDER_EXHAUSTED, "somebody_to_ask")
        draft.move(TakedownState.OPEN)
    draft.note_demand("demand.reappeared" if told_before else "demand.issued", demand, **_rests_on(draft))
    draft.send(demand, demand.kind)
    _undelivered_timer(draft, demand)


def _rests_on(draft: TakedownBuilder) -> dict[str, str | int | bool]:
    """For the time line: what a demand made now rests on, where that is no fresh look."""
    seen = draft.takedown.last_seen
    if seen is None or seen_lately(draft):
        return {}
    return {"rests_on": "last_present", "seen_seconds_ago": int((draft.now - seen.at).total_seconds())}


def _law_for(draft: TakedownBuilder, recipient: Organisation, rung: Rung) -> Regime | None:
    return regimes.choose(
        bound_by=recipient.bound_by,
        rung=rung,
        reviewed_by=draft.around.sender.reviewed_by,
        today=draft.now.date(),
        elements=_elements(draft),
    )


def _printed(draft: TakedownBuilder, regime: Regime) -> PrintedTerms:
    """What a demand issued now says of its law, its time, its claims and what was seen: on a climb too, with the time of it."""
    clock = regime.clock or draft.policy.voluntary_response
    seen = draft.takedown.last_seen
    terms = draft.around.terms or Terms()
    return PrintedTerms(
        issued_at=draft.now,
        regime=regime.id,
        regime_version=regime.version,
        respond_within_seconds=int(clock.total_seconds()) if regime.binding else None,
        requested_by=None if regime.binding else draft.now + clock,
        observed=None if seen is None else seen.observed,
        authority=terms.authority_recorded,
        two_confirmed=terms.two_confirmed,
        evidence_wanted=terms.evidence_wanted,
    )


def words_hold(draft: TakedownBuilder, demand: Demand) -> bool:
    """Rule 6, before the first attempt: whether the law of the demand is still what it would be made on, and what it says of its
    claims still true of them."""
    recipient = draft.around.routes.by_key(demand.recipient)
    regime = None if recipient is None else _law_for(draft, recipient, demand.rung)
    printed, terms = demand.printed, draft.around.terms or Terms()
    law = not regimes.REGIMES[printed.regime].binding or (regime is not None and regime.id == printed.regime)
    authority = terms.authority_recorded or not printed.authority
    confirmed = terms.two_confirmed or not printed.two_confirmed
    return law and authority and confirmed and printed.evidence_wanted == terms.evidence_wanted


def _elements(draft: TakedownBuilder) -> frozenset[Element]:
    """What a demand made now would hold. The statement is part of every message (`notices/message.py`)."""
    takedown, sender, terms = draft.takedown, draft.around.sender, draft.around.terms
    there = {
        Element.LOCATION: takedown.target is not None,
        Element.REQUESTER: bool(sender.name.strip()),
        Element.CONTACT: bool(sender.contact.strip()),
        Element.STATEMENT: True,
        Element.AUTHORITY: terms is not None and terms.authority_recorded,
    }
    return frozenset(element for element, present in there.items() if present)


# Up the ladder


def escalate(draft: TakedownBuilder, demand: Demand, why: str) -> None:
    """The next rung is wanted because of this demand; it stays answerable itself. Once for each demand."""
    if demand.escalated or demand.round != draft.takedown.round:
        return
    demand = leave(draft, demand)
    if draft.settled:
        return
    draft.change_climb(wanted=True)
    draft.note_demand("demand.escalated", demand, reason=why)
    ask_when_seen(draft)


def leave(draft: TakedownBuilder, demand: Demand) -> Demand:
    """Nothing more comes of this demand's clock."""
    draft.quieten(demand.demand_id)
    draft.emit(CancelTimers(demand_id=demand.demand_id))
    return draft.change_demand(demand.demand_id, escalated=True)


def undeliverable(draft: TakedownBuilder, demand: Demand, why: str) -> None:
    """This recipient cannot be reached: not a missed deadline."""
    draft.emit(CancelMessages(demand_id=demand.demand_id))
    if demand.state is not DemandState.UNDELIVERABLE:
        draft.move_demand(demand.demand_id, DemandState.UNDELIVERABLE, reason=why)
    demand = draft.change_demand(demand.demand_id, refusal=why, parked=False)
    escalate(draft, demand, why)


def give_up(draft: TakedownBuilder, demand: Demand) -> None:
    """It was tried for as long as it may take, in vain."""
    late = int((draft.now - demand.give_up_at).total_seconds()) if demand.give_up_at is not None else 0
    draft.note_demand("demand.undelivered", demand, late_seconds=max(0, late))
    draft.open_task(TaskKind.UNDELIVERABLE, "undelivered", demand_id=demand.demand_id)
    undeliverable(draft, demand, "undelivered")


def give_up_waiting(draft: TakedownBuilder) -> None:
    """Give up what was tried in vain and waits for a look that does not come: its time to arrive is over."""
    if draft.around.content.new_demands_held:
        return
    for demand in draft.current_demands():
        over = demand.give_up_at is not None and demand.give_up_at <= draft.now
        if demand.parked and demand.state is DemandState.DUE and demand.attempted_at is not None and over:
            give_up(draft, demand)


def expire_overdue(draft: TakedownBuilder) -> None:
    """Escalate what passed its deadline, however late we notice; the lateness is recorded."""
    for demand in draft.current_demands():
        if demand.escalated or demand.state not in CLOCK_RUNS or demand.deadline is None or demand.deadline > draft.now:
            continue
        if demand.state is not DemandState.REFUSED:
            late = int((draft.now - demand.deadline).total_seconds())
            draft.move_demand(demand.demand_id, DemandState.EXPIRED, late_seconds=late)
        escalate(draft, draft.demand(demand.demand_id), "deadline")


# Timers


def start_clock(draft: TakedownBuilder, demand: Demand, clock: timedelta) -> Demand:
    """The recipient has it: from now on its clock runs."""
    draft.change_demand(demand.demand_id, parked=False)
    demand = draft.change_delivery(demand.demand_id, deadline=draft.now + draft.policy.scaled(clock))
    if draft.state is not TakedownState.SUSPENDED and demand.round == draft.takedown.round:
        draft.emit(CancelTimers(demand_id=demand.demand_id))
        set_timers(draft, demand)
    return demand


def clock_of(demand: Demand, policy: Policy) -> timedelta:
    """The recipient's time, unscaled."""
    if demand.printed.respond_within_seconds is None:
        return policy.voluntary_response
    return timedelta(seconds=demand.printed.respond_within_seconds)


def set_timers(draft: TakedownBuilder, demand: Demand) -> None:
    """The timers this demand still needs."""
    if demand.escalated:
        return
    if demand.state is DemandState.DUE:
        _undelivered_timer(draft, demand)
    delivery = demand.delivery
    if demand.state not in CLOCK_RUNS or delivery is None or delivery.deadline is None:
        return
    for number, at in schedule.reminders(delivered_at=delivery.at, deadline=delivery.deadline, policy=draft.policy):
        if number > delivery.reminders and at > draft.now:
            draft.emit(ScheduleTimer(kind=TimerKind.REMINDER, demand_id=demand.demand_id, number=number, at=at))
    draft.emit(
        ScheduleTimer(
            kind=TimerKind.DEADLINE, demand_id=demand.demand_id, number=0, at=max(delivery.deadline, draft.now)
        )
    )


def _undelivered_timer(draft: TakedownBuilder, demand: Demand) -> None:
    if demand.give_up_at is not None:
        draft.emit(
            ScheduleTimer(
                kind=TimerKind.UNDELIVERED, demand_id=demand.demand_id, number=0, at=max(demand.give_up_at, draft.now)
            )
        )


def put_off(draft: TakedownBuilder, demand: Demand) -> Demand:
    """What failed is ours: the time in which a recipient has to be reached begins anew, so that nobody else is asked because of it."""
    give_up_at = draft.now + draft.policy.scaled(draft.policy.undelivered_escalates_after)
    demand = draft.change_demand(demand.demand_id, give_up_at=give_up_at)
    _undelivered_timer(draft, demand)
    return demand


def unpark(draft: TakedownBuilder) -> None:
    """Messages that waited for a look are due again; a demand that was never tried gets its whole time to arrive."""
    policy = draft.policy
    for parked in draft.current_demands():
        if not parked.parked or parked.state is not DemandState.DUE or not may_rest_on_a_look(draft, parked):
            continue
        fields: dict[str, Any] = {"parked": False}
        if parked.attempted_at is None:
            # Nobody has read it yet, so what it says may still change: a message's body is fixed by its first attempt.
            recipient = draft.around.routes.by_key(parked.recipient)
            regime = None if recipient is None else _law_for(draft, recipient, parked.rung)
            fields |= {
                "give_up_at": draft.now + policy.scaled(policy.undelivered_escalates_after),
                "printed": _printed(draft, regime or regimes.VOLUNTARY),
            }
        demand = draft.change_demand(parked.demand_id, **fields)
        draft.send(demand, demand.kind)
        _undelivered_timer(draft, demand)
