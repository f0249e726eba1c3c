"""The site's own answer to what there is not."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.answers.missing import AnswerShape, alike, answer_shape, impossible_url, is_missing_answer, root_url

URL = "http://site.test/i/x123.jpg"
NONCE = "0f3a9c77d1e24b68"
OTHER_URL = impossible_url(URL, NONCE)


def shape(url: str, text: str, *, final_url: str | None = None, status: int = 200, title: str = "") -> AnswerShape:
    return answer_shape(
        asked_url=url,
        final_url=url if final_url is None else final_url,
        status=status,
        kind="page",
        title=title,
        text=text,
        text_characters=len(text),
    )


@pytest.mark.parametrize(
    ("url", "impossible"),
    [
        (URL, f"http://site.test/i/{NONCE}.jpg"),
        ("http://site.test/i/x123.jpg?sig=1#a", f"http://site.test/i/{NONCE}.jpg"),
        ("http://site.test/view.php?id=7&b=2", f"http://site.test/view.php?id={NONCE}&b={NONCE}"),
        ("http://site.test/view?id=7", f"http://site.test/view?id={NONCE}"),
        ("http://site.test/?p=7", f"http://site.test/?p={NONCE}"),
        ("http://site.test/a/b", f"http://site.test/a/{NONCE}"),
        ("http://site.test", f"http://site.test/{NONCE}"),
        ("http://site.test/a/b/", f"http://site.test/a/b/{NONCE}"),
        ("http://site.test/.well", f"http://site.test/{NONCE}"),
    ],
)
def test_an_address_that_cannot_exist(url: str, impossible: str) -> None:
    assert impossible_url(url, NONCE) == impossible


@given(st.from_regex(r"/[a-z0-9/._?=&%-]{0,40}", fullmatch=True))
def test_it_is_another_address_of_the_same_site(path: str) -> None:
    url = f"http://site.test{path}"
    other = impossible_url(url, NONCE)
    assert other != url
    assert urlsplit(other).netloc == "site.test"
    assert NONCE in other


def test_what_repeats_the_address_or_changes_each_time_counts_for_nothing() -> None:
    one = shape(URL, "Nothing at /i/x123.jpg here. Request 8a1f99, 12:01:33")
    other = shape(OTHER_URL, f"Nothing at /i/{NONCE}.jpg here. Request 77bb01, 12:01:34")
    assert alike(one, other)


@pytest.mark.parametrize(
    "other",
    [
        shape(OTHER_URL, "Nothing here", title="Another"),
        shape(OTHER_URL, "Nothing here", status=404),
        shape(OTHER_URL, "Quite another text"),
        shape(OTHER_URL, "Nothing here " * 20),
        shape(OTHER_URL, "Nothing here", final_url="http://site.test/"),
        answer_shape(asked_url=OTHER_URL, final_url=OTHER_URL, status=200, kind="media", digest="a"),
    ],
)
def test_answers_that_differ(other: AnswerShape) -> None:
    assert not alike(shape(URL, "Nothing here"), other)


def test_media_are_alike_by_their_bytes() -> None:
    one, same, other = (
        answer_shape(asked_url=url, final_url=url, status=200, kind="media", digest=digest)
        for url, digest in ((URL, "a"), (OTHER_URL, "a"), (OTHER_URL, "b"))
    )
    assert alike(one, same)
    assert not alike(one, other)


def test_a_site_that_answers_everything_alike_says_nothing() -> None:
    root = root_url(URL)
    target, impossible = shape(URL, "All of it"), shape(OTHER_URL, "All of it")
    assert is_missing_answer(target, impossible, shape(root, "Welcome"))
    assert not is_missing_answer(target, impossible, shape(root, "All of it"))


def test_who_is_led_to_the_first_page_is_told_nothing() -> None:
    root = root_url(URL)
    target, impossible = (shape(url, "Welcome", final_url=root) for url in (URL, OTHER_URL))
    assert alike(target, impossible)
    assert not is_missing_answer(target, impossible, shape(root, "Welcome"))
