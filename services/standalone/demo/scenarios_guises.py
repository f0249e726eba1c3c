"""The scenarios in which the picture comes in another guise: within a border, in a collage, put back with a caption."""

from __future__ import annotations

from services.standalone.demo import sites
from services.standalone.demo.pictures import Pixels, bordered, captioned, collage, draw, encode
from services.standalone.demo.scenario import DemoTarget, End, FoundTakedown, Scenario
from services.standalone.demo.sites import Site
from services.standalone.demo.targets import REMOVED, one, with_pictures


def in_border(seed: int) -> Scenario:
    pixels = draw(seed)
    return _reported("bordered", "shows a copy with a border; the page's URL is reported", pixels, bordered(pixels))


def in_collage(seed: int) -> Scenario:
    pixels = draw(seed)
    tiles = [draw(seed + 500), draw(seed + 600), pixels, draw(seed + 700)]
    return _reported("collage", "shows it among three others; the page's URL is reported", pixels, collage(tiles))


def _reported(name: str, story: str, original: Pixels, shown: Pixels) -> Scenario:
    target = DemoTarget(
        path="/pictures/1.jpg",
        copy=encode(shown, "JPEG"),
        end=REMOVED,
        found=FoundTakedown.REPORTED,
        page="/post/1",
    )
    site = with_pictures(Site(name=name), (target,))
    site.pages["/post/1"] = (
        '<html><head><title>post</title></head><body><p>hello</p><img src="/pictures/1.jpg"></body></html>'
    )
    return Scenario(name=name, story=story, site=site, original=encode(original, "PNG"), targets=(target,))


def put_back(seed: int) -> Scenario:
    """Before checks looked into pictures it ended `removed (replaced)`."""
    pixels = draw(seed)
    targets = one(pixels, End(state="unremoved", task="ladder_exhausted"))
    swapper = sites.Swapper(name="put-back", provider=None, other=encode(captioned(pixels), "JPEG"))
    return Scenario(
        name="put-back",
        story="says removed; puts the same picture back with a caption: it stays open",
        site=with_pictures(swapper, targets),
        original=encode(pixels, "PNG"),
        targets=targets,
        site_may_hear=frozenset({"demand.reminded", "demand.still_present"}),
    )


ALL = (in_border, in_collage, put_back)
