"""A browser's look within a check: made within the hour's limits, its pictures fingerprinted in the confined child process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.notifier.checks.drawn import Drawn, judged, not_rejected
from services.notifier.checks.judgement import Judge
from services.notifier.domain.model import Observed, Outcome
from shared.clock import Clock
from shared.media.browser.browser import Browser
from shared.media.browser.look import BrowserLook, PictureKind
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints, Undecodable
from shared.media.fingerprints import Fingerprint

FOR_CONFIRMATIONS = 0.5
"""Of an hour's looks: what is only hoped for leaves so many to removals that wait to be confirmed."""


_OF_THE_SCREEN = (None, PictureKind.VIEWPORT, PictureKind.MOSAIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserLooker:
    """Looks with the one browser of this process, for all checks."""

    browser: Browser
    fingerprinter: Fingerprinter
    clock: Clock

    async def look(
        self, url: str, *, referer: str | None, judge: Judge, urgent: bool, known: tuple[Fingerprint, ...] = ()
    ) -> Drawn | None:
        """What a person would see there, judged; None: there is no browser. Raises DecoderUnavailable.

        `urgent`: a removal waits to be confirmed by it. A look for which there was no room is one that says nothing, whatever it was for,
        so that it is recorded. `known`: fingerprints of what a light look saw there.
        """
        look = await self.browser.look(url, referer=referer, share=1.0 if urgent else 1.0 - FOR_CONFIRMATIONS)
        if not self.browser.usable:
            return None
        pictures, unread = await self._pictures(look, judge, known)
        observed = Observed(at=self.clock(), final_url=look.final_url or None, status=look.status)
        return judged(url, look, pictures, unread, judge, observed)

    async def _pictures(
        self, look: BrowserLook, judge: Judge, known: tuple[Fingerprint, ...]
    ) -> tuple[list[MediaFingerprints], int]:
        """Of the media that came and of what was drawn, until one agrees; and of how many of those drawn it is not known.

        A media answer that we do not decode is no loss: it was drawn, or the look says that a medium failed. What came is read first
        where a person rejected something, since what is drawn of that is rejected with it.
        """
        came = [(None, one.body) for one in look.answers if not one.part]
        # A picture by itself is nearer than where it stands on the screen among others.
        drawn = sorted(((one.kind, one.body) for one in look.drawn), key=lambda one: one[0] in _OF_THE_SCREEN)
        if judge.wanted.rejected:
            found, unread = await self._read([*came, *drawn], judge, whole=True)
            return not_rejected(judge, found, known), unread
        return await self._read([*drawn, *came], judge, whole=False)

    async def _read(
        self, bodies: Sequence[tuple[PictureKind | None, bytes]], judge: Judge, *, whole: bool
    ) -> tuple[list[MediaFingerprints], int]:
        """`whole`: also where one agrees, the rest is read."""
        found: list[MediaFingerprints] = []
        unread = 0
        for kind, body in bodies:
            try:
                media = await self.fingerprinter.fingerprint(body, parts=True)
            except Undecodable:
                unread += kind is not None
                continue
            found.append(media)
            seen = judge.picture(media)
            if seen.outcome is Outcome.PRESENT and not whole:
                break
            # A picture that may be the content all the same (only exact hashes are known of it, say). A part of the screen is none by
            # itself.
            unread += seen.outcome is Outcome.INCONCLUSIVE and kind not in _OF_THE_SCREEN
        return found, unread
