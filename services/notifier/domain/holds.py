"""Rules 1 and 4 and the flood guard: what a demand may rest on, what is held for a person, and what lets it go on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.notifier.domain import schedule
from services.notifier.domain.builder import ASKING, TakedownBuilder
from services.notifier.domain.events import CheckCompleted
from services.notifier.domain.model import (
    Demand,
    FirstLook,
    HoldReason,
    MatchFacts,
    Outcome,
    Takedown,
    TakedownState,
    TaskKind,
    TaskScope,
)
from shared.agreement import Grade, grade
from shared.contracts.content import ContentState
from shared.contracts.matches import Guard
from shared.policy import HOUR, Policy

_TASKS = {
    HoldReason.FIRST_CHECK: TaskKind.FIRST_CHECK,
    HoldReason.ASSERTED: TaskKind.FIRST_CHECK,
    HoldReason.REJECTED_BEFORE: TaskKind.FIRST_CHECK,
    HoldReason.LOW_ASSURANCE: TaskKind.LOW_ASSURANCE,
    HoldReason.FLOOD: TaskKind.FLOOD,
    HoldReason.PROBABLY_PRESENT: TaskKind.PROBABLY_PRESENT,
    HoldReason.FETCHING_STOPPED: TaskKind.POSSIBLE_MINOR,
    HoldReason.DEMAND_LIMIT: TaskKind.DEMAND_LIMIT,
    HoldReason.KEY_LIMIT: TaskKind.KEY_LIMIT,
}
"""The task of each hold. A dispute has its own already, where the host's answer came in."""
_SCOPES: Mapping[TaskKind, TaskScope] = {
    TaskKind.FLOOD: "content",
    TaskKind.POSSIBLE_MINOR: "content",
    TaskKind.DEMAND_LIMIT: "content",
    TaskKind.KEY_LIMIT: "key",
}
"""The scope of tasks that stand for more than their takedown."""


def task_of(takedown: Takedown) -> TaskKind | None:
    """The task that the takedown's hold waits for."""
    return _TASKS.get(takedown.held_for) if takedown.held_for is not None else None


def match_is_sure(match: MatchFacts, policy: Policy) -> bool:
    """Rule 4: whether a machine may go on from this match."""
    return match.distance is not None and grade(match.assurance, match.distance, match.guards, policy) is Grade.SURE


def rests_on_another_key(takedown: Takedown, match: MatchFacts, policy: Policy) -> bool:
    """Whether what waits because of one API key may go on, since another one reports it as well."""
    other = match.reported_by != takedown.match.reported_by
    return takedown.held_for is HoldReason.KEY_LIMIT and other and match_is_sure(match, policy)


def _is_derived(match: MatchFacts) -> bool:
    return Guard.DERIVED_ORIENTATION in match.guards


def check_is_sure(builder: TakedownBuilder, event: CheckCompleted) -> bool:
    """Rule 4 for what our own check saw: a person's release (`reference_adopted`) stands for what has no distance."""
    takedown = builder.takedown
    if event.distance is None:
        return takedown.releases.reference_adopted
    assurance = event.assurance or takedown.match.assurance
    return grade(assurance, event.distance, event.guards, builder.policy) is Grade.SURE


def hold(builder: TakedownBuilder, reason: HoldReason, **facts: str | int | bool) -> None:
    """Hold the takedown until a person decides (or, for a dispute, until that ends). Only an asserted target is still looked at."""
    builder.change(held_for=reason, first_look=None, gone=None, removal=None)
    builder.change_climb(wanted=False)
    if reason is not HoldReason.LOW_ASSURANCE:
        builder.close_task(TaskKind.LOW_ASSURANCE, "held")  # it is asked anew after this hold
    if reason is not HoldReason.ASSERTED:
        builder.no_check()
    if builder.state is not TakedownState.HELD:
        builder.move(TakedownState.HELD, reason=reason.value, **facts)
    if reason is HoldReason.ASSERTED:
        look_later(builder)
    task = _TASKS.get(reason)
    if task is not None:
        within = HOUR if task is TaskKind.POSSIBLE_MINOR else None
        builder.open_task(task, reason.value, within=within, scope=_SCOPES.get(task, "takedown"))


def stop_fetching(builder: TakedownBuilder) -> None:
    """Look at nothing of the content until a person has decided. Takedowns about which nobody was asked are held; the rest goes on."""
    builder.no_check()
    first = builder.takedown.gone is not None and builder.takedown.gone.seen_in is TakedownState.DISCOVERED
    early = builder.state in (TakedownState.DISCOVERED, TakedownState.OPEN, TakedownState.VERIFYING)
    if (early and not builder.takedown.demands) or first or builder.state is TakedownState.DISCOVERED:
        hold(builder, HoldReason.FETCHING_STOPPED)


def begin_again(builder: TakedownBuilder, reason: str) -> None:
    """Begin a takedown that was held as if it had just been found."""
    unhold(builder, reason)
    builder.move(TakedownState.DISCOVERED, reason=reason)
    start(builder)


def look_later(builder: TakedownBuilder) -> None:
    """Schedule the next routine look."""
    builder.check(
        schedule.routine(
            every=builder.policy.open_check_every, now=builder.now, jitter=builder.around.jitter, policy=builder.policy
        ),
        "routine",
    )


def unhold(builder: TakedownBuilder, resolution: str) -> None:
    """Settle what the takedown was held for; the state is the caller's to change."""
    reason = builder.takedown.held_for
    builder.change(held_for=None)
    if reason in _TASKS:
        builder.close_task(_TASKS[reason], resolution)


def look_again(builder: TakedownBuilder, reason: str) -> None:
    """Go back to the beginning: a first look with fresh patience."""
    if builder.state is TakedownState.HELD:
        unhold(builder, reason)
    if builder.state is not TakedownState.DISCOVERED:
        builder.move(TakedownState.DISCOVERED, reason=reason)
    _try_first_look(builder, reason)


def _try_first_look(builder: TakedownBuilder, reason: str) -> None:
    """Make a first look due, with fresh patience; what it sees may lead to a demand."""
    builder.change(first_look=FirstLook(since=builder.now))
    builder.change_climb(wanted=True)
    builder.check(builder.now, reason)


def start(builder: TakedownBuilder) -> None:
    """A discovered takedown whose content is active and whose claims are known gets its first look, or is held.

    A match that overtakes its content or its claim waits here.
    """
    takedown, around = builder.takedown, builder.around
    if builder.state is not TakedownState.DISCOVERED or takedown.next_check is not None:
        return
    if around.content.state is not ContentState.ACTIVE or around.terms is None:
        return
    if takedown.match.basis == "person" and HoldReason.ASSERTED not in takedown.releases.holds:
        hold(builder, HoldReason.ASSERTED)
        builder.check(builder.now, "first_look")
    elif (
        takedown.match.basis == "fingerprint"
        and not _is_derived(takedown.match)  # our own look, at the true pixels, says whether it is sure
        and HoldReason.LOW_ASSURANCE not in takedown.releases.holds
        and not match_is_sure(takedown.match, builder.policy)
    ):
        hold(builder, HoldReason.LOW_ASSURANCE, distance=takedown.match.distance or 0)
    else:
        _try_first_look(builder, "first_look")


# Rule 1: what a demand may rest on

SILENT = frozenset({Outcome.BLOCKED, Outcome.INCONCLUSIVE})
"""Outcomes of a look that say nothing: neither that the content is there, nor that it is not."""


def seen_lately(builder: TakedownBuilder) -> bool:
    """Rule 1: whether our own last look (or a person, as another one vouches) saw the content at the target, lately enough for a demand to
    rest on it.

    Not if it was before a resumption, or before a host's word that it is removed; and not while it needs a person's release.
    """
    takedown = builder.takedown
    if needs_release(builder):
        return False
    if takedown.last_seen is None:
        return False
    by_people = takedown.last_seen.by_people
    if not by_people and (takedown.last_check is None or takedown.last_check.outcome is not Outcome.PRESENT):
        return False
    seen = takedown.last_seen.at
    if takedown.resumed_at is not None and seen < takedown.resumed_at:
        return False
    reports = [one.removal_reports for one in builder.current_demands()]
    if any(one is not None and one.at is not None and one.at > seen for one in reports):
        return False
    # A look from the future: the clock was set back since.
    valid_for = schedule.observation_valid_for(builder.policy)
    if by_people:
        valid_for = builder.policy.scaled(builder.policy.person_look_valid_for)
    return timedelta(0) <= builder.now - seen <= valid_for


def only_people_saw_it(builder: TakedownBuilder) -> bool:
    """Whether people see, or were the last to see, what our looks do not: then no look of ours ends it alone."""
    seen = builder.takedown.last_seen
    return builder.takedown.task(TaskKind.SEEN_BY_PERSON) is not None or (seen is not None and seen.by_people)


def last_present_stands(builder: TakedownBuilder, demand: Demand | None = None) -> bool:
    """Whether a climb may rest on the round's last `present`, since our last look says nothing or no look may be had: the notice says
    when that was.

    Only where somebody else than this demand's recipient was written to in this round (the round's first demand is for `seen_lately`
    alone). A look that says gone leaves `ASKING`; and what was seen before a resumption does not count.
    """
    takedown = builder.takedown
    if (
        builder.state not in ASKING
        or needs_release(builder)
        or takedown.last_seen is None
        or takedown.last_check is None
    ):
        return False
    seen, resumed = takedown.last_seen.at, takedown.resumed_at
    stands = takedown.last_check.outcome in SILENT or (
        builder.fetching_stopped and takedown.last_check.outcome is Outcome.PRESENT
    )
    if not stands or seen > builder.now:
        return False
    if resumed is not None and seen < resumed:
        return False
    return any(
        one.may_be_known for one in builder.current_demands() if demand is None or one.demand_id != demand.demand_id
    )


def may_rest_on_a_look(builder: TakedownBuilder, demand: Demand) -> bool:
    """Whether our own looks let this demand's first message leave now."""
    return seen_lately(builder) or last_present_stands(builder, demand)


def needs_release(builder: TakedownBuilder) -> bool:
    """Rule 4: no first demand of a round rests on a look that is not sure, whatever was sure before; a person's release stands for it."""
    seen = builder.takedown.last_seen
    written_to = any(one.attempted_at is not None for one in builder.current_demands())
    released = HoldReason.LOW_ASSURANCE in builder.takedown.releases.holds
    return not (seen is None or seen.surely or written_to or released)
