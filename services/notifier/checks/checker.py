"""A check: look at a target, and judge what was seen (`judgement.py`). No table, no lock is held here.

The medium's outcome and the page's are told apart: removal needs both clear.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from services.notifier.checks.judgement import Judge
from services.notifier.checks.missing_answer import MissingAnswer
from services.notifier.checks.seen import Looked, Seen, Wanted
from services.notifier.domain.model import Outcome
from shared.agreement import is_clear
from shared.clock import Clock
from shared.media.answers.obstacles import Obstacle
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints
from shared.media.look import Enough, LightLooker
from shared.media.looks.referer import origin_of, referer_for
from shared.media.looks.url_look import UrlLook
from shared.outbound.fetch import Fetcher
from shared.policy import Policy

LONGEST_FETCHES = 6
"""A check may take as long as this many fetches at their time-out."""
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A look, and what it means."""

    look: UrlLook
    seen: Seen


class Checker:
    """Looks at targets from one vantage. `fingerprint_key`: of `fingerprint_ref`. `nonce`: names that nothing has."""

    def __init__(
        self,
        fetcher: Fetcher,
        fingerprinter: Fingerprinter,
        policy: Policy,
        clock: Clock,
        *,
        fingerprint_key: bytes,
        nonce: Callable[[], str] = lambda: secrets.token_hex(NONCE_BYTES),
    ) -> None:
        self._looker = LightLooker(fetcher=fetcher, fingerprinter=fingerprinter, policy=policy, clock=clock)
        self._missing = MissingAnswer(looker=self._looker, nonce=nonce)
        self._policy = policy
        self._key = fingerprint_key

    @property
    def longest_seconds(self) -> float:
        """The total time-out of a check: the medium, its page, and what is shown on it."""
        return LONGEST_FETCHES * self._policy.fetch_timeout_seconds

    async def look(self, wanted: Wanted) -> Looked:
        """Raises DecoderUnavailable; everything the other side can do is an outcome."""
        media: Seen | None = None
        late = Seen(outcome=Outcome.INCONCLUSIVE, reason="timed_out")
        judge = Judge(wanted=wanted, policy=self._policy, fingerprint_key=self._key)
        try:
            async with asyncio.timeout(self.longest_seconds):
                if wanted.target_kind == "page":
                    return Looked(media=(await self._page_target(judge)).seen)
                media = (await self._medium(judge)).seen
                if media.outcome is Outcome.PRESENT or wanted.page_url is None:
                    return Looked(media=media)
                return Looked(media=media, page=(await self._page(wanted.page_url, judge)).seen)
        except TimeoutError:
            return Looked(media=late) if media is None else Looked(media=media, page=late)

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
        """Where our last look saw it, a smaller scale first: that may say that it is there still, and clearly; never that it is
        not, for a forged file may be one picture at one scale and another at the other. A rejection names a value bit for bit."""
        if not judge.wanted.seen_before or judge.wanted.rejected:
            return None

        def clearly_there(media: MediaFingerprints) -> bool:
            found = judge.agreement(media.fingerprints())
            return found is not None and is_clear(found, self._policy)

        return clearly_there


def _may_want_referer(seen: Seen) -> bool:
    other_media = seen.outcome is Outcome.MISMATCH and bool(seen.fingerprints)
    return other_media or (seen.outcome is Outcome.BLOCKED and seen.reason == Obstacle.FORBIDDEN)
