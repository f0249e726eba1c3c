"""Turns a look at a reported URL into the outcome of its report: a sighting of each medium, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from services.intake.domain.claims import SuspensionReason
from services.intake.domain.schemas import MAX_SEEN_FINGERPRINTS
from services.intake.domain.sightings import make_sighting
from shared.clock import Clock
from shared.contracts.sightings import Sighting
from shared.media.answers.obstacles import MISSING, Obstacle
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints, Priority
from shared.media.fingerprints import Fingerprint
from shared.media.look import Forbidden, LightLooker
from shared.media.looks.obstacle import obstacle_of
from shared.media.looks.url_look import NotSeen, PageMedia, UndecodedBytes, UrlLook
from shared.outbound.fetch import Fetcher
from shared.policy import Policy

SOURCE = "report"
"""The `source` of a report's sightings, and so the `observed_by` of their matches."""

_RETRIED_STATUS = frozenset((408, 425, 429))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLook:
    """What was seen. `media`: a sighting each, the most telling first; `state` None: there are some.

    `again`: the outcome is a passing one, look again while there are attempts left.
    """

    state: str | None
    why: str | None = None
    again: bool = False
    media: tuple[Sighting, ...] = ()
    page: bool = False


class ReportLooker:
    """Looks at one URL at a time; several may run beside one another."""

    def __init__(
        self, *, fetcher: Fetcher, fingerprinter: Fingerprinter, policy: Policy, clock: Clock, forbidden: Forbidden
    ) -> None:
        self._looker = LightLooker(
            fetcher=fetcher,
            fingerprinter=fingerprinter,
            policy=policy,
            clock=clock,
            forbidden=forbidden,
            priority=Priority.REPORT,
            parts=True,
        )

    async def look(
        self, url: str, *, organisation_id: str, report_id: UUID, reported_by: str | None = None
    ) -> ReportLook:
        """Look at `url`, and say what that means for the report. Raises DecoderUnavailable."""
        look = await self._looker.look(url)
        media = tuple(_sightings(look, organisation_id, report_id, reported_by))
        if media:
            return ReportLook(state=None, media=media, page=isinstance(look.saw, PageMedia))
        return _why_none(look)


def _sightings(look: UrlLook, organisation_id: str, report_id: UUID, reported_by: str | None) -> Iterator[Sighting]:
    for one in look.media():
        fingerprints = _fingerprints(one)
        if fingerprints and one.answer is not None:
            # What the page holds itself has the page's own URL.
            url = look.url if one.inline else one.url
            yield make_sighting(
                organisation_id=organisation_id,
                source=SOURCE,
                media_url=url,
                page_url=look.url if url != look.url else None,
                seen_at=one.answer.at,
                fingerprints=fingerprints,
                report_id=report_id,
                reported_by=reported_by,
            )


def _fingerprints(look: UrlLook) -> tuple[Fingerprint, ...]:
    """Of a picture, and of what lies within it, as many as a sighting holds, always at its full scale (the register is not at hand: what
    lies near a threshold cannot be looked at again); of other media (a video, a format without a decoder) the exact ones."""
    match look.saw:
        case MediaFingerprints() as media:
            return media.fingerprints(at_most=MAX_SEEN_FINGERPRINTS)
        case UndecodedBytes(exact=exact, no_media=False):
            return exact
    return ()


def _why_none(look: UrlLook) -> ReportLook:
    """Why a look at a report's URL yields no sighting."""
    match look.saw:
        case NotSeen.FORBIDDEN | NotSeen.REDIRECT_REFUSED:
            return ReportLook(state="refused", why=SuspensionReason.POSSIBLE_MINOR.value)
        case NotSeen.BAD_URL | NotSeen.ADDRESS_REFUSED | NotSeen.PORT_REFUSED as refused:
            return ReportLook(state="refused", why=refused.value)
        case NotSeen.TOO_LARGE as too_large:
            return ReportLook(state="no_media", why=too_large.value)
        case NotSeen.NO_SUCH_DOMAIN:
            return ReportLook(state="unreachable", why=NotSeen.DNS_FAILURE.value, again=True)
        case NotSeen() as why_not:
            return ReportLook(state="unreachable", why=why_not.value, again=why_not.may_pass)
    unsuccessful = _why_unsuccessful(look)
    if unsuccessful is not None:
        return unsuccessful
    match look.saw:
        case PageMedia() as page:
            return _why_none_on_page(page)
        case UndecodedBytes(reason=reason):
            return ReportLook(state="no_media", why=reason.value)
    return ReportLook(state="no_media")


def _why_unsuccessful(look: UrlLook) -> ReportLook | None:
    """What its status or its page says of why nothing is shown; None: it answers as what is there does."""
    answer = look.answer
    if answer is None:
        return None
    page = isinstance(look.saw, PageMedia)
    if not answer.successful:
        why = "gone" if answer.status in MISSING else f"status_{answer.status}"
        return ReportLook(state="unreachable", why=why, again=answer.status >= 500 or answer.status in _RETRIED_STATUS)
    obstacle = obstacle_of(look)
    if obstacle is None or obstacle is Obstacle.EMPTY:
        return None
    # A person who asserts that it is there may have come past what stops us: it is a page like any other.
    return ReportLook(state="no_media", why=obstacle.value, again=not obstacle.blocks, page=page)


def _why_none_on_page(page: PageMedia) -> ReportLook:
    looks = page.looks if page.refreshed is None else (*page.looks, page.refreshed)
    if any(one.saw is NotSeen.FORBIDDEN for one in looks) and not any(_was_asked_for(one) for one in looks):
        return ReportLook(state="refused", why=SuspensionReason.POSSIBLE_MINOR.value, page=True)
    failed = [why for why in map(_why_none, looks) if why.state == "unreachable"]
    if failed:  # there is media on the page that we could not get: that is not a page without media
        return ReportLook(
            state="unreachable", why="media_unreachable", again=any(one.again for one in failed), page=True
        )
    return ReportLook(state="no_media", why="page_without_media", page=True)


def _was_asked_for(look: UrlLook) -> bool:
    return look.saw not in (NotSeen.FORBIDDEN, NotSeen.BAD_URL)
