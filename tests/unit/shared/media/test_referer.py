"""What a browser says of where it comes from, and drawings that show no photograph."""

from __future__ import annotations

import pytest

from shared.media.formats.drawing import is_plain_drawing
from shared.media.looks.referer import origin_of, referer_for


@pytest.mark.parametrize(
    ("page", "asked", "referer"),
    [
        ("https://a.test/p?q=1#f", "https://a.test/x.jpg", "https://a.test/p?q=1"),
        ("https://a.test/p?q=1", "https://b.test/x.jpg", "https://a.test/"),
        ("http://a.test/p", "https://a.test/x.jpg", "http://a.test/"),
        ("https://a.test/p", "http://a.test/x.jpg", None),
        ("http://a.test/p", "http://a.test:81/x.jpg", "http://a.test/"),
    ],
)
def test_referer(page: str, asked: str, referer: str | None) -> None:
    assert referer_for(asked, page) == referer
    assert origin_of("https://a.test/p?q#f") == "https://a.test/"


def test_drawings() -> None:
    path = b"<svg xmlns='http://www.w3.org/2000/svg'><path fill='url(#g)' d='M0 0h9'/></svg>"
    assert is_plain_drawing(path)
    for more in (
        b"<image href='/x.jpg'/>",
        b"<s:image href='/x.jpg'/>",
        b"<foreignObject/>",
        b"<script>1</script>",
        b"<path fill='url(/x.svg)'/>",
        b"<style>a{background:url(data:x)}</style>",
        b"<use href='/y.svg#a'/>",
        b"<path d='" + b"1 " * 9_000 + b"'/>",
    ):
        assert not is_plain_drawing(path.replace(b"</svg>", more + b"</svg>")), more[:30]
