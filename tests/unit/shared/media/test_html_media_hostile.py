"""Pages made to harm their reader: it raises nothing, takes time in proportion to the page, and gives bounded results."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import turbohtml
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.media.html import contents as limits
from shared.media.html.contents import (
    InlineMedia,
    MediaKind,
    MediaPlace,
    PageContents,
    PageSigns,
    ReferencedMedia,
    from_json,
    to_json,
)
from shared.media.html.css import css_urls
from shared.media.html.elements import refresh_target
from shared.media.html.names import files_named_in, kind_of
from shared.media.html.script_data import read_script
from shared.media.html.srcset import candidates
from shared.media.html_media import is_page, read_page

DATA = Path(__file__).parents[3] / "data" / "html"
PAGE = "https://site.test/gallery/page.html"

PIECES = st.sampled_from(
    [
        "<img",
        "src=/a.jpg>",
        "<img",
        "srcset='/b",
        "1x,/c",
        "2x'>",
        "<a",
        "href=x.mp4>",
        "<svg>",
        "</svg>",
        "<math>",
        "<title>",
        "</title>",
        "<style>",
        "</style>",
        "<script>",
        "</script>",
        "<noscript>",
        "</noscript>",
        "<template>",
        "</template>",
        "<table>",
        "<td>",
        "<select>",
        "<p>",
        "</p>",
        "<b>",
        "</b>",
        "<video",
        "src=/v>",
        "<source",
        "src=/s>",
        "</video>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<foreignObject>",
        "<desc>",
        "<textarea>",
        "</textarea>",
        "<iframe",
        "srcdoc='",
        "</iframe>",
        "<base",
        "href=/d/>",
        "<meta",
        "http-equiv=refresh",
        "content='0;/r'>",
        "url(",
        "'",
        '"',
        ">",
        "<",
        "=",
        "&",
        "\\",
        "{",
        "}",
        ";",
        "/*",
        "data:image/png;base64,AA==",
        "\x00",
        "<frameset>",
        "<plaintext>",
        "<xmp>",
        "</xmp>",
        "<image",
        "href=/i>",
        "<object",
        "data=/o>",
        "<li",
        "data-x='{&quot;src&quot;:&quot;/z.jpg&quot;}'>",
        "x",
        "y",
    ]
)
HTML = st.lists(PIECES, max_size=30).map(" ".join)


def read(html: str | bytes) -> PageContents:
    return read_page(html if isinstance(html, bytes) else html.encode("utf-8", "replace"), "text/html", PAGE)


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))
    | HTML.map(str.encode)
)
def test_no_page_breaks_the_reader(body: bytes) -> None:
    for content_type in ("text/html", "text/html; charset=utf-16", "text/css", None):
        contents = read_page(body, content_type, PAGE)
        urls = [*(one.url for one in contents.media), *contents.frames, *contents.stylesheets]
        assert all(url.startswith(("http://", "https://")) for url in urls)
        assert len(urls) == len(set(urls)) or contents.frames
        assert from_json(json.loads(json.dumps(to_json(contents)))) == contents
        is_page(body, content_type)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100))
def test_no_text_breaks_a_part(text: str) -> None:
    css_urls(text)
    candidates(text)
    list(files_named_in(text))
    kind_of(text)
    refresh_target(text)
    for data in (True, False):
        read_script(text, data=data, limit=10)


@settings(max_examples=500, deadline=None)
@given(HTML)
def test_what_a_tree_of_the_page_draws_is_found(html: str) -> None:
    """The standard's own tree, of another part of the library: each `img` in it is found among the tokens."""
    drawn = {str(image.attrs.get("src")) for image in turbohtml.parse(html).find_all("img") if image.attrs.get("src")}
    found = {one.url for one in read(html).media}
    for source in drawn:
        assert any(url.endswith(source) for url in found), source


QUADRATIC: dict[str, Callable[[int], str]] = {
    "tags": lambda n: "<a " * (n // 3),
    "comments": lambda n: "<!--" * (n // 4),
    "declarations": lambda n: "<![" * (n // 3),
    "sections": lambda n: "<svg>" + "<![CDATA[" * (n // 9),
    "nested": lambda n: "<div>" * (n // 5),
    "formatting": lambda n: "".join(f"<b {i}>" for i in range(n // 20)) + "x</b>" * (n // 10),
    "adopted": lambda n: "<p><a href='" + "A" * (n // 5) + "'>" + "<p>a" * (n // 5),
    "attributes": lambda n: "<a " + " ".join(f"a{i}=1" for i in range(n // 8)) + ">",
    "options": lambda n: "<select>" + "<option>x" * (n // 9),
    "svg": lambda n: "<svg><style>" * (n // 12),
    "noscript": lambda n: "<noscript>" * (n // 10),
    "templates": lambda n: "<template>" * (n // 10),
    "srcset": lambda n: "<img srcset='" + "a(" * (n // 2) + "'>",
    "commas": lambda n: "<img srcset='" + ",a 1x" * (n // 5) + "'>",
    "one srcset": lambda n: "<img srcset='" + "," * n + "'>",
    "css": lambda n: "<style>" + "a{background:url(" * (n // 17) + "</style>",
    "braces": lambda n: "<style>@" + "{" * n + "</style>",
    "escapes": lambda n: "<p style='url(" + "\\" * n + "'>",
    "styles": lambda n: "<p style='a:url(/b)'>" * (n // 21),
    "json": lambda n: "<script type=application/json>" + "[" * n + "</script>",
    "json text": lambda n: '<script type=application/json>["' + "a.jpg," * (n // 6) + '"]</script>',
    "json digits": lambda n: "<script type=application/json>" + "9" * n + "</script>",
    "json html": lambda n: "<script type=application/json>[" + '"<b>",' * (n // 6) + '"<"]</script>',
    "names": lambda n: "<script>" + ".jpg" * (n // 4) + "</script>",
    "quoted": lambda n: "<script>" + "'a.jpg'," * (n // 8) + "</script>",
    "locations": lambda n: "<script>" + "location='" * (n // 10) + "</script>",
    "script data": lambda n: "<script>" + "<!--<script>" * (n // 12) + "</script>",
    "frames": lambda n: "<iframe srcdoc=x>" * (n // 17),
    "srcdoc": lambda n: "<iframe srcdoc='" + "<b>" * (n // 3) + "'></iframe>",
    "media": lambda n: "".join(f"<img src={i}>" for i in range(n // 14)),
    "bases": lambda n: "<template>" + "<base href=x>" * (n // 13),
    "inline": lambda n: "".join(f"<img src='data:,{i}'>" for i in range(n // 20)),
    "percent": lambda n: "<img src='data:," + "%" * n + "'>",
    "refresh": lambda n: "<meta http-equiv=refresh content='" + " ;" * (n // 2) + "'>",
    "links": lambda n: "<a href='x" + ".jpg:" * (n // 5) + "'>",
    "query": lambda n: "<a href='x?" + ".jpg:&" * (n // 6) + "'>" * 3,
    "markers": lambda n: "<p class='" + "age-verif" * (n // 9) + "'>",
    "charset": lambda n: "<meta charset" * (n // 13),
    "text": lambda n: "a " * (n // 2),
    "entities": lambda n: "&CounterClockwiseContourIntegra" * (n // 31),
    "data attributes": lambda n: "<p data-a='" + '"x.jpg,' * (n // 7) + "'>",
}


@pytest.mark.parametrize("shape", QUADRATIC)
def test_time_grows_with_the_page(shape: str) -> None:
    """Eight times the page in at most twenty times the processor time, and no page of 800 kB beyond some seconds."""
    small, large = (_seconds(QUADRATIC[shape](characters)) for characters in (100_000, 800_000))
    assert large < max(20 * small, 0.5), (small, large)
    assert large < 5, large


@pytest.mark.parametrize("name", ["quadratic-a-21kB.html", "quadratic-comment-50kB.html"])
def test_pages_that_once_held_the_loop_are_read_at_once(name: str) -> None:
    assert _seconds((DATA / name).read_text()) < 0.5


def _seconds(html: str) -> float:
    body = html.encode()
    began = time.process_time()
    read_page(body, "text/html", PAGE)
    return time.process_time() - began


@pytest.mark.parametrize(
    "html",
    [
        "".join(f"<img src={number}>" for number in range(limits.MAX_MEDIA + 1)),
        "".join(f"<iframe src={number}></iframe>" for number in range(limits.MAX_FRAMES + 1)),
        "".join(f"<img src='data:,{number}'>" for number in range(limits.MAX_INLINE + 1)),
        "".join(f"<link rel=stylesheet href={number}>" for number in range(limits.MAX_STYLESHEETS + 1)),
        f"<img src=/{'x' * 5_000}>",
        "<svg><title>" * 6 + "<img src=/a>",
        "<style>url(a)" + " " * 1_000_001 + "</style>",
    ],
)
def test_what_is_left_out_is_said(html: str) -> None:
    contents = read(html)
    assert not contents.whole
    assert len(contents.media) <= limits.MAX_MEDIA
    assert len(contents.inline) <= limits.MAX_INLINE


def test_a_page_too_long_is_read_as_far_as_it_goes() -> None:
    contents = read("<img src=/a>" + " " * 10_000_000 + "<img src=/b>")
    assert [one.url for one in contents.media] == ["https://site.test/a"]
    assert not contents.whole


FULL = PageContents(
    media=(
        ReferencedMedia(
            url="https://a.test/p", kind=MediaKind.PICTURE, place=MediaPlace.SHOWN, poster_of=("https://a.test/v",)
        ),
    ),
    inline=(
        InlineMedia(body=b"\0\xff", content_type="image/png", kind=MediaKind.PICTURE),
        InlineMedia(body=b"x" * 10, content_type="a/b", kind=MediaKind.UNKNOWN, poster_of=()),
    ),
    frames=("https://a.test/f",),
    refresh_url="https://a.test/r",
    stylesheets=("https://a.test/s",),
    signs=PageSigns(title="t", scripts=1, markers=("login",)),
    whole=False,
)


def _forged() -> Iterator[Any]:
    yield None
    yield []
    yield {}
    for path, value in (
        (("media", 0, "url"), "javascript:alert(1)"),
        (("media", 0, "url"), "https://a.test/" + "x" * 5_000),
        (("media", 0, "kind"), "command"),
        (("media", 0, "poster_of", 0), "file:///etc/passwd"),
        (("media",), [to_json(FULL)["media"][0]] * (limits.MAX_MEDIA + 1)),
        (("inline", 0, "body"), "%%%"),
        (("inline", 0, "body"), 7),
        (("refresh_url",), "data:,x"),
        (("frames", 0), "ftp://a.test/"),
        (("signs", "scripts"), "many"),
        (("whole",), "perhaps"),
    ):
        fields: Any = json.loads(json.dumps(to_json(FULL)))
        holder = fields
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = value
        yield fields


def test_contents_survive_the_way_between_processes() -> None:
    assert from_json(json.loads(json.dumps(to_json(FULL)))) == FULL


@pytest.mark.parametrize("fields", list(_forged()))
def test_what_is_no_contents_is_refused(fields: Any) -> None:
    with pytest.raises(ValueError, match="no page contents"):
        from_json(fields)
