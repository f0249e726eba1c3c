"""`takedown watch`: a live table of the takedowns, over the notifier's API. Needs a key of any reading role."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from services.standalone.terminal.output import cell, console, notifier
from shared.http.api_client import ApiClient, ApiRefused, ApiUnreachable
from shared.process.settings import Settings

STATE_STYLES = {
    "discovered": "cyan",
    "held": "magenta",
    "open": "yellow",
    "verifying": "blue",
    "removed": "green",
    "reappeared": "red",
    "unremoved": "bold red",
    "suspended": "dim",
    "withdrawn": "dim",
    "rejected": "dim",
    "dismissed": "dim",
}
ROWS = 30
WIDE = 130
"""Columns of a terminal from which whole ids fit."""
SECONDS_FIT = 100
"""Columns from which moments are shown to the second."""
MINUTE_CHARACTERS = len("2026-11-26 22:58")


async def watch(settings: Settings, *, interval_seconds: float, once: bool) -> None:
    """Show the table until interrupted; a service that is away is said so and waited for."""
    screen = console()
    async with notifier(settings) as api:
        if once:
            screen.print(await _look(api, width=screen.width, rows=ROWS))
            return
        with Live(console=screen, screen=False, auto_refresh=False, transient=False) as live:
            while True:
                try:
                    shown: RenderableType = await _look(api, width=screen.width, rows=rows_of(screen.height))
                except ApiUnreachable as error:
                    shown = Text(str(error), style="red")
                live.update(shown, refresh=True)
                await asyncio.sleep(interval_seconds)


async def _look(api: ApiClient, *, width: int, rows: int) -> RenderableType:
    takedowns = [item async for item in api.items("/v1/takedowns", limit=200)]
    open_tasks = [item async for item in api.items("/v1/tasks", limit=200)]
    outbound = await _outbound(api)
    return Group(summary(takedowns, open_tasks, outbound), table_of(takedowns, width=width, rows=rows))


async def _outbound(api: ApiClient) -> bool | None:
    """None where this key may not know."""
    try:
        return bool((await api.get("/v1/outbound")).get("on"))
    except ApiRefused:
        return None


def summary(takedowns: Sequence[dict[str, Any]], tasks: Sequence[dict[str, Any]], outbound: bool | None) -> Text:
    """One line: how many in each state, tasks, overdue, and whether messages leave."""
    line = Text()
    for state, count in sorted(Counter(str(one["state"]) for one in takedowns).items()):
        line.append(f"{state} {count}  ", style=STATE_STYLES.get(state, ""))
    if not takedowns:
        line.append("no takedowns yet  ")
    line.append(f"| open tasks {len(tasks)}  overdue {sum(bool(one.get('overdue')) for one in takedowns)}")
    if outbound is not None:
        line.append(f"  outbound {'on' if outbound else 'off'}", style="" if outbound else "bold red")
    return line


def rows_of(height: int) -> int:
    """How many rows fit a terminal of this height, beside the summary (which may wrap), the header and the caption."""
    return max(1, min(ROWS, height - 5))


def table_of(takedowns: Sequence[dict[str, Any]], *, width: int, rows: int = ROWS) -> Table:
    """The latest changed takedowns first. Where it is narrow the host is cut, ids show their beginning, moments no seconds."""
    table = Table(box=None, pad_edge=False)
    for name in ("takedown", "state", "round", "host", "changed (UTC)", "next check (UTC)"):
        table.add_column(name, no_wrap=name != "host")  # what may wrap is narrowed first
    newest = sorted(takedowns, key=lambda one: str(one.get("changed_at")), reverse=True)
    for one in islice(newest, rows):
        state = str(one["state"])
        takedown_id = str(one["takedown_id"])
        table.add_row(
            takedown_id if width >= WIDE else takedown_id[:8],
            Text(state, style=STATE_STYLES.get(state, "")),
            cell(one.get("round")),
            Text(cell(one.get("host")), no_wrap=True, overflow="ellipsis"),  # a line for each takedown
            *(
                cell(one.get(name))[: None if width >= SECONDS_FIT else MINUTE_CHARACTERS]
                for name in ("changed_at", "check_due_at")
            ),
        )
    if len(takedowns) > rows:
        table.caption = f"and {len(takedowns) - rows} more"
    return table
