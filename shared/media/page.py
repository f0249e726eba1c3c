"""Finding media in an HTML page: what a browser would show of pictures. Read, never rendered; no script runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html.parser import HTMLParser

from shared.urls import BadUrl, parse_url

MAX_PAGE_CHARACTERS = 5_000_000
"""The parser is slow Python: what comes after is not looked at."""
MAX_CANDIDATES = 5_000

_PICTURE_META = frozenset(
    ("og:image", "og:image:url", "og:image:secure_url", "twitter:image", "twitter:image:src", "thumbnail", "image")
)
_LAZY = ("data-src", "data-original", "data-lazy-src", "data-full", "data-large", "data-image")
"""Where galleries keep the true picture until it is scrolled to."""
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_DECLARED = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_DESCRIPTOR = re.compile(r"^(\d+(?:\.\d+)?)([wx])$")
_PICTURE_LINK = re.compile(r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif)$", re.IGNORECASE)


def is_page(body: bytes, content_type: str | None) -> bool:
    """True for HTML: by its type, or without one by its first bytes. A picture sent as `text/html` is not a page."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    start = body[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    looks_html = start.startswith(
        (b"<!doctype", b"<html", b"<head", b"<body", b"<!--", b"<meta", b"<title", b"<script")
    )
    if looks_html:
        return True
    return essence in ("text/html", "application/xhtml+xml") and start.startswith(b"<")


def find_media(body: bytes, content_type: str | None, base_url: str, limit: int = 50) -> tuple[str, ...]:
    """Absolute URLs of the pictures on a page, each once, the most telling first, at most `limit`.

    `og:image` and its like, then `img` (the largest of `srcset`), `picture` sources, `video` posters, links to picture
    files. URLs that nobody can fetch (`data:`, `javascript:`, malformed) are left out.
    """
    finder = _Finder()
    try:
        finder.feed(_text(body, content_type)[:MAX_PAGE_CHARACTERS])
        finder.close()
    except (AssertionError, _Enough):
        pass  # html.parser asserts on some broken declarations; what was found until then counts
    base = _resolved(finder.base, base_url) or base_url
    ordered = (*finder.meta, *finder.shown, *finder.linked)
    found: dict[str, None] = {}
    for reference in ordered:
        url = _resolved(reference, base)
        if url is not None:
            found.setdefault(url)
        if len(found) >= limit:
            break
    return tuple(found)


class _Enough(Exception):
    pass


class _Finder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base: str | None = None
        self.meta: list[str] = []
        self.shown: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in reversed(attrs) if value}  # of a repeated attribute the first counts
        match tag:
            case "base":
                self.base = self.base or values.get("href")
            case "meta":
                name = (values.get("property") or values.get("name") or values.get("itemprop") or "").lower()
                if name in _PICTURE_META:
                    self.meta += _given(values, ("content",))
            case "link":
                relations = values.get("rel", "").lower().split()
                if "image_src" in relations or ("preload" in relations and values.get("as") == "image"):
                    self.meta += _given(values, ("href",))
            case "img" | "source" | "amp-img":
                self.shown += _given(values, _LAZY) if tag != "source" else ()
                self.shown += _largest(values.get("srcset") or values.get("data-srcset") or "")
                if tag != "source":
                    self.shown += _given(values, ("src",))
            case "input" if values.get("type", "").lower() == "image":
                self.shown += _given(values, ("src",))
            case "video":
                self.shown += _given(values, ("poster",))
            case "image":  # in SVG
                self.shown += _given(values, ("href", "xlink:href"))
            case "a":
                link = values.get("href", "")
                if _PICTURE_LINK.search(link.partition("?")[0].partition("#")[0]):
                    self.linked.append(link)
        if len(self.meta) + len(self.shown) + len(self.linked) > MAX_CANDIDATES:
            raise _Enough


def _given(values: dict[str, str], names: Iterable[str]) -> list[str]:
    return [values[name] for name in names if name in values]


def _largest(srcset: str) -> list[str]:
    """The candidate of a `srcset` with the greatest width or density; none means 1x (HTML, 4.8.4.2.1)."""
    best: tuple[float, str] | None = None
    for candidate in re.split(r",\s+|,(?=https?:|/)", srcset):
        url, *descriptors = candidate.strip().strip(",").split() or [""]
        if not url:
            continue
        sizes = [float(match[1]) for match in map(_DESCRIPTOR.match, descriptors) if match]
        size = sizes[0] if sizes else 1.0
        if best is None or size > best[0]:
            best = (size, url)
    return [best[1]] if best else []


def _resolved(reference: str | None, base: str) -> str | None:
    if not reference:
        return None
    try:
        return parse_url(reference.strip(), base=base).href
    except BadUrl:
        return None


def _text(body: bytes, content_type: str | None) -> str:
    declared = _CHARSET.search(content_type or "")
    inside = _DECLARED.search(body[:2048])
    for name in (declared and declared[1], inside and inside[1].decode("ascii", "replace")):
        if name:
            try:
                return body.decode(name, "replace")
            except LookupError:
                continue
    return body.decode("utf-8", "replace")
