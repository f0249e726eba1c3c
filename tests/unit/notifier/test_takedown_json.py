"""The JSON of a takedown: what today writes, and what the version before wrote."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from services.notifier.domain.model import Takedown, TakedownState
from services.notifier.store.takedown_json import VERSION, NewerTakedown, from_json, to_json
from tests.unit.notifier.takedown_story import Story

ROWS = [
    json.loads(line) for line in (Path(__file__).parents[2] / "data" / "takedowns_v1.jsonl").read_text().splitlines()
]
"""What version 1 wrote: every state, and every state of a demand, from the model's histories."""


def upgraded(row: dict[str, Any]) -> Takedown:
    return from_json(json.dumps(row))


def lasting(row: dict[str, Any]) -> str:
    state: str = row["resume_to"] if row["state"] == "suspended" else row["state"]
    return state


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def test_a_takedown_says_its_version() -> None:
    story = Story.delivered()
    assert json.loads(to_json(story.takedown))["version"] == VERSION
    assert from_json(to_json(story.takedown)) == story.takedown


def test_one_of_a_newer_version_is_refused() -> None:
    row = {**json.loads(to_json(Story.delivered().takedown)), "version": VERSION + 1}
    with pytest.raises(NewerTakedown):
        upgraded(row)


def test_the_rows_of_before_are_of_every_state() -> None:
    assert {row["state"] for row in ROWS} == {one.value for one in TakedownState}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["state"])
def test_nothing_that_means_something_is_lost_from_a_row_of_before(row: dict[str, Any]) -> None:
    now = upgraded(row)
    assert (now.state, now.lasting_state, now.round, now.sequence) == (
        row["state"],
        lasting(row),
        row["round"],
        row["sequence"],
    )
    assert (now.next_check and now.next_check.at) == moment(row["check_due_at"])
    assert (now.last_check and now.last_check.outcome) == row["last_outcome"]
    assert (now.climb.wanted, now.climb.named) == (row["wants_demand"], row["reroute_to"])
    assert list(now.climb.postures_cleared) == row["postures_cleared"]
    assert list(now.climb.skipped) == row["skipped"]
    assert list(now.releases.holds) == row["cleared"]
    assert now.releases.reference_adopted is row["reference_adopted"]
    assert [one.kind for one in now.tasks] == [one["kind"] for one in row["tasks"]]
    if lasting(row) == "held":
        assert now.held_for == row["held_for"]
    if lasting(row) == "verifying":
        assert now.gone is not None
        assert (now.gone.since, now.gone.reason, now.gone.seen_in) == (
            moment(row["gone_since"]),
            row["gone_reason"],
            row["verifying_from"],
        )
    if lasting(row) == "removed":
        assert now.removal is not None
        assert (now.removal.at, now.removal.reason, now.removal.watches) == (
            moment(row["removed_at"]),
            row["removed_for"],
            row["watches"],
        )
    if lasting(row) not in ("rejected", "withdrawn", "dismissed"):
        assert (now.last_seen and now.last_seen.at) == moment(row["present_at"])
    else:
        assert now.retraction == row["retraction"]
    if row["state"] == "suspended":
        assert now.suspension is not None
        assert list(now.suspension.by) == row["suspended_by"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["state"])
def test_nor_from_its_demands(row: dict[str, Any]) -> None:
    for now, before in zip(upgraded(row).demands, row["demands"], strict=True):
        assert (str(now.demand_id), now.state, now.recipient) == (
            before["demand_id"],
            before["state"],
            before["recipient"],
        )
        assert (now.printed.issued_at, now.printed.regime) == (moment(before["issued_at"]), before["regime"])
        assert now.printed.requested_by == moment(before["requested_by"])
        assert (now.delivery is not None) == (before["delivered_at"] is not None)
        assert now.deadline == moment(before["deadline"])
        if now.delivery is not None:
            assert (now.delivery.at, now.delivery.reminders) == (moment(before["delivered_at"]), before["reminders"])
            assert now.delivery.reminder_wanted == before["reminder_wanted"]
        assert (0 if now.removal_reports is None else now.removal_reports.false) == before["false_reports"]
        assert (None if now.removal_reports is None else now.removal_reports.at) == moment(before["reported_at"])
        assert (now.retraction and now.retraction.words) == before["retraction"]
        assert (now.escalated, now.parked, now.refusal) == (before["escalated"], before["parked"], before["refusal"])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["state"])
def test_a_row_of_before_is_written_again_in_the_form_of_today(row: dict[str, Any]) -> None:
    now = upgraded(row)
    assert from_json(to_json(now)) == now
