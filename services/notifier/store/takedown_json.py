"""A takedown as `takedowns.data` keeps it: JSON with a version, and what an earlier version wrote, brought up to today's form."""

from __future__ import annotations

from typing import Any, Final

from pydantic import TypeAdapter
from pydantic_core import from_json as parse

from services.notifier.domain.model import Takedown, TakedownState
from shared.errors import Permanent

VERSION: Final = 3
"""1 had no version: one flat value for takedown and demand each. 2 counted time-outs and refusals with hosts that do not exist."""

_TAKEDOWN = TypeAdapter(Takedown)
_KEPT = (
    *("takedown_id", "content_id", "target_kind", "target", "match", "state", "created_at", "changed_at", "sequence"),
    *("round", "tasks", "tasks_opened", "resumed_at"),
)
_KEPT_OF_DEMAND = (
    *("demand_id", "rung", "recipient", "recipient_domain", "round", "state", "kind", "attempted_at", "give_up_at"),
    *("parked", "escalated", "refusal"),
)
_PRINTED = ("issued_at", "regime", "regime_version", "respond_within_seconds", "requested_by", "observed")
_ENDED = frozenset({TakedownState.REJECTED, TakedownState.WITHDRAWN, TakedownState.DISMISSED})


class NewerTakedown(Permanent):
    """A newer version of this program has written this takedown; start that version, or restore a backup of before."""


def to_json(takedown: Takedown) -> bytes:
    """The takedown as a JSON object, UTF-8, with its `version`."""
    return b'{"version":%d,' % VERSION + _TAKEDOWN.dump_json(takedown)[1:]


def from_json(data: bytes | str) -> Takedown:
    """The takedown in this JSON, of any version up to today's. Raises NewerTakedown, pydantic's ValidationError."""
    row: dict[str, Any] = parse(data)
    version = row.pop("version", 1)
    if version > VERSION:
        raise NewerTakedown(f"version {version}; this program knows {VERSION}")
    if version == 1:
        row = _from_version_1(row)
    if version <= 2:
        row = _from_version_2(row)
    return _TAKEDOWN.validate_python(row)


def _from_version_2(old: dict[str, Any]) -> dict[str, Any]:
    """Whether it was the name servers that said so was not kept: those 14 days begin anew. That nothing answered is silence."""
    last = old.get("last_check")
    if last is None:
        return old
    return old | {
        "last_check": {"at": last["at"], "outcome": last["outcome"], "silent_since": last["unanswered_since"]}
    }


def _from_version_1(old: dict[str, Any]) -> dict[str, Any]:
    """What version 1 kept in every state is kept in those alone where it means something: elsewhere it was left over."""
    suspended = old["state"] == TakedownState.SUSPENDED
    state = (old["resume_to"] if suspended else None) or old["state"]
    new = {name: old[name] for name in _KEPT} | {
        "demands": [_demand_from_version_1(one) for one in old["demands"]],
        "climb": {
            "wanted": old["wants_demand"],
            "named": old["reroute_to"],
            "postures_cleared": old["postures_cleared"],
            "skipped": old["skipped"],
        },
        "releases": {"holds": old["cleared"], "reference_adopted": old["reference_adopted"]},
        "held_for": old["held_for"] if state == TakedownState.HELD else None,
        "retraction": old["retraction"] if state in _ENDED else None,
    }
    if suspended:
        new["suspension"] = {"by": old["suspended_by"], "resume_to": state}
    return new | _looks_from_version_1(old, state)


def _looks_from_version_1(old: dict[str, Any], state: str) -> dict[str, Any]:
    """What came of our own looks. `state` is the lasting one."""
    new: dict[str, Any] = {}
    unseen = TakedownState.DISCOVERED in (state, old["verifying_from"] if state == TakedownState.VERIFYING else None)
    if old["check_due_at"]:
        new["next_check"] = {"at": old["check_due_at"], "asked_at": old["check_asked_at"] or old["changed_at"]}
    if old["checked_at"]:
        last = {"at": old["checked_at"], "outcome": old["last_outcome"], "unanswered_since": old["unanswered_since"]}
        new["last_check"] = last
    if old["present_at"] and state != TakedownState.WITHDRAWN:
        surely = old.get("present_surely", True)
        new["last_seen"] = {"at": old["present_at"], "surely": surely, "observed": old["observed"]}
    if old["first_check_since"] and unseen:
        new["first_look"] = {"since": old["first_check_since"], "checks": old["first_checks"]}
    if state == TakedownState.VERIFYING:
        gone = {"since": old["gone_since"], "reason": old["gone_reason"], "seen_in": old["verifying_from"]}
        new["gone"] = gone
    if state == TakedownState.REMOVED:
        new["removal"] = {"at": old["removed_at"], "reason": old["removed_for"], "watches": old["watches"]}
    return new


def _demand_from_version_1(old: dict[str, Any]) -> dict[str, Any]:
    new = {name: old[name] for name in _KEPT_OF_DEMAND} | {
        "country": old.get("country"),
        "do_not_contact": old.get("do_not_contact", False),
        "printed": {name: old[name] for name in _PRINTED},
    }
    if old["delivered_at"]:
        new["delivery"] = {
            "at": old["delivered_at"],
            "attempt_id": old["delivered_by"],
            "deadline": old["deadline"],
            "reminders": old["reminders"],
            "reminder_wanted": old["reminder_wanted"],
        }
    if old["reported_at"] or old["false_reports"]:
        new["removal_reports"] = {"at": old["reported_at"], "false": old["false_reports"]}
    if old["retraction"]:
        new["retraction"] = {"words": old["retraction"], "number": max(0, old["retractions"] - 1)}
    return new
