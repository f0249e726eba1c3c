"""Copies of a picture, as a site has them: what most scenarios are made of."""

from __future__ import annotations

from services.standalone.demo.pictures import Pixels, encode, resized
from services.standalone.demo.scenario import DemoTarget, End, FoundTakedown
from services.standalone.demo.sites import Site

REMOVED = End(state="removed", reason="gone")


def copies(pixels: Pixels, end: End) -> tuple[DemoTarget, ...]:
    """The same picture as it travels: re-encoded, smaller, in another format."""
    return (
        DemoTarget(path="/m/1.jpg", copy=encode(pixels, "JPEG", quality=60), end=end),
        DemoTarget(path="/m/2.webp", copy=encode(resized(pixels, 0.6), "WEBP", quality=75), end=end),
        DemoTarget(path="/m/3.png", copy=encode(resized(pixels, 0.8), "PNG"), end=end),
    )


def one(
    pixels: Pixels,
    end: End,
    *,
    found: FoundTakedown = FoundTakedown.SIGHTED,
    page: str | None = None,
    without_browser: End | None = None,
) -> tuple[DemoTarget, ...]:
    """One copy, `page`: on this page."""
    copy = encode(pixels, "JPEG", quality=70)
    return (DemoTarget(path="/m/1.jpg", copy=copy, end=end, found=found, page=page, without_browser=without_browser),)


def with_pictures(site: Site, targets: tuple[DemoTarget, ...]) -> Site:
    """The site, which serves what the targets show."""
    site.pictures.update({target.path: target.copy for target in targets if target.copy is not None})
    return site
