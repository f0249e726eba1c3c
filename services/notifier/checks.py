"""One look at a target: fetch it through the guarded client, fingerprint it, compare. No table, no lock is held here.

What was seen becomes one of five outcomes: agreeing media `present`; other media `mismatch`; 404, 410, or a 2xx without media
`gone`; 401, 403, 451 `blocked`; anything else, media that we could not decode too, `inconclusive`. The media's outcome and
the page's are told apart: removal needs both clear.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from services.notifier.states import Observed, Outcome
from shared.agreement import Comparison, best_agreement, is_clear
from shared.clock import Clock
from shared.contracts.content import RegisteredFingerprint
from shared.fingerprints import Algorithm, Fingerprint, fingerprint_ref
from shared.policy import Policy
from shared.urls import BadUrl, canonical
from shared.web.fetch import Fetched, Fetcher
from shared.web.guard import AddressRefused, DnsFailure, OutboundError
from shared.web.media import Fingerprinter, MediaFingerprints, Undecodable, find_media, is_page
from shared.web.transport import ConnectFailure

PAGE_MEDIA_AT_ONCE = 4
LONGEST_FETCHES = 3
"""A check may take as long as this many fetches at their time-out."""
_NEVER_SHOWN = frozenset(("bad_url", AddressRefused.code, "views_unseen"))
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
        self._fetcher = fetcher
        self._fingerprinter = fingerprinter
        self._policy = policy
        self._clock = clock
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
                media = await self._media(wanted.url, wanted)
                if media.outcome is Outcome.PRESENT or wanted.page_url is None:
                    return Looked(media=media)
                return Looked(media=media, page=await self._page(wanted.page_url, wanted))
        except TimeoutError:
            return Looked(media=late) if media is None else Looked(media=media, page=late)

    async def _media(self, url: str, wanted: Wanted) -> Seen:
        fetched = await self._fetch(url)
        if isinstance(fetched, Seen):
            return fetched
        return await self._judge(fetched, wanted)

    async def _judge(self, fetched: Fetched, wanted: Wanted) -> Seen:
        """A 2xx answer's body against what is looked for."""
        observed = self._observed(fetched)
        try:
            media, agreement = await self._compared(fetched.body, wanted)
        except Undecodable as error:
            exact = self._agreement(exact_fingerprints(fetched.body), wanted) if fetched.body else None
            if exact is not None:  # a video, say: known by its exact hash
                return Seen(outcome=Outcome.PRESENT, agreement=exact, observed=observed)
            # What trips our decoder is not gone, nor replaced: it was not seen.
            outcome = Outcome.GONE if error.no_media else Outcome.INCONCLUSIVE
            reason = "no_media" if error.no_media else _UNDECODABLE + error.reason.value
            return Seen(outcome=outcome, reason=reason, observed=observed)
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

    async def _compared(self, body: bytes, wanted: Wanted) -> tuple[MediaFingerprints, Comparison | None]:
        """What a picture is, and its agreement with what is looked for. Raises Undecodable.

        Where our last look saw it, at a smaller scale first: that may say that it is there still, and clearly; never that it is
        not, for a forged file may be one picture at one scale and another at the other. A rejection names a value bit for bit.
        """
        if wanted.seen_before and not wanted.rejected:
            media = await self._fingerprinter.fingerprint(body, reduced=True)
            found = self._agreement(media.fingerprints(), wanted)
            if not media.reduced or (found is not None and is_clear(found, self._policy)):
                return media, found
        media = await self._fingerprinter.fingerprint(body)
        accepted = [
            *(one for view in media.by_view() if not self._rejected(view, wanted) for one in view),
            *media.exact(),
        ]
        return media, self._agreement(accepted, wanted)

    def _rejected(self, view: Sequence[Fingerprint], wanted: Wanted) -> bool:
        """A person who said that a picture is another one said so of the picture turned, too."""
        return any(fingerprint_ref(self._key, one) in wanted.rejected for one in view)

    async def _page(self, url: str, wanted: Wanted) -> Seen:
        """The page a medium was on: does it still show agreeing media, at whatever URL?"""
        fetched = await self._fetch(url)
        if isinstance(fetched, Seen):
            return fetched
        if not is_page(fetched.body, fetched.content_type):
            seen = await self._judge(fetched, wanted)
            return replace(seen, outcome=Outcome.GONE, reason="no_page") if seen.outcome is Outcome.GONE else seen
        return await self._shown_on(fetched, wanted)

    async def _page_target(self, wanted: Wanted) -> Seen:
        """A page that is itself the target: asserted by a person, without media of its own when it was reported.

        Nothing but a person can say what it shows. Once one has (`adopted`), an answering page counts as still there, unless
        it shows media now, which is judged like any other.
        """
        fetched = await self._fetch(wanted.url)
        if isinstance(fetched, Seen):
            return fetched
        if not is_page(fetched.body, fetched.content_type):
            return await self._judge(fetched, wanted)
        seen = await self._shown_on(fetched, wanted)
        if seen.outcome is Outcome.MISMATCH and wanted.adopted and not wanted.reference:
            return Seen(outcome=Outcome.PRESENT, reason="page_answers", observed=seen.observed)
        return seen

    async def _shown_on(self, page: Fetched, wanted: Wanted) -> Seen:
        observed = self._observed(page)
        urls = find_media(page.body, page.content_type, page.final_url, self._policy.media_per_page)
        turns = asyncio.Semaphore(PAGE_MEDIA_AT_ONCE)

        async def one(url: str) -> Seen:
            async with turns:
                return await self._media(url, wanted)

        # The target itself was just looked at and is not there.
        others = [url for url in urls if not _same(url, wanted.url_key)]
        seen = await asyncio.gather(*(one(url) for url in others))
        agreeing = next((each for each in seen if each.outcome is Outcome.PRESENT), None)
        if agreeing is not None:
            return replace(agreeing, observed=observed, reason="shown_on_page")
        if any(each.may_show_later for each in seen):
            return Seen(outcome=Outcome.INCONCLUSIVE, reason="page_media_unanswered", observed=observed)
        found = tuple(fingerprint for each in seen for fingerprint in each.fingerprints)
        reason = "other_media" if found else "no_media"
        return Seen(outcome=Outcome.MISMATCH, reason=reason, observed=observed, fingerprints=found)

    async def _fetch(self, url: str) -> Fetched | Seen:
        """A 2xx answer, or what its absence means."""
        policy = self._policy
        try:
            fetched = await self._fetcher.get(
                url,
                max_bytes=policy.fetch_max_bytes,
                timeout_seconds=policy.fetch_timeout_seconds,
                max_redirects=policy.fetch_max_redirects,
            )
        except BadUrl:
            return Seen(outcome=Outcome.INCONCLUSIVE, reason="bad_url")
        except AddressRefused as error:
            return Seen(outcome=Outcome.INCONCLUSIVE, reason=error.code)
        except OutboundError as error:
            nobody = isinstance(error, ConnectFailure) or (isinstance(error, DnsFailure) and error.no_such_domain)
            reason = "no_such_domain" if isinstance(error, DnsFailure) and error.no_such_domain else error.code
            return Seen(outcome=Outcome.INCONCLUSIVE, reason=reason, answered=not nobody)
        if 200 <= fetched.status < 300:
            return fetched
        return Seen(outcome=outcome_of_status(fetched.status), reason="status", observed=self._observed(fetched))

    def _observed(self, fetched: Fetched) -> Observed:
        return Observed(
            at=self._clock(),
            ip=fetched.address.ip,
            port=fetched.address.port,
            final_url=fetched.final_url,
            status=fetched.status,
            content_type=fetched.content_type,
            size_bytes=fetched.size_bytes if 200 <= fetched.status < 300 else None,
        )

    def _agreement(self, seen: Sequence[Fingerprint], wanted: Wanted) -> Comparison | None:
        accepted = [one for one in seen if fingerprint_ref(self._key, one) not in wanted.rejected]
        return best_agreement(accepted, (*wanted.register, *wanted.reference), wanted.harmless, self._policy)


def outcome_of_status(status: int) -> Outcome:
    """What a status that is not 2xx says about the target."""
    if status in (404, 410):
        return Outcome.GONE
    if status in (401, 403, 451):
        return Outcome.BLOCKED
    return Outcome.INCONCLUSIVE


def exact_fingerprints(body: bytes) -> tuple[Fingerprint, ...]:
    """MD5, SHA-1 and SHA-256 of bytes that are no picture."""
    return tuple(
        Fingerprint(algorithm=algorithm, value=hashlib.new(algorithm, body, usedforsecurity=False).digest())
        for algorithm in (Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256)
    )


def _same(url: str, url_key: str) -> bool:
    try:
        return canonical(url).url_key == url_key
    except BadUrl:
        return False
