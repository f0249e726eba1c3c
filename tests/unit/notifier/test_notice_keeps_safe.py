"""What a demand never gives away, and what nothing from outside can do to it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.notifier.domain.model import (
    LastSeen,
    MessageKind,
    Observed,
    Outcome,
)
from services.notifier.notices import message as notice
from services.notifier.notices.message import (
    DemandingOrganisation,
    body,
    build,
    mail,
)
from services.notifier.regimes import REGIMES
from shared.contracts.content import Assurance
from shared.policy import Policy
from shared.urls import canonical
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
from tests.unit.notifier.takedown_story import MATCH, START, TARGET, Story, surroundings


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


secrets = st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=12, max_size=24).map(lambda text: f"zz{text}zz")
OUR_WORDS = ("mirror", "viewed", "pdq", "distance", "vantage")
"""Of how we saw it: none may be in a message. Hosts' own addresses may hold any letters; those made here hold none of these words."""
urls = st.from_regex(r"https?://[a-z]{1,8}\.test/[a-zA-Z0-9/?=&%.-]{0,40}", fullmatch=True).filter(
    lambda url: not any(word in url.lower() for word in OUR_WORDS)
)


@settings(max_examples=150, deadline=None)
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
        for word in OUR_WORDS:
            assert word not in text.lower()
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
