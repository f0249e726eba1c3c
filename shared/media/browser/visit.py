"""One look at one page: go there, scroll through it, take its pictures as they are drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, TypeVar

from shared.media.browser.drawing import CommandFailed, DebuggingSession, PageDrawer
from shared.media.browser.look import BrowserLimits, DrawnPicture, PictureKind, Unfinished
from shared.media.browser.mosaics import MAX_MOSAICS
from shared.media.browser.page_scripts import (
    BROKEN_PICTURES,
    HIDE_OVERLAYS,
    NEXT_FRAMES,
    PAGE_FACTS,
    SCROLL_ON,
)
from shared.media.browser.snapshot import STYLES, Candidate, PageSnapshot, read_snapshot
from shared.media.browser.traffic import PageTraffic

if TYPE_CHECKING:
    from playwright.async_api import Page

_T = TypeVar("_T")
_MAX_FRAMES = 40
_SCREEN_PART = 0.85
"""Of a screen, each step of the scroll: what stands at its edge is whole on one of two."""
_FRAMES_MILLISECONDS = 2000
_LAST_SECONDS = 3.0
"""Of the look, kept for its end."""
_CALL_SECONDS = 6.0
"""Of one picture: a page that holds its renderer longer is not waited for."""


class BrowserVisit:
    """A visit to one page. What is found on the way is here, also when the way ends early."""

    def __init__(
        self, page: Page, session: DebuggingSession, traffic: PageTraffic, limits: BrowserLimits, deadline: float
    ) -> None:
        self._page = page
        self._session = session
        self._traffic = traffic
        self._limits = limits
        self._deadline = deadline
        self._drawer = PageDrawer(session, limits)
        self._seen: set[tuple[int, str]] = set()
        self._kept_bytes = 0
        self._videos = 0
        self._together: set[str] = set()
        self.drawn: list[DrawnPicture] = []
        self.unfinished: set[Unfinished] = set()
        self.title = ""
        self.text = ""
        self.password_field = False

    async def run(self, url: str, referer: str | None) -> None:
        """Raises playwright's Error where there is no answer, and what the browser says where it ends in the midst of it."""
        await self._go(url, referer)
        await self._settle()
        await self._facts()
        for stop in range(self._limits.max_stops):
            await self._hide_overlays()
            if stop == 0:
                await self._keep(self._drawer.draw_viewport())
            snapshot = await self._snapshot()
            if snapshot is not None:
                await self._draw_visible(snapshot)
                await self._draw_together(snapshot)
            if self._out_of_time():
                return
            if not await self._scroll_on():
                break
            await self._settle()
        else:
            self.unfinished.add(Unfinished.SCROLL)
        await self._finish()

    async def _go(self, url: str, referer: str | None) -> None:
        from playwright.async_api import TimeoutError as NotLoaded

        milliseconds = max(1.0, min(self._limits.load_seconds, self._left() - 1)) * 1000
        try:
            await self._page.goto(url, wait_until="load", timeout=milliseconds, referer=referer)
        except NotLoaded:
            if not self._traffic.hops:
                raise
            self.unfinished.add(Unfinished.LOAD)

    async def _settle(self) -> None:
        """Wait until nothing has been asked for a while. What a page does without end is not waited for. On a busy machine a page learns
        late that it was scrolled, and only then asks: quiet before that says nothing.

        On a busy machine a page hears late that it was scrolled, and only then asks: quiet before that says nothing.
        """
        await self._attempt(self._drawer.call(await self._main_frame(), NEXT_FRAMES, _FRAMES_MILLISECONDS))
        await self._traffic.quiet(
            self._limits.quiet_seconds, min(self._limits.settle_seconds, max(0.1, self._left() - 2))
        )

    async def _finish(self) -> None:
        """Take what the scroll did not pass by (inner boxes, carousels), then what the whole page says of itself."""
        snapshot = await self._snapshot()
        if snapshot is not None:
            await self._draw(snapshot.candidates, scroll=True)
            await self._draw_together(snapshot)
            if snapshot.unread_frames:
                self.unfinished.add(Unfinished.FRAME)
        await self._traffic.quiet(self._limits.quiet_seconds, min(1.0, max(0.1, self._left() - 2)))
        await self._facts()
        await self._look_for_broken(snapshot)

    async def _facts(self) -> None:
        """Title and text of page and frames."""
        text: list[str] = []
        room = self._limits.max_text_characters
        for place, frame in enumerate(await self._frames()):
            facts = await self._attempt(self._drawer.call(frame, PAGE_FACTS, room))
            if facts:
                self.title = facts["title"] if place == 0 else self.title
                text.append(facts["text"])
                room -= len(facts["text"])
            if room <= 0:
                break
        self.text = "\n".join(text) or self.text

    async def _frames(self) -> Sequence[str]:
        """The ids of the frames that this session reaches, the page's first."""
        found: list[str] = []
        left = [(await self._session.send("Page.getFrameTree"))["frameTree"]]
        while left and len(found) < _MAX_FRAMES:
            tree = left.pop(0)
            found.append(tree["frame"]["id"])
            left += tree.get("childFrames", ())
        if left or len(found) < len(self._page.frames):
            self.unfinished.add(Unfinished.FRAME)  # one of a process of its own, or too many
        return found

    async def _snapshot(self) -> PageSnapshot | None:
        counters = await self._session.send("Memory.getDOMCounters")
        if counters["nodes"] > self._limits.max_nodes:
            self.unfinished.add(Unfinished.PICTURES)
            return None
        taken = await self._session.send("DOMSnapshot.captureSnapshot", {"computedStyles": list(STYLES)})
        snapshot = await asyncio.to_thread(read_snapshot, taken, min_side=self._limits.min_side)
        self.password_field = self.password_field or snapshot.password_field
        for url in snapshot.inline:
            self._traffic.keep_inline(url)
        return snapshot

    async def _draw_visible(self, snapshot: PageSnapshot) -> None:
        visible = []
        width, height = await self._size()
        for candidate in snapshot.candidates:
            if (candidate.node, candidate.source) in self._seen or self._out_of_time():
                continue
            box = await self._drawer.boxes(candidate)
            if (
                box is not None
                and box.x >= 0
                and box.y >= 0
                and box.x + box.width <= width
                and box.y + box.height <= height
            ):
                visible.append(candidate)
        await self._draw(visible, scroll=False)

    async def _draw(self, candidates: Sequence[Candidate], *, scroll: bool) -> None:
        for candidate in candidates:
            if (candidate.node, candidate.source) in self._seen:
                continue
            if self._out_of_time() or len(self._seen) >= self._limits.max_pictures:
                self.unfinished.add(Unfinished.PICTURES)
                return
            self._seen.add((candidate.node, candidate.source))
            await self._keep(self._drawer.draw(candidate, scroll=scroll))
            if candidate.kind is PictureKind.VIDEO:
                await self._draw_video(candidate)

    async def _draw_together(self, snapshot: PageSnapshot) -> None:
        """Pictures that elements make together, as they lie there now."""
        if snapshot.many_pieces:
            self.unfinished.add(Unfinished.PICTURES)
        for one in snapshot.mosaics:
            if one.source in self._together:  # also where it has moved since
                continue
            if self._out_of_time() or len(self._together) >= MAX_MOSAICS:
                self.unfinished.add(Unfinished.PICTURES)
                return
            self._together.add(one.source)
            await self._keep(self._drawer.draw_together(one.box))

    async def _draw_video(self, candidate: Candidate) -> None:
        self._videos += 1
        if self._videos > self._limits.max_videos:
            self.unfinished.add(Unfinished.PICTURES)
            return
        for part in self._limits.video_moments:
            if self._out_of_time():
                return
            if not await self._keep(self._drawer.draw_moment(candidate, part)):
                self.unfinished.add(Unfinished.MEDIA_FAILED)
                return

    async def _keep(self, drawing: Coroutine[None, None, DrawnPicture | None]) -> bool:
        """Keep a picture; False where there is none."""
        picture = await self._attempt(drawing)
        if picture is None:
            return False
        self._kept_bytes += len(picture.body)
        if self._kept_bytes + self._traffic.kept_bytes > self._limits.max_kept_bytes:
            self.unfinished.add(Unfinished.PICTURES)
            return False
        self.drawn.append(picture)
        return True

    async def _attempt(self, call: Coroutine[None, None, _T]) -> _T | None:
        """None where the page has changed under it or holds its renderer too long: noted, and the look goes on."""
        try:
            async with asyncio.timeout(min(_CALL_SECONDS, max(0.1, self._left()))):
                return await call
        except (CommandFailed, TimeoutError, KeyError):
            if self._page.is_closed():
                raise
            self._drawer.forget_worlds()
            self.unfinished.add(Unfinished.PICTURES)
            return None

    async def _hide_overlays(self) -> None:
        if await self._attempt(self._drawer.call(await self._main_frame(), HIDE_OVERLAYS)):
            self.unfinished.add(Unfinished.OVERLAY)

    async def _scroll_on(self) -> bool:
        """Scroll on by a step; True once there is more to see."""
        moved = await self._attempt(self._drawer.call(await self._main_frame(), SCROLL_ON, _SCREEN_PART))
        if moved is None:
            self.unfinished.add(Unfinished.SCROLL)
        return bool(moved)

    async def _look_for_broken(self, snapshot: PageSnapshot | None) -> None:
        frames = snapshot.frames if snapshot is not None else (await self._main_frame(),)
        for frame in frames[:_MAX_FRAMES]:
            broken = await self._attempt(self._drawer.call(frame, BROKEN_PICTURES))
            if broken and not set(broken) <= self._traffic.missing:
                self.unfinished.add(Unfinished.MEDIA_FAILED)

    async def _main_frame(self) -> str:
        found: str = (await self._session.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        return found

    async def _size(self) -> tuple[float, float]:
        view = (await self._session.send("Page.getLayoutMetrics"))["cssVisualViewport"]
        return view["clientWidth"], view["clientHeight"]

    def _left(self) -> float:
        return self._deadline - time.monotonic()

    def _out_of_time(self) -> bool:
        if self._left() > _LAST_SECONDS:
            return False
        self.unfinished.add(Unfinished.TIME)
        return True
