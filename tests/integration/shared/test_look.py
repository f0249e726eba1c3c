"""One look at a URL, over real HTTP: what was seen, and what was never asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from shared.clock import system_clock
from shared.errors import Permanent
from shared.media.exact import exact_fingerprints
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints, Reason, UndecodedMedia
from shared.media.look import Forbidden, LightLooker
from shared.media.looks.url_look import NotSeen, PageMedia, UndecodedBytes
from shared.outbound.fetch import Fetcher
from shared.outbound.guard import OutboundError
from shared.outbound.proxy import BudgetSpent
from shared.policy import Policy
from shared.urls import canonical
from tests.notifier_world import Host, picture
from tests.one_host import one_host

POLICY = Policy(fetch_timeout_seconds=3.0)


class Site:
    """One host, and what looks at it."""

    def __init__(self, host: Host, fetcher: Fetcher, fingerprinter: Fingerprinter) -> None:
        self.host = host
        self._fetcher = fetcher
        self._fingerprinter = fingerprinter

    def looker(self, *forbidden_paths: str) -> LightLooker:
        keys = frozenset(canonical(self.host.url(path)).url_key for path in forbidden_paths)

        async def forbidden(url_keys: Collection[str]) -> frozenset[str]:
            return keys.intersection(url_keys)

        asked: Forbidden | None = forbidden if forbidden_paths else None
        return LightLooker(
            fetcher=self._fetcher,
            fingerprinter=self._fingerprinter,
            policy=POLICY,
            clock=system_clock,
            forbidden=asked,
        )


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    async with (
        one_host("127.0.1.97") as (host, guard),
        Fetcher(guard, user_agent="test") as fetcher,
        Fingerprinter(workers=1) as fingerprinter,
    ):
        yield Site(host, fetcher, fingerprinter)


def members(kind: type[OutboundError]) -> set[type[OutboundError]]:
    """Of what a fetch may end with: a proxy's account is the browser's alone."""
    found = {one for one in kind.__subclasses__() if one.__module__.startswith("shared.") and one is not BudgetSpent}
    return found.union(*(members(one) for one in found))


ERRORS = sorted(members(OutboundError), key=lambda one: one.__name__)


@pytest.mark.parametrize("error", ERRORS)
def test_every_outbound_error_is_a_reason_and_lasts_as_long(error: type[OutboundError]) -> None:
    assert NotSeen(error.code).may_pass is not issubclass(error, Permanent)


async def test_what_a_look_yields() -> None:
    async with open_site() as site:
        host, looker = site.host, site.looker()
        body, video = picture(1), b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 20
        host.show("/p.png", body, content_type="text/plain")
        host.show("/v.mp4", video)
        host.show("/empty", b"")
        host.show("/words", b"words")
        host.remove("/410", 410)
        host.show("/gone.png", body, status=410)

        async def elsewhere(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"location": "/p.png"})

        host.media["/moved"] = elsewhere
        look = await looker.look(host.url("/moved"))
        assert isinstance(look.saw, MediaFingerprints)
        assert look.answer is not None
        assert (look.url, look.answer.final_url) == (host.url("/moved"), host.url("/p.png"))
        assert (look.answer.status, look.answer.content_type, look.answer.size_bytes) == (200, "text/plain", len(body))
        assert tuple(look.answer.address) == (host.address, host.port)
        assert look.saw.exact() == exact_fingerprints(body)
        for path, saw in {
            "/v.mp4": UndecodedBytes(
                reason=Reason.UNSUPPORTED_FORMAT, exact=exact_fingerprints(video), media=UndecodedMedia.VIDEO
            ),
            "/words": UndecodedBytes(reason=Reason.NOT_A_PICTURE, exact=exact_fingerprints(b"words"), text="words"),
            "/empty": UndecodedBytes(reason=Reason.EMPTY),
            "/410": UndecodedBytes(reason=Reason.EMPTY),
        }.items():
            look = await looker.look(host.url(path))
            assert look.saw == saw
        assert look.answer is not None
        assert (look.answer.status, look.answer.size_bytes) == (410, 0)
        gone = await looker.look(host.url("/gone.png"))
        assert isinstance(gone.saw, MediaFingerprints), "browsers show it"
        assert "site" not in f"{look!r}", "no URL in what may be logged"


async def test_a_page_is_looks_at_its_media_in_order() -> None:
    async with open_site() as site:
        host = site.host
        host.show("/a.png", picture(1))
        host.show("/b.png", picture(2))
        html = b"<html><meta property='og:image' content='/b.png'><img src='/a.png'><img src='/no.png'></html>"
        url = host.show("/page", html, content_type="text/html")
        look = await site.looker().look(url)
        assert isinstance(look.saw, PageMedia)
        assert [one.url for one in look.saw.looks] == [host.url(path) for path in ("/b.png", "/a.png", "/no.png")]
        assert [type(one.saw) for one in look.saw.looks] == [MediaFingerprints, MediaFingerprints, UndecodedBytes]
        beside = await site.looker().look(url, besides=canonical(host.url("/a.png")).url_key)
        assert isinstance(beside.saw, PageMedia)
        assert [one.url for one in beside.saw.looks] == [host.url("/b.png"), host.url("/no.png")]


async def test_what_is_forbidden_is_never_asked_for() -> None:
    async with open_site() as site:
        host = site.host

        async def elsewhere(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"location": "/x.png"})

        host.show("/x.png", picture(1))
        host.media["/moved"] = elsewhere
        host.show("/p", b"<html><img src='x.png#big'><img src='/moved'></html>", content_type="text/html")
        looker = site.looker("/x.png")
        assert (await looker.look(host.url("/x.png"))).saw is NotSeen.FORBIDDEN
        assert (await looker.look(host.url("/moved"))).saw is NotSeen.REDIRECT_REFUSED
        page = await looker.look(host.url("/p"))
        assert isinstance(page.saw, PageMedia)
        assert [one.saw for one in page.saw.looks] == [NotSeen.FORBIDDEN, NotSeen.REDIRECT_REFUSED]
        assert host.fetched == ["/moved", "/p", "/moved"]


@pytest.mark.parametrize("forbidden", [(), ("/x.png",)], ids=["nothing forbidden", "something forbidden"])
@pytest.mark.parametrize("host", ["..", ".", "...:8080", "%2E%2E"])
async def test_a_host_that_is_no_name_ends_no_look(host: str, forbidden: tuple[str, ...]) -> None:
    async with open_site() as site:
        site.host.show("/a.png", picture(1))
        page = f"<html><img src='http://{host}/x'><img src='/a.png'></html>".encode()

        async def elsewhere(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"location": f"http://{host}/x"})

        site.host.media["/moved"] = elsewhere
        look = await site.looker(*forbidden).look(site.host.show("/p", page, content_type="text/html"))
        assert isinstance(look.saw, PageMedia)
        assert isinstance(look.saw.looks[-1].saw, MediaFingerprints), "what else the page shows is seen"
        assert all(one.saw is NotSeen.BAD_URL for one in look.saw.looks[:-1])
        redirected = await site.looker(*forbidden).look(site.host.url("/moved"))
        assert redirected.saw in (NotSeen.BAD_URL, NotSeen.MALFORMED_RESPONSE)
