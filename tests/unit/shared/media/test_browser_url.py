"""What a browser is sent to: the standard's serialisation, its fragment with it."""

from __future__ import annotations

import pytest

from shared.urls import BadUrl, href_with_fragment, parse_url


@pytest.mark.parametrize(
    ("url", "href"),
    [
        ("https://Site.Test/#/album/3", "https://site.test/#/album/3"),
        ("https://site.test:443/a/../b?x#!y z", "https://site.test/b?x#!y%20z"),
        ("https://site.test/a#", "https://site.test/a#"),
        ("https://site.test/a", "https://site.test/a"),
    ],
)
def test_the_fragment_stays(url: str, href: str) -> None:
    assert href_with_fragment(url) == href
    assert parse_url(url).href == href.partition("#")[0]


@pytest.mark.parametrize(
    "url", ["javascript:1#/a", "https://u:p@site.test/#a", "https://site.test/#" + "\u00e9" * 8_000, "x"]
)
def test_what_nobody_is_sent_to(url: str) -> None:
    with pytest.raises(BadUrl):
        href_with_fragment(url)
