"""Watches what a page asks for and is given: stops requests that are too many or no GET, and keeps media."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from typing import TYPE_CHECKING

from shared.media.browser.look import BrowserLimits, Hop, MediaAnswer, Unfinished
from shared.media.browser.page_scripts import UNAVAILABLE
from shared.media.html.data_urls import parse_data_url

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page, Request, Response, Route

_METHODS = ("GET", "HEAD")
_MEDIA = ("image", "media")
_MEDIA_TYPE = re.compile(r"(?i)^\s*(?:image|video)/")
_WITHOUT_END = ("eventsource", "media", "websocket")
"""Requests that may go on as long as the page is open."""
_PARTS = ("document", "stylesheet", "script", "xhr", "fetch")
"""What a page is made of, beside its media."""
_UNANSWERED = ("ping", "cspviolationreport")
"""Requests whose answer no page gets."""
_GONE = (404, 410)
_ACCEPTED = 202
_URL_CHARACTERS = 4096


class PageTraffic:
    """The traffic of one look: its page, its frames and its workers. Windows that it opens are closed."""

    def __init__(self, page: Page, limits: BrowserLimits) -> None:
        self._page = page
        self._limits = limits
        self._under_way: set[Request] = set()
        self._changed = time.monotonic()
        self._reading: set[asyncio.Task[None]] = set()
        self._navigations = 0
        self.requests = 0
        self.hops: list[Hop] = []
        self.asked_for = ""
        """The URL of the page's last navigation."""
        self.answers: list[MediaAnswer] = []
        self._inline: set[str] = set()
        self.kept_bytes = 0
        self.missing: set[str] = set()
        self.unfinished: set[Unfinished] = set()

    async def attach(self, context: BrowserContext) -> None:
        """Begin to watch, before the page goes anywhere."""
        context.on("request", self._asked)
        context.on("response", self._answered)
        context.on("requestfinished", self._finished)
        context.on("requestfailed", self._failed)
        context.on("page", self._opened)
        await context.route(re.compile(""), self._decide)

    async def quiet(self, for_seconds: float, at_most_seconds: float) -> None:
        """Wait until nothing has been under way for so long."""
        ends = time.monotonic() + at_most_seconds
        while (now := time.monotonic()) < ends:
            if not self._under_way and now - self._changed >= for_seconds:
                return
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Wait shortly for the bodies that are still being handed over."""
        if self._reading:
            await asyncio.wait(self._reading, timeout=2.0)
        for task in self._reading:
            task.cancel()
        if any(request.resource_type in _MEDIA for request in self._under_way):
            self.unfinished.add(Unfinished.MEDIA_FAILED)

    async def _decide(self, route: Route, request: Request) -> None:
        from playwright.async_api import Error

        url = request.url.lower()
        allowed = request.method in _METHODS and url.startswith(("http:", "https:", "data:", "blob:", "about:"))
        allowed = allowed and not url.startswith(UNAVAILABLE)
        if request.resource_type in _UNANSWERED:
            allowed = False  # nothing that is drawn waits for it
        elif (
            not allowed or self.requests > self._limits.max_requests or self._navigations > self._limits.max_navigations
        ):
            self.unfinished.add(Unfinished.BUDGET)
            allowed = False
        with contextlib.suppress(Error):  # the page has gone on meanwhile, and the request with it
            await (route.continue_() if allowed else route.abort("blockedbyclient"))

    def _asked(self, request: Request) -> None:
        self.requests += 1
        self._changed = time.monotonic()
        if request.resource_type not in _WITHOUT_END:
            self._under_way.add(request)
        if self._is_pages_own(request):
            self._navigations += 1
            self.asked_for = request.url

    def _answered(self, response: Response) -> None:
        request = response.request
        if self._is_pages_own(request):
            self.hops.append(Hop(url=response.url[:_URL_CHARACTERS], status=response.status))
        media, refused = request.resource_type in _MEDIA, response.status >= 400 or response.status == _ACCEPTED
        if response.status in _GONE:
            self.missing |= {response.url} if media else set()
        elif refused and media:
            self.unfinished.add(Unfinished.MEDIA_FAILED)
        elif refused and request.resource_type in _PARTS and not self._is_pages_own(request):
            self.unfinished.add(Unfinished.FRAME if request.resource_type == "document" else Unfinished.PARTS)

    def _finished(self, request: Request) -> None:
        self._ended(request)
        task = asyncio.ensure_future(self._keep(request))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def _failed(self, request: Request) -> None:
        self._ended(request)
        if "ERR_ABORTED" in (request.failure or ""):
            return  # the page thought better of it: a video's next range, a picture replaced
        if request.resource_type == "image":
            self.unfinished.add(Unfinished.MEDIA_FAILED)
        elif request.resource_type in _PARTS and not self._is_pages_own(request):
            self.unfinished.add(Unfinished.FRAME if request.resource_type == "document" else Unfinished.PARTS)

    def _ended(self, request: Request) -> None:
        self._under_way.discard(request)
        self._changed = time.monotonic()

    async def _keep(self, request: Request) -> None:
        from playwright.async_api import Error

        try:
            response = await request.response()
            if response is None or response.url.startswith(("data:", "blob:")):
                return
            content_type = response.headers.get("content-type", "")
            if request.resource_type not in _MEDIA and not _MEDIA_TYPE.match(content_type):
                return
            length = response.headers.get("content-length", "0")
            if length.isdecimal() and int(length) > self._limits.max_answer_bytes:
                return self._leave_out(request)
            body = await response.body()
        except Error:
            return  # the browser keeps no body of a stream, a redirect, or what is long past: it was drawn
        if len(body) > self._limits.max_answer_bytes or len(self.answers) >= self._limits.max_answers:
            return self._leave_out(request)
        if self.kept_bytes + len(body) > self._limits.max_kept_bytes:
            return self._leave_out(request)
        if body:
            self.kept_bytes += len(body)
            self.answers.append(
                MediaAnswer(
                    url=response.url[:_URL_CHARACTERS],
                    status=response.status,
                    content_type=content_type[:200],
                    body=body,
                    part=response.status == 206,
                )
            )

    def keep_inline(self, url: str) -> None:
        """Keep a picture that stands in the page itself (`data:`), once: no request asks for it."""
        if url in self._inline:
            return
        self._inline.add(url)
        found = parse_data_url(url)
        if found is None:
            return
        kept = self.kept_bytes + len(found.body)
        if kept > self._limits.max_kept_bytes or len(self.answers) >= self._limits.max_answers:
            self.unfinished.add(Unfinished.PICTURES)
            return
        self.kept_bytes = kept
        answer = MediaAnswer(url="data:", status=200, content_type=found.content_type[:200], body=found.body)
        self.answers.append(answer)

    def _leave_out(self, request: Request) -> None:
        if request.resource_type == "image":
            self.unfinished.add(Unfinished.PICTURES)

    def _is_pages_own(self, request: Request) -> bool:
        from playwright.async_api import Error

        try:
            return request.is_navigation_request() and request.frame == self._page.main_frame
        except Error:  # a window that is only being opened
            return False

    async def _opened(self, page: Page) -> None:
        from playwright.async_api import Error

        if page is not self._page:
            with contextlib.suppress(Error):  # it has closed itself
                await page.close()
