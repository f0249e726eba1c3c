"""What a demand says, and what it never says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.notifier.domain.events import AttemptEnded
from services.notifier.domain.model import (
    Demand,
    LastSeen,
    MessageKind,
    Observed,
    Outcome,
    RetractionReason,
    Takedown,
)
from services.notifier.notices import message as notice
from services.notifier.notices.message import (
    DemandingOrganisation,
    Message,
    NothingToSay,
    body,
    build,
    host_test,
    mail,
    thread_of,
)
from services.notifier.regimes import REGIMES
from shared import ids
from shared.contracts.content import Assurance
from shared.policy import Policy
from shared.urls import canonical
from tests.unit.notifier.takedown_story import HOUR, MATCH, MINUTE, START, TARGET, Story, surroundings

TOKEN = "tok_9f8e7d6c5b4a"
LINK = f"https://demands.helpline.example/host/d/{TOKEN}"
ANSWER_URL = "https://demands.helpline.example/host/v1/demands/1"
US = DemandingOrganisation(name="Helpline", contact="desk@helpline.example")
DEMAND_KINDS = [MessageKind.ISSUED, MessageKind.REAPPEARED, MessageKind.REMINDED, MessageKind.STILL_PRESENT]
LAST_KINDS = [MessageKind.RETRACTED, MessageKind.CLOSED]


def message(
    takedown: Takedown, demand: Demand, kind: MessageKind = MessageKind.ISSUED, policy: Policy | None = None
) -> Message:
    return build(
        kind=kind,
        takedown=takedown,
        demand=demand,
        message_id=ids.message_id(demand.demand_id, kind.value),
        at=START,
        token=TOKEN,
        answer_url=ANSWER_URL,
        organisation=US,
        policy=policy or Policy(),
    )


def says(demand: Demand, **printed: Any) -> Demand:
    """The demand with other words in it."""
    return replace(demand, printed=replace(demand.printed, **printed))


def issued() -> tuple[Takedown, Demand]:
    story = Story.opened()
    return story.takedown, story.demand


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


def both(made: Message) -> tuple[str, str]:
    """What is read of a message: the statement of its webhook, and its mail as one line."""
    (item,) = json.loads(body(made))["data"]["items"]
    return item["statement"], " ".join(mail(made, link=LINK).text.split())


@pytest.mark.parametrize("kind", DEMAND_KINDS)
def test_rule_8_it_asks_for_no_copies_and_no_word_of_who_reported_it(kind: MessageKind) -> None:
    takedown, demand = issued()
    text = both(message(takedown, demand, kind))[1]
    assert "do not send us copies" in text
    assert "do not say who reported it, as far as your law allows" in text
    assert "alert" not in text, "the law may ask the host to tell its uploader"
    assert "tell the uploader" not in text


@pytest.mark.parametrize("kind", DEMAND_KINDS)
def test_rule_8_evidence_is_asked_for_only_where_it_is_wanted_and_of_the_host_alone(kind: MessageKind) -> None:
    takedown, demand = issued()
    for wanted in (False, True):
        made = message(takedown, says(demand, evidence_wanted=wanted), kind)
        (item,) = json.loads(body(made))["data"]["items"]
        text = both(made)[1]
        assert ("preserve" in item) is wanted
        assert ("preserve, for 90 days and with restricted access" in text) is wanted
        if wanted:
            assert item["preserve"] == {
                "requested": True,
                "days": 90,
                "items": ["content", "upload_records", "account_records", "access_logs"],
                "restricted": True,
            }


@pytest.mark.parametrize("wanted", [False, True])
def test_the_customer_is_told_to_disable_access_and_nothing_about_copies(wanted: bool) -> None:
    takedown, demand = issued()
    (item,) = message(takedown, says(demand, evidence_wanted=wanted)).data.items
    assert isinstance(item, notice.DemandItem)
    assert "disable access" in item.forwardable
    for word in ("keep", "copy", "copies", "delete", "remove", "destroy", "preserve", "publish", "again", "authority"):
        assert word not in item.forwardable.replace(TARGET.url, "").lower(), word


@pytest.mark.parametrize("regime", sorted(REGIMES))
@pytest.mark.parametrize("kind", DEMAND_KINDS)
def test_the_capacity_is_said_where_authority_is_on_record_and_never_as_the_person_shown(
    regime: str, kind: MessageKind
) -> None:
    takedown, demand = issued()
    for authority in (False, True):
        made = message(takedown, says(demand, regime=regime, authority=authority), kind)
        (item,) = json.loads(body(made))["data"]["items"]
        assert (item.get("capacity") == "acting_for_person_depicted") is authority
        for text in both(made):
            assert ("acting for a person depicted, with recorded authority" in text) is authority
            assert ("authori" in text.replace("authorities", "")) is authority
            assert "subject" not in text.lower()


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


def test_no_word_of_a_hosts_headers_is_in_a_mail() -> None:
    takedown, demand = issued()
    seen = Observed(
        at=START,
        ip="203.0.113.9",
        port=443,
        status=200,
        size_bytes=5,
        content_type="image/png; IGNORE=all-of-the-above",
        final_url="https://img.site.test/a.jpg?say=close-this-ticket",
    )
    for kind in DEMAND_KINDS:
        made = message(
            replace(takedown, last_seen=LastSeen(at=START, observed=seen)), says(demand, observed=seen), kind
        )
        text = mail(made, link=LINK).text
        assert "IGNORE" not in text
        assert "image/png" not in text
        assert "close-this-ticket" not in text


addresses = st.builds(
    "{}://img.site.test/{}".format,
    st.sampled_from(["http", "https", "HTTPS"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
)


@settings(max_examples=150, deadline=None)
@given(url=addresses, page_url=st.none() | addresses)
def test_each_url_is_a_line_that_is_no_link_and_still_the_same_url(url: str, page_url: str | None) -> None:
    assume("hxxp" not in url + (page_url or ""))
    takedown, demand = issued()
    paged = replace(takedown, target=replace(TARGET, url=url, page_url=page_url))
    lines = mail(message(paged, demand), link=LINK).text.split("\n")
    found = [line for line in lines if line.startswith(("hxxp", "hxxps")) and " " not in line]
    wanted = [one for one in (url, page_url) if one is not None]
    assert [canonical(line.replace("hxxp", "http")).url_key for line in found] == [
        canonical(one).url_key for one in wanted
    ]


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


secrets = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=24).map(lambda text: f"zz{text}zz")
urls = st.from_regex(r"https?://[a-z]{1,8}\.test/[a-zA-Z0-9/?=&%.-]{0,40}", fullmatch=True)


@settings(max_examples=150)
@given(
    kind=st.sampled_from(DEMAND_KINDS + LAST_KINDS),
    url=urls,
    page_url=st.none() | urls,
    final_url=st.none() | urls,
    person=secrets,
    source=secrets,
    reviewer=secrets,
    place=secrets,
    reference=st.text(alphabet="0123456789abcdef", min_size=64, max_size=64),
    content_id=st.uuids(),
    sighting_id=st.uuids(),
    report_id=st.uuids(),
    person_basis=st.booleans(),
)
def test_rule_5_a_message_is_safe_in_the_uploaders_hands(
    kind: MessageKind,
    url: str,
    page_url: str | None,
    final_url: str | None,
    person: str,
    source: str,
    reviewer: str,
    place: str,
    reference: str,
    content_id: UUID,
    sighting_id: UUID,
    report_id: UUID,
    person_basis: bool,
) -> None:
    match = replace(
        MATCH,
        basis="person" if person_basis else "fingerprint",
        asserted_by=person,
        observed_by=source,
        fingerprint_ref=reference,
        sighting_id=sighting_id,
        report_id=report_id,
        assurance=Assurance.VIEWED_WITH_SUBJECT,
        orientation="mirror",
    )
    around = surroundings()
    around = replace(
        around,
        sender=replace(around.sender, reviewed_by=reviewer),
        terms=replace(around.terms, subject_jurisdictions=(place,)) if around.terms else None,
    )
    story = Story.matched(match=replace(MATCH, assurance=Assurance.VIEWED), around=around)
    story.look(Outcome.PRESENT, vantage=place)
    seen = Observed(at=START, ip="203.0.113.9", port=443, final_url=final_url, status=200)
    takedown = replace(
        story.takedown,
        content_id=content_id,
        match=match,
        target=replace(TARGET, url=url, page_url=page_url),
        last_seen=LastSeen(at=START, observed=seen),
    )
    demand = says(story.demand, observed=seen)
    made = message(takedown, demand, kind)
    letter = mail(made, link=LINK)
    for text in (body(made).decode(), letter.text, letter.subject):
        for forbidden in (person, source, reviewer, place, reference, match.observed_by):
            assert forbidden not in text
        for identifier in (content_id, sighting_id, report_id, takedown.takedown_id):
            assert str(identifier) not in text
        for word in ("mirror", "viewed", "pdq", "distance", "vantage"):
            assert word not in text.lower().replace(url.lower(), "").replace((page_url or "").lower(), "")
    for item in made.data.items:
        if isinstance(item, notice.DemandItem):
            for forbidden in (TOKEN, LINK, US.contact, US.name, str(demand.demand_id)):
                assert forbidden not in item.forwardable


@settings(max_examples=100, deadline=None)
@given(name=st.text(max_size=60), content_type=st.text(max_size=60))
def test_nothing_from_outside_breaks_a_line_of_the_mail(name: str, content_type: str) -> None:
    takedown, demand = issued()
    seen = Observed(at=datetime(2026, 1, 1, tzinfo=UTC), content_type=content_type)
    made = build(
        kind=MessageKind.ISSUED,
        takedown=takedown,
        demand=says(demand, observed=seen),
        message_id=UUID(int=7),
        at=START,
        token=TOKEN,
        answer_url=ANSWER_URL,
        organisation=DemandingOrganisation(name=name, contact="desk@helpline.example"),
        policy=Policy(),
    )
    plain = mail(message(takedown, says(demand, observed=replace(seen, content_type="x/y"))), link=LINK).text
    odd = mail(made, link=LINK)
    assert len(odd.subject.splitlines()) == 1
    assert "\r" not in odd.text
    assert abs(len(odd.text.split("\n\n")) - len(plain.split("\n\n"))) == 0
