"""The gauges of the notifier, refreshed by a small query now and then, and tables that are kept short."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta

from services.notifier.states import TakedownState, TaskKind
from shared.errors import Transient
from shared.metrics import OVERDUE, TAKEDOWNS, TASKS
from shared.runtime import Runtime

EVERY_SECONDS = 5.0
INBOX_KEPT = timedelta(days=62)
"""Twice the time the log keeps what it marks: an older event cannot come again."""

OVERDUE_WHERE = """
d.deadline < clock_timestamp() AND d.state IN ('delivered', 'acknowledged', 'reported_removed', 'disputed', 'refused', 'expired')
AND d.round = t.round AND t.state IN ('open', 'verifying', 'reappeared', 'unremoved')
"""
"""A demand `d` of a takedown `t` past its deadline, with the content not confirmed removed."""

_OVERDUE = f"""
SELECT count(*) AS number FROM notifier.demands d JOIN notifier.takedowns t USING (takedown_id) WHERE {OVERDUE_WHERE}
"""

# Who must not be contacted is forgotten when nobody is left to be told of a withdrawal.
_FORGET_TERMS = """
UPDATE notifier.claims c SET do_not_contact = '{}'
FROM notifier.content k
WHERE k.content_id = c.content_id AND k.state = 'withdrawn' AND c.state = 'withdrawn' AND c.do_not_contact <> '{}'
  AND NOT EXISTS (SELECT 1 FROM notifier.messages m JOIN notifier.takedowns t USING (takedown_id)
                  WHERE t.content_id = c.content_id AND m.kind = 'demand.retracted' AND m.state IN ('due', 'idle'))
"""


class Gauges:
    """Counts, every few seconds."""

    def __init__(self, runtime: Runtime) -> None:
        self._database = runtime.database

    async def run(self) -> None:
        while True:
            with contextlib.suppress(Transient):  # the next turn will tell
                await self.refresh()
            await asyncio.sleep(EVERY_SECONDS)

    async def refresh(self) -> None:
        async with self._database.transaction() as tx:
            states = await (
                await tx.execute("SELECT state, count(*) AS number FROM notifier.takedowns GROUP BY state")
            ).fetchall()
            kinds = await (
                await tx.execute(
                    "SELECT kind, count(*) AS number FROM notifier.tasks WHERE closed_at IS NULL AND joined_to IS NULL"
                    " GROUP BY kind"
                )
            ).fetchall()
            overdue = await (await tx.execute(_OVERDUE)).fetchone()
            await tx.execute(_FORGET_TERMS)
            await tx.execute("DELETE FROM notifier.inbox WHERE handled_at < now() - %s::interval", (INBOX_KEPT,))
        by_state = {row["state"]: row["number"] for row in states}
        for state in TakedownState:
            TAKEDOWNS.labels(state).set(by_state.get(state, 0))
        by_kind = {row["kind"]: row["number"] for row in kinds}
        for kind in TaskKind:
            TASKS.labels(kind).set(by_kind.get(kind, 0))
        OVERDUE.set(0 if overdue is None else overdue["number"])
