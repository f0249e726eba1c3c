"""What a demand says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import pytest

from services.notifier.domain.events import AttemptEnded
from services.notifier.domain.model import (
    MessageKind,
    Observed,
    RetractionReason,
)
from services.notifier.notices.message import (
    NothingToSay,
    body,
    host_test,
    mail,
    thread_of,
)
from services.notifier.regimes import REGIMES
from shared import ids
from shared.policy import Policy
from tests.unit.notifier.notice_message import (
    ANSWER_URL,
    DEMAND_KINDS,
    LAST_KINDS,
    LINK,
    TOKEN,
    US,
    both,
    issued,
    message,
    says,
)
from tests.unit.notifier.takedown_story import HOUR, MINUTE, START, TARGET, Story


def test_the_body_is_the_agreed_one() -> None:
    takedown, demand = issued()
    data = json.loads(body(message(takedown, demand)))
    assert set(data) == {"type", "timestamp", "data"}
    assert data["type"] == "demand.issued"
    assert datetime.fromisoformat(data["timestamp"]) == START
    assert data["data"]["message_id"] == str(ids.message_id(demand.demand_id, "demand.issued"))
    assert data["data"]["organisation"] == {"name": "Helpline", "contact": "desk@helpline.example"}
    (item,) = data["data"]["items"]
    assert set(item) == {
        "demand_id",
        "url",
        "token",
        "answer_url",
        "requested_by",
        "issued_at",
        "observed",
        "action",
        "capacity",
        "statement",
        "forwardable",
        "established_by",
    }
    assert item["action"] == "disable_access"
    assert item["answer_url"] == ANSWER_URL
    assert item["established_by"] == "fingerprint"
    assert item["observed"]["seen_by"] == "check"
    facts = {"at", "seen_by", "ip", "port", "final_url", "status", "content_type", "size_bytes"}
    assert set(item["observed"]) <= facts


def test_the_same_message_is_the_same_bytes() -> None:
    takedown, demand = issued()
    assert body(message(takedown, demand)) == body(message(takedown, demand))


def test_a_law_prints_its_clock_and_no_date_and_the_other_way_round() -> None:
    takedown, demand = issued()
    law = says(demand, regime="uk_osa_20a", respond_within_seconds=172_800, requested_by=None)
    (item,) = json.loads(body(message(takedown, law)))["data"]["items"]
    assert (item["regime"], item["respond_within_seconds"]) == ("uk_osa_20a", 172_800)
    assert "requested_by" not in item
    (item,) = json.loads(body(message(takedown, demand)))["data"]["items"]
    assert "regime" not in item
    assert "respond_within_seconds" not in item
    assert "law" not in item["statement"]


def test_printed_numbers_are_never_scaled() -> None:
    story = Story.opened(policy=Policy(clock_scale=0.0001))
    evidence = says(story.demand, evidence_wanted=True)
    (item,) = json.loads(body(message(story.takedown, evidence, policy=story.policy)))["data"]["items"]
    assert datetime.fromisoformat(item["requested_by"]) - datetime.fromisoformat(item["issued_at"]) == 72 * HOUR
    assert item["preserve"]["days"] == 90


@pytest.mark.parametrize("kind", LAST_KINDS)
def test_the_last_messages_hold_no_url_and_no_capability(kind: MessageKind) -> None:
    takedown, demand = issued()
    for erased in (takedown, replace(takedown, target=None, last_seen=None)):
        made = message(erased, says(demand, observed=None), kind)
        text = body(made).decode() + mail(made, link=LINK).text
        assert TOKEN not in text
        assert "site.test" not in text
        assert "://" not in text
        assert str(demand.demand_id) in text


def test_the_words_of_a_retraction_follow_its_reason() -> None:
    takedown, demand = issued()
    asked = message(replace(takedown, retraction=RetractionReason.NO_FURTHER_ACTION), demand, MessageKind.RETRACTED)
    assert "No further action is asked" in body(asked).decode()
    assert "says nothing about consent or about lawfulness" in body(asked).decode()
    error = message(replace(takedown, retraction=RetractionReason.SENT_IN_ERROR), demand, MessageKind.RETRACTED)
    assert "sent in error" in body(error).decode()
    assert "restore" in body(error).decode()


@pytest.mark.parametrize("kind", DEMAND_KINDS)
def test_a_demand_without_its_target_cannot_be_said(kind: MessageKind) -> None:
    takedown, demand = issued()
    with pytest.raises(NothingToSay):
        message(replace(takedown, target=None), demand, kind)


def test_a_test_message_asks_for_nothing() -> None:
    made = host_test(message_id=UUID(int=1), at=START, organisation=US)
    assert json.loads(body(made))["data"]["items"] == []
    assert "asks for nothing" in mail(made, link=LINK).text
    takedown, demand = issued()
    with pytest.raises(NothingToSay):
        message(takedown, demand, MessageKind.HOST_TEST)


@pytest.mark.parametrize("kind", DEMAND_KINDS)
def test_the_mail_names_the_url_as_text_and_the_capability_as_a_link(kind: MessageKind) -> None:
    takedown, demand = issued()
    paged = replace(
        takedown, target=replace(TARGET, page_url="http://site.test/p?u=https://x.test/", page_host="site.test")
    )
    made = mail(message(paged, demand, kind), link=LINK)
    assert "hxxps://img.site.test/a.jpg" in made.text
    assert "hxxp://site.test/p?u=hxxps://x.test/" in made.text
    assert made.text.count("https://") + made.text.count("http://") == 1
    assert LINK in made.text
    assert "\n" not in made.subject
    assert "site.test" not in made.subject
    assert all(len(line) <= 998 for line in made.text.splitlines())


def test_two_people_have_confirmed_only_where_two_have() -> None:
    takedown, demand = issued()
    for two in (False, True):
        for text in both(message(takedown, says(demand, two_confirmed=two))):
            assert ("Two people" in text) is two


@pytest.mark.parametrize(("seen_by", "words"), [("check", "our own check"), ("person", "a person")])
def test_a_notice_says_who_saw_it_and_when(seen_by: Literal["check", "person"], words: str) -> None:
    takedown, demand = issued()
    seen = Observed(at=datetime(2026, 11, 24, 9, 29, tzinfo=UTC), seen_by=seen_by)
    made = message(takedown, says(demand, observed=seen))
    (item,) = json.loads(body(made))["data"]["items"]
    assert (item["observed"]["seen_by"], item["observed"]["at"]) == (seen_by, "2026-11-24T09:29:00Z")
    assert f"Last seen by {words} at 2026-11-24 09:29 UTC" in both(made)[1]


def test_the_notice_of_a_climb_says_when_it_was_last_seen() -> None:
    story = Story.opened()
    seen = story.takedown.last_seen
    assert seen is not None
    story.later(10 * MINUTE).attempt(AttemptEnded.PERMANENT)
    climbed = story.takedown.demands[-1]
    assert climbed.recipient == "hoster"
    (item,) = json.loads(body(message(story.takedown, climbed)))["data"]["items"]
    assert datetime.fromisoformat(item["observed"]["at"]) == seen.at
    assert datetime.fromisoformat(item["issued_at"]) == seen.at + 10 * MINUTE


def test_the_subject_says_who_what_and_by_when() -> None:
    takedown, demand = issued()
    asked = mail(message(takedown, demand), link=LINK).subject
    assert asked.startswith("Helpline asks you to disable access to an intimate image by 2026-11-27 12:00 UTC")
    law = says(demand, regime="uk_osa_20a", respond_within_seconds=172_800, requested_by=None)
    assert (
        "disable access to an intimate image within 48 hours of receipt"
        in mail(message(takedown, law), link="").subject
    )
    for kind in DEMAND_KINDS + LAST_KINDS:
        subject = mail(message(takedown, demand, kind), link=LINK).subject
        assert "Helpline" in subject
        assert str(demand.demand_id) in subject
        assert "site.test" not in subject


def test_what_one_recipient_is_sent_about_one_takedown_is_one_thread() -> None:
    story = Story.delivered()
    first = story.demand
    thread = thread_of(story.takedown, first)
    begun = ids.message_id(first.demand_id, "demand.issued")
    assert thread.first_message == begun
    assert thread.thread_id == ids.thread_id("site", begun)
    again = replace(first, demand_id=UUID(int=9), round=2, kind=MessageKind.REAPPEARED)
    other = replace(first, demand_id=UUID(int=8), recipient="hoster")
    takedown = replace(story.takedown, demands=(again, other, first))
    assert thread_of(takedown, again) == thread
    assert thread_of(takedown, other).thread_id != thread.thread_id


def test_every_regime_can_be_printed() -> None:
    takedown, demand = issued()
    for regime in REGIMES.values():
        made = message(takedown, says(demand, regime=regime.id, respond_within_seconds=172_800))
        assert regime.statement in body(made).decode()
    assert (
        "48 hours"
        in mail(
            message(takedown, says(demand, regime="uk_osa_20a", respond_within_seconds=172_800, requested_by=None)),
            link=LINK,
        ).text
    )
