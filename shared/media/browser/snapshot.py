"""What a page shows, read from Chromium's own snapshot of it: pure.

`DOMSnapshot.captureSnapshot` (Chrome DevTools Protocol) is written by the browser, not by a script in the page: a page cannot
lie to it, and closed shadow trees, frames and `::before` are in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.media.browser.look import PictureKind
from shared.media.browser.mosaics import MAX_PIECES, Box, mosaics_of
from shared.media.html.data_urls import is_data_url

STYLES = (
    "visibility",
    "background-image",
    "border-image-source",
    "list-style-image",
    "mask-image",
    "content",
    "box-shadow",
)
"""The computed styles that the snapshot is asked for, in this order."""
_PICTURE_STYLES = slice(1, 6)
_PAINTED_SHADOW = 3000
"""A `box-shadow` (or gradient) of so many characters is a painting."""
_ELEMENTS = {
    "IMG": PictureKind.IMAGE,
    "IMAGE": PictureKind.IMAGE,
    "CANVAS": PictureKind.CANVAS,
    "SVG": PictureKind.SVG,
    "VIDEO": PictureKind.VIDEO,
    "OBJECT": PictureKind.EMBEDDED,
    "EMBED": PictureKind.EMBEDDED,
}
_QUOTED_URL = re.compile(r'url\("([^"\\]*)"\)')
_FRAMES = ("IFRAME", "FRAME", "FENCEDFRAME")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An element that shows a picture. `source` tells it from itself with another picture in it."""

    kind: PictureKind
    node: int
    """Its backend node id."""
    frame: str
    """The id of its frame."""
    area: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSnapshot:
    """`frames`: the ids of all whose structure is here. `unread_frames`: shown, but not read. `inline`: the `data:` URLs of pictures whose
    box is no icon's, which no request asked for: what a small frame cuts off is whole there. `mosaics`: what elements of the page itself
    (not of its frames) make together; `many_pieces`: there are too many to say."""

    candidates: tuple[Candidate, ...]
    frames: tuple[str, ...]
    unread_frames: int
    password_field: bool
    inline: tuple[str, ...] = ()
    mosaics: tuple[DrawnTogether, ...] = ()
    many_pieces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnTogether:
    """A picture made of pieces, where it lies. `source`: what its pieces show, in their order."""

    box: Box
    source: str


def read_snapshot(snapshot: Mapping[str, Any], *, min_side: int) -> PageSnapshot:
    """The candidates in the order of the documents. A snapshot of another shape raises KeyError, IndexError or TypeError."""
    strings: Sequence[str] = snapshot["strings"]
    documents = snapshot["documents"]
    candidates: list[Candidate] = []
    inline: dict[str, None] = {}
    pieces: list[tuple[Box, str]] = []
    unread, password = 0, False
    for document in documents:
        for element in _elements(document, strings):
            if element.hidden or min(element.width, element.height) <= 0:
                continue
            if element.name == "INPUT" and element.attribute("type").lower() == "password":
                password = True
            small = min(element.width, element.height) < min_side
            if element.name in _FRAMES and not element.has_document and not small:
                unread += 1
            kind = _kind(element)
            if kind is not None and document is documents[0]:
                pieces.append((element.box, element.source))
            if kind is not None and not small:
                inline |= dict.fromkeys(element.inline)
            if kind is not None and not (small and len(element.styles[-1]) < _PAINTED_SHADOW):
                candidates.append(
                    Candidate(
                        kind=kind,
                        node=element.node,
                        frame=strings[document["frameId"]],
                        area=element.width * element.height,
                        source=element.source,
                    )
                )
    return PageSnapshot(
        candidates=tuple(candidates),
        frames=tuple(strings[document["frameId"]] for document in documents),
        unread_frames=unread,
        password_field=password,
        inline=tuple(inline),
        mosaics=_together(pieces[:MAX_PIECES]),
        many_pieces=len(pieces) > MAX_PIECES,
    )


def _together(pieces: Sequence[tuple[Box, str]]) -> tuple[DrawnTogether, ...]:
    made = mosaics_of([box for box, _ in pieces])
    return tuple(DrawnTogether(box=one.box, source="\n".join(pieces[place][1] for place in one.pieces)) for one in made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Element:
    name: str
    node: int
    attributes: tuple[str, ...]
    current: str
    has_document: bool
    styles: tuple[str, ...]
    box: Box

    @property
    def width(self) -> float:
        return self.box.width

    @property
    def height(self) -> float:
        return self.box.height

    @property
    def hidden(self) -> bool:
        return self.styles[0] != "visible"

    @property
    def source(self) -> str:
        return self.current or "".join(self.styles[_PICTURE_STYLES]) or self.attribute("src")

    @property
    def inline(self) -> list[str]:
        """The `data:` URLs of its pictures. A computed style quotes its URLs."""
        sources = [self.current or self.attribute("src") or self.attribute("href") or self.attribute("data")]
        for style in self.styles[_PICTURE_STYLES]:
            sources += _QUOTED_URL.findall(style)
        return [source for source in sources if is_data_url(source)]

    def attribute(self, name: str) -> str:
        return next(
            (self.attributes[at + 1] for at in range(0, len(self.attributes) - 1, 2) if self.attributes[at] == name), ""
        )


def _kind(element: _Element) -> PictureKind | None:
    kind = _ELEMENTS.get(element.name)
    if kind is not None:
        return kind
    if element.name == "INPUT" and element.attribute("type").lower() == "image":
        return PictureKind.IMAGE
    if any("url(" in style or len(style) > _PAINTED_SHADOW for style in element.styles[1:]):
        return PictureKind.BACKGROUND
    return None


def _elements(document: Mapping[str, Any], strings: Sequence[str]) -> Iterator[_Element]:
    """The elements that have a box (pseudo-elements too)."""
    nodes, layout = document["nodes"], document["layout"]
    current = dict(zip(nodes["currentSourceURL"]["index"], nodes["currentSourceURL"]["value"], strict=True))
    with_document = set(nodes["contentDocumentIndex"]["index"])
    for place, index in enumerate(layout["nodeIndex"]):
        styles = tuple(strings[style] if style >= 0 else "" for style in layout["styles"][place])
        if len(styles) != len(STYLES):
            continue  # a piece of text
        x, y, width, height = layout["bounds"][place]
        yield _Element(
            name=strings[nodes["nodeName"][index]].upper().rpartition(":")[2],  # `<s:image>` in XML
            node=nodes["backendNodeId"][index],
            attributes=tuple(strings[one] if one >= 0 else "" for one in nodes["attributes"][index]),
            current=strings[current[index]] if index in current else "",
            has_document=index in with_document,
            styles=styles,
            box=Box(x=x, y=y, width=width, height=height),
        )
