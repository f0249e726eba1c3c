"""Tables of the command line: what a person reads of a moment, and what a narrow terminal leaves of the live table."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from services.standalone.terminal.output import cell
from services.standalone.terminal.watch import table_of

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
    assert "11-26 22:58:22" in text
    assert "12-01 23:03:14" in text
    assert "a-host-with" in text


def test_a_wide_table_has_the_whole_id() -> None:
    assert TAKEDOWN["takedown_id"] in shown(TAKEDOWN, width=130)


def test_what_is_not_there_is_a_dash() -> None:
    row = shown({**TAKEDOWN, "host": None, "check_due_at": None}, width=80).splitlines()[-1]
    assert row.split()[3] == "-"
    assert row.split()[-1] == "-"
