"""Who is asked, when, and on which law: from a check that sees the content to a demand, and up the ladder."""

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


def ask_when_seen(builder: TakedownBuilder) -> None:
    """Ask the next rung: now if our last look is fresh, or says nothing while the last `present` of this round stands; else after a look,
    which this makes due."""
    if builder.state not in ASKING:
        return
    looked = builder.check_ended or builder.fetching_stopped
    if seen_lately(builder) or (looked and last_present_stands(builder)):
        ask_next(builder)
    else:
        builder.check(builder.now, "before_demand")


def ask_next(builder: TakedownBuilder) -> None:
    """Make the demand that is wanted, if nothing forbids it. The caller has a fresh look, or one that said nothing and may rest on the last
    that saw it."""
    takedown, around = builder.takedown, builder.around
    if not takedown.climb.wanted or takedown.target is None or around.terms is None:
        return
    if around.content.new_demands_held:
        builder.note("demand.waits", reason="disputed")
        return
    if around.content.fetching_stopped and not last_present_stands(builder):
        builder.note("demand.waits", reason="fetching_stopped")
        return
    not_before = around.terms.demands_not_before
    if not_before is not None and not_before > builder.now:
        builder.check(not_before, "not_before")
        builder.note("demand.waits", reason="not_before")
        return
    if takedown.climb.named is not None and _ask_named(builder, takedown.climb.named):
        return
    choice = next_choice(builder, takedown.target.host)
    if not isinstance(choice, UnknownHost) and choice.passed_over:
        builder.open_task(TaskKind.UNDELIVERABLE, "no_channel")
    match choice:
        case UnknownHost():
            builder.open_task(TaskKind.UNKNOWN_HOST, "not_in_directory")
        case UnknownPosture():
            builder.close_task(TaskKind.UNKNOWN_HOST, "in_directory")
            builder.open_task(TaskKind.UNKNOWN_POSTURE, "a_person_chooses")
        case Exhausted():
            exhausted(builder)
        case Ask():
            builder.close_task(TaskKind.UNKNOWN_HOST, "in_directory")
            builder.close_task(TaskKind.UNKNOWN_POSTURE, "settled")
            _issue(builder, choice)


def next_choice(builder: TakedownBuilder, host: str) -> Choice:
    """Who would be asked next, by the ladder of the target's host."""
    matter = contact_rules.matter_of(builder.takedown, builder.around)
    return next_recipient(
        builder.around.routes,
        host,
        refusal_of=lambda organisation: contact_rules.refusal(organisation, matter),
        asked={one.recipient for one in builder.current_demands()},
        skipped=builder.takedown.climb.skipped,
    )


def exhausted(builder: TakedownBuilder) -> None:
    """Open a task, since nobody is left to ask; the target is still checked."""
    builder.change_climb(wanted=False)
    builder.close_task(TaskKind.UNKNOWN_HOST, "ladder_exhausted")
    builder.close_task(TaskKind.UNKNOWN_POSTURE, "ladder_exhausted")
    if builder.state is not TakedownState.UNREMOVED:
        builder.move(TakedownState.UNREMOVED)
    builder.open_task(TaskKind.LADDER_EXHAUSTED, "nobody_left_to_ask")


def _ask_named(builder: TakedownBuilder, key: str) -> bool:
    """Ask the organisation a person named. False: it must not be asked, and the ladder goes on.

    Its posture may be unknown: naming it is a person's choice. Hostile and `do_not_contact` stay out.
    """
    builder.change_climb(named=None)
    organisation = builder.around.routes.by_key(key)
    matter = contact_rules.matter_of(builder.takedown, builder.around, chosen=(key,))
    refused = contact_rules.refusal(organisation, matter)
    current = builder.current_demands()
    if organisation is None or refused is not None or key in {one.recipient for one in current}:
        builder.note("reroute.refused", reason="already_asked" if refused is None else refused.value)
        return False
    if organisation.posture is Posture.UNKNOWN:
        builder.change_climb(postures_cleared=(*builder.takedown.climb.postures_cleared, key))
    rung = current[-1].rung if current else Rung.SITE_OPERATOR
    _issue(builder, Ask(organisation=organisation, rung=rung, domain=(*organisation.domains, "")[0]))
    return True


def _issue(builder: TakedownBuilder, ask: Ask) -> None:
    """Make the demand: its regime and printed times are fixed now; its clock starts at the first accepted delivery."""
    takedown, policy, now = builder.takedown, builder.policy, builder.now
    recipient = ask.organisation
    regime = _law_for(builder, recipient, ask.rung)
    # That our own check saw it is asked by no law, but by rule 1.
    if regime is None or takedown.last_seen is None or takedown.last_seen.observed is None:
        builder.open_task(TaskKind.UNDELIVERABLE, "required_elements_missing")
        builder.note("demand.waits", reason="required_elements_missing")
        return
    # What was taken back was never removed: it is not "back".
    asked_before = any(
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
        kind=MessageKind.REAPPEARED if asked_before else MessageKind.ISSUED,
        printed=_printed(builder, regime),
        give_up_at=now + policy.scaled(policy.undelivered_escalates_after),
    )
    builder.change(demands=(*takedown.demands, demand))
    builder.change_climb(wanted=False, named=None)
    if builder.state is TakedownState.UNREMOVED:
        builder.close_task(TaskKind.LADDER_EXHAUSTED, "somebody_to_ask")
        builder.move(TakedownState.OPEN)
    builder.note_demand("demand.reappeared" if asked_before else "demand.issued", demand, **_rests_on(builder))
    builder.send(demand, demand.kind)
    _undelivered_timer(builder, demand)


def _rests_on(builder: TakedownBuilder) -> dict[str, str | int | bool]:
    """Facts for the time line: what a demand made now rests on, if that is no fresh look."""
    seen = builder.takedown.last_seen
    if seen is None or seen_lately(builder):
        return {}
    return {"rests_on": "last_present", "seen_seconds_ago": int((builder.now - seen.at).total_seconds())}


def _law_for(builder: TakedownBuilder, recipient: Organisation, rung: Rung) -> Regime | None:
    return regimes.choose(
        bound_by=recipient.bound_by,
        rung=rung,
        reviewed_by=builder.around.sender.reviewed_by,
        today=builder.now.date(),
        elements=_elements(builder),
    )


def _printed(builder: TakedownBuilder, regime: Regime) -> PrintedTerms:
    """What a demand issued now says of its law, its time, its claims and what was seen: on a climb too, with the time of it."""
    clock = regime.clock or builder.policy.voluntary_response
    seen = builder.takedown.last_seen
    terms = builder.around.terms or Terms()
    return PrintedTerms(
        issued_at=builder.now,
        regime=regime.id,
        regime_version=regime.version,
        respond_within_seconds=int(clock.total_seconds()) if regime.binding else None,
        requested_by=None if regime.binding else builder.now + clock,
        observed=None if seen is None else seen.observed,
        authority=terms.authority_recorded,
        two_confirmed=terms.two_confirmed,
        evidence_wanted=terms.evidence_wanted,
    )


def words_still_true(builder: TakedownBuilder, demand: Demand) -> bool:
    """Rule 6, before the first attempt: whether the demand would still be made on the same law, and what it says of its claims is still
    true."""
    recipient = builder.around.routes.by_key(demand.recipient)
    regime = None if recipient is None else _law_for(builder, recipient, demand.rung)
    printed, terms = demand.printed, builder.around.terms or Terms()
    law = not regimes.REGIMES[printed.regime].binding or (regime is not None and regime.id == printed.regime)
    authority = terms.authority_recorded or not printed.authority
    confirmed = terms.two_confirmed or not printed.two_confirmed
    return law and authority and confirmed and printed.evidence_wanted == terms.evidence_wanted


def _elements(builder: TakedownBuilder) -> frozenset[Element]:
    """The elements that a demand made now would contain. The statement is part of every message (`notices/message.py`)."""
    takedown, sender, terms = builder.takedown, builder.around.sender, builder.around.terms
    there = {
        Element.LOCATION: takedown.target is not None,
        Element.REQUESTER: bool(sender.name.strip()),
        Element.CONTACT: bool(sender.contact.strip()),
        Element.STATEMENT: True,
        Element.AUTHORITY: terms is not None and terms.authority_recorded,
    }
    return frozenset(element for element, present in there.items() if present)


# Up the ladder


def escalate(builder: TakedownBuilder, demand: Demand, why: str) -> None:
    """Ask the next rung because of this demand, once for each demand; it stays answerable itself."""
    if demand.escalated or demand.round != builder.takedown.round:
        return
    demand = leave(builder, demand)
    if builder.settled:
        return
    builder.change_climb(wanted=True)
    builder.note_demand("demand.escalated", demand, reason=why)
    ask_when_seen(builder)


def leave(builder: TakedownBuilder, demand: Demand) -> Demand:
    """Mark that nothing more follows from this demand's clock: no reminder, no deadline."""
    builder.quieten(demand.demand_id)
    builder.emit(CancelTimers(demand_id=demand.demand_id))
    return builder.change_demand(demand.demand_id, escalated=True)


def undeliverable(builder: TakedownBuilder, demand: Demand, why: str) -> None:
    """Ask the next rung since this recipient cannot be reached; that is no missed deadline."""
    builder.emit(CancelMessages(demand_id=demand.demand_id))
    if demand.state is not DemandState.UNDELIVERABLE:
        builder.move_demand(demand.demand_id, DemandState.UNDELIVERABLE, reason=why)
    demand = builder.change_demand(demand.demand_id, refusal=why, parked=False)
    escalate(builder, demand, why)


def give_up(builder: TakedownBuilder, demand: Demand) -> None:
    """Give up delivering a demand that was tried in vain for as long as it may take."""
    late = int((builder.now - demand.give_up_at).total_seconds()) if demand.give_up_at is not None else 0
    builder.note_demand("demand.undelivered", demand, late_seconds=max(0, late))
    builder.open_task(TaskKind.UNDELIVERABLE, "undelivered", demand_id=demand.demand_id)
    undeliverable(builder, demand, "undelivered")


def give_up_waiting(builder: TakedownBuilder) -> None:
    """Give up demands that were tried in vain, wait for a look that does not come, and are out of time to arrive."""
    if builder.around.content.new_demands_held:
        return
    for demand in builder.current_demands():
        over = demand.give_up_at is not None and demand.give_up_at <= builder.now
        if demand.parked and demand.state is DemandState.DUE and demand.attempted_at is not None and over:
            give_up(builder, demand)


def expire_overdue(builder: TakedownBuilder) -> None:
    """Ask the next rung for every demand past its deadline, however late we notice; the lateness is recorded."""
    for demand in builder.current_demands():
        if (
            demand.escalated
            or demand.state not in CLOCK_RUNS
            or demand.deadline is None
            or demand.deadline > builder.now
        ):
            continue
        if demand.state is not DemandState.REFUSED:
            late = int((builder.now - demand.deadline).total_seconds())
            builder.move_demand(demand.demand_id, DemandState.EXPIRED, late_seconds=late)
        escalate(builder, builder.demand(demand.demand_id), "deadline")


# Timers


def start_clock(builder: TakedownBuilder, demand: Demand, clock: timedelta) -> Demand:
    """Start the clock of a demand: its recipient has it."""
    builder.change_demand(demand.demand_id, parked=False)
    demand = builder.change_delivery(demand.demand_id, deadline=builder.now + builder.policy.scaled(clock))
    if builder.state is not TakedownState.SUSPENDED and demand.round == builder.takedown.round:
        builder.emit(CancelTimers(demand_id=demand.demand_id))
        set_timers(builder, demand)
    return demand


def clock_of(demand: Demand, policy: Policy) -> timedelta:
    """The time that the recipient has, unscaled."""
    if demand.printed.respond_within_seconds is None:
        return policy.voluntary_response
    return timedelta(seconds=demand.printed.respond_within_seconds)


def set_timers(builder: TakedownBuilder, demand: Demand) -> None:
    """Set the timers that this demand still needs."""
    if demand.escalated:
        return
    if demand.state is DemandState.DUE:
        _undelivered_timer(builder, demand)
    delivery = demand.delivery
    if demand.state not in CLOCK_RUNS or delivery is None or delivery.deadline is None:
        return
    for number, at in schedule.reminders(delivered_at=delivery.at, deadline=delivery.deadline, policy=builder.policy):
        if number > delivery.reminders and at > builder.now:
            builder.emit(ScheduleTimer(kind=TimerKind.REMINDER, demand_id=demand.demand_id, number=number, at=at))
    builder.emit(
        ScheduleTimer(
            kind=TimerKind.DEADLINE, demand_id=demand.demand_id, number=0, at=max(delivery.deadline, builder.now)
        )
    )


def _undelivered_timer(builder: TakedownBuilder, demand: Demand) -> None:
    if demand.give_up_at is not None:
        builder.emit(
            ScheduleTimer(
                kind=TimerKind.UNDELIVERED, demand_id=demand.demand_id, number=0, at=max(demand.give_up_at, builder.now)
            )
        )


def put_off(builder: TakedownBuilder, demand: Demand) -> Demand:
    """Restart the time in which the recipient has to be reached, since what failed is ours: nobody else is to be asked because of it."""
    give_up_at = builder.now + builder.policy.scaled(builder.policy.undelivered_escalates_after)
    demand = builder.change_demand(demand.demand_id, give_up_at=give_up_at)
    _undelivered_timer(builder, demand)
    return demand


def unpark(builder: TakedownBuilder) -> None:
    """Make messages due again that waited for a look; a demand that was never tried gets its whole time to arrive."""
    policy = builder.policy
    for parked in builder.current_demands():
        if not parked.parked or parked.state is not DemandState.DUE or not may_rest_on_a_look(builder, parked):
            continue
        fields: dict[str, Any] = {"parked": False}
        if parked.attempted_at is None:
            # Nobody has read it yet, so what it says may still change: a message's body is fixed by its first attempt.
            recipient = builder.around.routes.by_key(parked.recipient)
            regime = None if recipient is None else _law_for(builder, recipient, parked.rung)
            fields |= {
                "give_up_at": builder.now + policy.scaled(policy.undelivered_escalates_after),
                "printed": _printed(builder, regime or regimes.VOLUNTARY),
            }
        demand = builder.change_demand(parked.demand_id, **fields)
        builder.send(demand, demand.kind)
        _undelivered_timer(builder, demand)
