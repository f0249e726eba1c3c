"""What a look means for a takedown: pure. Not seen is not gone (rule 11).

In this order: what agrees is `present`, whatever the status. What is nearly the content is a person's. What stood in the look's way
says nothing: `blocked` or `inconclusive`. What could not be looked at, or not whole, is `inconclusive`. Only then is 404 or 410 `gone`,
and another picture at a medium's URL a `mismatch`. Anything else that answers is `inconclusive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.notifier.checks.parts import PartSeen, best_part, least_of_whole
from services.notifier.checks.seen import Seen, Wanted
from services.notifier.domain.model import Observed, Outcome
from shared.agreement import Comparison, best_agreement, is_comparable, nearest
from shared.media.answers.obstacles import MISSING, Obstacle, runs_scripts_alone
from shared.media.fingerprinter import MediaFingerprints
from shared.media.fingerprints import Fingerprint, fingerprint_ref
from shared.media.formats.undecoded import UndecodedMedia
from shared.media.html.contents import MediaPlace
from shared.media.looks.obstacle import obstacle_of
from shared.media.looks.url_look import NotSeen, PageMedia, UndecodedBytes, UrlLook
from shared.policy import Policy

PROBABLY_PRESENT = "probably_present"
ANSWERS_WITH_PAGE = "answers_with_page"
NO_MEDIA = "no_media"
PAGE_RUNS_SCRIPTS = "page_runs_scripts"
OTHERS_SHOW_IT = "page_picture_of_other_browsers"
"""The page has a picture that neither we nor our browser decode, and another browser does (HEIC, JPEG XL, JPEG 2000, …)."""
OTHER_MEDIA = "other_media"
NOTHING_DRAWN = "nothing_drawn"
"""A browser showed all of it, and nothing that agrees."""
_UNDECODABLE = "undecodable_"
_NO_CONTENT = 204
_WORDS = frozenset(("text/plain", "application/json", "text/json"))
"""Types whose body a browser shows as it stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges looks by what one check looks for. `fingerprint_key`: of `fingerprint_ref`."""

    wanted: Wanted
    policy: Policy
    fingerprint_key: bytes

    def medium(self, look: UrlLook) -> Seen:
        """Judge a look at a medium's own URL."""
        seen = self._judged(look)
        if seen.outcome is not Outcome.MISMATCH or isinstance(look.saw, MediaFingerprints):
            return seen
        # It answers, and what with says neither that the medium is there nor that it is not.
        reason = ANSWERS_WITH_PAGE if isinstance(look.saw, PageMedia) else NO_MEDIA
        return replace(seen, outcome=Outcome.INCONCLUSIVE, reason=reason)

    def page(self, look: UrlLook) -> Seen:
        """Judge a look at the page that a medium was on: an answer without anything that agrees is clear."""
        seen = self._judged(look)
        other = seen.outcome is Outcome.MISMATCH and isinstance(look.saw, UndecodedBytes)
        return replace(seen, reason="no_page") if other else seen

    def page_target(self, look: UrlLook) -> Seen:
        """Judge a look at a page that is itself the target: asserted by a person, without media of its own when it was reported.

        Nothing but a person can say what it shows. Once one has (`adopted`), an answering page counts as still there, unless media
        of it are known; then what it does not show may be there all the same, and a person's to say.
        """
        seen = self._judged(look)
        answer = look.answer
        if seen.settled or answer is None or not answer.successful or obstacle_of(look) is not None:
            return seen
        if not isinstance(look.saw, PageMedia):
            return replace(seen, outcome=Outcome.INCONCLUSIVE, reason="no_page") if seen.clear else seen
        if not self.wanted.adopted:
            return replace(seen, outcome=Outcome.MISMATCH)
        if not self.wanted.reference:
            return Seen(outcome=Outcome.PRESENT, reason="page_answers", observed=seen.observed)
        return replace(seen, outcome=Outcome.INCONCLUSIVE, reason=ANSWERS_WITH_PAGE) if seen.clear else seen

    def agreement(self, seen: Sequence[Fingerprint]) -> Comparison | None:
        """The best agreement of what was seen with what is looked for; what a person rejected does not agree."""
        return best_agreement(self._accepted(seen), self.wanted.entries, self.wanted.harmless, self.policy)

    def picture(self, media: MediaFingerprints, observed: Observed | None = None) -> Seen:
        """Judge one picture by itself, whatever it came with."""
        # A person who said that a picture is another one said so of the picture turned, and of its parts, too.
        by_view = media.by_view()
        accepted = {number for number, view in enumerate(by_view) if not any(map(self.is_rejected, view))}
        views = [one for number in sorted(accepted) for one in by_view[number]]
        found = media.fingerprints()
        agreement = self.agreement([*views, *media.exact()])
        if agreement is not None:
            return Seen(outcome=Outcome.PRESENT, agreement=agreement, observed=observed, fingerprints=found)
        part = best_part((one for one in media.parts if one.of in accepted), self.wanted, self.policy, self.is_rejected)
        near = nearest(views, self.wanted.entries, self.wanted.harmless, self.policy)
        if part is not None and (part.agrees or near is None or part.found.distance < near.distance):
            return self._seen_in_part(media, part, observed)
        reason = PROBABLY_PRESENT if near is not None else self._unseen(media)
        return Seen(
            outcome=Outcome.MISMATCH if reason is None else Outcome.INCONCLUSIVE,
            reason=reason or OTHER_MEDIA,
            near=near,
            observed=observed,
            fingerprints=found,
        )

    def _seen_in_part(self, media: MediaFingerprints, part: PartSeen, observed: Observed | None) -> Seen:
        return Seen(
            outcome=Outcome.PRESENT if part.agrees else Outcome.INCONCLUSIVE,
            reason=None if part.agrees else PROBABLY_PRESENT,
            agreement=part.found if part.agrees else None,
            near=None if part.agrees else part.found,
            observed=observed,
            fingerprints=media.fingerprints(),
            view=part.name,
            whole_distance=least_of_whole(media, self.wanted.entries),
            of_part=part.fingerprints,
        )

    def _unseen(self, media: MediaFingerprints) -> str | None:
        """Why a picture that does not agree may be the content all the same."""
        if not media.all_seen:
            return "partial" if media.partial else "views_unseen"
        entries = self.wanted.entries
        return "not_comparable" if entries and not is_comparable(entries) else None

    def _accepted(self, seen: Sequence[Fingerprint]) -> list[Fingerprint]:
        return [one for one in seen if not self.is_rejected(one)]

    def is_rejected(self, seen: Fingerprint) -> bool:
        """Whether a person said of this value that it is another picture."""
        rejected = self.wanted.rejected
        return bool(rejected) and fingerprint_ref(self.fingerprint_key, seen) in rejected

    def _judged(self, look: UrlLook) -> Seen:
        """An answer: what it shows, what stood in the way, what its status says. `mismatch`: it answers, and shows nothing that agrees."""
        seen = self._shown(look)
        if seen.settled or look.answer is None:
            return seen
        obstacle = obstacle_of(look)
        if obstacle is not None:
            outcome = Outcome.BLOCKED if obstacle.blocks else Outcome.INCONCLUSIVE
            return replace(seen, outcome=outcome, reason=obstacle.value)
        if seen.outcome is Outcome.MISMATCH and look.answer.status in MISSING:
            return replace(seen, outcome=Outcome.GONE, reason="status")
        return seen

    def _shown(self, look: UrlLook) -> Seen:
        """What an answer shows: `present`, `inconclusive` (nearly, or not all was looked at), or `mismatch`: nothing that agrees."""
        observed = observed_of(look)
        match look.saw:
            case MediaFingerprints() as media:
                return self.picture(media, observed)
            case UndecodedBytes() as body:
                return self._bytes(body, observed)
            case PageMedia() as page:
                return self._page(page, look, observed)
            case NotSeen() as why:
                return Seen(outcome=Outcome.INCONCLUSIVE, reason=why.value)

    def _bytes(self, body: UndecodedBytes, observed: Observed | None) -> Seen:
        exact = self.agreement(body.exact)
        if exact is not None:  # a video, say: known by its exact hash
            return Seen(outcome=Outcome.PRESENT, agreement=exact, observed=observed)
        if body.drawn_markup and not body.page:
            return Seen(outcome=Outcome.INCONCLUSIVE, reason=PAGE_RUNS_SCRIPTS, observed=observed)
        if body.no_media:
            return Seen(outcome=Outcome.MISMATCH, reason=NO_MEDIA, observed=observed)
        # What trips our decoder is not gone, nor replaced: it was not seen.
        what = body.reason if body.media is None else body.media
        return Seen(outcome=Outcome.INCONCLUSIVE, reason=f"{_UNDECODABLE}{what.value}", observed=observed)

    def _page(self, page: PageMedia, look: UrlLook, observed: Observed | None) -> Seen:
        refreshed = () if page.refreshed is None else (page.refreshed,)
        seen = [self._part(one) for one in (*page.looks, *refreshed)]
        agreeing = next((one for one in seen if one.outcome is Outcome.PRESENT), None)
        if agreeing is not None:
            return replace(agreeing, observed=observed, reason="shown_on_page")
        near = min(
            (one for one in seen if one.near), key=lambda one: one.near.distance if one.near else 0, default=None
        )
        if near is not None:
            return replace(near, observed=observed)
        found = tuple(fingerprint for one in seen for fingerprint in one.fingerprints)
        unsure = [one.reason for one in seen if one.outcome is Outcome.INCONCLUSIVE]
        reason = OTHERS_SHOW_IT if OTHERS_SHOW_IT in unsure else _unread(page, look) or next(iter(unsure), None)
        return Seen(
            outcome=Outcome.MISMATCH if reason is None else Outcome.INCONCLUSIVE,
            reason=reason or (OTHER_MEDIA if found else NO_MEDIA),
            observed=observed,
            fingerprints=found,
        )

    def _part(self, look: UrlLook) -> Seen:
        """A medium or a frame of a page: `mismatch` where it shows the content to nobody, `inconclusive` where it may."""
        seen = self._shown(look)
        if seen.settled:
            return seen
        reason = None if _shows_nothing(look) else self._may_show(look, seen)
        if reason is not None:
            return replace(seen, outcome=Outcome.INCONCLUSIVE, reason=reason)
        return replace(seen, outcome=Outcome.MISMATCH)

    def _may_show(self, look: UrlLook, seen: Seen) -> str | None:
        if look.answer is None or obstacle_of(look) is not None:
            return "page_media_unanswered"
        if look.poster_of == ():  # it was replaced, perhaps; its film is played by a script
            return "page_film_unseen"
        if isinstance(look.saw, PageMedia):
            return seen.reason if seen.outcome is Outcome.INCONCLUSIVE else None
        if isinstance(look.saw, UndecodedBytes) and look.saw.media is UndecodedMedia.PICTURE:
            return OTHERS_SHOW_IT
        if seen.outcome is Outcome.INCONCLUSIVE:
            return "page_media_undecoded"
        page_instead = isinstance(look.saw, UndecodedBytes) and look.saw.page and look.answer.status not in MISSING
        return "page_media_unanswered" if page_instead else None


def _shows_nothing(look: UrlLook) -> bool:
    """A part of a page from which no visitor gets anything, though we could not look at it: a logo, a dead or private address."""
    match look.saw:
        case NotSeen() as why:
            return why.shown_to_nobody
        case UndecodedBytes(drawing=True):
            return True
        case UndecodedBytes(page=True):
            return look.place is MediaPlace.LINKED and look.answer is not None and look.answer.successful
    return look.answer is not None and look.answer.status == _NO_CONTENT


def _unread(page: PageMedia, look: UrlLook) -> str | None:
    """Why what a page shows was not all looked at, as far as that lies in the page itself."""
    missing = look.answer is not None and look.answer.status in MISSING
    scripted = runs_scripts_alone(page.signs) if missing else page.signs.scripts > 0
    if scripted:
        return PAGE_RUNS_SCRIPTS
    return None if page.whole else "page_not_whole"


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


def is_plainly_missing(look: UrlLook, obstacle: Obstacle | None = None) -> bool:
    """404 or 410 with nothing but a few words of text, data or plain XML: there is nothing in it that a browser could draw."""
    answer = look.answer
    if answer is None or answer.status not in MISSING or obstacle is not None:
        return False
    match look.saw:
        case UndecodedBytes(no_media=True, page=False, drawn_markup=False, text=text):
            essence = (answer.content_type or "").partition(";")[0].strip().lower()
            words = essence in _WORDS or essence.endswith("+json") or "<" not in text
            return answer.size_bytes == 0 or (bool(text) and (words or text.lstrip().startswith("<")))
    return False
