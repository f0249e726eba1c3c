"""One look at a URL without a browser: fetch it, tell a page from media, fingerprint the media. It says what was seen, never what
that means: a report makes sightings of it, a check compares it with the content it looks for.

The body is looked at whatever the status, since browsers show it. Bytes live in memory for the time of a fingerprint and go nowhere
else: no look holds them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace

from shared.clock import Clock
from shared.media.exact import exact_fingerprints
from shared.media.fingerprinter import (
    Fingerprinter,
    MediaFingerprints,
    Priority,
    Reason,
    Undecodable,
    UndecodedMedia,
    UnreadablePage,
    is_page,
)
from shared.media.formats.drawing import is_plain_drawing
from shared.media.formats.drawn_markup import is_drawn_markup
from shared.media.html_media import has_markup
from shared.media.looks.link_header import LINK, linked_stylesheets
from shared.media.looks.page_visit import PageVisit
from shared.media.looks.url_look import HttpAnswer, NotSeen, UndecodedBytes, UrlLook, url_key_of
from shared.outbound.fetch import Fetched, Fetcher
from shared.outbound.guard import DnsFailure, OutboundError
from shared.policy import Policy
from shared.urls import BadUrl, address_key

MAX_TEXT_BYTES = 64 * 1024
"""A body of text up to this size is read for what it says."""
MAX_TEXT_CHARACTERS = 4_000

Forbidden = Callable[[Collection[str]], Awaitable[frozenset[str]]]
"""Gives, of these keys of addresses (`shared.urls.address_key`), those that must not be fetched: content that may depict a minor was seen
there."""

Enough = Callable[[MediaFingerprints], bool]
"""Whether the fingerprints of a picture at a smaller scale are all that is needed."""


@dataclass(frozen=True, kw_only=True)
class LightLooker:
    """Looks at URLs without a browser, from one vantage; several looks may run beside one another.

    `forbidden` is asked before a URL is fetched, each redirect's and all that a page shows too; None: nothing is forbidden.
    `priority`: whose look it is; checks are decoded before reports. `parts`: what lies within a picture is looked for, too.
    """

    fetcher: Fetcher
    fingerprinter: Fingerprinter
    policy: Policy
    clock: Clock
    forbidden: Forbidden | None = None
    priority: Priority = Priority.CHECK
    parts: bool = False

    async def look(
        self, url: str, *, referer: str | None = None, besides: str | None = None, enough: Enough | None = None
    ) -> UrlLook:
        """Look at a URL. Everything the other side can do is in the result. Raises DecoderUnavailable.

        `referer`: what a browser would send, the page on which a medium stands. `besides`: the url_key of a medium that is left out of
        a page. `enough`: a large picture is decoded at a smaller scale first, and again at its full one unless this says that it
        need not be.
        """
        fetched = await self.fetch(url, referer)
        if isinstance(fetched, UrlLook):
            return fetched
        page = is_page(fetched.body, fetched.content_type)
        own = None if page else await self.medium(url, fetched, enough)
        if (
            own is not None
            and "refresh" not in fetched.headers
            and not linked_stylesheets(fetched.headers.get(LINK, ""), fetched.final_url)
            and not has_markup(fetched.body, fetched.content_type)
        ):
            return own
        try:
            saw = await PageVisit(self, url, fetched, besides=besides, enough=enough).see(own)
        except UnreadablePage as error:
            return UrlLook(url=url, answer=self.answer(fetched), saw=UndecodedBytes(reason=error.reason))
        return UrlLook(url=url, answer=self.answer(fetched), saw=saw)

    async def fetch(self, url: str, referer: str | None) -> Fetched | UrlLook:
        """An answer, or a look that ends without one."""
        (allowed,) = await self.allowed([url])
        return allowed if isinstance(allowed, UrlLook) else await self.fetch_allowed(url, referer)

    async def allowed(self, urls: Collection[str]) -> list[str | UrlLook]:
        """Each URL that may be fetched; of any other, why not."""
        keys = {url: url_key_of(url) for url in urls}
        refused = await self._forbidden([key for key in keys.values() if key is not None])

        def one(url: str) -> str | UrlLook:
            key = keys[url]
            if key is None:  # it cannot be asked about, and has no host that a resolver could take
                return UrlLook(url=url, saw=NotSeen.BAD_URL)
            return UrlLook(url=url, saw=NotSeen.FORBIDDEN) if key in refused else url

        return [one(url) for url in urls]

    async def fetch_allowed(self, url: str, referer: str | None) -> Fetched | UrlLook:
        """Fetch a URL that was found to be allowed, as `fetch` does."""
        policy = self.policy
        try:
            return await self.fetcher.get(
                url,
                max_bytes=policy.fetch_max_bytes,
                timeout_seconds=policy.fetch_timeout_seconds,
                max_redirects=policy.fetch_max_redirects,
                headers={} if referer is None else {"referer": referer},
                may_follow=self._may_follow,
            )
        except (BadUrl, OutboundError) as error:
            return UrlLook(url=url, saw=_why_not(error))

    async def medium(self, url: str, fetched: Fetched, enough: Enough | None) -> UrlLook:
        """Look at what was fetched, as a picture or other bytes."""
        saw = await self.seen_in(fetched.body, enough)
        if isinstance(saw, UndecodedBytes) and saw.no_media:
            saw = replace(saw, drawn_markup=is_drawn_markup(fetched.body, fetched.content_type))
        return UrlLook(url=url, answer=self.answer(fetched), saw=saw)

    async def seen_in(self, body: bytes, enough: Enough | None) -> MediaFingerprints | UndecodedBytes:
        """Look at a file's bytes, as a picture or not."""
        try:
            return await self._picture(body, enough)
        except Undecodable as error:
            exact = await asyncio.to_thread(exact_fingerprints, body) if body else ()
            text = _text_of(body) if error.reason is Reason.NOT_A_PICTURE else ""
            return UndecodedBytes(
                reason=error.reason,
                exact=exact,
                media=error.media,
                drawing=error.media is UndecodedMedia.SVG and is_plain_drawing(body),
                text=text[:MAX_TEXT_CHARACTERS],
                data=_is_json(text),
            )

    def answer(self, fetched: Fetched) -> HttpAnswer:
        """The answer as a look keeps it."""
        return HttpAnswer(
            at=self.clock(),
            status=fetched.status,
            address=fetched.address,
            final_url=fetched.final_url,
            content_type=fetched.content_type,
            size_bytes=fetched.size_bytes,
            headers=fetched.headers,
        )

    async def _forbidden(self, url_keys: Collection[str]) -> frozenset[str]:
        return frozenset() if self.forbidden is None or not url_keys else await self.forbidden(url_keys)

    async def _may_follow(self, url: str) -> bool:
        """Raises BadUrl for one without a canonical form."""
        return not await self._forbidden([address_key(url).url_key])

    async def _picture(self, body: bytes, enough: Enough | None) -> MediaFingerprints:
        if enough is not None:
            media = await self.fingerprinter.fingerprint(body, reduced=True, priority=self.priority)
            if not media.reduced or enough(media):
                return media
        return await self.fingerprinter.fingerprint(body, parts=self.parts, priority=self.priority)


def _why_not(error: BadUrl | OutboundError) -> NotSeen:
    if isinstance(error, BadUrl):
        return NotSeen.BAD_URL
    if isinstance(error, DnsFailure) and error.no_such_domain:
        return NotSeen.NO_SUCH_DOMAIN
    return NotSeen(error.code)


def _text_of(body: bytes) -> str:
    """The text of these bytes; empty where they are no text, or too many."""
    if len(body) > MAX_TEXT_BYTES or b"\0" in body:
        return ""
    text = body.decode("utf-8", "replace")
    return "" if text.count("�") * 10 > len(text) else text


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
