"""The rules that keep people safe, as far as the takedown machine keeps them; each test is named after its rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.domain.effects import (
    CancelCheck,
    EraseTarget,
    OpenTask,
    PublishDecision,
    RecordRejection,
    SendMessage,
)
from services.notifier.domain.events import (
    AnswerKind,
    AttemptCompleted,
    AttemptEnded,
    ContentView,
    DirectoryChanged,
    FloodHeld,
    MatchReceived,
    Refusal,
    ResponseReason,
    Terms,
)
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import (
    DemandState,
    MessageKind,
    Outcome,
    Retraction,
    RetractionReason,
    TakedownState,
    TaskKind,
)
from services.notifier.domain.takedown import may_send
from shared.contracts.content import Algorithm, Assurance, ContentState
from shared.contracts.decisions import DecisionKind
from shared.contracts.matches import Guard
from tests.unit.notifier.takedown_story import (
    DAY,
    HOSTER,
    HOUR,
    MATCH,
    MINUTE,
    ROUTES,
    SITE,
    START,
    TARGET,
    Story,
    of_kind,
    removed_for,
    surroundings,
)

# Rule 1: no demand on a sighting alone


def test_rule_1_a_match_alone_sends_nothing_and_makes_a_check_due_now() -> None:
    story = Story.matched()
    assert story.state() is TakedownState.DISCOVERED
    assert story.sent == []
    assert story.check_at == START


def test_rule_1_the_demand_follows_our_own_present_check() -> None:
    story = Story.matched()
    effects = story.look(Outcome.PRESENT)
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.ISSUED]
    assert story.demand.printed.observed is not None


def test_rule_1_gone_at_the_first_look_is_not_found_and_no_demand() -> None:
    story = Story.matched()
    story.look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.GONE)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "not_found")
    assert story.sent == []


def test_rule_1_gone_at_the_first_look_is_confirmed_too() -> None:
    story = Story.matched()
    story.look(Outcome.GONE, status=410)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.GONE, status=410)
    assert (story.state(), removed_for(story)) == (TakedownState.REMOVED, "not_found")


def test_rule_1_other_media_is_held_with_a_task_and_no_demand() -> None:
    story = Story.matched()
    story.look(Outcome.MISMATCH)
    assert story.state() is TakedownState.HELD
    assert story.open_tasks() == {"first_check"}
    assert story.sent == []
    assert story.check_at is None


@pytest.mark.parametrize("outcome", [Outcome.BLOCKED, Outcome.INCONCLUSIVE])
def test_rule_1_blocked_or_inconclusive_is_tried_for_24_hours_then_held(outcome: Outcome) -> None:
    story = Story.matched()
    looks = 0
    while story.state() is TakedownState.DISCOVERED:
        assert story.check_at is not None
        assert story.check_at <= START + DAY
        story.now = max(story.check_at, story.now + timedelta(seconds=1))
        story.look(outcome)
        looks += 1
        assert looks < 500
    assert story.state() is TakedownState.HELD
    assert story.now >= START + DAY
    assert looks > 10
    assert story.open_tasks() == {"first_check"}
    assert story.sent == []


def test_rule_1_an_old_observation_holds_the_message_back_until_a_new_look() -> None:
    story = Story.opened()
    story.later(HOUR + MINUTE)
    assert story.attempt() == []
    assert story.demand.parked
    assert story.check_at == story.now
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
    assert story.demand.printed.issued_at == story.now


def test_rule_1_a_held_back_message_is_dropped_when_the_content_is_gone_by_then() -> None:
    story = Story.opened()
    story.later(2 * HOUR).attempt()
    story.confirm_gone(status=410)
    assert story.attempt() == []
    assert story.state() is TakedownState.REMOVED
    assert story.kinds_sent() == [MessageKind.ISSUED]


def test_rule_1_the_next_rung_is_asked_on_a_fresh_look_only() -> None:
    story = Story.delivered()
    story.later(2 * HOUR).responds(ResponseReason.WRONG_RECIPIENT)
    assert len(story.takedown.demands) == 1
    assert story.check_at == story.now
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "hoster"


# Rule 2: no minors' images


def test_rule_2_a_possible_minor_stops_our_looks_at_once_and_pages_a_person() -> None:
    story = Story.delivered()
    effects = story.responds(ResponseReason.POSSIBLE_MINOR)
    assert story.state() is TakedownState.OPEN, "no recipient's word ends protection"
    assert [one.kind for one in of_kind(effects, PublishDecision)] == [DecisionKind.STOP_FETCHING]
    task = of_kind(effects, OpenTask)[0]
    assert (task.kind.value, task.scope, task.due) == ("possible_minor", "content", START + HOUR)
    assert of_kind(effects, CancelCheck)
    assert story.check_at is None
    assert story.timers, "its clock goes on"


def test_rule_2_the_task_survives_a_withdrawal() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.POSSIBLE_MINOR)
    story.withdrawn()
    assert story.open_tasks() == {"possible_minor"}


# Rule 3: four eyes


def test_rule_3_who_asserted_a_match_cannot_release_it() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="person-1"))
    assert story.state() is TakedownState.HELD
    story.decides(DecisionKind.RELEASE, person="person-1")
    assert story.state() is TakedownState.HELD
    assert story.happened("decision.refused")[0].facts["reason"] == "own_assertion"
    story.decides(DecisionKind.RELEASE, person="person-2")
    assert story.state() is TakedownState.DISCOVERED
    assert story.takedown.releases.reference_adopted


def test_rule_3_nor_after_a_recheck_that_holds_it_for_another_reason() -> None:
    story = Story.matched(match=replace(MATCH, basis="person", distance=None, algorithm=None, asserted_by="person-1"))
    story.decides(DecisionKind.RECHECK, person="person-1")
    story.look(Outcome.MISMATCH)
    assert story.takedown.held_for == "first_check"
    story.decides(DecisionKind.RELEASE, person="person-1")
    assert story.state() is TakedownState.HELD
    assert not story.takedown.releases.reference_adopted


# Rule 4: automatic only where sure


@pytest.mark.parametrize(
    ("assurance", "distance", "algorithm", "goes_on"),
    [
        (Assurance.VIEWED, 31, "pdq", True),
        (Assurance.VIEWED_WITH_SUBJECT, 31, "pdq", True),
        (Assurance.UNSEEN, 10, "pdq", True),
        (Assurance.UNSEEN, 11, "pdq", False),
        (Assurance.PARTNER, 11, "pdq", False),
        (Assurance.PARTNER, 0, "sha256", True),
    ],
)
def test_rule_4_thresholds_by_assurance(
    assurance: Assurance, distance: int, algorithm: Algorithm, goes_on: bool
) -> None:
    story = Story.matched(match=replace(MATCH, assurance=assurance, distance=distance, algorithm=algorithm))
    if goes_on:
        assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, START)
    else:
        assert (story.state(), story.check_at) == (TakedownState.HELD, None)
        assert story.open_tasks() == {"low_assurance"}


def test_rule_4_what_our_own_check_saw_counts_as_well() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=2))
    story.look(Outcome.PRESENT, distance=20, assurance=Assurance.UNSEEN)
    assert story.state() is TakedownState.HELD
    assert story.sent == []


@pytest.mark.parametrize(("distance", "goes_on"), [(10, True), (11, False)])
def test_rule_4_a_hash_of_unknown_quality_counts_to_10_only(distance: int, goes_on: bool) -> None:
    story = Story.matched(match=replace(MATCH, guards=(Guard.QUALITY_UNKNOWN,), quality=None, distance=distance))
    assert (story.state() is TakedownState.DISCOVERED) is goes_on


def test_rule_4_a_derived_orientation_needs_our_own_fetch_of_the_true_pixels() -> None:
    story = Story.matched(match=replace(MATCH, guards=(Guard.DERIVED_ORIENTATION,), orientation="mirror"))
    assert story.sent == []
    story.look(Outcome.MISMATCH)  # the true pixels do not agree
    assert story.state() is TakedownState.HELD
    assert story.sent == []


@pytest.mark.parametrize(("seen", "state"), [(3, TakedownState.OPEN), (20, TakedownState.HELD)])
def test_rule_4_what_our_fetch_saw_counts_and_not_how_near_a_derived_orientation_is(
    seen: int, state: TakedownState
) -> None:
    derived = replace(
        MATCH, guards=(Guard.DERIVED_ORIENTATION,), orientation="derived:mirror", assurance=Assurance.UNSEEN
    )
    for distance in (2, 25):
        story = Story.matched(match=replace(derived, distance=distance))
        assert (story.state(), story.check_at, story.sent) == (TakedownState.DISCOVERED, START, [])
        story.look(Outcome.PRESENT, distance=seen, assurance=Assurance.UNSEEN)
        assert story.state() is state


def test_rule_4_a_derived_orientation_does_not_let_a_held_one_go_on() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=20))
    nearer = replace(MATCH, assurance=Assurance.UNSEEN, distance=3, guards=(Guard.DERIVED_ORIENTATION,))
    story.tell(MatchReceived(match=nearer, target=TARGET))
    assert story.state() is TakedownState.HELD


@pytest.mark.parametrize("guard", [Guard.LOW_QUALITY, Guard.OVER_THRESHOLD, Guard.NEGATIVE_LIST])
def test_rule_4_a_guarded_match_is_never_acted_on(guard: Guard) -> None:
    story = Story.matched(match=replace(MATCH, guards=(guard,)))
    assert (story.state(), story.check_at, story.sent) == (TakedownState.DISCOVERED, None, [])


def test_rule_4_a_surer_match_lets_a_held_one_go_on() -> None:
    story = Story.matched(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=20))

    story.tell(MatchReceived(match=replace(MATCH, assurance=Assurance.UNSEEN, distance=3), target=TARGET))
    assert (story.state(), story.check_at) == (TakedownState.DISCOVERED, START)
    assert story.open_tasks() == set()


UNSURE: list[dict[str, Any]] = [
    {"distance": 11, "assurance": Assurance.UNSEEN},
    {"distance": 31, "assurance": Assurance.PARTNER},
    {"distance": 25, "assurance": Assurance.VIEWED, "guards": (Guard.QUALITY_UNKNOWN,)},
]
"""Looks that see something that agrees, and that rule 4 leaves to a person."""


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_reappearance_that_is_not_sure_is_a_persons(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.confirm_gone()
    sent = story.kinds_sent()
    story.look(Outcome.PRESENT, **unsure)
    assert (story.state(), story.kinds_sent(), story.open_tasks()) == (
        TakedownState.REAPPEARED,
        sent,
        {"low_assurance"},
    )
    for ask in (DecisionKind.RECHECK, DecisionKind.ESCALATE):
        story.decides(ask)
        story.look(Outcome.PRESENT, **unsure)
        assert story.kinds_sent() == sent
    story.decides(DecisionKind.REROUTE, recipient="hoster")
    assert story.kinds_sent() == sent
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
    story.look(Outcome.PRESENT, **unsure)
    assert story.kinds_sent() == [*sent, MessageKind.ISSUED]
    assert (story.demand.recipient, story.demand.round, story.open_tasks()) == ("hoster", 2, set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_reappearance_that_a_later_look_is_sure_of_goes_on(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.confirm_gone()
    story.look(Outcome.PRESENT, **unsure)
    story.later(HOUR).look(Outcome.PRESENT)
    assert (story.kinds_sent()[-1], story.open_tasks()) == (MessageKind.REAPPEARED, set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_demand_that_waited_for_the_directory_rests_on_the_look_that_lets_it_go(
    unsure: dict[str, Any],
) -> None:
    """From open and, once nobody was left to ask, from unremoved; a sure look of a moment ago does not stand for it."""
    for routes, state in (
        (Routes(), TakedownState.OPEN),
        (_routes(posture=Posture.HOSTILE, next_rung=None), TakedownState.UNREMOVED),
    ):
        story = Story.matched(around=surroundings(routes=routes))
        story.look(Outcome.PRESENT)
        assert (story.state(), story.sent) == (state, [])
        story.look(Outcome.PRESENT, **unsure)
        story.around = replace(story.around, routes=ROUTES)
        story.later(MINUTE).tell(DirectoryChanged())
        story.look(Outcome.PRESENT, **unsure)
        assert (story.state(), story.sent) == (state, [])
        assert "low_assurance" in story.open_tasks()
        story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
        story.look(Outcome.PRESENT, **unsure)
        assert (story.state(), story.kinds_sent(), story.open_tasks()) == (
            TakedownState.OPEN,
            [MessageKind.ISSUED],
            set(),
        )


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_message_that_waited_too_long_rests_on_the_look_that_lets_it_go(unsure: dict[str, Any]) -> None:
    story = Story.opened().later(2 * HOUR)
    assert story.attempt() == []  # the look is too old
    story.look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})
    assert story.check_at is not None
    assert story.check_at > story.now, "no look is due at once, for ever"
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.LOW_ASSURANCE)
    story.look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([MessageKind.ISSUED], set())
    assert [one.recipient for one in story.takedown.demands] == ["site"]


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_message_that_is_due_does_not_leave_on_a_newer_look_that_is_not_sure(unsure: dict[str, Any]) -> None:
    story = Story.opened()
    story.later(MINUTE).look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})
    story.later(MINUTE).look(Outcome.PRESENT)
    assert (story.attempt(), story.open_tasks()) == ([MessageKind.ISSUED], set())


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_a_second_look_after_gone_is_judged_as_well(unsure: dict[str, Any]) -> None:
    story = Story.opened().later(2 * HOUR)
    story.look(Outcome.GONE)
    assert story.state() is TakedownState.VERIFYING
    story.later(HOUR).look(Outcome.PRESENT, **unsure)
    assert (story.attempt(), story.open_tasks()) == ([], {"low_assurance"})


def test_rule_4_another_hold_takes_the_place_of_the_question_and_its_release_does_not_answer_it() -> None:
    story = Story.matched(around=surroundings(routes=Routes()))
    story.look(Outcome.PRESENT)
    story.look(Outcome.PRESENT, **UNSURE[0])
    story.tell(FloodHeld(hosts=21))
    assert "low_assurance" not in story.open_tasks()
    story.decides(DecisionKind.RELEASE, task_kind=TaskKind.FLOOD)
    story.look(Outcome.PRESENT, **UNSURE[0])
    assert (story.takedown.held_for, story.sent) == ("low_assurance", [])


@pytest.mark.parametrize("unsure", UNSURE)
def test_rule_4_what_was_demanded_when_it_was_sure_goes_on(unsure: dict[str, Any]) -> None:
    story = Story.delivered()
    story.later(4 * DAY).fire_due_timers()
    story.look(Outcome.PRESENT, **unsure)
    assert story.state() is TakedownState.OPEN
    assert [one.recipient for one in story.takedown.demands] == ["site", "hoster"]


# Rule 5: the uploader's hands, hostile and unknown recipients


def _routes(**site: object) -> Routes:
    return Routes(organisations=(replace(SITE, **site), HOSTER))  # type: ignore[arg-type]  # fields given by name


def test_rule_5_a_hostile_operator_is_skipped() -> None:
    story = Story.opened(around=surroundings(routes=_routes(posture=Posture.HOSTILE)))
    assert [one.recipient for one in story.takedown.demands] == ["hoster"]


@pytest.mark.parametrize("domain", ["site.test", "img.site.test"])
def test_rule_5_do_not_contact_skips_the_rung_by_suffix(domain: str) -> None:
    around = surroundings(terms=Terms(do_not_contact=(domain,)), routes=Routes(organisations=(SITE, HOSTER)))
    story = Story.opened(around=around)
    assert "site" not in [one.recipient for one in story.takedown.demands]


def test_rule_5_nobody_left_to_contact_is_a_task() -> None:
    story = Story.matched(around=surroundings(terms=Terms(do_not_contact=("test",))))
    story.look(Outcome.PRESENT)
    assert (story.state(), story.takedown.demands) == (TakedownState.UNREMOVED, ())
    assert story.open_tasks() == {"ladder_exhausted"}


def test_rule_5_do_not_contact_of_a_name_that_only_ends_alike_skips_nothing() -> None:
    story = Story.opened(around=surroundings(terms=Terms(do_not_contact=("ite.test", "other.site.test"))))
    assert story.demand.recipient == "site"


def test_rule_5_unknown_posture_is_a_persons_choice() -> None:
    story = Story.opened(around=surroundings(routes=_routes(posture=Posture.UNKNOWN)))
    assert story.takedown.demands == ()
    assert story.open_tasks() == {"unknown_posture"}
    story.decides(DecisionKind.RELEASE, task_kind=story.takedown.tasks[0].kind)
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "site"


def test_rule_5_unknown_posture_can_be_passed_over_by_a_person() -> None:
    story = Story.opened(around=surroundings(routes=_routes(posture=Posture.UNKNOWN)))
    story.decides(DecisionKind.ESCALATE)
    assert story.demand.recipient == "hoster"
    assert story.open_tasks() == set()


def test_rule_5_an_unknown_host_is_a_task_never_silence_never_a_demand() -> None:
    story = Story.opened(around=surroundings(routes=Routes()))
    assert (story.takedown.demands, story.open_tasks()) == ((), {"unknown_host"})
    story.around = replace(story.around, routes=ROUTES)

    story.later(DAY).tell(DirectoryChanged())
    story.look(Outcome.PRESENT)
    assert (story.demand.recipient, story.open_tasks()) == ("site", set())


@pytest.mark.parametrize(
    ("around", "refusal"),
    [
        (surroundings(routes=_routes(posture=Posture.HOSTILE)), Refusal.HOSTILE),
        (surroundings(terms=Terms(do_not_contact=("site.test",))), Refusal.DO_NOT_CONTACT),
    ],
)
def test_rule_5_is_checked_again_before_every_attempt(around: object, refusal: Refusal) -> None:
    story = Story.opened()
    story.attempt(AttemptEnded.TRANSIENT)
    story.around = around  # type: ignore[assignment]  # parametrised
    story.later(10 * MINUTE)
    assert may_send(
        story.takedown, story.demand.demand_id, MessageKind.ISSUED, story.now, story.policy, story.around
    ) is (refusal)
    assert story.attempt() == []
    assert story.takedown.demands[0].state is DemandState.UNDELIVERABLE
    assert story.demand.recipient == "hoster"


# Rule 6: only true law


def test_rule_6_the_law_is_named_only_to_who_is_bound_and_when_reviewed() -> None:
    bound = _routes(bound_by=("uk_osa_20a",))
    story = Story.opened(around=surroundings(routes=bound))
    assert (story.demand.printed.regime, story.demand.printed.respond_within_seconds) == ("uk_osa_20a", 48 * 3600)
    assert story.demand.printed.requested_by is None
    not_bound = Story.opened()
    assert (not_bound.demand.printed.regime, not_bound.demand.printed.respond_within_seconds) == ("voluntary", None)
    assert not_bound.demand.printed.requested_by == START + 72 * HOUR
    sender = replace(surroundings().sender, reviewed_by=None)
    not_reviewed = Story.opened(around=surroundings(routes=bound, sender=sender))
    assert not_reviewed.demand.printed.regime == "voluntary"


@pytest.mark.parametrize("terms", [Terms(), Terms(evidence_wanted=True), Terms(two_confirmed=True)])
def test_rule_6_without_authority_on_record_the_law_is_not_named_and_nothing_is_said_of_authority(terms: Terms) -> None:
    story = Story.opened(around=surroundings(routes=_routes(bound_by=("uk_osa_20a",)), terms=terms))
    printed = story.demand.printed
    assert (printed.regime, printed.authority) == ("voluntary", False)
    assert (printed.evidence_wanted, printed.two_confirmed) == (terms.evidence_wanted, terms.two_confirmed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Terms(authority_recorded=True), Terms()),
        (Terms(two_confirmed=True), Terms()),
        (Terms(evidence_wanted=True), Terms()),
        (Terms(), Terms(evidence_wanted=True)),
    ],
)
def test_rule_6_what_is_no_longer_true_of_the_claims_is_not_said_in_a_demand_nobody_has_read(
    before: Terms, after: Terms
) -> None:
    story = Story.opened(around=surroundings(routes=_routes(bound_by=("uk_osa_20a",)), terms=before))
    story.around = replace(story.around, terms=after)
    assert story.attempt() == []
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
    printed = story.demand.printed
    assert (printed.regime, printed.authority) == ("voluntary", False)
    assert (printed.two_confirmed, printed.evidence_wanted) == (after.two_confirmed, after.evidence_wanted)


def test_rule_6_a_law_for_operators_is_not_named_to_their_hosting_provider() -> None:
    hoster = replace(HOSTER, bound_by=("uk_osa_20a",))
    story = Story.opened(around=surroundings(routes=Routes(organisations=(SITE, hoster))))
    story.attempt(AttemptEnded.PERMANENT)
    assert (story.demand.recipient, story.demand.printed.regime) == ("hoster", "voluntary")


# Rule 7: a person can undo


def test_rule_7_suspension_stops_and_a_resumption_looks_before_anything_is_sent() -> None:
    story = Story.opened()
    story.content(state=ContentState.SUSPENDED, suspended_for="person")
    assert (story.state(), story.check_at, story.timers) == (TakedownState.SUSPENDED, None, {})
    assert story.attempt() == []
    story.later(10 * MINUTE).content(state=ContentState.ACTIVE)
    assert (story.state(), story.check_at) == (TakedownState.OPEN, story.now)
    assert story.attempt() == []
    story.later(MINUTE).look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_rule_7_a_look_begun_before_the_suspension_is_no_look_after_the_resumption() -> None:
    story = Story.opened()
    before = story.now
    story.content(state=ContentState.SUSPENDED)
    story.later(MINUTE).content(state=ContentState.ACTIVE)
    story.look(Outcome.PRESENT, started_at=before)
    assert story.attempt() == []
    assert story.check_at == story.now


def test_rule_7_a_suspended_content_stops_at_the_attempt_even_before_its_takedown_heard_of_it() -> None:
    story = Story.opened()
    story.around = replace(story.around, content=ContentView(state=ContentState.SUSPENDED))
    assert story.attempt() == []


def test_rule_7_every_message_waits_while_suspended_and_none_is_lost() -> None:
    story = Story.delivered()
    story.confirm_gone()
    closed = story.demand.demand_id
    story.content(state=ContentState.SUSPENDED)
    refused = may_send(story.takedown, closed, MessageKind.CLOSED, story.now, story.policy, story.around)
    assert refused is Refusal.SUSPENDED
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE)
    assert story.attempt() == [MessageKind.CLOSED]


def test_rule_7_a_retraction_waits_while_the_content_is_suspended() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.content(state=ContentState.SUSPENDED)
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE)
    assert story.attempt() == [MessageKind.RETRACTED]


def test_rule_7_withdrawal_by_the_subject_tells_open_recipients_alone_and_erases() -> None:
    story = Story.delivered()
    story.responds(ResponseReason.LEGAL)  # refused; the hoster is asked
    story.deliver()
    effects = story.withdrawn("subject_request")
    told = of_kind(effects, SendMessage)
    assert [(one.kind, one.demand_id) for one in told] == [(MessageKind.RETRACTED, story.demand.demand_id)]
    assert story.takedown.retraction is RetractionReason.NO_FURTHER_ACTION
    assert of_kind(effects, EraseTarget)
    assert story.takedown.target is None
    assert story.takedown.match.fingerprint_ref is None
    assert all(one.printed.observed is None for one in story.takedown.demands)
    assert story.attempt() == [MessageKind.RETRACTED]


@pytest.mark.parametrize("reason", ["not_ncii", "wrong_content"])
def test_rule_7_an_error_is_told_to_everybody_asked(reason: str) -> None:
    story = Story.delivered()
    story.responds(ResponseReason.LEGAL)
    story.deliver()
    effects = story.withdrawn(reason)
    assert len(of_kind(effects, SendMessage)) == 2
    assert story.takedown.retraction is RetractionReason.SENT_IN_ERROR


@pytest.mark.parametrize("reason", ["subject_request", "not_ncii"])
def test_rule_7_hostile_recipients_hear_nothing(reason: str) -> None:
    story = Story.delivered()
    story.around = replace(story.around, routes=_routes(posture=Posture.HOSTILE))
    effects = story.withdrawn(reason)
    assert of_kind(effects, SendMessage) == []
    assert story.takedown.demands[0].state is DemandState.RETRACTED


def test_rule_7_who_never_heard_of_a_demand_hears_no_retraction() -> None:
    story = Story.opened()
    assert of_kind(story.withdrawn(), SendMessage) == []


def test_rule_7_a_demand_that_arrives_during_the_withdrawal_is_taken_back() -> None:
    story = Story.opened()
    row = story.due()[0]
    story.withdrawn()

    effects = story.tell(
        AttemptCompleted(
            attempt_id=uuid4(),
            message_id=row.effect.message_id,
            demand_id=row.effect.demand_id,
            kind=MessageKind.ISSUED,
            number=0,
            attempt=1,
            started_at=story.now,
            outcome=AttemptEnded.ACCEPTED,
        )
    )
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.RETRACTED]


def test_rule_7_a_rejected_match_is_retracted_and_remembered() -> None:
    story = Story.delivered()
    effects = story.decides(DecisionKind.REJECT)
    assert story.state() is TakedownState.REJECTED
    assert [one.fingerprint_ref for one in of_kind(effects, RecordRejection)] == ["ab" * 32]
    assert [one.kind for one in of_kind(effects, SendMessage)] == [MessageKind.RETRACTED]
    assert story.takedown.retraction is RetractionReason.SENT_IN_ERROR


def test_rule_7_a_rejection_covers_the_same_picture_at_another_url() -> None:
    story = Story.matched(around=surroundings(rejected=True))
    assert (story.state(), story.check_at) == (TakedownState.REJECTED, None)


def test_rule_7_another_picture_at_a_rejected_target_waits_for_a_person() -> None:

    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    assert (story.state(), story.check_at) == (TakedownState.HELD, None)


# Rule 8: evidence


def test_rule_8_demands_not_before_is_kept_and_looked_at_again_then() -> None:
    until = START + 30 * HOUR
    story = Story.opened(around=surroundings(terms=Terms(demands_not_before=until)))
    assert story.takedown.demands == ()
    assert story.check_at is not None
    assert story.check_at <= until
    while story.now < until:
        assert story.takedown.demands == ()
        assert story.check_at is not None
        story.now = story.check_at
        story.look(Outcome.PRESENT)
    assert story.now == until
    assert story.demand.recipient == "site"


def test_rule_8_demands_not_before_counts_at_the_attempt() -> None:
    story = Story.opened()
    story.around = replace(story.around, terms=Terms(demands_not_before=START + 2 * HOUR))
    assert story.attempt() == []
    assert story.demand.parked
    story.later(2 * HOUR).look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_an_answer_by_a_demands_token_does_not_end_anything() -> None:
    for reason in ResponseReason:
        story = Story.delivered()
        story.responds(reason)
        assert story.state() is not TakedownState.REMOVED
    story = Story.delivered()
    story.answer(AnswerKind.ACKNOWLEDGEMENT)
    story.says_removed()
    assert story.state() is TakedownState.OPEN


# Rule 7, continued: who was told something milder, or nothing yet, still hears that it was an error


def test_rule_7_who_was_told_of_a_dismissal_hears_of_an_error_found_later() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.DISMISS)
    assert story.attempt() == [MessageKind.RETRACTED]
    words = [story.demand.retraction]
    story.withdrawn("not_ncii")
    assert story.attempt() == [MessageKind.RETRACTED], "a message of its own, with the other words"
    words.append(story.demand.retraction)
    assert words == [
        Retraction(words=RetractionReason.NO_FURTHER_ACTION, number=0),
        Retraction(words=RetractionReason.SENT_IN_ERROR, number=1),
    ]
    story.content()
    assert story.attempt() == [], "told once"


def test_rule_7_a_retraction_not_sent_yet_outlives_another_match_and_a_second_end() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    assert story.state() is TakedownState.HELD
    story.decides(DecisionKind.DISMISS)
    assert story.attempt() == [MessageKind.RETRACTED]
    assert story.demand.retraction == Retraction(words=RetractionReason.SENT_IN_ERROR), "the words of its own end"


def test_rule_7_a_retraction_of_an_earlier_round_waits_for_the_resumption_and_is_sent() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    story.content(state=ContentState.SUSPENDED, suspended_for="person")
    assert story.attempt() == []
    story.content(state=ContentState.ACTIVE, suspended_for=None)
    assert story.attempt() == [MessageKind.RETRACTED]


@pytest.mark.parametrize("outcome", [AttemptEnded.TRANSIENT, AttemptEnded.UNKNOWN])
def test_rule_7_a_first_message_whose_arrival_is_not_known_is_taken_back(outcome: AttemptEnded) -> None:
    """A time-out or a broken connection during the withdrawal: it may have been read."""
    story = Story.opened()
    row = story.due()[0]
    story.withdrawn("not_ncii")
    assert story.kinds_sent() == [MessageKind.ISSUED]
    story.tell(
        AttemptCompleted(
            attempt_id=uuid4(),
            message_id=row.effect.message_id,
            demand_id=row.effect.demand_id,
            kind=MessageKind.ISSUED,
            number=0,
            attempt=1,
            started_at=story.now,
            outcome=outcome,
            detail="timed_out",
        )
    )
    assert story.kinds_sent() == [MessageKind.ISSUED, MessageKind.RETRACTED]


@pytest.mark.parametrize("refusal", [Refusal.NO_CHANNEL, Refusal.UNKNOWN_RECIPIENT])
def test_rule_7_a_retraction_that_nothing_can_carry_is_a_persons(refusal: Refusal) -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.refuse(story.due()[0], refusal)
    assert "undeliverable" in story.open_tasks()


def test_rule_7_a_rejected_picture_does_not_end_a_takedown_found_by_another() -> None:
    """The rejection is of (content, fingerprint_ref), not of the place."""
    story = Story.matched()
    other = replace(MATCH, fingerprint_ref="cd" * 32)
    story.around = replace(story.around, rejected=True)
    story.tell(MatchReceived(match=other, target=TARGET))
    assert story.state() is TakedownState.DISCOVERED
    story.around = replace(story.around, rejected=False)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_rule_7_after_a_dismissal_nobody_is_told_that_it_is_back() -> None:
    """It was never removed: the new round's message is a demand like the first."""
    story = Story.delivered()
    story.decides(DecisionKind.DISMISS)
    story.attempt()
    story.decides(DecisionKind.RECHECK)
    story.look(Outcome.PRESENT)
    assert (story.takedown.round, story.attempt()) == (2, [MessageKind.ISSUED])


# Rules 1, 5 and 6, continued


def test_rule_1_a_look_from_the_future_is_no_fresh_look() -> None:
    """The database's clock was set back: how old the look is, nobody knows."""
    story = Story.opened()
    asked = (story.takedown, story.demand.demand_id, MessageKind.ISSUED)
    assert may_send(*asked, START - MINUTE, story.policy, story.around) is Refusal.STALE_OBSERVATION
    assert may_send(*asked, START + MINUTE, story.policy, story.around) is None


def test_rule_5_a_reroute_does_not_reach_the_operator_of_a_host_not_to_be_contacted() -> None:
    """The claim names the host alone, the directory the domain above it."""
    story = Story.delivered(around=surroundings(terms=Terms(do_not_contact=("img.site.test",))))
    assert story.demand.recipient == "hoster"
    story.decides(DecisionKind.REROUTE, recipient="site")
    story.look(Outcome.PRESENT)
    assert story.attempt() == []
    assert [one.recipient for one in story.takedown.demands] == ["hoster"]


def test_rule_5_at_the_end_nothing_goes_to_the_operator_of_a_host_named_meanwhile() -> None:
    story = Story.delivered()
    story.around = replace(story.around, terms=Terms(do_not_contact=("img.site.test",)))
    story.withdrawn("not_ncii")
    assert story.attempt() == []


def test_rule_6_a_law_that_no_longer_binds_is_not_named_in_a_demand_nobody_has_read() -> None:
    bound = Routes(organisations=(replace(SITE, bound_by=("uk_osa_20a",)), HOSTER))
    story = Story.opened(around=surroundings(routes=bound))
    assert story.demand.printed.regime == "uk_osa_20a"
    story.around = replace(story.around, routes=ROUTES)
    assert story.attempt() == []
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]
    assert (story.demand.printed.regime, story.demand.printed.respond_within_seconds) == ("voluntary", None)
    assert story.demand.printed.requested_by == story.now + timedelta(hours=72)


# What a person has not released


def test_rule_7_another_look_is_no_release_of_another_picture_at_a_rejected_target() -> None:
    story = Story.delivered()
    story.decides(DecisionKind.REJECT)
    story.tell(MatchReceived(match=replace(MATCH, fingerprint_ref="cd" * 32), target=TARGET))
    story.attempt()
    story.decides(DecisionKind.RECHECK)
    assert story.happened("decision.refused")[-1].facts["reason"] == "needs_release"
    assert (story.state(), story.check_at) == (TakedownState.HELD, None)
    story.decides(DecisionKind.RELEASE)
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


def test_another_look_is_no_release_from_the_flood_guard() -> None:
    story = Story.matched()
    story.tell(FloodHeld(hosts=21))
    story.decides(DecisionKind.RECHECK)
    assert (story.state(), story.open_tasks()) == (TakedownState.HELD, {"flood"})
    story.decides(DecisionKind.RELEASE)
    story.look(Outcome.PRESENT)
    assert story.state() is TakedownState.OPEN
