"""The choice of the next recipient."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.domain.contact_rules import Matter, refusal
from services.notifier.domain.ladder import (
    Ask,
    Choice,
    Exhausted,
    Organisation,
    Posture,
    Routes,
    UnknownHost,
    UnknownPosture,
    is_same_or_under,
    steps,
)
from services.notifier.domain.ladder import next_recipient as choose
from services.notifier.domain.model import Rung


def organisation(
    key: str, *domains: str, next_rung: str | None = None, posture: Posture = Posture.NORMAL
) -> Organisation:
    return Organisation(key=key, name=key, domains=domains, channel="webhook", posture=posture, next_rung=next_rung)


SITE = organisation("site", "site.test", next_rung="hoster")
BLOG = organisation("blog", "blog.site.test", next_rung="site")
HOSTER = organisation("hoster", "hoster.test", next_rung="site")
ROUTES = Routes(organisations=(SITE, BLOG, HOSTER))


def next_recipient(
    routes: Routes,
    host: str,
    *,
    asked: Collection[str],
    do_not_contact: Iterable[str] = (),
    postures_cleared: Collection[str] = (),
) -> Choice:
    matter = Matter(
        hosts=(host,),
        do_not_contact=tuple(do_not_contact),
        postures_cleared=frozenset(postures_cleared),
        routes=routes,
    )
    return choose(routes, host, refusal_of=lambda one: refusal(one, matter), asked=asked)


def not_to_be_contacted(names: Iterable[str], listed: Collection[str]) -> bool:
    return any(is_same_or_under(name, domain) for name in names for domain in listed)


def test_there_are_six_rungs_in_order() -> None:
    assert [one.value for one in Rung] == [
        "site_operator",
        "hosting_provider",
        "cdn",
        "registrar",
        "search_engine",
        "regulator",
    ]


def test_the_longest_listed_suffix_wins() -> None:
    for host, key in (("site.test", "site"), ("a.b.site.test", "site"), ("x.blog.site.test", "blog")):
        choice = next_recipient(ROUTES, host, asked=())
        assert isinstance(choice, Ask)
        assert (choice.organisation.key, choice.rung) == (key, Rung.SITE_OPERATOR)


def test_suffixes_are_whole_labels() -> None:
    assert isinstance(next_recipient(ROUTES, "evilsite.test", asked=()), UnknownHost)
    assert is_same_or_under("A.Site.Test.", "site.test")
    assert not is_same_or_under("site.test.evil", "site.test")
    assert not is_same_or_under("site.test", "")
    assert not is_same_or_under("10.0.0.1", "0.0.1.1")


def test_the_next_rung_is_the_one_the_entry_names_and_then_nobody() -> None:
    choice = next_recipient(ROUTES, "site.test", asked={"site"})
    assert isinstance(choice, Ask)
    assert (choice.organisation.key, choice.rung, choice.domain) == ("hoster", Rung.HOSTING_PROVIDER, "hoster.test")
    assert isinstance(next_recipient(ROUTES, "site.test", asked={"site", "hoster"}), Exhausted)


def test_a_circle_in_the_directory_ends() -> None:
    round_and_round = Routes(organisations=(replace(SITE, next_rung="site"),))
    assert len(steps(round_and_round, "site.test")) == 1


def test_a_next_rung_that_is_not_listed_ends_the_ladder() -> None:
    assert isinstance(next_recipient(Routes(organisations=(SITE,)), "site.test", asked={"site"}), Exhausted)


def test_hostile_is_skipped_and_unknown_waits_until_cleared() -> None:
    hostile = Routes(organisations=(replace(SITE, posture=Posture.HOSTILE), HOSTER))
    choice = next_recipient(hostile, "site.test", asked=())
    assert isinstance(choice, Ask)
    assert choice.organisation.key == "hoster"
    unknown = Routes(organisations=(replace(SITE, posture=Posture.UNKNOWN), HOSTER))
    assert isinstance(next_recipient(unknown, "site.test", asked=()), UnknownPosture)
    cleared = next_recipient(unknown, "site.test", asked=(), postures_cleared=("site",))
    assert isinstance(cleared, Ask)
    assert cleared.organisation.key == "site"


def test_do_not_contact_by_the_recipients_domain_skips_the_upper_rung_too() -> None:
    choice = next_recipient(ROUTES, "site.test", asked={"site"}, do_not_contact=("hoster.test",))
    assert isinstance(choice, Exhausted)


def test_who_cannot_be_reached_is_named() -> None:
    routes = Routes(organisations=(replace(SITE, channel=None), HOSTER))
    choice = next_recipient(routes, "site.test", asked=())
    assert isinstance(choice, Ask)
    assert (choice.organisation.key, choice.passed_over) == ("hoster", ("site",))


labels = st.sampled_from(["a", "b", "site", "test", "hoster"])
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)


@settings(max_examples=200)
@given(
    host=hosts,
    do_not_contact=st.lists(hosts, max_size=3),
    asked=st.sets(st.sampled_from(["site", "blog", "hoster"])),
    postures=st.lists(st.sampled_from(list(Posture)), min_size=3, max_size=3),
)
def test_never_asks_who_must_not_be_asked(
    host: str, do_not_contact: list[str], asked: set[str], postures: list[Posture]
) -> None:
    listed = tuple(replace(one, posture=posture) for one, posture in zip(ROUTES.organisations, postures, strict=True))
    choice = next_recipient(Routes(organisations=listed), host, asked=asked, do_not_contact=do_not_contact)
    if isinstance(choice, Ask):
        assert choice.organisation.key not in asked
        assert choice.organisation.posture is Posture.NORMAL
        assert not not_to_be_contacted(choice.organisation.domains, do_not_contact)
        if choice.rung is Rung.SITE_OPERATOR:
            assert not not_to_be_contacted((host,), do_not_contact)
