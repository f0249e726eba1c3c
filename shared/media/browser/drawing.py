"""Pictures as they are drawn: an element's part of the screen, taken by the browser as PNG."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.errors import Transient
from shared.media.browser.look import BrowserLimits, DrawnPicture, PictureKind
from shared.media.browser.mosaics import Box
from shared.media.browser.page_scripts import READY, SHOW_MOMENT
from shared.media.browser.snapshot import Candidate

_WORLD = "takedown"
_READY_MILLISECONDS = 1500
_MOMENT_MILLISECONDS = 2500
_PAINTED_IN_ITS_BOX = (PictureKind.IMAGE, PictureKind.CANVAS, PictureKind.VIDEO)


class CommandFailed(Transient):
    """The browser did not carry out a command."""


class DebuggingSession(Protocol):
    """The Chrome DevTools Protocol of one page."""

    async def send(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """The command's answer. Raises CommandFailed where the browser refuses it, the page has changed, or either has ended."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """CSS pixels, from the upper left corner of what is seen."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def around(cls, quad: list[float]) -> Rectangle:
        across, down = quad[0::2], quad[1::2]
        return cls(x=min(across), y=min(down), width=max(across) - min(across), height=max(down) - min(down))

    def fitted(self, width: float, height: float, fit: str) -> Rectangle:
        """Where a picture of this size lies within the box (CSS Images, 5.5): without the bars of `contain`."""
        if fit not in ("contain", "scale-down") or min(width, height, self.width, self.height) <= 0:
            return self
        scale = min(self.width / width, self.height / height, 1.0 if fit == "scale-down" else math.inf)
        return Rectangle(
            x=self.x + (self.width - width * scale) / 2,
            y=self.y + (self.height - height * scale) / 2,
            width=width * scale,
            height=height * scale,
        )


class PageDrawer:
    """Takes the pictures of one page."""

    def __init__(self, session: DebuggingSession, limits: BrowserLimits) -> None:
        self._session = session
        self._limits = limits
        self._worlds: dict[str, int] = {}

    async def call(self, frame: str, function: str, *arguments: object) -> Any:
        """The result of a function that runs in a world of its own in this frame, as JSON has it."""
        return await self._function(function, arguments, {"executionContextId": await self._world(frame)})

    async def draw(self, candidate: Candidate, *, scroll: bool) -> DrawnPicture | None:
        """The element as it is drawn; None where it has no box (any more). `scroll`: bring it to where it is seen first."""
        if scroll:
            await self._session.send("DOM.scrollIntoViewIfNeeded", {"backendNodeId": candidate.node})
        facts: Mapping[str, Any] = {}
        if candidate.kind in _PAINTED_IN_ITS_BOX:
            facts = await self._on_element(candidate, READY, _READY_MILLISECONDS) or {}
        return await self._picture(candidate, facts)

    async def draw_moment(self, candidate: Candidate, part: float) -> DrawnPicture | None:
        """A video at a part of its length; None where it cannot be shown."""
        facts = await self._on_element(candidate, SHOW_MOMENT, part, _MOMENT_MILLISECONDS)
        if not facts or facts["at"] is None:
            return None
        return await self._picture(candidate, facts, video_seconds=float(facts["at"]))

    async def draw_viewport(self) -> DrawnPicture:
        """All that is seen at once."""
        view = await self._view()
        whole = Rectangle(x=0, y=0, width=view["clientWidth"], height=view["clientHeight"])
        return await self._take(PictureKind.VIEWPORT, whole, view)

    async def draw_together(self, box: Box) -> DrawnPicture:
        """A part of the document."""
        view = await self._view()
        seen = Rectangle(x=box.x - view["pageX"], y=box.y - view["pageY"], width=box.width, height=box.height)
        return await self._take(PictureKind.MOSAIC, seen, view)

    async def boxes(self, candidate: Candidate) -> Rectangle | None:
        """Where it is; None where it has no box."""
        try:
            model = (await self._session.send("DOM.getBoxModel", {"backendNodeId": candidate.node}))["model"]
        except CommandFailed:
            return None
        own = candidate.kind is not PictureKind.BACKGROUND
        return Rectangle.around(model["content" if own else "border"])

    async def _picture(
        self, candidate: Candidate, facts: Mapping[str, Any], *, video_seconds: float | None = None
    ) -> DrawnPicture | None:
        box = await self.boxes(candidate)
        if box is None or min(box.width, box.height) < 1:
            return None
        if facts:
            box = box.fitted(facts["width"], facts["height"], facts["fit"])
        return await self._take(candidate.kind, box, await self._view(), video_seconds)

    async def _take(
        self, kind: PictureKind, box: Rectangle, view: Mapping[str, float], video_seconds: float | None = None
    ) -> DrawnPicture:
        # The browser draws on whole pixels, and so are its edges rounded.
        left, top = round(box.x), round(box.y)
        width, height = max(1, round(box.x + box.width) - left), max(1, round(box.y + box.height) - top)
        beyond = left < 0 or top < 0 or left + width > view["clientWidth"] or top + height > view["clientHeight"]
        scale = min(1.0, math.sqrt(self._limits.max_picture_pixels / (width * height)))
        clip = {"x": left + view["pageX"], "y": top + view["pageY"], "width": width, "height": height, "scale": scale}
        taken = await self._session.send(
            "Page.captureScreenshot",
            {"format": "png", "clip": clip, "captureBeyondViewport": beyond, "optimizeForSpeed": True},
        )
        body = base64.b64decode(taken["data"])
        return DrawnPicture(kind=kind, body=body, width=width, height=height, video_seconds=video_seconds)

    async def _view(self) -> Mapping[str, float]:
        view: Mapping[str, float] = (await self._session.send("Page.getLayoutMetrics"))["cssVisualViewport"]
        return view

    async def _on_element(self, candidate: Candidate, function: str, *arguments: object) -> Any:
        world = await self._world(candidate.frame)
        node = {"backendNodeId": candidate.node, "executionContextId": world}
        found = (await self._session.send("DOM.resolveNode", node))["object"]["objectId"]
        return await self._function(function, arguments, {"objectId": found})

    async def _function(self, function: str, arguments: tuple[object, ...], where: dict[str, Any]) -> Any:
        answer = await self._session.send(
            "Runtime.callFunctionOn",
            {
                "functionDeclaration": function,
                "arguments": [{"value": one} for one in arguments],
                "awaitPromise": True,
                "returnByValue": True,
                **where,
            },
        )
        return None if "exceptionDetails" in answer else answer["result"].get("value")

    async def _world(self, frame: str) -> int:
        """Made once for each document: a navigation ends it, and the next call makes another."""
        if frame not in self._worlds:
            made = await self._session.send("Page.createIsolatedWorld", {"frameId": frame, "worldName": _WORLD})
            self._worlds[frame] = made["executionContextId"]
        return self._worlds[frame]

    def forget_worlds(self) -> None:
        """Forget the frames' worlds, since the page has navigated."""
        self._worlds.clear()
