"""Finding pictures in pages."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.media.html_media import is_page, read_page

BASE = "https://site.example/gallery/page.html?x=1"


def find_media(body: bytes, content_type: str | None, base_url: str, limit: int = 50) -> tuple[str, ...]:
    return tuple(one.url for one in read_page(body, content_type, base_url).most_telling(limit))


def found(html: str, **more: int) -> tuple[str, ...]:
    return find_media(html.encode(), "text/html; charset=utf-8", BASE, **more)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="a.jpg">', ["gallery/a.jpg"]),
        ("<IMG SRC='/a.jpg'/>", ["a.jpg"]),
        ("<img src=a.jpg>", ["gallery/a.jpg"]),
        ('<img src="a.jpg?w=1&amp;h=2">', ["gallery/a.jpg?w=1&h=2"]),
        ('<img src=" a b.jpg ">', ["gallery/a%20b.jpg"]),
        (
            '<img src="s.jpg" srcset="m.jpg 640w, l.jpg 1280w, t.jpg 100w">',
            ["gallery/l.jpg", "gallery/s.jpg", "gallery/m.jpg", "gallery/t.jpg"],
        ),
        ('<img srcset="a.jpg, b.jpg 2x,\n c.jpg 1.5x">', ["gallery/b.jpg", "gallery/c.jpg", "gallery/a.jpg"]),
        ('<img srcset="/i/a,b.jpg 1x">', ["i/a,b.jpg"]),
        ('<img src="blank.gif" data-src="true.jpg">', ["gallery/true.jpg", "gallery/blank.gif"]),
        (
            '<picture><source srcset="a.avif 1x, b.avif 2x"><img src="a.jpg"></picture>',
            ["gallery/b.avif", "gallery/a.jpg", "gallery/a.avif"],
        ),
        ('<video poster="p.jpg"><source src="v.mp4"></video>', ["gallery/p.jpg", "gallery/v.mp4"]),
        ('<img src="a.jpg"><meta property="og:image" content="/og.jpg">', ["og.jpg", "gallery/a.jpg"]),
        (
            '<meta name="twitter:image" content="t.jpg"><link rel="image_src" href="l.jpg">',
            ["gallery/t.jpg", "gallery/l.jpg"],
        ),
        (
            '<a href="full.JPG?x#y"><img src="thumb.jpg"></a><a href="other.html">',
            ["gallery/thumb.jpg", "gallery/full.JPG?x"],
        ),
        ('<base href="/deep/"><img src="a.jpg"><base href="/no/">', ["deep/a.jpg"]),
        ('<base href="data:,x"><img src="a.jpg">', ["gallery/a.jpg"]),
        ('<img src="a.jpg"><img src="./a.jpg#x">', ["gallery/a.jpg"]),
        ('<input type="image" src="i.png"><input src="no.png">', ["gallery/i.png"]),
        ("<img src><img><img src=''>", []),
        ('<img src="data:image/png;base64,AA"><img src="javascript:x"><img src="http://"><img src="blob:x">', []),
        ("<script>document.write('<img src=no.jpg>')</script><!-- <img src=no.jpg> -->", []),
        ("<noscript><img src=a.jpg></noscript>", ["gallery/a.jpg"]),
        ("<img src=a.jpg", []),
    ],
)
def test_what_a_page_shows(html: str, expected: list[str]) -> None:
    assert found(html) == tuple(f"https://site.example/{path}" for path in expected)


def test_each_once_and_no_more_than_the_limit() -> None:
    html = "".join(f"<img src={number}.jpg><img src={number}.jpg>" for number in range(200))
    assert len(found(html)) == 50
    assert found(html, limit=3) == tuple(f"https://site.example/gallery/{number}.jpg" for number in range(3))
    assert len(found("<img src=a.jpg>" * 20_000)) == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('<meta charset="windows-1251"><img src="ж.jpg">'.encode("cp1251"), "text/html"),
        ('<img src="ж.jpg">'.encode("cp1251"), 'text/html; charset="windows-1251"'),
        ('<img src="ж.jpg">'.encode(), "text/html; charset=nonsense"),
        ('<img src="ж.jpg">'.encode(), None),
    ],
)
def test_the_charset_is_heeded(body: bytes, content_type: str | None) -> None:
    assert find_media(body, content_type, BASE) == ("https://site.example/gallery/%D0%B6.jpg",)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text(alphabet="<>!?/-='\" imgsrcet[CDATA]a.:&#x;", max_size=80).map(str.encode))
def test_no_page_breaks_it(body: bytes) -> None:
    for url in find_media(body, "text/html", BASE):
        assert url.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("body", "content_type", "page"),
    [
        (b"<!DOCTYPE html><p>", "text/html", True),
        (b"\xef\xbb\xbf\n<html>", None, True),
        (b"<div><img src=a></div>", "text/html; charset=utf-8", True),
        (b"<!doctype html>", "image/jpeg", True),
        (b"\xff\xd8\xff\xe0", "text/html", False),
        (b"\x89PNG", "image/png", False),
        (b"", "text/html", False),
        (b"plain", "text/plain", False),
    ],
)
def test_pages_are_told_from_pictures(body: bytes, content_type: str | None, page: bool) -> None:
    assert is_page(body, content_type) is page
