"""Looking at a reported URL: fetch, find media, fingerprint. Bytes live in memory for that long and go nowhere else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from services.intake.requests import MAX_SEEN_FINGERPRINTS
from services.intake.sightings import make_sighting
from shared.clock import Clock
from shared.contracts.sightings import Sighting
from shared.errors import Permanent
from shared.fingerprints import Algorithm, Fingerprint
from shared.policy import Policy
from shared.urls import BadUrl, canonical
from shared.web.fetch import Fetched, Fetcher, RedirectRefused
from shared.web.guard import AddressRefused, OutboundError
from shared.web.media import Fingerprinter, Undecodable, find_media, is_page
from shared.web.transport import TooLarge

SOURCE = "report"
"""The `source` of a report's sightings, and so the `observed_by` of their matches."""

Forbidden = Callable[[Collection[str]], Awaitable[frozenset[str]]]
"""Of these url_keys, those that must not be fetched (content that may depict a minor was seen there)."""

_RETRIED_STATUS = frozenset((408, 425, 429))
_GONE_STATUS = frozenset((404, 410))
_CONCURRENT_MEDIA = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was seen. `media`: a sighting each, the most telling first; `state` None: there are some.

    `again`: the outcome is a passing one, look again while there are attempts left.
    """

    state: str | None
    why: str | None = None
    again: bool = False
    media: tuple[Sighting, ...] = ()
    page: bool = False


@dataclass(frozen=True, kw_only=True)
class Looker:
    """Looks at one URL at a time; several may run beside one another."""

    fetcher: Fetcher
    fingerprinter: Fingerprinter
    policy: Policy
    clock: Clock
    forbidden: Forbidden

    async def look(self, url: str, *, organisation_id: str, report_id: UUID) -> Looked:
        """Fetch `url` and fingerprint what it is or shows."""
        if await self.forbidden([canonical(url).url_key]):
            return Looked(state="refused", why="possible_minor")
        fetched = await self._fetch(url)
        if isinstance(fetched, Looked):
            return fetched

        def seen(media_url: str, fingerprints: Collection[Fingerprint]) -> Sighting:
            return make_sighting(
                organisation_id=organisation_id,
                source=SOURCE,
                media_url=media_url,
                page_url=None if media_url == url else url,
                seen_at=self.clock(),
                fingerprints=fingerprints,
                report_id=report_id,
            )

        if not is_page(fetched.body, fetched.content_type):
            try:
                return Looked(state=None, media=(seen(url, await self._fingerprints(fetched.body)),))
            except Undecodable as error:
                return Looked(state="no_media", why=error.reason.value)
        return await self._look_at_page(fetched, seen)

    async def _look_at_page(self, page: Fetched, seen: Callable[[str, Collection[Fingerprint]], Sighting]) -> Looked:
        urls = find_media(page.body, page.content_type, page.final_url, self.policy.media_per_page)
        keys = {url: canonical(url).url_key for url in urls}
        refused = await self.forbidden(list(keys.values()))
        wanted = [url for url in urls if keys[url] not in refused]
        if refused and not wanted:
            return Looked(state="refused", why="possible_minor", page=True)
        places = asyncio.Semaphore(_CONCURRENT_MEDIA)

        async def one(url: str) -> Sighting | Looked:
            async with places:
                fetched = await self._fetch(url)
                if isinstance(fetched, Looked):
                    return fetched
                try:
                    return seen(url, await self._fingerprints(fetched.body))
                except Undecodable as error:
                    return Looked(state="no_media", why=error.reason.value)

        found = await asyncio.gather(*(one(url) for url in wanted))
        media = tuple(one for one in found if isinstance(one, Sighting))
        if media:
            return Looked(state=None, media=media, page=True)
        failed = [one for one in found if isinstance(one, Looked) and one.state == "unreachable"]
        if failed:  # there is media on the page that we could not get: that is not a page without media
            return Looked(
                state="unreachable", why="media_unreachable", again=any(one.again for one in failed), page=True
            )
        return Looked(state="no_media", why="page_without_media", page=True)

    async def _fetch(self, url: str) -> Fetched | Looked:
        try:
            fetched = await self.fetcher.get(
                url,
                max_bytes=self.policy.fetch_max_bytes,
                timeout_seconds=self.policy.fetch_timeout_seconds,
                max_redirects=self.policy.fetch_max_redirects,
                may_follow=self._may_follow,
            )
        except RedirectRefused:
            return Looked(state="refused", why="possible_minor")
        except BadUrl:
            return Looked(state="refused", why="bad_url")
        except AddressRefused as error:
            return Looked(state="refused", why=error.code)
        except TooLarge as error:
            return Looked(state="no_media", why=error.code)
        except OutboundError as error:
            return Looked(state="unreachable", why=error.code, again=not isinstance(error, Permanent))
        if 200 <= fetched.status < 300:
            return fetched
        again = fetched.status >= 500 or fetched.status in _RETRIED_STATUS
        why = "gone" if fetched.status in _GONE_STATUS else f"status_{fetched.status}"
        return Looked(state="unreachable", why=why, again=again)

    async def _may_follow(self, url: str) -> bool:
        return not await self.forbidden([canonical(url).url_key])

    async def _fingerprints(self, body: bytes) -> tuple[Fingerprint, ...]:
        """Of a picture as many as a sighting holds, always at its full scale (the register is not at hand: what lies near a threshold
        cannot be looked at again); of other media (a video, a format without a decoder) the exact ones. Raises Undecodable."""
        try:
            return (await self.fingerprinter.fingerprint(body)).fingerprints(at_most=MAX_SEEN_FINGERPRINTS)
        except Undecodable as error:
            if error.no_media:
                raise
            return await asyncio.to_thread(_exact, body)


def _exact(body: bytes) -> tuple[Fingerprint, ...]:
    return (
        Fingerprint(algorithm=Algorithm.MD5, value=hashlib.md5(body, usedforsecurity=False).digest()),
        Fingerprint(algorithm=Algorithm.SHA1, value=hashlib.sha1(body, usedforsecurity=False).digest()),
        Fingerprint(algorithm=Algorithm.SHA256, value=hashlib.sha256(body).digest()),
    )
