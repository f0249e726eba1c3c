"""What a scenario is: how a target is found, how it must end, who must have heard what."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from services.standalone.demo.pictures import Hashes, Picture
from services.standalone.demo.sites import Site


class FoundTakedown(StrEnum):
    """How a target comes to be known."""

    SIGHTED = "sighted"
    """A crawler sees it after the content was confirmed."""
    BEFORE = "seen before"
    """A crawler saw it before the content was confirmed."""
    REPORTED = "reported"
    """A helpline reports the page's URL; our own fetch finds the picture."""
    MADE_UP = "made up"
    """A crawler says so. It is not true, or nobody can look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a target must end. `reason` is of a removal; None: any, or none. `task`: the kind of one that must be open for it."""

    state: str
    reason: str | None = None
    round: int = 1
    task: str | None = None

    def __str__(self) -> str:
        reason = f" ({self.reason.replace('_', ' ')})" if self.reason else ""
        return (
            f"{self.state}{reason}"
            + (f", round {self.round}" if self.round > 1 else "")
            + (f" (task: {self.task.replace('_', ' ')})" if self.task else "")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoTarget:
    """A URL of the scenario's site. `copy` None: nothing of the content is there."""

    path: str
    end: End
    copy: Picture | None = None
    found: FoundTakedown = FoundTakedown.SIGHTED
    page: str | None = None
    """The path of the page it is on."""
    without_browser: End | None = None
    """How it must end where no browser looks; None: likewise."""

    def end_of(self, *, browser: bool) -> End:
        return self.end if browser or self.without_browser is None else self.without_browser


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`site_hears`, `provider_hears`: message types that must have arrived there. No other asking message may have."""

    name: str
    story: str
    site: Site
    original: Picture
    targets: tuple[DemoTarget, ...]
    site_hears: frozenset[str] = frozenset({"demand.issued"})
    site_may_hear: frozenset[str] = frozenset({"demand.reminded", "demand.closed"})
    provider_hears: frozenset[str] = frozenset()
    withdraw: bool = False
    """The claim is withdrawn once the site has a demand."""
    held: str | None = None
    """The kind of the task that a held target must have."""
    check_detail: str | None = None
    """What every check of a held target must say."""
    hashes: dict[str, Hashes] = field(default_factory=dict)
    """Of what a crawler sees (or says it sees), by path; the original's under ''."""

    def expected(self, *, browser: bool) -> str:
        """For the table."""
        ends = dict.fromkeys(str(target.end_of(browser=browser)) for target in self.targets)
        asked = [name for name, hears in (("site", self.site_hears), ("provider", self.provider_hears)) if hears]
        return "; ".join(ends) + (f"; asked: {', '.join(asked)}" if asked else "; nobody asked")
