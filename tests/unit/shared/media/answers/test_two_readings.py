"""A URL that browsers and Python's own parser read otherwise: what is asked of it raises nothing, and stays at the host fetched."""

from __future__ import annotations

import pytest

from shared.media.answers.expiry import expires_at, has_expired
from shared.media.answers.missing import answer_shape, impossible_url, root_url
from shared.media.answers.obstacles import Obstacle, of_redirect
from shared.media.looks.referer import origin_of, referer_for
from shared.urls import parse_url, split_url
from tests.hostile_records import NOW

URLS = [
    "https://a.example\\x]/y.jpg",
    "https://a.example\\[x/y.jpg?ex=1",
    "https://a.example\\@b.example/y.jpg",
    "https:a.example/y.jpg",
    "https:\\\\a.example\\y\\z.jpg",
    "  https://a.exa\tmple/y.jpg\n",
    "https://A.Example:443/y.jpg#z]",
    "https://a.example?x=[",
    "https://a.example:00443/[y].jpg",
    "https://a.example/\ud800.jpg".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
]


@pytest.mark.parametrize("url", URLS)
def test_every_question_about_it_is_answered(url: str) -> None:
    host = "a.example"
    assert split_url(url).hostname == host
    assert origin_of(url) == root_url(url) == f"https://{host}/"
    assert parse_url(impossible_url(url, "n0nce")).host == host
    assert referer_for(url, "https://page.example/x") == "https://page.example/"
    assert referer_for("https://b.example/", url) == f"https://{host}/"
    assert of_redirect(url, "https://a.example/login") is Obstacle.LOGIN
    assert of_redirect("https://a.example/x", url) is None
    assert not has_expired(url, NOW)
    assert answer_shape(asked_url=url, final_url="https://a.example/gone", status=200, kind="page").status == 200


@pytest.mark.parametrize(
    "text",
    ["", "x", "http://", "http://[", "https://a.example:x/", "https://256.256.256.256/", "ftp://a.example/", "data:,x"],
)
def test_what_is_no_url_has_no_parts(text: str) -> None:
    assert split_url(text).netloc == ""
    assert expires_at(text) is None
    assert referer_for("https://a.example/", text) is None


def test_what_expires_is_read_where_the_parsers_differ() -> None:
    assert has_expired("https://a.example\\x]?Expires=1700000000", NOW)
