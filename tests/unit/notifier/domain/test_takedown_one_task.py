"""What waits for one person's word: a suggested recipient, a host nobody knows; and a release settles its own task alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.notifier.domain.events import AnswerKind, DirectoryChanged, ResponseReason
from services.notifier.domain.host_answers import DECLINES
from services.notifier.domain.ladder import Organisation, Posture, Routes
from services.notifier.domain.model import DemandState, HoldReason, MessageKind, Outcome, TakedownState, TaskKind
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import HOSTER, HOUR, MATCH, MINUTE, ROUTES, SITE, Story, surroundings

NAMED = Organisation(key="named", name="Named", domains=("named.test",), channel="email", posture=Posture.NORMAL)


def declined(reason: ResponseReason = ResponseReason.NOT_HOSTED_HERE) -> Story:
    """The recipient declines, and names somebody else."""
    story = Story.delivered(around=surroundings(routes=Routes(organisations=(SITE, HOSTER, NAMED))))
    story.answer(AnswerKind.RESPONSE, reason, suggests=True)
    return story


def asked(story: Story) -> list[str]:
    return [one.recipient for one in story.takedown.demands]


@pytest.mark.parametrize("reason", sorted(DECLINES))
def test_nobody_is_asked_before_a_person_has_read_whom_a_host_names(reason: ResponseReason) -> None:
    story = declined(reason)
    story.look(Outcome.PRESENT)
    assert (asked(story), story.demand.state) == (["site"], DemandState.REFUSED)
    assert story.open_tasks() == {"suggested_recipient"}
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.SUGGESTED_RECIPIENT)
    assert asked(story) == ["site", "hoster"]
    assert story.open_tasks() == set()


def test_whom_the_person_names_is_asked_instead() -> None:
    story = declined()
    story.decides(DecisionKind.REROUTE, recipient="named")
    assert asked(story) == ["site", "named"]
    story.deliver()
    story.later(60 * HOUR).look(Outcome.PRESENT)
    story.later(12 * HOUR + MINUTE).fire_due_timers()
    assert asked(story) == ["site", "named"], "the one that declined climbs no second time"


def test_a_person_may_climb_past_the_suggestion() -> None:
    story = declined()
    story.decides(DecisionKind.ESCALATE)
    assert (asked(story), story.open_tasks()) == (["site", "hoster"], set())


def test_a_suggestion_nobody_reads_holds_up_no_longer_than_the_deadline() -> None:
    story = declined()
    story.later(72 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert asked(story) == ["site", "hoster"]
    assert story.takedown.demands[0].state is DemandState.REFUSED
    assert MessageKind.REMINDED not in story.kinds_sent()


def test_nor_does_it_after_a_suspension() -> None:
    story = declined()
    story.decides(DecisionKind.SUSPEND)
    story.later(HOUR).decides(DecisionKind.RESUME)
    story.later(72 * HOUR).fire_due_timers()
    story.look(Outcome.PRESENT)
    assert asked(story) == ["site", "hoster"]


def test_a_host_nobody_knows_is_not_released_but_named_in_the_directory() -> None:
    story = Story.opened(around=surroundings(routes=Routes()))
    assert story.open_tasks() == {"unknown_host"}
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.UNKNOWN_HOST)
    assert story.happened("decision.refused")[-1].facts["reason"] == "unknown_host"
    assert story.open_tasks() == {"unknown_host"}, "the same task: not closed, and not made again"
    assert len(story.happened("task.opened")) == 1
    story.around = replace(story.around, routes=ROUTES)
    story.tell(DirectoryChanged())
    story.look(Outcome.PRESENT)
    assert (asked(story), story.open_tasks()) == (["site"], set())


def test_a_release_of_another_task_does_not_release_the_hold() -> None:
    """Held by the flood guard, with a task of another kind beside it: each is settled by its own."""
    story = Story.matched(match=replace(MATCH, distance=40))
    assert story.takedown.held_for is HoldReason.LOW_ASSURANCE
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.DISPUTE)
    assert story.happened("decision.refused")[-1].facts["reason"] == "not_held"
    assert story.state() is TakedownState.HELD
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
    assert story.state() is TakedownState.DISCOVERED


def test_settling_one_task_leaves_the_others_open() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.CONSENT_CLAIMED)
    story.look(Outcome.BLOCKED)
    story.later(72 * HOUR).look(Outcome.BLOCKED)
    assert story.open_tasks() == {"dispute", "silent"}
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.SILENT)
    assert story.open_tasks() == {"dispute"}
    assert story.takedown.demands[0].waits
