"""A check: look at a target, and judge what was seen (`judgement.py`). No table, no lock is held here.

The medium's outcome and the page's are told apart: removal needs both clear.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from services.notifier.checks.browser_looker import BrowserLooker
from services.notifier.checks.drawn import Drawn, joined_medium, joined_page, worth_drawing
from services.notifier.checks.judgement import PAGE_RUNS_SCRIPTS, Judge
from services.notifier.checks.missing_answer import SITE_SAYS_MISSING, MissingAnswer
from services.notifier.checks.seen import Looked, Seen, Wanted
from services.notifier.domain.model import Outcome
from shared.agreement import is_clear
from shared.clock import Clock
from shared.media.answers.missing import impossible_url, is_missing_answer, root_url
from shared.media.answers.obstacles import Obstacle
from shared.media.browser.browser import Browser
from shared.media.browser.drawn_page import drawn_says_missing, shape_of_drawn
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints
from shared.media.look import Enough, LightLooker
from shared.media.looks.referer import origin_of, referer_for
from shared.media.looks.url_look import NotSeen, UrlLook
from shared.outbound.fetch import Fetcher
from shared.policy import Policy

LONGEST_FETCHES = 6
"""A check may take as long as this many fetches at their time-out."""
BROWSER_SECONDS = 240.0
"""And as long as this with a browser, its turns waited for."""
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A look, and what it means for the content."""

    look: UrlLook
    seen: Seen


class Checker:
    """Looks at targets from one vantage. `fingerprint_key`: of `fingerprint_ref`. `nonce`: names that nothing has. `browser` None: looks
    without one stand, and more is a person's."""

    def __init__(
        self,
        fetcher: Fetcher,
        fingerprinter: Fingerprinter,
        policy: Policy,
        clock: Clock,
        *,
        fingerprint_key: bytes,
        browser: Browser | None = None,
        nonce: Callable[[], str] = lambda: secrets.token_hex(NONCE_BYTES),
    ) -> None:
        looker = LightLooker(fetcher=fetcher, fingerprinter=fingerprinter, policy=policy, clock=clock)
        self._missing = MissingAnswer(looker=looker, nonce=nonce)
        self._looker = replace(looker, parts=True)
        self._browser = (
            None
            if browser is None or not browser.available
            else BrowserLooker(browser=browser, fingerprinter=fingerprinter, clock=clock)
        )
        self._nonce = nonce
        self._policy = policy
        self._key = fingerprint_key

    @property
    def longest_seconds(self) -> float:
        """The total time-out of a check: the medium, its page, what is shown on it, and a browser's looks."""
        return self._light_seconds + (0.0 if self._browser is None else BROWSER_SECONDS)

    @property
    def _light_seconds(self) -> float:
        return LONGEST_FETCHES * self._policy.fetch_timeout_seconds

    async def look(self, wanted: Wanted) -> Looked:
        """Look at a target. Raises DecoderUnavailable; everything that the other side can do is an outcome."""
        judge = Judge(wanted=wanted, policy=self._policy, fingerprint_key=self._key)
        media, page = await self._light(judge)
        looked = Looked(media=media.seen, page=None if page is None else page.seen)
        if (
            self._browser is None
            or not wanted.may_draw
            or Outcome.PRESENT in (looked.media.outcome, _outcome(looked.page))
        ):
            return looked
        try:
            async with asyncio.timeout(BROWSER_SECONDS):
                return await self._drawn(self._browser, media, page, judge)
        except TimeoutError:
            late = Seen(outcome=Outcome.INCONCLUSIVE, reason="browser_timed_out")
            return replace(looked, media=late, drawn=("timed_out",)) if looked.media.clear else looked

    async def _light(self, judge: Judge) -> tuple[_Found, _Found | None]:
        """Look without a browser: at the target, and at the page that it is on."""
        wanted = judge.wanted
        media: _Found | None = None
        try:
            async with asyncio.timeout(self._light_seconds):
                if wanted.target_kind == "page":
                    return await self._page_target(judge), None
                media = await self._medium(judge)
                if media.seen.outcome is Outcome.PRESENT or wanted.page_url is None:
                    return media, None
                return media, await self._page(wanted.page_url, judge)
        except TimeoutError:
            late = Seen(outcome=Outcome.INCONCLUSIVE, reason="timed_out")
            if media is None:
                return _Found(look=UrlLook(url=wanted.url, saw=NotSeen.TIMED_OUT), seen=late), None
            return media, _Found(look=UrlLook(url=wanted.page_url or wanted.url, saw=NotSeen.TIMED_OUT), seen=late)

    async def _drawn(self, browser: BrowserLooker, media: _Found, page: _Found | None, judge: Judge) -> Looked:
        """Look with a browser at each URL where it may see more, as long as that can change what the check says."""
        wanted = judge.wanted
        looks: list[Drawn] = []
        seen, page_seen = media.seen, None if page is None else page.seen
        if worth_drawing(media.look, media.seen):
            referer = None if wanted.page_url is None else referer_for(wanted.url, wanted.page_url)
            drawn = await browser.look(
                wanted.url, referer=referer, judge=judge, urgent=media.seen.clear, known=media.seen.known
            )
            looks += [] if drawn is None else [drawn]
            seen = joined_medium(media.seen, drawn, presence_only=wanted.target_kind == "page" and not wanted.adopted)
            if drawn is not None and seen.reason == PAGE_RUNS_SCRIPTS and not seen.clear:
                seen = await self._missing_as_drawn(browser, drawn, seen, judge)
        if (
            page is not None
            and page_seen is not None
            and seen.outcome is not Outcome.PRESENT
            and worth_drawing(page.look, page_seen)
        ):
            known = (*media.seen.known, *page.seen.known)
            drawn = await browser.look(page.look.url, referer=None, judge=judge, urgent=seen.clear, known=known)
            looks += [] if drawn is None else [drawn]
            page_seen = joined_page(page_seen, drawn)
        return Looked(media=seen, page=page_seen, drawn=tuple(one.look.outcome.value for one in looks))

    async def _missing_as_drawn(self, browser: BrowserLooker, drawn: Drawn, seen: Seen, judge: Judge) -> Seen:
        """The site's own "missing" answer where scripts make it: as the browser draws it, all three addresses of it. It has to say in
        words that there is nothing: what a script failed to draw is the same for every address, too."""
        if not drawn.seen.clear or not drawn_says_missing(drawn.look):
            return seen
        others = []
        for url in (impossible_url(drawn.url, self._nonce()), root_url(drawn.url)):
            other = await browser.look(url, referer=None, judge=judge, urgent=True)
            if other is None or not other.look.fully_drawn or other.seen.outcome is Outcome.BLOCKED:
                return seen
            others.append(shape_of_drawn(url, other.look))
        missing = is_missing_answer(shape_of_drawn(drawn.url, drawn.look), *others)
        return replace(seen, outcome=Outcome.GONE, reason=SITE_SAYS_MISSING) if missing else seen

    async def _medium(self, judge: Judge) -> _Found:
        wanted = judge.wanted
        page_url = wanted.page_url
        referer = None if page_url is None else referer_for(wanted.url, page_url)
        look = await self._looker.look(wanted.url, referer=referer, enough=self._enough(judge))
        seen = judge.medium(look)
        own = origin_of(wanted.url)
        if _may_want_referer(seen) and (referer is None or origin_of(referer) != own):
            # To who comes from elsewhere some sites send a placeholder.
            from_there = await self._looker.look(wanted.url, referer=own, enough=self._enough(judge))
            if (found := judge.medium(from_there)).settled:
                return _Found(look=from_there, seen=found)
        return _Found(look=look, seen=await self._missing.settled(look, seen, known_page=page_url))

    async def _page(self, url: str, judge: Judge) -> _Found:
        """The page a medium was on: does it still show agreeing media, at whatever URL? The medium itself was just looked at."""
        look = await self._looker.look(url, besides=judge.wanted.url_key, enough=self._enough(judge))
        return _Found(look=look, seen=await self._missing.settled(look, judge.page(look), known_page=None))

    async def _page_target(self, judge: Judge) -> _Found:
        wanted = judge.wanted
        look = await self._looker.look(wanted.url, enough=self._enough(judge))
        return _Found(look=look, seen=await self._missing.settled(look, judge.page_target(look), known_page=None))

    def _enough(self, judge: Judge) -> Enough | None:
        """A test by which a smaller scale of a picture is enough; None: all of it is looked at. Where our last look saw the content, the
        smaller scale may show clearly that it is still there, never that it is not, for a forged file may be one picture at one scale and
        another at the other. A rejection names a value bit for bit."""
        if not judge.wanted.seen_before or judge.wanted.rejected:
            return None

        def clearly_there(media: MediaFingerprints) -> bool:
            found = judge.agreement(media.fingerprints())
            return found is not None and is_clear(found, self._policy)

        return clearly_there


def _may_want_referer(seen: Seen) -> bool:
    other_media = seen.outcome is Outcome.MISMATCH and bool(seen.fingerprints)
    return other_media or (seen.outcome is Outcome.BLOCKED and seen.reason == Obstacle.FORBIDDEN)


def _outcome(seen: Seen | None) -> Outcome | None:
    return None if seen is None else seen.outcome
