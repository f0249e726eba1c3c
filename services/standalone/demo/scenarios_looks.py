"""The scenarios in which all depends on the look: what is believed, what is not, and what a browser adds."""

from __future__ import annotations

from services.standalone.demo import sites_looks as sites
from services.standalone.demo.pictures import draw, encode
from services.standalone.demo.scenario import DemoTarget, End, FoundTakedown, Scenario
from services.standalone.demo.sites import Site
from services.standalone.demo.targets import REMOVED, one, with_pictures

FALSE_REPORT = frozenset({"demand.issued", "demand.still_present"})
TO_A_PERSON = End(state="unremoved", task="silent")
"""Our looks say nothing: it is not believed, and a person has a task."""


def shown_with_410(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="shown-with-410",
        story="answers 410 and still sends the picture; the next rung removes",
        site=with_pictures(sites.GoneInNameAlone(name="shown-with-410"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=FALSE_REPORT,
        provider_hears=frozenset({"demand.issued"}),
    )


def lazy_page(seed: int) -> Scenario:
    pixels = draw(seed)
    target = DemoTarget(
        path="/pictures/lazy.webp",
        copy=encode(pixels, "WEBP"),
        end=REMOVED,
        found=FoundTakedown.REPORTED,
        page="/post/1",
    )
    site = with_pictures(Site(name="lazy-page"), (target,))
    site.pages["/post/1"] = (
        "<html><head><title>post</title></head><body><p>hello</p>"
        '<img src="data:," data-srcset="/pictures/lazy.webp 2x" loading=lazy></body></html>'
    )
    return Scenario(
        name="lazy-page",
        story="a page that loads its pictures late; the page's URL is reported",
        site=site,
        original=encode(pixels, "PNG"),
        targets=(target,),
    )


def login_wall(seed: int) -> Scenario:
    return _walled(
        seed, sites.LoginWall(name="login-wall", provider=None), "says removed, and lets in only who logs in"
    )


def firewall(seed: int) -> Scenario:
    return _walled(seed, sites.Firewall(name="firewall", provider=None), "says removed, and its firewall answers 202")


def _walled(seed: int, site: Site, story: str) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, TO_A_PERSON)
    return Scenario(
        name=site.name,
        story=f"{story}: not believed, a person has a task",
        site=with_pictures(site, targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def script_page_removed(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED, page="/post/1", without_browser=TO_A_PERSON)
    return Scenario(
        name="script-removed",
        story="its page is made by scripts, and shows nothing any more: only a browser can tell",
        site=with_pictures(sites.ScriptPage(name="script-removed", provider=None), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def script_page_moved(seed: int) -> Scenario:
    pixels = draw(seed)
    seen = End(state="unremoved", task="ladder_exhausted")
    targets = one(pixels, seen, page="/post/1", without_browser=TO_A_PERSON)
    return Scenario(
        name="script-moved",
        story="says removed; a script shows it from another address: only a browser sees it",
        site=with_pictures(sites.ScriptPage(name="script-moved", provider=None, moves_to="2.jpg"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_may_hear=frozenset({"demand.reminded", "demand.still_present"}),
    )


ALL = (shown_with_410, lazy_page, login_wall, firewall, script_page_removed, script_page_moved)
