"""A look at a page without a browser: its media (those within the page itself too), one level of frames, the page that replaces it, and
the pictures of its style sheets. `whole` says whether there was more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from shared.media.fingerprinter import Reason, UnreadablePage, is_page
from shared.media.html.contents import InlineMedia, MediaPlace, PageContents, ReferencedMedia
from shared.media.html.elements import refresh_target
from shared.media.looks.link_header import LINK, linked_stylesheets
from shared.media.looks.referer import referer_for
from shared.media.looks.url_look import NotSeen, PageMedia, UndecodedBytes, UrlLook, url_key_of
from shared.outbound.fetch import KEPT_LINK_CHARACTERS, Fetched
from shared.urls import BadUrl, parse_url

if TYPE_CHECKING:
    from shared.media.look import Enough, LightLooker

AT_ONCE = 4
"""Fetches of one page that go on beside one another."""
MAX_FRAMES = 8
MAX_STYLESHEETS = 12
"""With those that they import."""
_LATER = frozenset((MediaPlace.ALTERNATIVE,))
"""Where a page names a medium that shows nothing else: a further size of what is shown."""
_CSS = "text/css"
_NO_STYLE = frozenset((NotSeen.BAD_URL, NotSeen.ADDRESS_REFUSED, NotSeen.NO_SUCH_DOMAIN, NotSeen.FORBIDDEN))
_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


class PageVisit:
    """The visit to one page, within one look. `besides`: the url_key of a medium that is left out."""

    def __init__(
        self,
        looker: LightLooker,
        url: str,
        page: Fetched,
        *,
        besides: str | None,
        enough: Enough | None,
        frame: bool = False,
    ) -> None:
        self._looker = looker
        self._url = url
        self._page = page
        self._besides = besides
        self._enough = enough
        self._frame = frame
        self._places = asyncio.Semaphore(AT_ONCE)
        self._whole = True

    async def see(self, own: UrlLook | None = None) -> PageMedia:
        """What the page shows. `own`: the page's bytes are a medium as well, seen so. Raises UnreadablePage, DecoderUnavailable."""
        page = self._page
        contents = await self._read(page.body, page.content_type, page.final_url)
        self._whole &= contents.whole
        refresh_url = contents.refresh_url or _refreshed_by(page)
        frames, refreshed = await self._others(contents, refresh_url)
        linked = page.headers.get(LINK, "")
        self._whole &= len(linked) < KEPT_LINK_CHARACTERS  # what was cut off may name one more
        styles, broken = await self._styles((*contents.stylesheets, *linked_stylesheets(linked, page.final_url)))
        found = [one for each in (contents, *styles) for one in each.most_telling(len(each.media))]
        inline = [one for each in (contents, *styles) for one in each.inline]
        looks = await self._each(self._media_look, self._chosen(found))
        inlined = await self._each(self._inline_look, inline)
        return PageMedia(
            looks=(*([] if own is None else [own]), *inlined, *looks, *frames, *broken),
            signs=contents.signs,
            refreshed=refreshed,
            whole=self._whole,
        )

    async def _read(self, body: bytes, content_type: str | None, url: str) -> PageContents:
        looker = self._looker
        return await looker.fingerprinter.read_page(body, content_type, url, priority=looker.priority)

    # Media

    def _chosen(self, found: Sequence[ReferencedMedia]) -> list[ReferencedMedia]:
        """The media to look at: each URL once, as many as a page may cost, the most telling places first."""
        places = tuple(MediaPlace)
        once: dict[str, ReferencedMedia] = {}
        for one in sorted(found, key=lambda one: places.index(one.place)):
            if self._besides is None or url_key_of(one.url) != self._besides:
                once.setdefault(one.url, one)
        chosen = list(once.values())
        limit = self._looker.policy.media_per_page
        if any(one.place not in _LATER for one in chosen[limit:]):
            self._whole = False
        return chosen[:limit]

    async def _media_look(self, one: ReferencedMedia) -> UrlLook:
        fetched = await self._fetch(one.url)
        look = fetched if isinstance(fetched, UrlLook) else await self._medium(one.url, fetched)
        return replace(look, place=one.place, poster_of=one.poster_of)

    async def _medium(self, url: str, fetched: Fetched) -> UrlLook:
        look = await self._looker.medium(url, fetched, self._enough)
        if is_page(fetched.body, fetched.content_type) and isinstance(look.saw, UndecodedBytes):
            # Where a picture is wanted a page shows nothing; why it came instead nobody knows.
            return replace(look, saw=replace(look.saw, page=True))
        return look

    async def _inline_look(self, one: InlineMedia) -> UrlLook:
        saw = await self._looker.seen_in(one.body, self._enough)
        return UrlLook(
            url=self._url,
            answer=self._looker.answer(self._page),
            saw=saw,
            place=MediaPlace.SHOWN,
            inline=True,
            poster_of=one.poster_of,
        )

    # What else is to be read

    async def _others(self, contents: PageContents, refresh_url: str | None) -> tuple[list[UrlLook], UrlLook | None]:
        """The looks at its frames, and at the page that replaces it. Within a frame they are not followed."""
        if self._frame:
            self._whole &= not contents.frames and refresh_url is None
            return [], None
        if len(contents.frames) > MAX_FRAMES:
            self._whole = False
        own = {url_key_of(self._url), url_key_of(self._page.final_url)}
        frames = [url for url in contents.frames[:MAX_FRAMES] if url_key_of(url) not in own]
        wanted = [*frames, *([refresh_url] if refresh_url is not None and url_key_of(refresh_url) not in own else [])]
        looks = await self._each(self._within, wanted)
        return looks[: len(frames)], looks[-1] if len(wanted) > len(frames) else None

    async def _within(self, url: str) -> UrlLook:
        """The look at a page within this one, or after it; perhaps a medium."""
        fetched = await self._fetch(url)
        if isinstance(fetched, UrlLook):
            return fetched
        if not is_page(fetched.body, fetched.content_type):
            return replace(await self._looker.medium(url, fetched, self._enough), place=MediaPlace.SHOWN)
        visit = PageVisit(self._looker, url, fetched, besides=self._besides, enough=self._enough, frame=True)
        try:
            saw: PageMedia | UndecodedBytes = await visit.see()
        except UnreadablePage as error:
            saw = UndecodedBytes(reason=error.reason)
        return UrlLook(url=url, answer=self._looker.answer(fetched), saw=saw)

    async def _styles(self, urls: Sequence[str]) -> tuple[list[PageContents], list[UrlLook]]:
        """Style sheets and those they import; and the looks at those that did not come, though they may be there."""
        read: list[PageContents] = []
        broken: list[UrlLook] = []
        seen: dict[str, None] = {}
        pending = list(dict.fromkeys(urls))
        while pending:
            room = MAX_STYLESHEETS - len(seen)
            if len(pending) > room:
                self._whole = False
            taken = pending[:room]
            seen |= dict.fromkeys(taken)
            answers = await self._each(self._style, taken)
            sheets = [one for one in answers if isinstance(one, PageContents)]
            broken += (one for one in answers if isinstance(one, UrlLook))
            read += sheets
            self._whole &= all(one.whole for one in sheets)
            imported = dict.fromkeys(url for one in sheets for url in one.stylesheets)
            pending = [url for url in imported if url not in seen] if taken else []
        return read, broken

    async def _style(self, url: str) -> PageContents | UrlLook | None:
        """None: there is none, and no browser has one."""
        fetched = await self._fetch(url)
        if isinstance(fetched, UrlLook):
            return None if fetched.saw in _NO_STYLE else fetched
        if fetched.status in (404, 410):
            return None
        if not 200 <= fetched.status < 300:
            return UrlLook(
                url=url, answer=self._looker.answer(fetched), saw=UndecodedBytes(reason=Reason.NOT_A_PICTURE)
            )
        try:
            charset = (fetched.content_type or "").partition(";")[2]
            return await self._read(fetched.body, f"{_CSS};{charset}", fetched.final_url)
        except UnreadablePage as error:
            return UrlLook(url=url, answer=self._looker.answer(fetched), saw=UndecodedBytes(reason=error.reason))

    # Fetching

    async def _fetch(self, url: str) -> Fetched | UrlLook:
        return await self._looker.fetch(url, referer_for(url, self._page.final_url))

    async def _each(self, do: Callable[[_Given], Awaitable[_Made]], given: Iterable[_Given]) -> list[_Made]:
        async def one(each: _Given) -> _Made:
            async with self._places:
                return await do(each)

        return await asyncio.gather(*map(one, given))


def _refreshed_by(page: Fetched) -> str | None:
    """The URL of a `Refresh` header: browsers heed it as they do the page's own."""
    target = refresh_target(page.headers.get("refresh", ""))
    try:
        return None if target is None else parse_url(target, base=page.final_url).href
    except BadUrl:
        return None
