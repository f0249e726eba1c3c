"""A page's URL and how the tests read its media."""

from __future__ import annotations

from pathlib import Path

from shared.media.html.contents import PageContents
from shared.media.html_media import read_page

DATA = Path(__file__).parents[3] / "data" / "html"
PAGE = "https://site.test/gallery/page.html?x=1"


def read(html: str) -> PageContents:
    return read_page(html.encode(), "text/html; charset=utf-8", PAGE)
