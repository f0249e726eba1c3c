"""One look at a URL: fetch it, tell a page from media, fingerprint the media. It says what was seen, never what that means:
a report makes sightings of it, a check compares it with the content it looks for.

Bytes live in memory for the time of a fingerprint and go nowhere else: no look holds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.clock import Clock
from shared.media.exact import exact_fingerprints
from shared.media.fingerprinter import (
    Fingerprinter,
    MediaFingerprints,
    Priority,
    Reason,
    Undecodable,
    UnreadablePage,
    is_page,
)
from shared.media.fingerprints import Fingerprint
from shared.outbound.fetch import Fetched, Fetcher, RedirectRefused
from shared.outbound.guard import AddressRefused, DnsFailure, GuardedEndpoint, OutboundError
from shared.outbound.transport import AnswerTooLarge
from shared.policy import Policy
from shared.urls import BadUrl, canonical

PAGE_MEDIA_AT_ONCE = 4
"""Media of one page that are fetched beside one another."""

Forbidden = Callable[[Collection[str]], Awaitable[frozenset[str]]]
"""Of these url_keys, those that must not be fetched (content that may depict a minor was seen there)."""

Enough = Callable[[MediaFingerprints], bool]
"""Whether what a picture is at a smaller scale already tells all that is asked of it."""


class NotSeen(StrEnum):
    """Why a look saw nothing at a URL. Beside the first four, the codes of the outbound errors."""

    STATUS = "status"
    """The answer is no 2xx; its body was not read."""
    FORBIDDEN = "forbidden"
    """It must not be fetched; nothing was sent."""
    BAD_URL = "bad_url"
    """Nobody can fetch this URL; nothing was sent."""
    NO_SUCH_DOMAIN = "no_such_domain"
    """The name servers answered that the host's name does not exist, or has no address."""
    ADDRESS_REFUSED = AddressRefused.code
    REDIRECT_REFUSED = RedirectRefused.code
    DNS_FAILURE = DnsFailure.code
    CONNECT_FAILURE = "connect_failure"
    TLS_FAILURE = "tls_failure"
    CONNECTION_LOST = "connection_lost"
    MALFORMED_RESPONSE = "malformed_response"
    TOO_LARGE = AnswerTooLarge.code
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TIMED_OUT = "timed_out"
    HOST_BUSY = "host_busy"

    @property
    def nobody_there(self) -> bool:
        """No server was reached at the host's address."""
        return self in (NotSeen.CONNECT_FAILURE, NotSeen.NO_SUCH_DOMAIN)

    @property
    def may_pass(self) -> bool:
        """Another look may see what this one did not. Of STATUS only the status tells."""
        return self not in _LASTING


_LASTING = frozenset(
    (NotSeen.FORBIDDEN, NotSeen.BAD_URL, NotSeen.ADDRESS_REFUSED, NotSeen.REDIRECT_REFUSED, NotSeen.TOO_LARGE)
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpAnswer:
    """The answer to a look, whole at `at`. `address` was dialled for `final_url`. `size_bytes`: of the body; None: it was not read."""

    at: datetime
    status: int
    address: GuardedEndpoint
    final_url: str
    content_type: str | None
    size_bytes: int | None

    @property
    def successful(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecodedBytes:
    """A body that gave no perceptual fingerprint. `exact`: its exact hashes; none of an empty body."""

    reason: Reason
    exact: tuple[Fingerprint, ...] = field(default=(), repr=False)

    @property
    def no_media(self) -> bool:
        """Certainly no picture or video. Else there is something that we could not look at."""
        return self.reason.no_media


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PageMedia:
    """A page, as looks at the media it shows, the most telling first; a URL of them that was not fetched is a look too."""

    looks: tuple[UrlLook, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UrlLook:
    """What one look at `url` saw: a picture, other bytes, a page, or why nothing. `answer` None: no answer came, or none that was whole."""

    url: str
    saw: MediaFingerprints | UndecodedBytes | PageMedia | NotSeen
    answer: HttpAnswer | None = None


@dataclass(frozen=True, kw_only=True)
class LightLooker:
    """Looks at URLs without a browser, from one vantage; several looks may run beside one another.

    `forbidden` is asked before a URL is fetched, each redirect's and a page's media's too; None: nothing is forbidden.
    `priority`: whose look it is; checks are decoded before reports.
    """

    fetcher: Fetcher
    fingerprinter: Fingerprinter
    policy: Policy
    clock: Clock
    forbidden: Forbidden | None = None
    priority: Priority = Priority.CHECK

    async def look(
        self, url: str, *, pages: bool = True, besides: str | None = None, enough: Enough | None = None
    ) -> UrlLook:
        """Everything the other side can do is in the answer. Raises DecoderUnavailable.

        `pages` False: a page is bytes like any other. `besides`: the url_key of a medium that is left out of a page. `enough`: a
        large picture is decoded at a smaller scale first, and again at its full one unless this says that it need not be.
        """
        (allowed,) = await self._allowed([url])
        if isinstance(allowed, UrlLook):
            return allowed
        fetched = await self._fetch(url)
        if isinstance(fetched, UrlLook):
            return fetched
        if pages and is_page(fetched.body, fetched.content_type):
            try:
                saw: PageMedia | UndecodedBytes = await self._media_of(fetched, besides, enough)
            except UnreadablePage as error:
                saw = UndecodedBytes(reason=error.reason)
            return UrlLook(url=url, answer=self._answer(fetched), saw=saw)
        return await self._media(url, fetched, enough)

    async def _media_of(self, page: Fetched, besides: str | None, enough: Enough | None) -> PageMedia:
        """Raises UnreadablePage."""
        contents = await self.fingerprinter.read_page(
            page.body, page.content_type, page.final_url, priority=self.priority
        )
        found = [one.url for one in contents.telling(self.policy.media_per_page)]
        places = asyncio.Semaphore(PAGE_MEDIA_AT_ONCE)

        async def one(url: str | UrlLook) -> UrlLook:
            if isinstance(url, UrlLook):
                return url
            async with places:
                fetched = await self._fetch(url)
                return fetched if isinstance(fetched, UrlLook) else await self._media(url, fetched, enough)

        others = [url for url in found if besides is None or _url_key(url) != besides]
        return PageMedia(looks=tuple(await asyncio.gather(*map(one, await self._allowed(others)))))

    async def _allowed(self, urls: Collection[str]) -> list[str | UrlLook]:
        """Each URL that may be fetched; of any other, why not."""
        keys = {url: _url_key(url) for url in urls}
        refused = await self._forbidden([key for key in keys.values() if key is not None])

        def one(url: str) -> str | UrlLook:
            key = keys[url]
            if key is None:  # it cannot be asked about, and has no host that a resolver could take
                return UrlLook(url=url, saw=NotSeen.BAD_URL)
            return UrlLook(url=url, saw=NotSeen.FORBIDDEN) if key in refused else url

        return [one(url) for url in urls]

    async def _forbidden(self, url_keys: Collection[str]) -> frozenset[str]:
        return frozenset() if self.forbidden is None or not url_keys else await self.forbidden(url_keys)

    async def _may_follow(self, url: str) -> bool:
        """Raises BadUrl for one without a canonical form."""
        return not await self._forbidden([canonical(url).url_key])

    async def _fetch(self, url: str) -> Fetched | UrlLook:
        """A 2xx answer, or a look that ends without one."""
        policy = self.policy
        try:
            fetched = await self.fetcher.get(
                url,
                max_bytes=policy.fetch_max_bytes,
                timeout_seconds=policy.fetch_timeout_seconds,
                max_redirects=policy.fetch_max_redirects,
                may_follow=self._may_follow,
            )
        except (BadUrl, OutboundError) as error:
            return UrlLook(url=url, saw=_why_not(error))
        answer = self._answer(fetched)
        return fetched if answer.successful else UrlLook(url=url, answer=answer, saw=NotSeen.STATUS)

    async def _media(self, url: str, fetched: Fetched, enough: Enough | None) -> UrlLook:
        answer = self._answer(fetched)
        try:
            return UrlLook(url=url, answer=answer, saw=await self._picture(fetched.body, enough))
        except Undecodable as error:
            exact = await asyncio.to_thread(exact_fingerprints, fetched.body) if fetched.body else ()
            return UrlLook(url=url, answer=answer, saw=UndecodedBytes(reason=error.reason, exact=exact))

    async def _picture(self, body: bytes, enough: Enough | None) -> MediaFingerprints:
        if enough is not None:
            media = await self.fingerprinter.fingerprint(body, reduced=True, priority=self.priority)
            if not media.reduced or enough(media):
                return media
        return await self.fingerprinter.fingerprint(body, priority=self.priority)

    def _answer(self, fetched: Fetched) -> HttpAnswer:
        return HttpAnswer(
            at=self.clock(),
            status=fetched.status,
            address=fetched.address,
            final_url=fetched.final_url,
            content_type=fetched.content_type,
            size_bytes=fetched.size_bytes if 200 <= fetched.status < 300 else None,
        )


def _why_not(error: BadUrl | OutboundError) -> NotSeen:
    if isinstance(error, BadUrl):
        return NotSeen.BAD_URL
    if isinstance(error, DnsFailure) and error.no_such_domain:
        return NotSeen.NO_SUCH_DOMAIN
    return NotSeen(error.code)


def _url_key(url: str) -> str | None:
    """None: the URL has no canonical form."""
    try:
        return canonical(url).url_key
    except BadUrl:
        return None
