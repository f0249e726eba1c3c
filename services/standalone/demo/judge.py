"""What became of each scenario, from the public API and from what the hosts received; and whether that is as expected. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.standalone.demo.scenario import End, Scenario
from services.standalone.demo.sites import ASKING, Provider

SILENT = "silent"
"""The kind of the task that says that looks say nothing."""
SEEN_TYPES = frozenset({*ASKING, "demand.retracted", "demand.closed"})


@dataclass(slots=True, kw_only=True)
class Course:
    """One scenario under way. Times are in seconds since the services were ready."""

    scenario: Scenario
    started_at: float
    as_expected_at: float | None = None
    states: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The takedown at each of the scenario's URLs, as last read."""
    check_details: frozenset[str] = frozenset()
    """What the checks of its held takedowns said."""

    @property
    def seen(self) -> str:
        """For the table: what each target's takedown is now, and what the hosts heard."""
        ends = dict.fromkeys(_seen(self.states.get(self.scenario.site.url(one.path))) for one in self.scenario.targets)
        return "; ".join(ends)

    @property
    def states_now(self) -> str:
        return ", ".join(
            dict.fromkeys(
                str(self.states[url]["state"]) if url in self.states else "-"
                for url in (self.scenario.site.url(target.path) for target in self.scenario.targets)
            )
        )


def _seen(takedown: Mapping[str, Any] | None) -> str:
    if takedown is None:
        return "no takedown"
    removed = takedown.get("removed_for") if takedown["state"] == "removed" else None
    return str(End(state=takedown["state"], reason=removed, round=takedown["round"]))


class RegisterState:
    """Which takedown is at which URL. A takedown keeps its place here after its URL is erased."""

    def __init__(self) -> None:
        self._url_of: dict[str, str] = {}

    def file(self, takedowns: Iterable[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
        """The takedowns by URL."""
        found = {}
        for takedown in takedowns:
            takedown_id, url = takedown["takedown_id"], takedown.get("url")
            if url:
                self._url_of[takedown_id] = url
            if takedown_id in self._url_of:
                found[self._url_of[takedown_id]] = takedown
        return found


def wrong(
    course: Course, provider: Provider, task_kinds: Mapping[str, Sequence[str]], *, browser: bool = True
) -> list[str]:
    """What is not (or not yet) as expected, each in a few words. `task_kinds`: kinds of open tasks by takedown id. `browser`: one
    looks, too."""
    scenario = course.scenario
    found = []
    for target in scenario.targets:
        end = target.end_of(browser=browser)
        tasks = task_kinds.get(str((course.states.get(scenario.site.url(target.path)) or {}).get("takedown_id")), ())
        takedown = course.states.get(scenario.site.url(target.path))
        if takedown is None:
            found.append(f"{target.path}: no takedown")
        elif not _is(takedown, end):
            found.append(f"{target.path}: {_seen(takedown)}")
        elif end.state == "held" and scenario.held not in tasks:
            found.append(f"{target.path}: held without a task {scenario.held}")
        elif end.task is not None and end.task not in tasks:
            found.append(f"{target.path}: without a task {end.task}")
        elif SILENT in tasks and end.task != SILENT:
            found.append(f"{target.path}: our looks say nothing")
        elif takedown["state"] == "withdrawn" and takedown.get("url"):
            found.append(f"{target.path}: its URL is not erased")
        elif takedown["demands"] and not scenario.site_hears and not scenario.provider_hears:
            found.append(f"{target.path}: a demand was made")
    if scenario.check_detail is not None and course.check_details != {scenario.check_detail}:
        found.append(f"checks said {', '.join(sorted(course.check_details)) or 'nothing'}")
    heard = {one.type for one in scenario.site.received}
    missing = scenario.site_hears - heard
    if missing:
        found.append(f"the site never got {_words(missing)}")
    unwanted = (heard & SEEN_TYPES) - scenario.site_hears - scenario.site_may_hear
    if unwanted:
        found.append(f"the site got {_words(unwanted)}")
    return found + _wrong_at_provider(scenario, provider)


def _wrong_at_provider(scenario: Scenario, provider: Provider) -> list[str]:
    heard = {one.type for one in provider.received if one.url is not None and scenario.site.domain in one.url}
    found = []
    missing = scenario.provider_hears - heard
    if missing:
        found.append(f"the provider never got {_words(missing)}")
    if heard & ASKING and not scenario.provider_hears:
        found.append(f"the provider got {_words(heard & ASKING)}")
    return found


def _is(takedown: Mapping[str, Any], end: End) -> bool:
    return (
        takedown["state"] == end.state
        and takedown["round"] == end.round
        and (end.reason is None or takedown.get("removed_for") == end.reason)
    )


def _words(types: Iterable[str]) -> str:
    return ", ".join(sorted(one.removeprefix("demand.") for one in types))
