"""What a browser's look adds to a light one: pure. It is asked before a removal is believed, and where the light look says nothing.

That a browser shows nothing that agrees confirms only beside a medium's URL that gives a positive sign itself: where that one still
answers, it is a person's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from services.notifier.checks.judgement import (
    NOTHING_DRAWN,
    OTHERS_SHOW_IT,
    PROBABLY_PRESENT,
    Judge,
    is_plainly_missing,
)
from services.notifier.checks.parts import without
from services.notifier.checks.seen import Seen
from services.notifier.domain.model import Observed, Outcome
from shared.media.answers.obstacles import MISSING, Obstacle
from shared.media.browser.drawn_page import obstacle_of_drawn
from shared.media.browser.look import BrowserLook, BrowserOutcome, PictureKind
from shared.media.fingerprinter import MediaFingerprints
from shared.media.fingerprints import PDQ_MAX_DISTANCE, Algorithm, Fingerprint, hamming
from shared.media.looks.obstacle import obstacle_of
from shared.media.looks.url_look import NotSeen, UrlLook
from shared.media.media_fingerprints import pdq_fingerprints

_IN_VAIN = frozenset((Obstacle.RATE_LIMITED, Obstacle.SERVER_ERROR, Obstacle.LEGAL, Obstacle.URL_EXPIRED))
"""Obstacles at which a browser gets the same answer; and a host that is busy is to be asked less, not more."""
_NOBODY_ANSWERS = frozenset(
    (
        NotSeen.NO_SUCH_DOMAIN,
        NotSeen.CONNECT_FAILURE,
        NotSeen.DNS_FAILURE,
        NotSeen.HOST_BUSY,
        NotSeen.BAD_URL,
        NotSeen.ADDRESS_REFUSED,
        NotSeen.FORBIDDEN,
        NotSeen.REDIRECT_REFUSED,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Drawn:
    """A browser's look, judged. `seen`: `present`, `inconclusive`, `blocked`; or clear, where all was drawn and nothing agrees (`gone` with
    404 or 410, else `mismatch`)."""

    url: str
    look: BrowserLook
    seen: Seen

    @property
    def says(self) -> bool:
        """Whether there is something to be seen: words or pictures. A script that failed draws nothing, everywhere."""
        return bool(self.look.text.strip()) or any(one.kind is not PictureKind.VIEWPORT for one in self.look.drawn)

    def overrules(self, light: Seen) -> bool:
        """Whether the browser's look counts although the light look says nothing: all was drawn, and the light look met no obstacle in the
        same answer."""
        if light.reason == OTHERS_SHOW_IT:
            return False
        same_wall = light.reason in _OBSTACLES and light.status == self.look.status
        return self.seen.clear and self.says and not same_wall


def worth_drawing(look: UrlLook, seen: Seen) -> bool:
    """Whether a browser may see what this look did not."""
    if seen.settled or (isinstance(look.saw, NotSeen) and look.saw in _NOBODY_ANSWERS):
        return False
    return not (seen.outcome is Outcome.GONE and is_plainly_missing(look)) and obstacle_of(look) not in _IN_VAIN


def judged(
    url: str, look: BrowserLook, pictures: Sequence[MediaFingerprints], unread: int, judge: Judge, observed: Observed
) -> Drawn:
    """What a browser's look means. `pictures`: of what was drawn, and of the media that came; `unread`: of how many of those drawn it is
    not known whether they are the content."""
    found = [judge.picture(one, observed) for one in pictures]
    for outcome, reason in ((Outcome.PRESENT, "drawn_by_browser"), (Outcome.INCONCLUSIVE, PROBABLY_PRESENT)):
        nearest = min((one for one in found if one.settled and one.outcome is outcome), key=_distance, default=None)
        if nearest is not None:
            return Drawn(url=url, look=look, seen=replace(nearest, reason=reason))
    obstacle = obstacle_of_drawn(url, look) if look.outcome is BrowserOutcome.DRAWN else None
    if look.outcome is not BrowserOutcome.DRAWN:
        outcome, reason = Outcome.INCONCLUSIVE, f"browser_{look.outcome.value}"
    elif obstacle is not None:
        outcome, reason = Outcome.BLOCKED if obstacle.blocks else Outcome.INCONCLUSIVE, obstacle.value
    elif look.unfinished or unread:
        why = min((one.value for one in look.unfinished), default="pictures")
        outcome, reason = Outcome.INCONCLUSIVE, f"not_fully_drawn_{why}"
    else:
        outcome, reason = Outcome.GONE if look.status in MISSING else Outcome.MISMATCH, NOTHING_DRAWN
    return Drawn(url=url, look=look, seen=Seen(outcome=outcome, reason=reason, observed=observed))


def not_rejected(
    judge: Judge, pictures: Sequence[MediaFingerprints], known: Sequence[Fingerprint]
) -> list[MediaFingerprints]:
    """The pictures without drawings of what a person rejected: a rejection names a value bit for bit, and a browser draws it at another
    size.

    `known`: fingerprints of what a light look saw there, which `pictures` may be drawings of.
    """
    values = [one for media in pictures for one in (*media.fingerprints(), *_of_parts(media))]
    refused = [one.value for one in (*known, *values) if one.algorithm is Algorithm.PDQ and judge.is_rejected(one)]
    kept = [one for one in pictures if not any(_is_drawing_of(one, value) for value in refused)]
    return [replace(one, parts=without(one, refused, PDQ_MAX_DISTANCE)) for one in kept] if refused else kept


def _of_parts(media: MediaFingerprints) -> Iterator[Fingerprint]:
    for part in media.parts:
        yield from pdq_fingerprints(part.hashes)


def _is_drawing_of(media: MediaFingerprints, value: bytes) -> bool:
    pdq = [one.value for one in media.fingerprints() if one.algorithm is Algorithm.PDQ]
    return any(hamming(one, value) <= PDQ_MAX_DISTANCE for one in pdq)


def joined_medium(light: Seen, drawn: Drawn | None, *, presence_only: bool = False) -> Seen:
    """A light look at a medium's URL, or at a page that is itself the target, joined with a browser's. `presence_only`: the browser is
    believed only where it says that the content is there."""
    if drawn is None or (presence_only and not drawn.seen.settled):
        return light
    if drawn.seen.settled or (light.clear and not drawn.seen.clear):
        return _as_drawn(light, drawn)
    page_unread = light.outcome is Outcome.INCONCLUSIVE and (light.reason or "").startswith(_PAGE)
    if (
        page_unread and light.status in MISSING and drawn.overrules(light)
    ):  # a sign of its own, and now all of it was looked at
        return replace(light, outcome=Outcome.GONE, reason=NOTHING_DRAWN)
    return light


def joined_page(light: Seen, drawn: Drawn | None) -> Seen:
    """A light look at the page of a medium, joined with a browser's: what is fully drawn without anything that agrees is clear."""
    if drawn is None:
        return light
    doubted = light.clear and not drawn.seen.clear
    cleared = not light.clear and drawn.overrules(light)
    return _as_drawn(light, drawn) if drawn.seen.settled or doubted or cleared else light


def _as_drawn(light: Seen, drawn: Drawn) -> Seen:
    return replace(drawn.seen, observed=light.observed or drawn.seen.observed, fingerprints=light.fingerprints)


_OBSTACLES = frozenset(one.value for one in Obstacle)
_PAGE = "page_"
"""How the reasons begin that lie in what a page shows."""


def _distance(seen: Seen) -> int:
    found = seen.agreement or seen.near
    return 0 if found is None else found.distance
