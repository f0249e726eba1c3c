"""What operations staff, helplines and readers may see of takedowns. A reader sees no URL and no host name; a helpline sees
content its organisation has a live claim on, under the content's alias for it, and nothing of others' claims: nothing that happened
before its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.notifier.maintenance.metrics import OVERDUE_WHERE
from services.notifier.store import takedowns as store
from services.notifier.store.content import LIVE_CLAIMS
from shared.access.keys import Principal, Role
from shared.db.pool import Row, Tx
from shared.http.paging import PageAsked, page_of
from shared.http.problems import Forbidden
from shared.ids import content_alias

_IS_OVERDUE = f"EXISTS (SELECT 1 FROM notifier.demands d WHERE d.takedown_id = t.takedown_id AND {OVERDUE_WHERE})"


def _takedowns(*, created: str = "t.created_at", changed: str = "t.changed_at", more: str = "") -> str:
    """Newest first."""
    return f"""
SELECT t.takedown_id, t.content_id, t.target_kind, t.state, t.round, t.host, t.url, t.page_url,
       {created} AS created_at, {changed} AS changed_at {more},
       t.held_for, t.removed_for, (SELECT due_at FROM notifier.due_checks c WHERE c.takedown_id = t.takedown_id) AS check_due_at,
       {_IS_OVERDUE} AS overdue,
       (SELECT k.fetching_stopped OR k.fetching_stopped_here FROM notifier.content k WHERE k.content_id = t.content_id)
           AS fetching_stopped,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('demand_id', d.demand_id, 'recipient', d.recipient, 'rung', d.rung,
                   'round', d.round, 'state', d.state, 'regime', d.regime, 'issued_at', d.issued_at,
                   'delivered_at', d.delivered_at, 'deadline', d.deadline) ORDER BY d.issued_at, d.demand_id), '[]')
        FROM notifier.demands d WHERE d.takedown_id = t.takedown_id) AS demands
FROM notifier.takedowns t
WHERE (%(takedown_id)s::uuid IS NULL OR t.takedown_id = %(takedown_id)s)
  AND (%(content_id)s::uuid IS NULL OR t.content_id = %(content_id)s)
  AND (%(host)s::text IS NULL OR t.host = %(host)s OR right(t.host, length(%(host)s) + 1) = '.' || %(host)s)
  AND (%(state)s::text IS NULL OR t.state = %(state)s)
  AND (%(overdue)s::bool IS NULL OR {_IS_OVERDUE} = %(overdue)s)
  AND (%(claim_id)s::uuid IS NULL OR t.content_id = (SELECT content_id FROM notifier.claims c WHERE c.claim_id = %(claim_id)s
        AND (%(organisation)s::text IS NULL OR c.organisation_id = %(organisation)s)))
  AND (%(organisation)s::text IS NULL OR t.content_id IN (SELECT content_id FROM notifier.claims c
        WHERE c.organisation_id = %(organisation)s AND c.state = ANY(%(live)s)))
  AND (%(after_at)s::timestamptz IS NULL OR ({created}, t.takedown_id) < (%(after_at)s, %(after_id)s::uuid))
ORDER BY {created} DESC, t.takedown_id DESC LIMIT %(limit)s
"""


# From when on a helpline may see what happened: from its own claim's beginning here.
_SINCE = """
(SELECT min(c.since) FROM notifier.claims c
 WHERE c.content_id = t.content_id AND c.organisation_id = %(organisation)s AND c.state = ANY(%(live)s))
"""
_TAKEDOWNS = _takedowns()
_TAKEDOWNS_OF_HELPLINE = _takedowns(
    created=f"greatest(t.created_at, {_SINCE})",
    changed=f"greatest(t.changed_at, {_SINCE})",
    more=f""", t.created_at AS begun_at, {_SINCE} AS since, (SELECT max(l.round) FROM notifier.lifecycle l
        WHERE l.takedown_id = t.takedown_id AND l.at < {_SINCE}) AS rounds_before""",
)

_CONTENTS_OF = "SELECT DISTINCT content_id FROM notifier.claims WHERE organisation_id = %s AND state = ANY(%s)"

_CHECKS = """
SELECT check_id, reason, started_at, ended_at, outcome, page_outcome, detail, vantage, address, status, final_url, content_type,
       size_bytes, algorithm, distance, view, whole_distance, browser
FROM notifier.checks WHERE takedown_id = %s ORDER BY started_at DESC LIMIT 200
"""
_ATTEMPTS = """
SELECT a.attempt_id, a.message_id, m.demand_id, m.kind, a.number, a.channel, a.started_at, a.ended_at, a.outcome, a.detail,
       a.status, a.address
FROM notifier.attempts a JOIN notifier.messages m USING (message_id)
WHERE a.takedown_id = %s ORDER BY a.started_at DESC LIMIT 200
"""
_ANSWER = "SELECT answer_id, demand_id, kind, reason, method, details, via, received_at, times FROM notifier.answers"
_ANSWERS = f"""
SELECT * FROM ({_ANSWER} WHERE takedown_id = %s ORDER BY received_at DESC, answer_id DESC LIMIT 200) AS newest
ORDER BY received_at, answer_id
"""
_ANSWERS_PAGE = f"""
{_ANSWER} WHERE takedown_id = %(takedown_id)s
  AND (%(after_at)s::timestamptz IS NULL OR (received_at, answer_id) > (%(after_at)s, %(after_id)s::uuid))
ORDER BY received_at, answer_id LIMIT %(limit)s
"""
_TASKS = """
SELECT task_id, kind, reason, owner, due_at, opened_at, closed_at, resolution
FROM notifier.tasks WHERE takedown_id = %s ORDER BY opened_at
"""
_TIME_LINE = (
    "SELECT sequence, kind, state, round, at, facts FROM notifier.lifecycle WHERE takedown_id = %s ORDER BY sequence"
)

_PARTS = {
    "checks": (_CHECKS, "started_at"),
    "attempts": (_ATTEMPTS, "started_at"),
    "answers": (_ANSWERS, "received_at"),
    "tasks": (_TASKS, "opened_at"),
    "time_line": (_TIME_LINE, "at"),
}
"""The parts of a takedown: the query of each, whether newest or oldest come first, and the column that says when each of it happened."""

_OF_VIEW = ("begun_at", "since", "rounds_before")

_OF_MATCH = (
    "basis",
    "seen_at",
    "observed_by",
    "assurance",
    "algorithm",
    "distance",
    "orientation",
    "quality",
    "guards",
)
"""What is shown of what agreed: no fingerprint, not its digest either."""

_PRIVATE = frozenset(("host", "url", "page_url", "address", "final_url", "details", "recipient"))
"""What a reader is not shown, wherever it stands. A recipient's key in the directory is often the host's name."""


_LOCATION = frozenset(("url", "page_url", "final_url", "details"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which takedowns are asked for. `content_id` is the alias where a helpline asks."""

    claim_id: UUID | None = None
    content_id: UUID | None = None
    host: str | None = None
    state: str | None = None
    overdue: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """How much of a takedown may be seen. `since` None: all of it. Numbers are counted anew from there."""

    since: datetime | None
    begun_at: datetime | None
    rounds_before: int

    @classmethod
    def of(cls, row: Row) -> _View:
        before = row.get("rounds_before")
        return cls(
            since=row.get("since"), begun_at=row.get("begun_at"), rounds_before=0 if before is None else before - 1
        )

    @property
    def has_begun(self) -> bool:
        """Whether the takedown is no older than what may be seen of it."""
        return self.since is None or self.begun_at is None or self.begun_at >= self.since

    def rows_since(self, rows: list[Row], when: str) -> list[Row]:
        if self.since is None:
            return rows
        seen: list[Row] = []
        before: list[Row] = []
        for row in rows:
            moment = row[when]
            moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
            (seen if moment is not None and moment >= self.since else before).append(row)
        earlier = Counter(row.get("message_id") for row in before)
        return [self._renumbered(row, earlier[row.get("message_id")]) for row in seen]

    def _renumbered(self, row: Row, before: int) -> Row:
        shift = {"round": self.rounds_before, "sequence": before, "number": before}
        return {name: value - shift.get(name, 0) if name in shift else value for name, value in row.items()}


def organisation_filter(principal: Principal) -> str | None:
    """The organisation whose content alone may be seen; None: all."""
    return principal.organisation_id if principal.role is Role.HELPLINE else None


def shown_content_id(principal: Principal, content_id: UUID) -> str:
    """A helpline sees its own alias; so it cannot learn of another's claim."""
    if principal.role is Role.HELPLINE:
        return str(content_alias(content_id, principal.organisation_id))
    return str(content_id)


async def content_behind(tx: Tx, principal: Principal, shown: UUID) -> UUID | None:
    """The content a person means; None: nothing this person may see."""
    if principal.role is not Role.HELPLINE:
        return shown
    rows = await (await tx.execute(_CONTENTS_OF, (principal.organisation_id, list(LIVE_CLAIMS)))).fetchall()
    of_alias = {content_alias(row["content_id"], principal.organisation_id): row["content_id"] for row in rows}
    return of_alias.get(shown)


async def takedowns(tx: Tx, principal: Principal, asked: Asked, page: PageAsked) -> dict[str, Any]:
    """`{items, next}`, newest first. Raises Forbidden where a reader, who is shown no host, asks for one."""
    if asked.host is not None and principal.role is Role.READER:
        raise Forbidden("A key with the role reader does not see hosts or URLs, so it cannot filter by host.")
    content_id = None
    if asked.content_id is not None:
        content_id = await content_behind(tx, principal, asked.content_id)
        if content_id is None:
            return {"items": [], "next": None}
    rows = await _select(tx, principal, asked, content_id=content_id, takedown_id=None, page=page)
    items = [_item(principal, row) for row in rows]
    return page_of(rows, items, page, lambda row: (row["created_at"], row["takedown_id"]))


async def takedown(tx: Tx, principal: Principal, takedown_id: UUID) -> dict[str, Any] | None:
    """One takedown with its checks, attempts, answers, tasks and time line; None: nothing this person may see."""
    rows = await _select(tx, principal, Asked(), content_id=None, takedown_id=takedown_id, page=PageAsked(limit=1))
    if not rows:
        return None
    view = _View.of(rows[0])
    shown = _item(principal, rows[0])
    for name, (query, when) in _PARTS.items():
        found = await (await tx.execute(query.encode(), (takedown_id,))).fetchall()
        shown[name] = [
            _visible(principal, row, stopped=rows[0]["fetching_stopped"]) for row in view.rows_since(found, when)
        ]
    whole = await store.peek(tx, takedown_id)
    seen = whole is not None and view.has_begun
    shown["match"] = {name: getattr(whole.match, name) for name in _OF_MATCH} if whole is not None and seen else None
    return shown


async def answers(tx: Tx, principal: Principal, takedown_id: UUID, page: PageAsked) -> dict[str, Any] | None:
    """`{items, next}`: what recipients answered about one takedown, the oldest first; None: nothing this person may see."""
    one = await _select(tx, principal, Asked(), content_id=None, takedown_id=takedown_id, page=PageAsked(limit=1))
    if not one:
        return None
    cursor = await tx.execute(_ANSWERS_PAGE.encode(), {"takedown_id": takedown_id, **page.parameters()})
    rows = await cursor.fetchall()
    _, when = _PARTS["answers"]
    seen = _View.of(one[0]).rows_since(rows[: page.limit], when)
    items = [_visible(principal, row, stopped=one[0]["fetching_stopped"]) for row in seen]
    return page_of(rows, items, page, lambda row: (row["received_at"], row["answer_id"]))


async def _select(
    tx: Tx, principal: Principal, asked: Asked, *, content_id: UUID | None, takedown_id: UUID | None, page: PageAsked
) -> list[Row]:
    cursor = await tx.execute(
        (_TAKEDOWNS if organisation_filter(principal) is None else _TAKEDOWNS_OF_HELPLINE).encode(),
        {
            "takedown_id": takedown_id,
            "content_id": content_id,
            "claim_id": asked.claim_id,
            "host": asked.host.lower() if asked.host else None,
            "state": asked.state,
            "overdue": asked.overdue,
            "organisation": organisation_filter(principal),
            "live": list(LIVE_CLAIMS),
            **page.parameters(),
        },
    )
    return await cursor.fetchall()


def _item(principal: Principal, row: Row) -> dict[str, Any]:
    view = _View.of(row)
    shown = {name: value for name, value in row.items() if name not in _OF_VIEW}
    shown |= {
        "content_id": shown_content_id(principal, row["content_id"]),
        "round": row["round"] - view.rounds_before,
        "demands": view.rows_since(row["demands"], "issued_at"),
    }
    return _visible(principal, shown, stopped=row["fetching_stopped"])


def _visible(principal: Principal, row: Mapping[str, Any], *, stopped: bool) -> dict[str, Any]:
    """The fields of a row that this person may see. `stopped`: it may depict a minor, and only operations staff, who decide about it, see
    where it is."""
    if principal.role is Role.READER:
        hidden = _PRIVATE
    elif stopped and principal.role is not Role.OPERATIONS:
        hidden = _LOCATION
    else:
        return dict(row)
    shown: dict[str, Any] = _without(hidden, row)
    return shown


def _without(hidden: frozenset[str], value: Any) -> Any:
    match value:
        case Mapping():
            return {name: _without(hidden, one) for name, one in value.items() if name not in hidden}
        case list():
            return [_without(hidden, one) for one in value]
        case _:
            return value
