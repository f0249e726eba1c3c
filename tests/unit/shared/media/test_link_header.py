"""`Link` headers (RFC 8288): which style sheets they name."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.looks.link_header import linked_stylesheets

BASE = "https://site.test/a/page"


@pytest.mark.parametrize(
    ("header", "urls"),
    [
        ("</x.css>; rel=stylesheet", ("https://site.test/x.css",)),
        ("<x.css>;rel=stylesheet", ("https://site.test/a/x.css",)),
        ('< //cdn.test/x.css >; type=text/css; rel = "next StyleSheet"', ("https://cdn.test/x.css",)),
        ('</a>; title="b, <c>; rel=stylesheet"; rel=next, </x.css>; rel=stylesheet', ("https://site.test/x.css",)),
        ("</x.css>; rel=stylesheet, </x.css>; rel=stylesheet", ("https://site.test/x.css",)),
        ("</x.css>; rel=preload; as=style", ()),
        ("</x.css>; rel=stylesheets", ()),
        ("<http://[>; rel=stylesheet, <data:text/css,a>; rel=stylesheet", ()),
        ("</x.css; rel=stylesheet", ()),
        ("", ()),
    ],
)
def test_what_it_names(header: str, urls: tuple[str, ...]) -> None:
    assert linked_stylesheets(header, BASE) == urls


@given(st.text(alphabet='<>;,="\\ rel/stylesheet', max_size=200))
def test_nothing_is_raised(header: str) -> None:
    linked_stylesheets(header, BASE)


@pytest.mark.parametrize("piece", ["<", '<a>;"', "<a>;", "<a>; rel=", "<a>;rel=stylesheet,", '<a>;rel="'])
def test_it_takes_no_long(piece: str) -> None:
    header = piece * (8192 // len(piece))
    began = time.thread_time()
    linked_stylesheets(header, BASE)
    assert time.thread_time() - began < 0.1
