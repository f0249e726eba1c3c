"""One decision in the making: the takedown as it becomes, and the effects so far. It lives within one call of `decide`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from services.notifier.domain.effects import (
    CancelCheck,
    CancelMessages,
    CancelTimers,
    CloseTask,
    Effect,
    Lifecycle,
    OpenTask,
    ScheduleCheck,
    SendMessage,
)
from services.notifier.domain.events import DecisionContext
from services.notifier.domain.model import (
    Demand,
    DemandState,
    HoldReason,
    MessageKind,
    NextCheck,
    OpenedTask,
    Takedown,
    TakedownState,
    TaskKind,
    TaskScope,
)
from services.notifier.domain.states import DEMAND, TAKEDOWN
from shared import ids
from shared.policy import Policy

ASKING = frozenset({TakedownState.OPEN, TakedownState.REAPPEARED, TakedownState.UNREMOVED})
"""States in which our own check has seen the content and demands are made (or everybody was asked)."""
ENDED = frozenset({TakedownState.REJECTED, TakedownState.WITHDRAWN, TakedownState.DISMISSED})
LOOKED_AT = ASKING | {TakedownState.VERIFYING, TakedownState.REMOVED}
"""States in which a look is always to come, unless nothing of the content may be looked at."""
STOPPED = ENDED | {TakedownState.SUSPENDED}
"""States in which nothing is checked."""
ANSWERABLE = frozenset(
    {DemandState.DELIVERED, DemandState.ACKNOWLEDGED, DemandState.REPORTED_REMOVED, DemandState.DISPUTED}
)
"""Demand states in which it was delivered and its clock runs."""
CLOCK_RUNS = ANSWERABLE | {DemandState.REFUSED}
"""Demand states in which the next rung is asked at the deadline, unless it was before."""
UNFINISHED = ANSWERABLE | {DemandState.DUE, DemandState.EXPIRED}


SETTLED = frozenset({DemandState.CLOSED, DemandState.RETRACTED})
"""Demand states in which nothing more is asked of its recipient, and its token can only read."""


class IllegalStep(AssertionError):
    """The code tried a step that is not in the table of transitions: a defect, never input."""


class TakedownBuilder:
    """Changes and effects, in order. Effects about the check are settled once, at the end (`finished`)."""

    def __init__(self, takedown: Takedown, now: datetime, policy: Policy, around: DecisionContext) -> None:
        self.before = takedown
        self.takedown = takedown
        self.now = now
        self.policy = policy
        self.around = around
        self._effects: list[Effect] = []
        self._check_reason = ""
        self.check_ended = False
        """A due check was used up by this event: its row must be set anew, or taken away."""

    @property
    def state(self) -> TakedownState:
        return self.takedown.state

    @property
    def settled(self) -> bool:
        """Whether no demand is open any more: removed (also while suspended), or ended."""
        return self.state in ENDED or self.takedown.lasting_state is TakedownState.REMOVED

    @property
    def fetching_stopped(self) -> bool:
        """Whether nothing of the content may be looked at."""
        return self.around.content.fetching_stopped

    def emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def change(self, **fields: Any) -> None:
        self.takedown = replace(self.takedown, **fields)

    def change_climb(self, **fields: Any) -> None:
        """Change who is to be asked next."""
        self.change(climb=replace(self.takedown.climb, **fields))

    def release_hold(self, reason: HoldReason) -> None:
        """Record that a person released this hold: the takedown is not held for this reason again."""
        released = self.takedown.releases
        self.change(releases=replace(released, holds=tuple(dict.fromkeys((*released.holds, reason)))))

    def next_round(self) -> None:
        """Begin a new round of demands, in which recipients that a person passed over may be asked again."""
        self.change(round=self.takedown.round + 1)
        self.change_climb(skipped=())

    def note(self, kind: str, **facts: str | int | bool) -> None:
        """Add an entry to the time line: ids, counts and words."""
        self.change(sequence=self.takedown.sequence + 1)
        self.emit(
            Lifecycle(
                sequence=self.takedown.sequence,
                kind=kind,
                state=self.takedown.state.value,
                round=self.takedown.round,
                at=self.now,
                facts=facts,
            )
        )

    def note_demand(self, kind: str, demand: Demand, **facts: str | int | bool) -> None:
        """Add an entry about a demand. It says whose demand it is, so that a reader of the stream can count without another table."""
        self.note(
            kind,
            demand_id=str(demand.demand_id),
            recipient=demand.recipient,
            regime=demand.printed.regime,
            rung=demand.rung.value,
            country=demand.country or "unknown",
            **facts,
        )

    def move(self, to: TakedownState, **facts: str | int | bool) -> None:
        """Move to another state. Raises IllegalStep if the table does not have that step."""
        if to not in TAKEDOWN[self.state]:
            raise IllegalStep(f"{self.state} -> {to}")
        self.change(state=to)
        self.note(f"takedown.{to.value}", **facts)

    # Demands

    def demand(self, demand_id: UUID) -> Demand:
        found = self.takedown.demand(demand_id)
        if found is None:
            raise IllegalStep("no such demand")
        return found

    def change_demand(self, demand_id: UUID, **fields: Any) -> Demand:
        """Change a demand without changing its state."""
        changed = replace(self.demand(demand_id), **fields)
        self.change(demands=tuple(changed if one.demand_id == demand_id else one for one in self.takedown.demands))
        return changed

    def change_delivery(self, demand_id: UUID, **fields: Any) -> Demand:
        """Change the delivery of a demand; one that never arrived has none to change."""
        demand = self.demand(demand_id)
        if demand.delivery is None:
            return demand
        return self.change_demand(demand_id, delivery=replace(demand.delivery, **fields))

    def quieten(self, demand_id: UUID) -> Demand:
        """Mark that nothing of this demand waits for a look any more: neither its first message nor a reminder."""
        self.change_demand(demand_id, parked=False)
        return self.change_delivery(demand_id, reminder_wanted=None)

    def move_demand(self, demand_id: UUID, to: DemandState, **facts: str | int | bool) -> Demand:
        """Move a demand to another state (to its own state is no step). Raises IllegalStep if the table does not have that step."""
        demand = self.demand(demand_id)
        if to is demand.state:
            return demand
        if to not in DEMAND[demand.state]:
            raise IllegalStep(f"demand {demand.state} -> {to}")
        changed = self.change_demand(demand_id, state=to)
        self.note_demand(f"demand.{to.value}", changed, **facts)
        return changed

    def current_demands(self) -> tuple[Demand, ...]:
        return tuple(one for one in self.takedown.demands if one.round == self.takedown.round)

    def send(self, demand: Demand, kind: MessageKind, number: int = 0, due: datetime | None = None) -> None:
        """Make a message due (now, by default)."""
        self.emit(
            SendMessage(
                message_id=ids.message_id(demand.demand_id, kind.value, number),
                demand_id=demand.demand_id,
                kind=kind,
                number=number,
                due=due or self.now,
            )
        )

    # Checks

    def check(self, at: datetime, reason: str) -> None:
        """Ask for a look no later than `at`. In states in which nothing is looked at, nothing is asked for."""
        if self.state in STOPPED or self.fetching_stopped:
            return
        due = self.takedown.next_check
        if due is None or at < due.at:
            self.change(next_check=NextCheck(at=at, asked_at=self.now))
            self._check_reason = reason
        elif at <= self.now:
            self.change(next_check=replace(due, asked_at=self.now))

    def no_check(self) -> None:
        self.change(next_check=None)

    def stop(self) -> None:
        """Cancel the check, all timers, and every message that was not accepted yet."""
        self.no_check()
        self.emit(CancelTimers())
        self.emit(CancelMessages())

    # Tasks

    def open_task(
        self,
        kind: TaskKind,
        reason: str,
        *,
        within: timedelta | None = None,
        owner: Literal["operations", "helpline"] = "operations",
        scope: TaskScope = "takedown",
        demand_id: UUID | None = None,
    ) -> None:
        """Open a task for a person, one of each kind at a time. `within` is unscaled. A task about the whole content takes the place of one
        about this takedown alone.

        What concerns the whole content takes the place of what concerns this takedown alone.
        """
        known = self.takedown.task(kind)
        if known is not None and (known.scope == scope or scope == "takedown"):
            return
        self.close_task(kind, "superseded")
        number = self.takedown.tasks_opened + 1
        task_id = ids.deterministic_id((str(self.takedown.takedown_id), "task", kind.value, str(number)))
        self.change(
            tasks=(*self.takedown.tasks, OpenedTask(task_id=task_id, kind=kind, scope=scope)), tasks_opened=number
        )
        self.emit(
            OpenTask(
                task_id=task_id,
                kind=kind,
                reason=reason,
                due=self.now + self.policy.scaled(self.policy.dispute_due if within is None else within),
                owner=owner,
                scope=scope,
                demand_id=demand_id,
            )
        )
        self.note("task.opened", task_id=str(task_id), task=kind.value, reason=reason)

    def close_task(self, kind: TaskKind, resolution: str) -> None:
        task = self.takedown.task(kind)
        if task is None:
            return
        self.change(tasks=tuple(one for one in self.takedown.tasks if one.task_id != task.task_id))
        self.emit(CloseTask(task_id=task.task_id, kind=kind, resolution=resolution))
        self.note("task.closed", task_id=str(task.task_id), task=kind.value, resolution=resolution)

    def close_tasks(self, resolution: str, *, keep: frozenset[TaskKind] = frozenset()) -> None:
        """Close all tasks but those to keep. One about a possible minor stays open, whatever becomes of the takedown."""
        for task in self.takedown.tasks:
            if task.kind not in keep and task.kind is not TaskKind.POSSIBLE_MINOR:
                self.close_task(task.kind, resolution)

    # The end

    def finished(self) -> tuple[Takedown, tuple[Effect, ...]]:
        """The takedown and its effects, with the one effect about the check."""
        before, after = self.before.next_check, self.takedown.next_check
        moved = after is not None and (before is None or after.at != before.at)
        if after is not None and (moved or self.check_ended):
            self.emit(ScheduleCheck(at=after.at, reason=self._check_reason or "asked_meanwhile"))
        elif after is None and (before is not None or self.check_ended):
            self.emit(CancelCheck())
        if self.takedown != self.before:
            self.change(changed_at=self.now)
        return self.takedown, tuple(self._effects)
