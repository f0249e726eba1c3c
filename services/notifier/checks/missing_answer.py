"""Compares an answer with the site's own "missing" answer, which is fetched in the same check: `shared/media/answers/missing.py` says what
it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from services.notifier.checks.judgement import ANSWERS_WITH_PAGE, NO_MEDIA, PAGE_RUNS_SCRIPTS
from services.notifier.checks.seen import Seen
from services.notifier.domain.model import Outcome
from shared.media.answers.missing import alike, impossible_url, is_missing_answer, root_url
from shared.media.answers.obstacles import MISSING, says_missing
from shared.media.look import LightLooker
from shared.media.looks.obstacle import obstacle_of, runs_scripts, shape_of
from shared.media.looks.url_look import PageMedia, UrlLook

SITE_SAYS_MISSING = "site_says_missing"
_ASKED = frozenset((ANSWERS_WITH_PAGE, NO_MEDIA, PAGE_RUNS_SCRIPTS))


@dataclass(frozen=True, kw_only=True)
class MissingAnswer:
    """Compares an answer with what the site answers to an address that cannot exist. `nonce`: random letters and digits."""

    looker: LightLooker
    nonce: Callable[[], str]

    async def settled(self, look: UrlLook, seen: Seen, *, known_page: str | None) -> Seen:
        """What was seen, or `gone` where the site itself says that nothing is there. Raises DecoderUnavailable.

        Nothing is asked unless that can tell: nothing agrees, nothing stood in the way, and the answer says nothing by itself. A
        page of status 404 that runs scripts has to be the one that this site sends for whatever there is not.
        """
        if look.answer is None or obstacle_of(look) is not None:
            return seen
        if look.answer.status in MISSING:
            return await self._generic(look, seen)
        if seen.outcome is not Outcome.INCONCLUSIVE or seen.reason not in _ASKED or not look.answer.successful:
            return seen
        if runs_scripts(look) and not (isinstance(look.saw, PageMedia) and says_missing(look.saw.signs)):
            return replace(seen, reason=PAGE_RUNS_SCRIPTS)
        if await self._says_missing(look, known_page):
            return replace(seen, outcome=Outcome.GONE, reason=SITE_SAYS_MISSING)
        return seen

    async def _generic(self, look: UrlLook, seen: Seen) -> Seen:
        if seen.outcome is not Outcome.GONE or not runs_scripts(look):
            return seen
        target, impossible = shape_of(look), shape_of(await self._impossible(look.url))
        if target is not None and impossible is not None and alike(target, impossible):
            return seen
        return replace(seen, outcome=Outcome.INCONCLUSIVE, reason=PAGE_RUNS_SCRIPTS)

    async def _says_missing(self, look: UrlLook, known_page: str | None) -> bool:
        target = shape_of(look)
        other = await self._impossible(look.url)
        impossible = shape_of(other)
        if target is None or impossible is None or obstacle_of(other) is not None or not alike(target, impossible):
            return False
        for url in (root_url(look.url), known_page):
            if url is None or url == look.url:
                continue
            control = await self.looker.look(url)
            answers = control.answer is not None and control.answer.successful and obstacle_of(control) is None
            shape = shape_of(control)
            if answers and shape is not None and is_missing_answer(target, impossible, shape):
                return True
        return False

    async def _impossible(self, url: str) -> UrlLook:
        return await self.looker.look(impossible_url(url, self.nonce()))
