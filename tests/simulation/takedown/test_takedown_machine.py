"""The takedown machine under random histories: checks and attempts under way, changes of heart, garbage, in any order.

Weighted, not uniform: most of the time things take their course, else few histories get beyond their first demand.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.notifier.domain.events import (
    AnswerKind,
    AttemptEnded,
    Refusal,
    RemovalMethod,
    ResponseReason,
    TimerKind,
)
from services.notifier.domain.ladder import Posture
from services.notifier.domain.model import MessageKind, Outcome, TaskKind
from shared.contracts.content import Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from tests.simulation.takedown.judge import Look
from tests.simulation.takedown.world import World

STEPS_IN_A_HISTORY = 50

waits = st.sampled_from(
    [
        timedelta(0),
        timedelta(seconds=40),
        timedelta(minutes=20),
        timedelta(hours=1),
        timedelta(hours=13),
        timedelta(days=3),
        timedelta(days=15),
    ]
)
rarely = st.sampled_from([False] * 9 + [True])
"""What ends a history early happens in one of ten only, or no history would get anywhere."""
outcomes = st.sampled_from([Outcome.PRESENT, Outcome.PRESENT, Outcome.GONE, *Outcome])


looks = st.builds(
    Look,
    media=outcomes,
    page=outcomes,
    status=st.sampled_from([404, 404, 410, 200]),
    dead=st.sampled_from([False, False, True]),
    nearly=rarely,
    distance=st.sampled_from([3, 3, 3, 3, 25, None]),
    assurance=st.sampled_from([None, None, *Assurance]),
    guards=st.sampled_from([(), (), (Guard.QUALITY_UNKNOWN,)]),
)
plain_looks = st.builds(
    Look,
    media=st.sampled_from([Outcome.PRESENT, Outcome.PRESENT, Outcome.GONE]),
    page=st.sampled_from([Outcome.GONE, Outcome.MISMATCH]),
    status=st.sampled_from([404, 410]),
    dead=st.just(False),
    nearly=st.just(False),
    distance=st.just(3),
    assurance=st.none(),
)
deliveries = st.sampled_from([AttemptEnded.ACCEPTED] * 5 + list(AttemptEnded))


HARSH = (DecisionKind.REJECT, DecisionKind.DISMISS, DecisionKind.SUSPEND)


which = st.integers(0, 7)


def happening(weight: int, **arguments: st.SearchStrategy[Any]) -> tuple[int, st.SearchStrategy[dict[str, Any]]]:
    return weight, st.fixed_dictionaries(arguments)


BEGINNING: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "person": rarely,
        "distance": st.sampled_from([4, 4, 4, 0, 20]),
        "assurance": st.sampled_from([Assurance.VIEWED] * 4 + list(Assurance)),
        "known": st.sampled_from([True] * 4 + [False]),
        "scale": st.sampled_from([1.0, 0.01]),
        "page": st.booleans(),
    }
)
CAN_HAPPEN = {
    "time_passes": happening(4, wait=waits),
    "things_take_their_course": happening(
        14, plan=st.lists(st.tuples(plain_looks | looks, deliveries), min_size=1, max_size=4)
    ),
    "host_answers": happening(
        8,
        kind=st.sampled_from(list(AnswerKind)),
        reason=st.sampled_from([one for one in ResponseReason if one is not ResponseReason.POSSIBLE_MINOR]),
        minor=rarely,
        method=st.sampled_from(list(RemovalMethod)),
        suggests=st.booleans(),
        settled=rarely,
        which=which,
    ),
    "look_begins": happening(3, early=st.booleans()),
    "look_ends": happening(3, look=looks),
    "attempts_begin": happening(2),
    "attempt_ends": happening(2, outcome=deliveries, which=which),
    "timers_fire": happening(1),
    "person_decides": happening(
        4,
        gentle=st.sampled_from([one for one in DecisionKind if one not in HARSH]),
        harsh=st.sampled_from(HARSH),
        sure=rarely,
        own_task=st.booleans(),
        task=st.none() | st.sampled_from(list(TaskKind)),
        recipient=st.none() | st.sampled_from(["hoster", "other", "nobody"]),
        person=st.sampled_from(["person-1", "person-2"]),
    ),
    "match": happening(
        2,
        distance=st.sampled_from([0, 9, 25]),
        guards=st.lists(st.sampled_from(list(Guard)), max_size=1),
        rejected=rarely,
        ref=st.sampled_from(["ab" * 32, "cd" * 32]),
    ),
    "content_changes": happening(
        2,
        state=st.sampled_from([ContentState.ACTIVE] * 4 + [ContentState.SUSPENDED, ContentState.AWAITING_CONFIRMATION]),
        held=rarely,
        told=st.booleans(),
    ),
    "fetching_changes": happening(1, stopped=st.sampled_from([False, False, True])),
    "terms_change": happening(
        1,
        domains=st.lists(
            st.sampled_from(["site.test", "img.site.test", "page.site.test", "hoster.test", "x.test"]), max_size=1
        ),
        wait=st.none() | waits,
    ),
    "claims_are_gone": happening(1),
    "directory_changes": happening(
        1,
        postures=st.lists(st.sampled_from([Posture.NORMAL] * 3 + list(Posture)), min_size=2, max_size=2),
        present=st.lists(st.sampled_from([True, True, True, False]), min_size=2, max_size=2),
        reachable=st.sampled_from([True, True, True, False]),
        moved=rarely,
    ),
    "flood": happening(1, hosts=st.integers(21, 30), sure=rarely),
    "withdrawal": happening(
        1, reason=st.sampled_from(["subject_request", "not_ncii", "wrong_content", None]), sure=rarely
    ),
    "dice": happening(1, jitter=st.floats(min_value=0, max_value=1, exclude_max=True)),
    "garbage": happening(
        1,
        message=st.sampled_from(list(MessageKind)),
        refusal=st.sampled_from(list(Refusal)),
        outcome=st.sampled_from(list(AttemptEnded)),
        timer=st.sampled_from(list(TimerKind)),
    ),
}
NAMES = st.sampled_from([name for name, (weight, _) in CAN_HAPPEN.items() for _ in range(weight)])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example])
@given(data=st.data())
def test_what_must_hold_holds_in_every_history(data: st.DataObject) -> None:
    world = World(**data.draw(BEGINNING, label="beginning"))
    world.judge()
    for _ in range(STEPS_IN_A_HISTORY):
        name = data.draw(NAMES)
        getattr(world, name)(**data.draw(CAN_HAPPEN[name][1], label=name))
        world.judge()
