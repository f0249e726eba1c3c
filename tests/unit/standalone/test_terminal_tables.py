"""Tables of the command line: what a person reads of a moment, and what a narrow terminal leaves of the live table."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, Group

from services.standalone.terminal.output import cell, console, draw_table
from services.standalone.terminal.watch import rows_of, summary, table_of

TAKEDOWN: dict[str, Any] = {
    "takedown_id": "8c67c798-99a1-5774-ba57-22a8bb396c93",
    "state": "discovered",
    "round": 1,
    "host": "a-host-with-a-long-name.example.org",
    "changed_at": "2026-11-26T22:58:22.316573Z",
    "check_due_at": "2026-12-01T23:03:14.431815Z",
}


def shown(takedown: dict[str, Any], *, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(table_of([takedown], width=width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_moment_of_an_answer_reads_like_any_other() -> None:
    moment = datetime(2026, 11, 26, 22, 58, 22, 316573, tzinfo=UTC)
    assert (
        cell("2026-11-26T22:58:22.316573Z")
        == cell("2026-11-26T22:58:22+00:00")
        == cell(moment)
        == "2026-11-26 22:58:22"
    )
    assert cell("2026-11-26T") == "2026-11-26T"


def test_a_narrow_table_cuts_the_host_and_no_moment() -> None:
    text = shown(TAKEDOWN, width=80)
    assert "8c67c798 " in text
    assert "2026-11-26 22:58 " in text
    assert "2026-12-01 23:03" in text
    assert "a-host-with" in text


def test_a_wide_table_has_the_whole_id() -> None:
    assert TAKEDOWN["takedown_id"] in shown(TAKEDOWN, width=130)


def test_what_is_not_there_is_a_dash() -> None:
    row = shown({**TAKEDOWN, "host": None, "check_due_at": None}, width=80).splitlines()[-1]
    assert row.split()[3] == "-"
    assert row.split()[-1] == "-"


HOST = ("[red]", "a.example b.example", "site_operator", "webhook", "a-provider", "unknown", "uk_osa_20a", "GB", "no")
COLUMNS = ("organisation", "domains", "rung", "reached by", "next rung", "posture", "bound by", "country", "held")


def drawn(rows: list[tuple[str, ...]], *, width: int, columns: tuple[str, ...] = COLUMNS) -> str:
    screen = console(width_of_pipe=width)
    with screen.capture() as captured:
        draw_table(screen, columns, rows)
    return captured.get()


@pytest.mark.parametrize("width", [20, 40, 80, 120, 200])
def test_a_table_is_never_cut_whatever_the_terminal(width: int) -> None:
    text = drawn([HOST, HOST], width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    words = "".join(text.split())
    for cell_text in HOST:
        assert words.count("".join(cell_text.split())) >= 2


def test_a_table_that_fits_stays_a_table() -> None:
    assert len(drawn([HOST, HOST], width=140).splitlines()) == 3


@pytest.mark.parametrize("name", ["[red]", "[/red]", "[bold]x[/bold]", ":x:", "[link=http://a.example]a[/link]"])
def test_what_looks_like_markup_is_shown_as_it_is(name: str) -> None:
    assert name in drawn([(name,)], width=80, columns=("host",))
    assert name in drawn([(name, "x" * 90)], width=80, columns=("host", "other"))
    assert name in shown({**TAKEDOWN, "host": name}, width=130)


@given(st.text())
def test_a_cell_is_one_line_that_commands_no_terminal(text: str) -> None:
    assert cell(text).isprintable()


def test_the_live_table_fits_the_height_of_the_terminal() -> None:
    many = [{**TAKEDOWN, "takedown_id": f"{number:08}"} for number in range(40)]
    for height in (10, 24, 60):
        screen = Console(file=io.StringIO(), width=80, height=height)
        with screen.capture() as captured:
            screen.print(Group(summary(many, [], None), table_of(many, width=80, rows=rows_of(height))))
        lines = captured.get().splitlines()
        assert len(lines) < height
        assert all(len(line) <= 80 for line in lines)
        assert "more" in lines[-1]
