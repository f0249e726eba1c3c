"""What staff read of a takedown and of a reported link: plain words and what happens next. Pure.

The words are those of `docs/staff/words.md`. A sentence for a caller begins with the time it holds for, never says that something is
gone from the internet, and never that another case holds the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Tone(StrEnum):
    """How a state is drawn beside its word: a shape and a colour."""

    UP = "up"
    ASKED = "asked"
    GONE = "gone"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One link of a case. `now`: its state in words; `next`: what happens next, and when. `asked`: somebody was asked to remove it,
    and our request arrived."""

    site: str
    url: str | None
    now: str
    tone: Tone
    next: str
    takedown_id: str | None = None
    asked: bool = False


_WAITS_FOR = {
    "first_check": "We could not look at it. A person has to look.",
    "low_assurance": "A person has to compare the picture before anybody is asked.",
    "unknown_host": "Nobody is listed for this site. Operations find out whom to ask.",
    "unknown_posture": "Operations decide whether this site may be asked.",
    "flood": "Very many links came at once. Operations look before anybody is asked.",
    "demand_limit": "Very many links at this site came at once. Operations look before anybody is asked.",
    "key_limit": "Very many links came at once. Operations look before anybody is asked.",
    "seen_by_person": "A person says that it is still there. Operations decide how it goes on.",
    "probably_present": "What is there is very like the picture. A person has to look.",
    "possible_minor": "Our looks have stopped: the person may be under 18. Operations have been told.",
}
_REMOVED = {
    "seen_gone": "Two people saw, a day apart, that it is gone.",
    "site_dead": "The site has had no address for two weeks.",
}
_STILL_THERE = ("seen_by_person", "probably_present")
_A_PERSON = "Operations decide how it goes on."
_DEMAND = {
    "due": "The request to remove is on its way.",
    "delivered": "They were asked to remove it.",
    "acknowledged": "They were asked, and are working on it.",
    "reported_removed": "They say that it is removed. We look for ourselves.",
    "disputed": "They disagree. A person decides.",
    "refused": "They refused. The next in line is asked.",
    "undeliverable": "Our request could not be delivered. The next in line is asked.",
    "expired": "They did not act in time. The next in line is asked.",
}
_STATES = {
    "discovered": ("not looked at yet", Tone.WAIT),
    "held": ("waits for a person", Tone.WAIT),
    "open": ("asked to remove", Tone.ASKED),
    "verifying": ("not seen at the last look", Tone.WAIT),
    "removed": ("offline", Tone.GONE),
    "reappeared": ("online again", Tone.UP),
    "unremoved": ("still online, everybody asked", Tone.UP),
    "rejected": ("not this picture", Tone.GONE),
    "suspended": ("paused", Tone.WAIT),
    "withdrawn": ("withdrawn", Tone.WAIT),
    "dismissed": ("closed by a person", Tone.WAIT),
}
_NEXT = {
    "discovered": "We look at it next.",
    "verifying": "It was gone once. We look again to be sure.",
    "reappeared": "The request to remove goes out again.",
    "unremoved": "We keep looking.",
    "rejected": "A person found that it is another picture.",
    "suspended": "Nothing is looked at and nobody is asked until it goes on.",
    "withdrawn": "Nothing more is done.",
    "dismissed": "Nothing more is done.",
}
_REPORTS = {
    "queued": ("not looked at yet", "We look at it next."),
    "fetched": ("looked at", "It is compared with the pictures of the register."),
    "matched": ("looked at", "It is one of the pictures of this case."),
    "no_match": (
        "another picture, or none",
        "Nothing there is one of the pictures of this case. We compare again when a picture is added.",
    ),
    "no_media": ("no picture found there", "If you see it in your browser, tell operations: a person has to look."),
    "unreachable": ("could not be reached", "Check the address. Report it again later."),
    "refused": ("not looked at", "This address may not be looked at."),
    "rejected": ("not this picture", "A person found before that what is there is another picture."),
    "failed": ("could not be looked at", "Our look failed. Operations can see why."),
}

_WHILE_PAUSED = ("case_paused", "content_suspended")
_PAUSED = ("paused", "It is looked at when the case goes on.")


def moment(at: str | datetime | None) -> str:
    """A time as staff read it: day, month, hour and minute, UTC."""
    if at is None:
        return ""
    parsed = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{parsed:%-d %B, %H:%M} UTC"


def line_of_takedown(takedown: Mapping[str, Any], waits_for: str | None) -> Line:
    """A takedown, as the API shows it, in plain words. `waits_for`: the kind of a task of it that is open."""
    state = takedown["state"]
    now, tone = _STATES[state]
    demands = takedown.get("demands") or ()
    demand = _latest(demands)
    asked = any(one.get("delivered_at") is not None for one in demands)
    if state == "open" and not asked:
        now, tone = "online, nobody asked yet", Tone.UP
    elif state == "removed" and waits_for in _STILL_THERE:
        now, tone = "we could not tell", Tone.WAIT
    return Line(
        site=takedown.get("host") or "",
        url=takedown.get("url"),
        now=now,
        tone=tone,
        next=_next(takedown, demand, waits_for),
        takedown_id=takedown["takedown_id"],
        asked=asked,
    )


def line_of_report(report: Mapping[str, Any], site: str) -> Line:
    """A reported link of which no takedown came."""
    now, after = _PAUSED if report.get("why") in _WHILE_PAUSED else _REPORTS[report["state"]]
    return Line(site=site, url=report["url"], now=now, tone=Tone.WAIT, next=after)


def told(lines: Sequence[Line], *, now: datetime, waiting: int, paused: bool = False) -> list[str]:
    """What can be told to the caller, in two or three sentences. `waiting`: pictures that nobody has confirmed yet."""
    offline = sum(line.now == _STATES["removed"][0] for line in lines)
    asked = sum(line.asked and line.tone is not Tone.GONE for line in lines)
    up = sum(line.tone is Tone.UP for line in lines)
    start = f"As of {now:%H:%M} UTC on {now:%-d %B}, "
    if not lines:
        known = "we have found no copy at the addresses we know."
    elif offline:
        known = _count(len(lines), "the one link we know is", f"{offline} of {len(lines)} links are")
        known += " offline. Each was looked at more than once, and we keep looking."
    else:
        known = _count(len(lines), "the one link we know is not offline yet.", "none of the {} links is offline yet.")
    sentences = [start + known]
    if paused:
        return [*sentences, "The case is paused: nothing is looked at and nobody is asked until it goes on."]
    if asked:
        said = _count(asked, "Of one link somebody was", "Of {} links somebody was")
        sentences.append(f"{said} asked to remove it; we look whether they do.")
    if up:
        sentences.append(_count(up, "One link is", "{} links are") + " still online.")
    if waiting:
        sentences.append(
            _count(waiting, "One picture waits", "{} pictures wait")
            + " for a second colleague; until then nobody is asked."
        )
    return sentences


def _count(number: int, one: str, many: str) -> str:
    return one if number == 1 else many.format(number)


def _latest(demands: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return max(demands, key=lambda demand: str(demand["issued_at"]), default=None)


def _next(takedown: Mapping[str, Any], demand: Mapping[str, Any] | None, waits_for: str | None) -> str:
    state = takedown["state"]
    if takedown.get("fetching_stopped"):
        return _WAITS_FOR["possible_minor"]
    if state == "held":
        return _WAITS_FOR.get(waits_for or takedown.get("held_for") or "", _A_PERSON)
    if state == "removed":
        if waits_for in _STILL_THERE:
            return _WAITS_FOR[waits_for]
        due = takedown.get("check_due_at")
        said = _REMOVED.get(takedown.get("removed_for") or "", "We saw more than once that it is gone.")
        return f"{said} We keep looking." if due is None else f"{said} We look again on {moment(due)}."
    if state == "open":
        if demand is None:
            return "The site is asked next." if waits_for is None else _WAITS_FOR.get(waits_for, _A_PERSON)
        said = _DEMAND.get(demand["state"], "They were asked to remove it.")
        deadline = demand.get("deadline")
        return said if deadline is None else f"{said} They have until {moment(deadline)}."
    return _NEXT[state]
