"""The gauges of the notifier, refreshed by a small query now and then."""

from __future__ import annotations

import asyncio
import contextlib

from services.notifier.domain.model import TakedownState, TaskKind
from shared.errors import Transient
from shared.process.metrics import OVERDUE, TAKEDOWNS, TASKS
from shared.service.runtime import Runtime

EVERY_SECONDS = 5.0

OVERDUE_WHERE = """
d.deadline < statement_timestamp() AND d.state IN ('delivered', 'acknowledged', 'reported_removed', 'disputed', 'refused', 'expired')
AND d.round = t.round AND t.state IN ('open', 'verifying', 'reappeared', 'unremoved')
"""
"""A demand `d` of a takedown `t` past its deadline, with the content not confirmed removed."""

_OVERDUE = f"""
SELECT count(*) AS number FROM notifier.demands d JOIN notifier.takedowns t USING (takedown_id) WHERE {OVERDUE_WHERE}
"""


class Gauges:
    """Refreshes the gauges every few seconds."""

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
        by_state = {row["state"]: row["number"] for row in states}
        for state in TakedownState:
            TAKEDOWNS.labels(state).set(by_state.get(state, 0))
        by_kind = {row["kind"]: row["number"] for row in kinds}
        for kind in TaskKind:
            TASKS.labels(kind).set(by_kind.get(kind, 0))
        OVERDUE.set(0 if overdue is None else overdue["number"])
