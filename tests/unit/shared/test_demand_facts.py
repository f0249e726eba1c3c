"""What every event of a demand says of it, so that the stream can be counted without a table beside it."""

from __future__ import annotations

from dataclasses import replace

from services.notifier.domain.events import AnswerKind, AttemptEnded
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import Outcome
from tests.unit.notifier.takedown_story import DAY, HOSTER, SITE, Story, surroundings

SAID = ("demand_id", "recipient", "regime", "rung", "country")
BOUND = Routes(organisations=(replace(SITE, bound_by=("uk_osa_20a",), country="GB"), HOSTER))


def _told() -> Story:
    """Delivered, answered, late, climbed, refused at an attempt, gone, back and withdrawn."""
    story = Story.opened(around=surroundings(routes=BOUND))
    story.attempt(AttemptEnded.TRANSIENT)
    story.later(DAY).look(Outcome.PRESENT)
    story.deliver()
    story.answer(AnswerKind.ACKNOWLEDGEMENT)
    story.later(DAY).look(Outcome.PRESENT)
    story.fire_due_timers()
    story.says_removed()
    story.later(DAY).look(Outcome.PRESENT)
    story.fire_due_timers()
    story.look(Outcome.PRESENT)
    story.around = replace(
        story.around, routes=Routes(organisations=(BOUND.organisations[0], replace(HOSTER, posture=Posture.HOSTILE)))
    )
    story.attempt()
    story.confirm_gone()
    story.later(DAY).look(Outcome.PRESENT)
    story.withdrawn()
    return story


def test_every_event_of_a_demand_says_whose_it_is() -> None:
    story = _told()
    of_demands = [one for one in story.log if "demand_id" in one.facts]
    kinds = {one.kind for one in of_demands}
    assert {"demand.issued", "demand.delivered", "demand.escalated", "demand.closed", "message.refused"} <= kinds
    assert {"attempt.transient", "host.acknowledgement", "host.removal", "demand.reappeared"} <= kinds
    for entry in of_demands:
        assert all(entry.facts.get(name) for name in SAID), entry
    assert {one.kind for one in story.log if one.kind.startswith("demand.")} <= kinds


def test_what_is_said_is_the_demands_own_as_it_was_made() -> None:
    story = _told()
    issued, *_ = story.happened("demand.issued")
    assert {name: issued.facts[name] for name in SAID[1:]} == {
        "recipient": "site",
        "regime": "uk_osa_20a",
        "rung": "site_operator",
        "country": "GB",
    }
    climbed = story.happened("demand.issued")[1]
    assert (climbed.facts["recipient"], climbed.facts["country"]) == ("hoster", "unknown")
