"""Rules 5, 6 and 8, as far as the takedown machine keeps them: who is asked, which law is named to them, and not before when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.notifier.domain.events import (
    AnswerKind,
    AttemptEnded,
    DirectoryChanged,
    Refusal,
    ResponseReason,
    Terms,
)
from services.notifier.domain.ladder import Posture, Routes
from services.notifier.domain.model import (
    DemandState,
    MessageKind,
    Outcome,
    TakedownState,
)
from services.notifier.domain.takedown import may_send
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import (
    DAY,
    HOSTER,
    HOUR,
    MINUTE,
    ROUTES,
    SITE,
    START,
    Story,
    routes_with,
    surroundings,
)


def test_rule_5_a_hostile_operator_is_skipped() -> None:
    story = Story.opened(around=surroundings(routes=routes_with(posture=Posture.HOSTILE)))
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
    story = Story.opened(around=surroundings(routes=routes_with(posture=Posture.UNKNOWN)))
    assert story.takedown.demands == ()
    assert story.open_tasks() == {"unknown_posture"}
    story.decides(DecisionKind.RELEASE, task_kind=story.takedown.tasks[0].kind)
    story.look(Outcome.PRESENT)
    assert story.demand.recipient == "site"


def test_rule_5_unknown_posture_can_be_passed_over_by_a_person() -> None:
    story = Story.opened(around=surroundings(routes=routes_with(posture=Posture.UNKNOWN)))
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
        (surroundings(routes=routes_with(posture=Posture.HOSTILE)), Refusal.HOSTILE),
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
    bound = routes_with(bound_by=("uk_osa_20a",))
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
    story = Story.opened(around=surroundings(routes=routes_with(bound_by=("uk_osa_20a",)), terms=terms))
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
    story = Story.opened(around=surroundings(routes=routes_with(bound_by=("uk_osa_20a",)), terms=before))
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
