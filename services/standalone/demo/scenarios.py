"""The scenarios, as data: who misbehaves how, how it is found, and how it must end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from services.notifier.directory.csv_import import render_csv
from services.standalone.demo import scenarios_guises, scenarios_looks, sites
from services.standalone.demo.mailbox import MailboxOnly
from services.standalone.demo.pictures import (
    FORMATS,
    Hashes,
    draw,
    encode,
    hashes_of,
    mirrored,
)
from services.standalone.demo.scenario import DemoTarget, End, FoundTakedown, Scenario
from services.standalone.demo.sites import Provider, Site
from services.standalone.demo.targets import REMOVED, copies, one, with_pictures

UNRELATED = 300
"""Pictures that nobody asked about, sighted like the others."""
GALLERIES = 3
"""Hosts that serve them."""
PROVIDER = "hosting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """All that the demo plays with. `unrelated`: URLs of pictures that nobody asked about, with their hashes."""

    scenarios: tuple[Scenario, ...]
    galleries: tuple[Site, ...]
    provider: Provider
    unrelated: tuple[tuple[str, Hashes], ...]

    @property
    def sites(self) -> list[Site]:
        return [*(scenario.site for scenario in self.scenarios), *self.galleries, self.provider]


def make(on_progress: Callable[[int, int], None] = lambda _done, _total: None) -> Cast:
    """Takes seconds: it draws and hashes every picture. `on_progress` is called with how many of how many steps are done."""
    total = len(_ALL) + UNRELATED
    scenarios = tuple(make_one(seed) for seed, make_one in enumerate(_ALL, start=1000))
    for done, scenario in enumerate(scenarios):
        on_progress(done, total)
        scenario.hashes[""] = hashes_of(scenario.original)
        for target in scenario.targets:
            # Where nothing of the content is, a crawler says that it saw the content itself.
            shown = target.copy if target.copy is not None else scenario.original
            scenario.hashes[target.path] = hashes_of(shown)
    galleries = tuple(Site(name=f"gallery-{number}") for number in range(1, GALLERIES + 1))
    unrelated = []
    for number in range(UNRELATED):
        on_progress(len(_ALL) + number, total)
        picture = encode(draw(number, width=160, height=120), FORMATS[number % len(FORMATS)])
        gallery = galleries[number % GALLERIES]
        path = f"/g/{number}.{picture.suffix}"
        gallery.pictures[path] = picture
        unrelated.append((gallery.url(path), hashes_of(picture)))
    on_progress(total, total)
    provider = Provider(name=PROVIDER, provider=None)
    cast = Cast(scenarios=scenarios, galleries=galleries, provider=provider, unrelated=tuple(unrelated))
    provider.sites.update({site.domain: site for site in cast.sites})
    return cast


def directory_csv(all_sites: Iterable[Site]) -> str:
    """The directory of the small internet, as `takedown hosts import` takes it."""
    return render_csv(
        {
            "organisation": site.name,
            "name": site.name,
            "domains": site.domain,
            "rung": "hosting_provider" if isinstance(site, Provider) else "site_operator",
            "webhook_url": "" if site.email else site.url("/webhook"),
            "webhook_secrets": "" if site.email else site.secret,
            "email": site.email or "",
            "next_rung": site.provider or "",
            "posture": site.posture,
            "bound_by": site.bound_by,
        }
        for site in all_sites
    )


def _cooperative(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = copies(pixels, REMOVED)
    return Scenario(
        name="cooperative",
        story="removes at once; three copies: re-encoded, resized, other formats",
        site=with_pictures(Site(name="cooperative", bound_by="uk_osa_20a"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _mirror(seed: int) -> Scenario:
    pixels = draw(seed)
    target = DemoTarget(path="/m/1.jpg", copy=encode(mirrored(pixels), "JPEG"), end=REMOVED)
    return Scenario(
        name="mirrored",
        story="shows a mirrored copy",
        site=with_pictures(Site(name="mirrored"), (target,)),
        original=encode(pixels, "PNG"),
        targets=(target,),
    )


def _slow(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="slow",
        story="acknowledges, removes later",
        site=with_pictures(sites.Slow(name="slow", bound_by="uk_osa_20a"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _silent(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="silent",
        story="takes every message, does nothing; the next rung removes",
        site=with_pictures(sites.Silent(name="silent"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=frozenset({"demand.issued", "demand.reminded"}),
        provider_hears=frozenset({"demand.issued"}),
    )


def _flaky(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="flaky",
        story="503, no answer, 500, a slow drip; then works",
        site=with_pictures(sites.Flaky(name="flaky"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _liar(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="liar",
        story="says removed, still there; the next rung removes",
        site=with_pictures(sites.Liar(name="liar"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=frozenset({"demand.issued", "demand.still_present"}),
        provider_hears=frozenset({"demand.issued"}),
    )


def _soft_not_found(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="soft-404",
        story="answers 200 with a page that says not found",
        site=with_pictures(sites.SoftNotFound(name="soft-404"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _swapper(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, End(state="removed", reason="replaced"))
    return Scenario(
        name="swap",
        story="puts another picture at the address",
        site=with_pictures(sites.Swapper(name="swap", other=encode(draw(seed + 500), "JPEG")), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _uploads_again(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, End(state="removed", reason="gone", round=2))
    return Scenario(
        name="uploads-again",
        story="removes; it is uploaded again; a new round removes it",
        site=with_pictures(sites.UploadsAgain(name="uploads-again"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=frozenset({"demand.issued", "demand.reappeared"}),
    )


def _redirects_inward(seed: int) -> Scenario:
    targets = tuple(
        DemoTarget(path=path, end=End(state="held"), found=FoundTakedown.MADE_UP)
        for path in ("/to-metadata.jpg", "/to-inside.jpg")
    )
    return Scenario(
        name="redirects-inward",
        story="redirects to 169.254.169.254 and 127.0.0.1; the guard refuses",
        site=sites.Redirector(name="redirects-inward", inside={"/to-metadata.jpg": "http://169.254.169.254/latest/"}),
        original=encode(draw(seed), "PNG"),
        targets=targets,
        site_hears=frozenset(),
        site_may_hear=frozenset(),
        held="first_check",
        check_detail="address_refused",
    )


def _endpoint_gone(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="answers-410",
        story="answers 410 to demands; the next rung removes",
        site=with_pictures(sites.EndpointGone(name="answers-410"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        provider_hears=frozenset({"demand.issued"}),
    )


def _page(seed: int) -> Scenario:
    pixels = draw(seed)
    target = DemoTarget(
        path="/pictures/embedded.webp",
        copy=encode(pixels, "WEBP"),
        end=REMOVED,
        found=FoundTakedown.REPORTED,
        page="/post/1",
    )
    site = with_pictures(Site(name="page"), (target,))
    site.pictures["/pictures/logo.png"] = encode(draw(seed + 500, width=160, height=120), "PNG")
    site.pages["/post/1"] = (
        "<html><head><title>post</title></head><body>"
        '<img src="/pictures/logo.png"><p>hello</p><img src="../pictures/embedded.webp"></body></html>'
    )
    return Scenario(
        name="page",
        story="a page embeds the picture; the page's URL is reported",
        site=site,
        original=encode(pixels, "PNG"),
        targets=(target,),
    )


def _mailbox(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="mailbox-only",
        story="has a mailbox and a browser; answers on the capability page",
        site=with_pictures(MailboxOnly(name="mailbox-only", email="abuse@mailbox-only.test"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


def _hostile(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED)
    return Scenario(
        name="hostile",
        story="the operator may be the perpetrator: skipped, the next rung is asked",
        site=with_pictures(sites.Silent(name="hostile", posture="hostile"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=frozenset(),
        site_may_hear=frozenset(),
        provider_hears=frozenset({"demand.issued"}),
    )


def _lying_crawler(seed: int) -> Scenario:
    nothing = DemoTarget(
        path="/never-there.jpg", end=End(state="removed", reason="not_found"), found=FoundTakedown.MADE_UP
    )
    other = DemoTarget(path="/other.jpg", end=End(state="held"), found=FoundTakedown.MADE_UP)
    site = Site(name="lying-crawler")
    site.pictures[other.path] = encode(draw(seed + 500), "JPEG")
    return Scenario(
        name="lying-crawler",
        story="a crawler says it is here; our own check does not see it",
        site=site,
        original=encode(draw(seed), "PNG"),
        targets=(nothing, other),
        site_hears=frozenset(),
        site_may_hear=frozenset(),
        held="first_check",
    )


def _withdrawn(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, End(state="withdrawn"))
    return Scenario(
        name="withdrawn",
        story="the claim is withdrawn half-way: suspended, then erased",
        site=with_pictures(sites.Dawdler(name="withdrawn"), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_hears=frozenset({"demand.issued", "demand.retracted"}),
        withdraw=True,
    )


def _seen_before(seed: int) -> Scenario:
    pixels = draw(seed)
    targets = one(pixels, REMOVED, found=FoundTakedown.BEFORE)
    return Scenario(
        name="seen-before",
        story="seen before its content was confirmed",
        site=with_pictures(Site(name="seen-before", gone_status=404), targets),
        original=encode(pixels, "PNG"),
        targets=targets,
    )


_ALL: tuple[Callable[[int], Scenario], ...] = (
    _cooperative,
    _mirror,
    _slow,
    _silent,
    _flaky,
    _liar,
    _soft_not_found,
    _swapper,
    _uploads_again,
    _redirects_inward,
    _endpoint_gone,
    _page,
    _mailbox,
    _hostile,
    _lying_crawler,
    _withdrawn,
    _seen_before,
    *scenarios_looks.ALL,
    *scenarios_guises.ALL,
)
