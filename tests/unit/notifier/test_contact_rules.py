"""Rule 5 at every place that chooses a recipient or writes to one: the same names count everywhere."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from services.notifier.domain.effects import SendMessage
from services.notifier.domain.events import AttemptCompleted, AttemptEnded, Refusal, Terms, TermsChanged
from services.notifier.domain.ladder import Organisation, Posture, Routes
from services.notifier.domain.model import MessageKind, Outcome
from services.notifier.domain.takedown import may_send
from shared.contracts.decisions import DecisionKind
from tests.unit.notifier.takedown_story import HOSTER, HOUR, ROUTES, SITE, TARGET, Story, of_kind, surroundings

PAGED = replace(TARGET, page_url="https://perp.site.test/p", page_host="perp.site.test")


def knows(story: Story, *domains: str) -> None:
    """From now on a claim says not to contact these."""
    story.around = replace(story.around, terms=Terms(do_not_contact=domains))


def arrives(story: Story) -> list[MessageKind]:
    """A first message under way arrives now. Gives what is sent because of it."""
    row = next(iter(story.rows.values()))
    effects = story.tell(
        AttemptCompleted(
            attempt_id=uuid4(),
            message_id=row.effect.message_id,
            demand_id=row.effect.demand_id,
            kind=row.effect.kind,
            number=0,
            attempt=1,
            started_at=story.now,
            outcome=AttemptEnded.ACCEPTED,
        )
    )
    return [one.kind for one in of_kind(effects, SendMessage)]


def refused(story: Story, kind: MessageKind, which: int = -1) -> Refusal | None:
    demand = story.takedown.demands[which]
    return may_send(story.takedown, demand.demand_id, kind, story.now, story.policy, story.around)


# The domain a recipient was asked under counts as long as its demand does


@pytest.mark.parametrize("rung", ["site_operator", "hosting_provider"])
def test_rule_5_a_recipient_is_still_known_by_the_domain_it_was_asked_under(rung: str) -> None:
    """The directory drops the domain after the demand was made, then a claim names it."""
    around = surroundings() if rung == "site_operator" else surroundings(terms=Terms(do_not_contact=("site.test",)))
    story = Story.delivered(around=around)
    demand = story.demand
    assert demand.rung.value == rung
    moved = tuple(replace(one, domains=(f"{one.key}.example",)) for one in (SITE, HOSTER))
    story.around = replace(story.around, routes=Routes(organisations=moved))
    knows(story, demand.recipient_domain)
    assert refused(story, MessageKind.REMINDED) is Refusal.DO_NOT_CONTACT
    story.confirm_gone()
    assert MessageKind.CLOSED not in story.kinds_sent()


# What the claims said outlives the erasure of the target, and of the terms


def test_rule_5_a_demand_that_arrives_after_the_erasure_is_not_taken_back_at_a_host_not_to_be_contacted() -> None:
    """The claim names the host alone; it is erased with the target, and only the domain above it stays."""
    story = Story.opened()
    knows(story, "img.site.test")
    story.withdrawn("not_ncii")
    assert arrives(story) == []


def test_rule_5_nor_once_the_claims_terms_are_forgotten() -> None:
    story = Story.opened()
    knows(story, "site.test")
    story.withdrawn("not_ncii")
    knows(story)
    assert arrives(story) == []


def test_rule_7_whom_no_claim_names_still_hears_it_after_the_erasure() -> None:
    story = Story.opened()
    knows(story, "other.site.test")
    story.withdrawn("not_ncii")
    assert arrives(story) == [MessageKind.RETRACTED]
    assert story.attempt() == [MessageKind.RETRACTED]


# Who is in no directory is a person's, not nobody's


def test_rule_7_a_recipient_that_the_directory_lost_is_a_persons_at_the_end() -> None:
    """Somebody believes that we ask for a removal, and nothing says that they must not hear otherwise."""
    story = Story.delivered()
    story.around = replace(story.around, routes=Routes(organisations=(HOSTER,)))
    story.withdrawn("not_ncii")
    assert story.attempt() == []
    assert "undeliverable" in story.open_tasks()


# Without a known claim nobody knows whom not to contact


@pytest.mark.parametrize("kind", [MessageKind.REMINDED, MessageKind.STILL_PRESENT])
def test_rule_5_nothing_is_sent_while_no_claim_is_known(kind: MessageKind) -> None:
    story = Story.delivered()
    story.around = replace(story.around, terms=None)
    assert refused(story, kind) is Refusal.TERMS_UNKNOWN


def test_rule_5_a_first_demand_waits_for_the_claims_and_then_goes() -> None:
    story = Story.opened()
    story.around = replace(story.around, terms=None)
    assert story.attempt() == []
    story.around = replace(story.around, terms=Terms())
    story.tell(TermsChanged())
    story.look(Outcome.PRESENT)
    assert story.attempt() == [MessageKind.ISSUED]


@pytest.mark.parametrize("decision", [DecisionKind.DISMISS, DecisionKind.REJECT])
def test_rule_7_a_retraction_waits_for_the_claims_and_then_goes(decision: DecisionKind) -> None:
    story = Story.delivered()
    story.decides(decision)
    story.later(HOUR)  # one person's rejection is told a while later
    story.around = replace(story.around, terms=None)
    assert story.attempt() == []
    story.around = replace(story.around, terms=Terms())
    story.tell(TermsChanged())
    assert story.attempt() == [MessageKind.RETRACTED]
    story.tell(TermsChanged())
    assert story.attempt() == []


# The host of the page is a host of the target


def test_rule_5_the_operator_of_a_page_not_to_be_contacted_is_not_asked() -> None:
    """The medium's host is the operator's too, and no claim names it."""
    story = Story.opened(target=PAGED, around=surroundings(terms=Terms(do_not_contact=("perp.site.test",))))
    assert [one.recipient for one in story.takedown.demands] == ["hoster"]
    story.decides(DecisionKind.REROUTE, recipient="site")
    story.look(Outcome.PRESENT)
    assert [one.recipient for one in story.takedown.demands] == ["hoster"]


def test_rule_5_nor_written_to_once_a_claim_names_the_page() -> None:
    story = Story.delivered(target=PAGED)
    knows(story, "perp.site.test")
    assert refused(story, MessageKind.REMINDED) is Refusal.DO_NOT_CONTACT
    story.withdrawn("not_ncii")
    assert story.attempt() == []


def test_rule_5_a_page_that_somebody_else_operates_excludes_nobody_but_them() -> None:
    other = Organisation(key="perp", name="P", domains=("perp.test",), channel="webhook", posture=Posture.NORMAL)
    target = replace(TARGET, page_url="https://perp.test/p", page_host="perp.test")
    around = surroundings(
        terms=Terms(do_not_contact=("perp.test",)), routes=Routes(organisations=(*ROUTES.organisations, other))
    )
    story = Story.opened(target=target, around=around)
    assert story.demand.recipient == "site"
