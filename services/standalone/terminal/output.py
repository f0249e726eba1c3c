"""What all commands share: one line for an error, tables, and JSON for programs."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from shared.errors import BadSettings

if TYPE_CHECKING:
    from rich.console import Console

    from shared.http.api_client import ApiClient
    from shared.process.settings import Settings

# What a command may not need is imported when it is called: `--help` draws no table and reads no settings.

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="JSON for programs: one object, or one a line.")]


def settings_of_command() -> Settings:
    """The settings, with logging set up by them. Raises BadSettings."""
    from shared.process import logs
    from shared.process.settings import load

    settings = load()
    logs.configure(format_=settings.log_format, level=settings.log_level)
    return settings


def settings_of_client() -> Settings:
    """For a command that is a client or a one-off: what it prints is for a person, so log lines start at warnings."""
    from shared.process import logs
    from shared.process.settings import load

    settings = load()
    logs.configure(format_=settings.log_format, level="warning" if settings.log_level == "info" else settings.log_level)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # what went wrong is said in our one line
    return settings


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What the coroutine returns, run in an event loop of its own."""
    import uvloop

    return uvloop.run(coroutine)


def intake(settings: Settings) -> ApiClient:
    """Intake's API with the caller's key. Raises BadSettings."""
    return _client(settings.intake_url, settings)


def notifier(settings: Settings) -> ApiClient:
    """The notifier's API with the caller's key. Raises BadSettings."""
    return _client(settings.notifier_url, settings)


def _client(base_url: str, settings: Settings) -> ApiClient:
    from shared.http.api_client import ApiClient  # an HTTP client is no part of a service's start

    if settings.key is None:
        raise BadSettings("TAKEDOWN_KEY is not set. Set it to your key; `takedown keys create` makes one.")
    return ApiClient(base_url, settings.key)


def say(text: str) -> None:
    """One line of result."""
    typer.echo(text)


def remark(text: str) -> None:
    """A line beside the result, on stderr: a script that takes the result does not get it."""
    typer.echo(text, err=True)


def say_json(value: Any) -> None:
    """One JSON object on one line."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(type(value).__name__)


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table that fits the terminal (`draw_table`); `empty` is said where it has no rows."""
    shown = [[cell(value) for value in row] for row in rows]
    if not shown:
        typer.echo(empty)
        return
    draw_table(console(), columns, shown)


def draw_table(screen: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Draw cells that are text already: as a table or, where the terminal is too narrow for it, as a block for each row, with a line
    for each cell that has a value. Nothing is cut."""
    from rich.table import Table

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*row)
    if screen.measure(table, options=screen.options.update(max_width=_UNLIMITED)).maximum <= screen.width:
        screen.print(table)
        return
    for number, row in enumerate(rows):
        if number:
            screen.print()
        block = Table.grid(padding=(0, 2, 0, 0))
        block.add_column(style="bold", no_wrap=True)
        block.add_column(overflow="fold")
        for name, text in zip(columns, row, strict=True):
            if text != NOTHING:
                block.add_row(name, text)
        screen.print(block)


_UNLIMITED = 10_000


def console(*, width_of_pipe: int = 400) -> Console:
    """Where tables are drawn. A pipe has no width to be cut to. What is drawn is text, never markup: a host may be named `[red]`."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else width_of_pipe, highlight=False, markup=False, emoji=False)


NOTHING = "-"
"""What a cell without a value shows."""
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
"""As the services' answers write it: always UTC."""


def cell(value: object) -> str:
    """A value as a person reads it; a moment is UTC."""
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return value[:19].replace("T", " ")
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(cell(one) for one in value) or NOTHING
    return printable(str(value))


def in_words(name: object) -> str:
    """A word of the API (`awaiting_confirmation`), as a person reads it."""
    return str(name).replace("_", " ")


def printable(text: str) -> str:
    """One line without what a terminal would take for a command, or would hide: each such character is shown as `�`."""
    return "".join(one if one.isprintable() else "�" for one in " ".join(text.split()))


def complain(text: str) -> None:
    """The one line on stderr that a failing command prints."""
    typer.echo(f"takedown: {printable(text)}", err=True)


Command = Callable[..., None]
