"""What the demo shows: a live table while it runs, and what was expected and seen at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from services.standalone.demo.judge import Course
from services.standalone.terminal.watch import STATE_STYLES


@contextmanager
def drawing(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Shows how far the drawing of the pictures is: a bar on a terminal, elsewhere a line for each quarter. Its function is given
    how many of how many are done, from any thread."""
    if console.is_terminal:
        columns = TextColumn("Drawing the pictures"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("drawing", total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return
    shown = 0

    def show(done: int, total: int) -> None:
        nonlocal shown
        quarter = 4 * done // total
        if quarter > shown:
            shown = quarter
            console.print(f"  {25 * quarter} % of the pictures are drawn.")

    yield show


class Screen:
    """A live table on a terminal; elsewhere a line for each scenario when it has ended."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("scenarios as expected", total=None)
        self._shown: set[str] = set()

    @contextmanager
    def live(self) -> Iterator[None]:
        if not self.console.is_terminal:
            yield
            return
        with Live(console=self.console, auto_refresh=False, transient=True) as self._live:
            yield
        self._live = None

    def show(self, courses: Sequence[Course]) -> None:
        ended = [course for course in courses if course.as_expected_at is not None]
        if self._live is not None:
            self._bar.update(self._task, completed=len(ended), total=len(courses))
            self._live.update(Group(self._bar, _live_table(courses)), refresh=True)
            return
        for course in ended:
            if course.scenario.name not in self._shown:
                self._shown.add(course.scenario.name)
                self.console.print(f"{course.as_expected_at:5.1f} s  {course.scenario.name}: {course.seen}")


def _live_table(courses: Sequence[Course]) -> RenderableType:
    table = Table("scenario", "what its host does", "now", "messages", "s", box=None)
    for course in courses:
        scenario = course.scenario
        state = course.states_now
        done = course.as_expected_at is not None
        table.add_row(
            scenario.name,
            Text(scenario.story, style="dim", overflow="ellipsis", no_wrap=True),
            Text(state, style=STATE_STYLES.get(state.partition(",")[0], "")),
            str(len({one.message_id for one in scenario.site.received})),
            Text(f"{course.as_expected_at:.1f} ✓" if done else "", style="green"),
        )
    return table


def final_table(courses: Iterable[Course], wrong: dict[str, list[str]], *, stories: bool, browser: bool) -> Table:
    """Scenario, what its host does (`stories`), expected, seen, seconds; `wrong` by scenario name. `browser`: one looked, too; what is
    expected in the other case is in a column of its own, where it differs."""
    other = "without a browser" if browser else "with a browser"
    columns = ["expected", "seen", "s", f"expected {other}"]
    table = Table("", "scenario", *(["what its host does"] if stories else []), *columns, box=None)
    for course in courses:
        name = course.scenario.name
        faults = wrong[name]
        seen = course.seen if not faults else f"{course.seen} [{'; '.join(faults)}]"
        expected, otherwise = (course.scenario.expected(browser=one) for one in (browser, not browser))
        took = f"{course.as_expected_at:.1f}" if course.as_expected_at is not None else "-"
        table.add_row(
            Text("✗" if faults else "✓", style="bold red" if faults else "green"),
            name,
            *([Text(course.scenario.story, style="dim")] if stories else []),
            expected,
            Text(seen, style="red" if faults else ""),
            took,
            Text(otherwise if otherwise != expected else "", style="dim"),
        )
    return table


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started
