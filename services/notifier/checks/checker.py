"""A check: look at a target (`shared/media/look.py`) and compare what was seen with the content. No table, no lock is held here.

What was seen becomes one of five outcomes: agreeing media `present`; other media `mismatch`; 404, 410, or a 2xx without media
`gone`; 401, 403, 451 `blocked`; anything else, media that we could not decode too, `inconclusive`. The media's outcome and
the page's are told apart: removal needs both clear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.notifier.domain.model import Observed, Outcome
from shared.agreement import Comparison, best_agreement, is_clear
from shared.clock import Clock
from shared.contracts.content import RegisteredFingerprint
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints
from shared.media.fingerprints import Fingerprint, fingerprint_ref
from shared.media.look import Enough, LightLooker, NotSeen, PageMedia, UndecodedBytes, UrlLook
from shared.outbound.fetch import Fetcher
from shared.policy import Policy

LONGEST_FETCHES = 3
"""A check may take as long as this many fetches at their time-out."""
_NEVER_SHOWN = frozenset((NotSeen.BAD_URL.value, NotSeen.ADDRESS_REFUSED.value, "views_unseen"))
_UNDECODABLE = "undecodable_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a check looks for, read just before it in one transaction.

    `register`: the content's fingerprints. `reference`: of an asserted takedown, once a person released it (`adopted`).
    `rejected`: fingerprint references of this content that a person rejected; media seen by them alone does not agree.
    `harmless`: the PDQ values of the negative list.
    `seen_before`: our last look saw the content there, and nothing of what is seen now is kept.
    """

    takedown_id: UUID
    target_kind: str
    url: str
    url_key: str
    page_url: str | None
    register: tuple[RegisteredFingerprint, ...]
    reference: tuple[RegisteredFingerprint, ...] = ()
    adopted: bool = False
    rejected: frozenset[str] = frozenset()
    harmless: tuple[bytes, ...] = ()
    seen_before: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Seen:
    """What one URL showed. `fingerprints` are of its media, for an asserted takedown's reference."""

    outcome: Outcome
    reason: str | None = None
    answered: bool = True
    agreement: Comparison | None = None
    observed: Observed | None = None
    fingerprints: tuple[Fingerprint, ...] = field(default=())

    @property
    def status(self) -> int | None:
        return None if self.observed is None else self.observed.status

    @property
    def may_show_later(self) -> bool:
        """True where another look may see what this one could not. A logo as SVG, a long animation, a dead or private address will
        not: they must not keep a page from ever being clear."""
        never = self.reason is None or self.reason in _NEVER_SHOWN or self.reason.startswith(_UNDECODABLE)
        return self.outcome is Outcome.INCONCLUSIVE and self.answered and not never


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Looked:
    """The end of a check. `page` None: none is known, or the media is there and the page would add nothing."""

    media: Seen
    page: Seen | None = None


class Checker:
    """Looks at targets from one vantage. `fingerprint_key`: of `fingerprint_ref`."""

    def __init__(
        self, fetcher: Fetcher, fingerprinter: Fingerprinter, policy: Policy, clock: Clock, *, fingerprint_key: bytes
    ) -> None:
        self._looker = LightLooker(fetcher=fetcher, fingerprinter=fingerprinter, policy=policy, clock=clock)
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
        try:
            async with asyncio.timeout(self.longest_seconds):
                if wanted.target_kind == "page":
                    return Looked(media=await self._page_target(wanted))
                media = await self._media(wanted)
                if media.outcome is Outcome.PRESENT or wanted.page_url is None:
                    return Looked(media=media)
                return Looked(media=media, page=await self._page(wanted.page_url, wanted))
        except TimeoutError:
            return Looked(media=late) if media is None else Looked(media=media, page=late)

    async def _media(self, wanted: Wanted) -> Seen:
        return self._judged(await self._looker.look(wanted.url, pages=False, enough=self._enough(wanted)), wanted)

    async def _page(self, url: str, wanted: Wanted) -> Seen:
        """The page a medium was on: does it still show agreeing media, at whatever URL? The medium itself was just looked at."""
        look = await self._looker.look(url, besides=wanted.url_key, enough=self._enough(wanted))
        seen = self._judged(look, wanted)
        no_page = isinstance(look.saw, UndecodedBytes) and seen.outcome is Outcome.GONE
        return replace(seen, reason="no_page") if no_page else seen

    async def _page_target(self, wanted: Wanted) -> Seen:
        """A page that is itself the target: asserted by a person, without media of its own when it was reported.

        Nothing but a person can say what it shows. Once one has (`adopted`), an answering page counts as still there, unless
        it shows media now, which is judged like any other.
        """
        look = await self._looker.look(wanted.url, besides=wanted.url_key, enough=self._enough(wanted))
        seen = self._judged(look, wanted)
        answers = isinstance(look.saw, PageMedia) and seen.outcome is Outcome.MISMATCH
        if answers and wanted.adopted and not wanted.reference:
            return Seen(outcome=Outcome.PRESENT, reason="page_answers", observed=seen.observed)
        return seen

    def _judged(self, look: UrlLook, wanted: Wanted) -> Seen:
        """What a look saw, against what is looked for."""
        match look.saw:
            case MediaFingerprints() as media:
                return self._judged_picture(media, observed_of(look), wanted)
            case UndecodedBytes() as body:
                return self._judged_bytes(body, observed_of(look), wanted)
            case PageMedia(looks=looks):
                seen = [self._judged(one, wanted) for one in looks]
                return _judged_page(seen, observed_of(look))
            case NotSeen.STATUS if look.answer is not None:
                return Seen(outcome=outcome_of_status(look.answer.status), reason="status", observed=observed_of(look))
            case why:
                return Seen(outcome=Outcome.INCONCLUSIVE, reason=why.value, answered=not why.nobody_there)

    def _judged_picture(self, media: MediaFingerprints, observed: Observed | None, wanted: Wanted) -> Seen:
        accepted = [one for view in media.by_view() if not self._rejected(view, wanted) for one in view]
        agreement = self._agreement([*accepted, *media.exact()], wanted)
        found = media.fingerprints()
        if agreement is None and not media.all_seen:  # what was not seen may be what is looked for
            reason = "partial" if media.partial else "views_unseen"
            return Seen(outcome=Outcome.INCONCLUSIVE, reason=reason, observed=observed, fingerprints=found)
        return Seen(
            outcome=Outcome.MISMATCH if agreement is None else Outcome.PRESENT,
            reason="other_media" if agreement is None else None,
            agreement=agreement,
            observed=observed,
            fingerprints=found,
        )

    def _judged_bytes(self, body: UndecodedBytes, observed: Observed | None, wanted: Wanted) -> Seen:
        exact = self._agreement(body.exact, wanted)
        if exact is not None:  # a video, say: known by its exact hash
            return Seen(outcome=Outcome.PRESENT, agreement=exact, observed=observed)
        # What trips our decoder is not gone, nor replaced: it was not seen.
        outcome = Outcome.GONE if body.no_media else Outcome.INCONCLUSIVE
        reason = "no_media" if body.no_media else _UNDECODABLE + body.reason.value
        return Seen(outcome=outcome, reason=reason, observed=observed)

    def _enough(self, wanted: Wanted) -> Enough | None:
        """Where our last look saw it, a smaller scale first: that may say that it is there still, and clearly; never that it is
        not, for a forged file may be one picture at one scale and another at the other. A rejection names a value bit for bit."""
        if not wanted.seen_before or wanted.rejected:
            return None

        def clearly_there(media: MediaFingerprints) -> bool:
            found = self._agreement(media.fingerprints(), wanted)
            return found is not None and is_clear(found, self._policy)

        return clearly_there

    def _rejected(self, view: Sequence[Fingerprint], wanted: Wanted) -> bool:
        """A person who said that a picture is another one said so of the picture turned, too."""
        return any(fingerprint_ref(self._key, one) in wanted.rejected for one in view)

    def _agreement(self, seen: Sequence[Fingerprint], wanted: Wanted) -> Comparison | None:
        accepted = [one for one in seen if fingerprint_ref(self._key, one) not in wanted.rejected]
        return best_agreement(accepted, (*wanted.register, *wanted.reference), wanted.harmless, self._policy)


def _judged_page(seen: Sequence[Seen], observed: Observed | None) -> Seen:
    """A page, by what was seen of the media on it."""
    agreeing = next((each for each in seen if each.outcome is Outcome.PRESENT), None)
    if agreeing is not None:
        return replace(agreeing, observed=observed, reason="shown_on_page")
    if any(each.may_show_later for each in seen):
        return Seen(outcome=Outcome.INCONCLUSIVE, reason="page_media_unanswered", observed=observed)
    found = tuple(fingerprint for each in seen for fingerprint in each.fingerprints)
    reason = "other_media" if found else "no_media"
    return Seen(outcome=Outcome.MISMATCH, reason=reason, observed=observed, fingerprints=found)


def observed_of(look: UrlLook) -> Observed | None:
    """The answer to a look, as a demand quotes it."""
    answer = look.answer
    if answer is None:
        return None
    return Observed(
        at=answer.at,
        ip=answer.address.ip,
        port=answer.address.port,
        final_url=answer.final_url,
        status=answer.status,
        content_type=answer.content_type,
        size_bytes=answer.size_bytes,
    )


def outcome_of_status(status: int) -> Outcome:
    """What a status that is not 2xx says about the target."""
    if status in (404, 410):
        return Outcome.GONE
    if status in (401, 403, 451):
        return Outcome.BLOCKED
    return Outcome.INCONCLUSIVE
