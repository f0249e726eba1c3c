"""Applies decisions of people: to one takedown, to every takedown that waits for a task, or to the content."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from services.notifier.application.unit_of_work import APPLIED_AT_ONCE, UnitOfWork
from services.notifier.domain.events import DecisionMade
from services.notifier.domain.model import PersonLook, Takedown, TaskKind
from services.notifier.domain.takedown import decision_refused
from services.notifier.store import checks, content, pending_changes, rejections, tasks
from shared.contracts.content import ContentState
from shared.contracts.decisions import DecisionKind, DecisionTaken

LIFTS_DISPUTE = frozenset((DecisionKind.RELEASE, DecisionKind.DISMISS, DecisionKind.REJECT))
"""Decisions that settle a dispute: the content's demands that were held go on (or end with it)."""
POSSIBLE_MINOR = "possible_minor"
"""A suspension here for this reason is lifted by operations staff alone, or taken over by intake's own."""
CONTENT_DECISIONS = frozenset(
    (
        DecisionKind.SUSPEND,
        DecisionKind.RESUME,
        DecisionKind.STOP_FETCHING,
        DecisionKind.RESUME_FETCHING,
        DecisionKind.HOLD,
    )
)
"""Decisions that may be about a content as a whole."""


def belongs(task: tasks.Task, content_id: UUID, takedown_id: UUID | None) -> bool:
    """Whether a task concerns a takedown; a content's task concerns every takedown of that content. A key's is of many contents, and is
    named by the takedown it is shown with."""
    return task.content_id == content_id and (task.scope == "content" or takedown_id in (None, task.takedown_id))


async def apply_decision(unit: UnitOfWork, decided: DecisionTaken, *, by_operations: bool) -> str | None:
    """Apply a decision that is new. The unit of work holds the content's row exclusively. Gives why nothing was changed (a word), or None.

    With a task, it counts for every takedown that waits for that task, and the task is done. Suspension and resumption
    without a takedown are the content's: they count here at once, and intake applies them when it reads them. `by_operations`:
    taken here by operations staff, not read from intake's log.
    """
    task = None if decided.task_id is None else await tasks.task_of(unit.tx, decided.task_id)
    if task is not None and not belongs(task, unit.content_id, decided.takedown_id):
        return "task_of_another_takedown"
    if decided.takedown_id is None and (task is None or decided.kind in CONTENT_DECISIONS):
        refusal = await _on_content(unit, decided, by_operations=by_operations)
        if refusal is None and task is not None and decided.kind is not DecisionKind.HOLD:  # that settles nothing
            await tasks.close_task(unit.tx, task.task_id, decided.kind)
        return refusal
    if decided.kind is DecisionKind.LOOKED:
        if unit.content.view.fetching_stopped:
            return "fetching_stopped"  # it may show a minor: nobody looks
        if unit.content.view.state is not ContentState.ACTIVE:
            return "suspended"
        await checks.keep_look(unit.tx, decided)
    takedown_ids: tuple[UUID, ...] = ()
    elsewhere: tuple[UUID, ...] = ()
    if task is not None:
        takedown_ids, elsewhere = await tasks.takedowns_of_task(unit.tx, task.task_id, unit.content_id)
    if decided.takedown_id is not None and decided.takedown_id not in takedown_ids:
        takedown_ids = (*takedown_ids, decided.takedown_id)
        takedown_ids = tuple(sorted(takedown_ids, key=lambda one: one != decided.takedown_id))
    refusal = await _on_takedowns(unit, takedown_ids, made_of(decided, task), task, elsewhere)
    if refusal is None:
        if task is not None:
            await tasks.close_task(unit.tx, task.task_id, decided.kind)
        await _let_go_on(unit, decided.kind)
    return refusal


def made_of(decided: DecisionTaken, task: tasks.Task | None) -> DecisionMade:
    """The event of a decision, as `decide` takes it."""
    return DecisionMade(
        decision_id=decided.decision_id,
        kind=decided.kind,
        person_id=decided.person_id,
        task_kind=None if task is None else task.kind,
        demand_id=decided.demand_id or (task.demand_id if task else None),
        recipient=decided.recipient,
        look=_look_of(decided),
    )


def _look_of(decided: DecisionTaken) -> PersonLook | None:
    if decided.looked is None or decided.seen_at is None:
        return None
    return PersonLook(
        person_id=decided.person_id,
        seen_at=decided.seen_at,
        present=decided.looked == "present",
        how=decided.how or "unknown",
    )


async def of_takedown(unit: UnitOfWork, takedown: Takedown, made: DecisionMade) -> DecisionMade:
    """The decision with what the tables know of this takedown: who rejected its picture, if that was at another takedown."""
    ref = takedown.match.fingerprint_ref
    if made.kind is not DecisionKind.UNREJECT or takedown.rejection is not None or ref is None:
        return made
    return replace(made, rejection=await rejections.who_rejected(unit.tx, unit.content_id, ref))


async def _let_go_on(unit: UnitOfWork, kind: DecisionKind) -> None:
    """Let the demands go on that a dispute of the content held, once a person has settled the last dispute, by its task or by ending its
    takedown."""
    if kind not in LIFTS_DISPUTE or not unit.content.new_demands_held:
        return
    if not await tasks.is_open(unit.tx, unit.content_id, TaskKind.DISPUTE):
        await content.hold_new_demands(unit.tx, unit.content_id, None)
        await unit.content_changed()


async def _on_content(unit: UnitOfWork, decided: DecisionTaken, *, by_operations: bool) -> str | None:
    # What comes from intake may have been decided before what was decided here was known there.
    here = unit.content.suspended_here_for == POSSIBLE_MINOR
    if here and not by_operations and not unit.content.suspended_by_intake:
        return POSSIBLE_MINOR
    match decided.kind:
        case DecisionKind.SUSPEND:
            reason = POSSIBLE_MINOR if here else decided.reason  # never weakened by a further one
            await content.suspend_here(unit.tx, unit.content_id, reason, by_intake=not by_operations)
        case DecisionKind.RESUME:
            await content.suspend_here(unit.tx, unit.content_id, None)
            if by_operations:
                await content.stop_fetching_here(unit.tx, unit.content_id, stopped=False)
        case DecisionKind.STOP_FETCHING | DecisionKind.RESUME_FETCHING:
            stopped = decided.kind is DecisionKind.STOP_FETCHING
            await content.stop_fetching_here(unit.tx, unit.content_id, stopped=stopped)
        case DecisionKind.HOLD:
            await content.hold_new_demands(unit.tx, unit.content_id, "person")
        case DecisionKind.RELEASE if unit.content.new_demands_held:
            await content.hold_new_demands(unit.tx, unit.content_id, None)
        case DecisionKind.RELEASE:
            return "not_held"
        case _:
            return "needs_takedown"
    await unit.content_changed()
    return None


async def _on_takedowns(
    unit: UnitOfWork,
    takedown_ids: tuple[UUID, ...],
    made: DecisionMade,
    task: tasks.Task | None,
    elsewhere: tuple[UUID, ...],
) -> str | None:
    """Apply a decision to takedowns. The first refusal among the first few refuses all, before anything is written. It is applied to more
    takedowns, and to those of other contents (`elsewhere`), in transactions of their own, where it is noted if it cannot be taken."""
    later = (*takedown_ids[APPLIED_AT_ONCE:], *elsewhere)
    loaded = []
    for takedown_id in takedown_ids[:APPLIED_AT_ONCE]:
        takedown = await unit.load(takedown_id)
        if takedown is None or takedown.content_id != unit.content_id:
            return "no_such_takedown"
        loaded.append(takedown)
        made_of_it = await of_takedown(unit, takedown, made)
        refusal = decision_refused(takedown, made_of_it, unit.now, unit.runtime.policy)
        if refusal is not None:
            return refusal
    if task is not None and later:
        await tasks.close_together(unit.tx, task.task_id, made.kind)
    for takedown in loaded:
        # A rejection reaches others of the same picture: what was loaded first may be rejected already.
        present = await unit.load(takedown.takedown_id)
        if present is not None:
            await unit.apply(present, await of_takedown(unit, present, made))
    await unit.apply_later(later, pending_changes.decision(made.decision_id))
    return None
