"""The API of people: takedowns, tasks, decisions. The key's role says who may do what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Header, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

from services.notifier.api import answers, queries, refused_decisions
from services.notifier.application.decisions import CONTENT_DECISIONS, apply_decision, belongs
from services.notifier.application.unit_of_work import UnitOfWorkFactory, queue_decision
from services.notifier.directory.store import list_hosts
from services.notifier.domain.model import TakedownState, TaskKind
from services.notifier.store import aliases, decisions, takedowns, tasks
from services.notifier.store.content import LIVE_CLAIMS
from shared.access import audit
from shared.access.auth import AnyReader, Operations
from shared.access.keyring import KeyRing
from shared.access.keys import Principal, Role, list_keys
from shared.contracts.decisions import DecisionKind, DecisionTaken
from shared.db.pool import Tx
from shared.http.paging import Page, page_of
from shared.http.problems import Conflict, Invalid, KeyReused, NotFound
from shared.ids import deterministic_id
from shared.policy import Policy
from shared.service.dependencies import ServiceRuntime, provided


class DecisionAsked(BaseModel):
    """A decision: of a task, of a takedown, or (suspend, resume, stop_fetching, resume_fetching, hold, release) of a content.

    `recipient`: the directory key of a reroute.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "kind": "release",
                    "task_id": "41a9d2c7-6b0e-5d38-9f47-0c5a1e2b3d4f",
                    "reason": "Two of us looked: it is the same picture.",
                }
            ]
        },
    )

    kind: DecisionKind
    task_id: UUID | None = None
    takedown_id: UUID | None = None
    content_id: UUID | None = None
    demand_id: UUID | None = None
    recipient: Annotated[str, StringConstraints(max_length=63)] | None = None
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class LookAsked(BaseModel):
    """What a person saw at the target, when, and how it was looked at. No URL and no name is kept."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"seen": "present", "seen_at": "2026-03-02T10:00:00Z", "how": "signed_in"}]},
    )

    seen: Literal["present", "gone"]
    seen_at: AwareDatetime
    how: Literal["browser", "signed_in", "other_country", "app", "other"] = "browser"


routes = APIRouter(prefix="/v1", tags=["operations"])

WorkFactory = Annotated[UnitOfWorkFactory, Depends(provided(UnitOfWorkFactory))]


@routes.get(
    "/takedowns",
    summary="List takedowns",
    response_model=answers.TakedownList,
    response_model_exclude_unset=True,
)
async def list_takedowns(
    principal: AnyReader,
    runtime: ServiceRuntime,
    page: Page,
    claim_id: UUID | None = None,
    content_id: UUID | None = None,
    host: Annotated[str | None, Query(max_length=253)] = None,
    state: TakedownState | None = None,
    overdue: bool | None = None,
) -> dict[str, Any]:
    """Takedowns, the newest first. A helpline sees those of content that it has a live claim on; a reader sees no host and no URL."""
    asked = queries.Asked(claim_id=claim_id, content_id=content_id, host=host, state=state, overdue=overdue)
    async with runtime.database.transaction() as tx:
        shown = await queries.takedowns(tx, principal, asked, page)
        await _audit_reading(tx, principal, shown["items"], action="takedown.listed")
    return shown


@routes.get(
    "/takedowns/{takedown_id}",
    summary="Read a takedown",
    response_model=answers.TakedownView,
    response_model_exclude_unset=True,
)
async def get_takedown(principal: AnyReader, runtime: ServiceRuntime, takedown_id: UUID) -> dict[str, Any]:
    """One takedown with its checks, attempts, answers, tasks and time line."""
    async with runtime.database.transaction() as tx:
        shown = await queries.takedown(tx, principal, await aliases.takedown_named(tx, takedown_id))
        if shown is None:
            raise NotFound("There is no takedown with this id.")
        await _audit_reading(tx, principal, [shown], action="takedown.read")
    return shown


@routes.get(
    "/takedowns/{takedown_id}/answers",
    summary="List the answers to a takedown's demands",
    response_model=answers.AnswerList,
    response_model_exclude_unset=True,
)
async def list_answers(principal: AnyReader, runtime: ServiceRuntime, takedown_id: UUID, page: Page) -> dict[str, Any]:
    """What recipients answered, the oldest first. The same answer again is one, and counted."""
    async with runtime.database.transaction() as tx:
        shown = await queries.answers(tx, principal, await aliases.takedown_named(tx, takedown_id), page)
    if shown is None:
        raise NotFound("There is no takedown with this id.")
    return shown


async def _audit_reading(tx: Tx, principal: Principal, shown: Sequence[Mapping[str, Any]], *, action: str) -> None:
    """Record who was shown a takedown's URL. The URL is not recorded."""
    read = [one["takedown_id"] for one in shown if one.get("url") is not None]
    await audit.record_reading(tx, principal, action=action, object_kind="takedown", object_ids=read)


@routes.get("/tasks", summary="List tasks", response_model=answers.TaskList)
async def list_tasks(
    principal: AnyReader,
    runtime: ServiceRuntime,
    page: Page,
    kind: TaskKind | None = None,
    state: Literal["open", "done", "all"] = "open",
) -> dict[str, Any]:
    """What needs a person, the oldest first. Each is decided with `POST /v1/decisions`."""
    async with runtime.database.transaction() as tx:
        found = await tasks.list_tasks(
            tx,
            kind=kind,
            open_=None if state == "all" else state == "open",
            organisation=queries.organisation_filter(principal),
            live=list(LIVE_CLAIMS),
            page=page,
        )
        keys = await _keys_of(tx, runtime.keys, principal, found)
    items = [_shown_task(principal, one, keys) for one in found]
    return page_of(found, items, page, lambda task: (task.opened_at, task.task_id))


@routes.post("/decisions", status_code=201, summary="Take a decision")
async def take_decision(
    principal: Operations,
    work: WorkFactory,
    asked: DecisionAsked,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> answers.DecisionKept:
    """Decide what a machine may not: about a task, a takedown or a demand, or (suspend, resume) about a whole content."""
    if asked.kind is DecisionKind.LOOKED:
        raise Invalid("Send what you saw to POST /v1/takedowns/{takedown_id}/looks.", pointer="#/kind")
    async with work.runtime.database.transaction() as tx:
        content_id, takedown_id = await _about(tx, asked)
        await _check_recipient(tx, asked)
    decided = DecisionTaken(
        decision_id=_decision_id(principal, idempotency_key),
        kind=asked.kind,
        content_id=None if takedown_id is not None else content_id,
        takedown_id=takedown_id,
        demand_id=asked.demand_id,
        task_id=asked.task_id,
        person_id=principal.person_id,
        organisation_id=principal.organisation_id,
        reason=asked.reason,
        recipient=asked.recipient,
        decided_at=datetime.now(UTC),
    )
    await _take(work, principal, content_id, decided)
    return answers.DecisionKept(decision_id=decided.decision_id, kind=decided.kind)


@routes.post("/takedowns/{takedown_id}/looks", status_code=201, summary="Say what you saw")
async def add_look(
    principal: Operations,
    work: WorkFactory,
    takedown_id: UUID,
    asked: LookAsked,
    idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
) -> answers.DecisionKept:
    """Look where our checks cannot (a login, another country, an app), and say whether the content is there.

    Seen there, it is asked for once another person decides `release` on the task that this opens; the demand says that a person saw it.
    What you saw before a check of ours that saw it gone makes a check due now, and no demand.
    Seen gone by two looks at least a day apart, and sent at least a day apart, it counts as removed, unless our own last check saw it or
    another person still does.
    """
    async with work.runtime.database.transaction() as tx:
        takedown_id = await aliases.takedown_named(tx, takedown_id)
        content_id = await takedowns.content_of(tx, takedown_id)
    if content_id is None:
        raise NotFound("There is no takedown with this id.")
    decided = DecisionTaken(
        decision_id=_decision_id(principal, idempotency_key),
        kind=DecisionKind.LOOKED,
        takedown_id=takedown_id,
        person_id=principal.person_id,
        organisation_id=principal.organisation_id,
        reason=asked.seen,
        looked=asked.seen,
        seen_at=asked.seen_at,
        how=asked.how,
        decided_at=datetime.now(UTC),
    )
    await _take(work, principal, content_id, decided)
    return answers.DecisionKept(decision_id=decided.decision_id, kind=decided.kind)


async def _take(work: UnitOfWorkFactory, principal: Principal, content_id: UUID, decided: DecisionTaken) -> None:
    """Take a decision: keep, publish, apply and audit it in one transaction. A refusal leaves nothing behind."""
    async with work.begin(content_id, exclusive=True) as unit:
        _check_moment(decided, unit.now, unit.runtime.policy)
        if not await decisions.keep(unit.tx, decided):
            await _must_be_the_same(unit.tx, decided)
            return
        refusal = await apply_decision(unit, decided, by_operations=True)
        if refusal is not None:
            raise Conflict(refused_decisions.sentence_of(refusal), reason=refusal)
        if unit.refs_decided:
            found = {"content_id": content_id, "fingerprint_refs": tuple(unit.refs_decided)}
            await queue_decision(unit.tx, decided.model_copy(update=found))
        else:
            await queue_decision(unit.tx, decided)
        about = decided.takedown_id or content_id
        await audit.record(
            unit.tx,
            principal,
            action=f"decision.{decided.kind}",
            object_kind="takedown" if decided.takedown_id else "content",
            object_id=about,
        )


def _check_moment(decided: DecisionTaken, now: datetime, policy: Policy) -> None:
    """Raises Invalid for a look in the future, or so long ago that nothing may rest on it any more."""
    if decided.seen_at is None:
        return
    if decided.seen_at > now:
        raise Invalid("This time is in the future. Say when you looked, no later than now.", pointer="#/seen_at")
    if now - decided.seen_at > policy.scaled(policy.person_look_valid_for):
        raise Invalid("This is too long ago. Please look again, and say when you did.", pointer="#/seen_at")


async def _about(tx: Tx, asked: DecisionAsked) -> tuple[UUID, UUID | None]:
    """(content, takedown or None) of what is decided. Raises Invalid (also where what is named does not belong together),
    NotFound."""
    if asked.takedown_id is not None:
        asked = asked.model_copy(update={"takedown_id": await aliases.takedown_named(tx, asked.takedown_id)})
    content_id, takedown_id = await _named(tx, asked)
    if asked.content_id not in (None, content_id):
        raise Invalid("This is not the content that the task, takedown or demand is about.", pointer="#/content_id")
    if asked.task_id is not None:
        task = await tasks.task_of(tx, asked.task_id)
        if task is None or not belongs(task, content_id, takedown_id):
            raise Invalid("This task belongs to another takedown.", pointer="#/task_id")
    if asked.demand_id is not None:
        of_demand = await takedowns.takedown_of_demand(tx, asked.demand_id)
        of_content = None if of_demand is None else await takedowns.content_of(tx, of_demand)
        if of_content != content_id or asked.takedown_id not in (None, of_demand):
            raise Invalid("This demand belongs to another takedown.", pointer="#/demand_id")
    return content_id, takedown_id


async def _named(tx: Tx, asked: DecisionAsked) -> tuple[UUID, UUID | None]:
    takedown_id = asked.takedown_id
    if asked.task_id is not None:
        task = await tasks.task_of(tx, asked.task_id)
        if task is None:
            raise NotFound("There is no task with this id.")
        of_content = task.kind is TaskKind.POSSIBLE_MINOR or asked.kind is DecisionKind.HOLD
        if of_content and asked.kind in CONTENT_DECISIONS and takedown_id is None:
            return task.content_id, None  # the host's word was about the content
        takedown_id = takedown_id or task.takedown_id
    if takedown_id is None and asked.demand_id is not None:
        takedown_id = await takedowns.takedown_of_demand(tx, asked.demand_id)
        if takedown_id is None:
            raise NotFound("There is no demand with this id.")
    if takedown_id is not None:
        content_id = await takedowns.content_of(tx, takedown_id)
        if content_id is None:
            raise NotFound("There is no takedown with this id.")
        return content_id, takedown_id
    if asked.content_id is None:
        raise Invalid(
            "Name what is decided: give one of task_id, takedown_id, demand_id or content_id.", pointer="#/takedown_id"
        )
    if asked.kind not in CONTENT_DECISIONS | {DecisionKind.RELEASE}:
        raise Invalid(
            f"{asked.kind} is a decision about one takedown. Name it in takedown_id, task_id or demand_id.",
            pointer="#/content_id",
        )
    return asked.content_id, None


async def _check_recipient(tx: Tx, asked: DecisionAsked) -> None:
    if asked.kind is not DecisionKind.REROUTE:
        return
    if asked.recipient is None:
        raise Invalid("For reroute, name the organisation to ask, by its key in the directory.", pointer="#/recipient")
    if not await list_hosts(tx, organisation=asked.recipient):
        raise Invalid(
            "No organisation in the directory has this key. `takedown hosts list` shows them.", pointer="#/recipient"
        )


async def _must_be_the_same(tx: Tx, decided: DecisionTaken) -> None:
    """Raises KeyReused where the Idempotency-Key was used for another decision."""
    if not await decisions.is_kept_as(tx, decided):
        raise KeyReused("Another decision was sent with it. Use a new one.")


def _decision_id(principal: Principal, idempotency_key: str | None) -> UUID:
    if idempotency_key is None:
        return uuid4()
    return deterministic_id(("decision", principal.organisation_id, principal.person_id, idempotency_key))


async def _keys_of(tx: Tx, ring: KeyRing, principal: Principal, found: Sequence[tasks.Task]) -> Mapping[str, UUID]:
    """The ids of API keys behind what stands for them in tasks, for operations staff, who may have to revoke one."""
    if principal.role is not Role.OPERATIONS or all(one.reported_by is None for one in found):
        return {}
    return {ring.reported_by_of(one.key_id): one.key_id for one in await list_keys(tx)}


def _shown_task(principal: Principal, task: tasks.Task, keys: Mapping[str, UUID]) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "kind": task.kind,
        "scope": task.scope,
        "takedown_id": task.takedown_id,
        "content_id": queries.shown_content_id(principal, task.content_id),
        "demand_id": task.demand_id,
        "key_id": None if task.reported_by is None else keys.get(task.reported_by),
        "reason": task.reason,
        "owner": task.owner,
        "due_at": task.due_at,
        "opened_at": task.opened_at,
        "closed_at": task.closed_at,
        "resolution": task.resolution,
    }
