"""URLs in whatever was pasted: a mail, a chat, a list."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.pasted_urls import pasted_url, pasted_urls


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("hxxps://img[.]example/1.jpg", ["https://img.example/1.jpg"]),
        ("HXXP://img[dot]example/1.jpg", ["http://img.example/1.jpg"]),
        ("img.example/1.jpg", ["https://img.example/1.jpg"]),
        ("Look at https://a.example/x, and https://b.example/y.", ["https://a.example/x", "https://b.example/y"]),
        ("(see https://a.example/x_(1).png)", ["https://a.example/x_(1).png"]),
        ("[21:04] Mum: https://a.example/x?id=1&n=2#t", ["https://a.example/x?id=1&n=2#t"]),
        ("<https://a.example/x> <https://a.example/x>", ["https://a.example/x"]),
        ("write to desk@host.example please", []),
        ("e.g. this, etc. and 3.5 times", []),
        ("“https://a.example/ä”", ["https://a.example/ä"]),
        ("It is on img.example, and on img.example/2.", ["https://img.example", "https://img.example/2"]),
        ("h**ps://img{.}example[:]8443/a[.]jpg", ["https://img.example:8443/a.jpg"]),
        ("at hxxps[:]//img (dot) example/1 today", ["https://img.example/1"]),
        ("[look](hxxps[://]img[.]example/(1))", ["https://img.example/(1)"]),
        ("see img [.] example [.] org/1", ["https://img.example.org/1"]),
        ("http://[2001:db8::1]/1.jpg", ["http://[2001:db8::1]/1.jpg"]),
        ("bücher.example/ü.jpg", ["https://bücher.example/ü.jpg"]),
        ("desk@a[.]b[.]example desk@a(dot)b(dot)example", []),
        ("http:// https://...", []),
        ("https://not\u200ba\u200bname..example/1", ["https://not\u200ba\u200bname..example/1"]),
        ("javascript:alert(1) file:///etc/passwd", []),
        ("", []),
    ],
)
def test_addresses_are_found(text: str, urls: list[str]) -> None:
    assert pasted_urls(text) == urls


@given(st.text())
def test_any_text_has_addresses_or_none(text: str) -> None:
    for url in pasted_urls(text):
        assert url.lower().startswith(("http://", "https://"))
        assert pasted_url(url) == url


@given(st.lists(st.from_regex(r"https://[a-z]{1,8}\.example/[a-z0-9]{1,12}", fullmatch=True), max_size=20))
def test_each_address_of_a_list_is_found_once(urls: list[str]) -> None:
    assert pasted_urls("\n".join(urls)) == list(dict.fromkeys(urls))


def test_brackets_without_end_are_read_at_once() -> None:
    """Each step of a quadratic reader would take a second here; the process would hear nobody for an hour."""
    text = "https://a.example/" + ")" * 1_000_000
    assert pasted_urls(text) == ["https://a.example/"]


@pytest.mark.parametrize(
    "piece", ["a[.]", "a[.] ", "a[.]  ", "a.", "a-", "[dot]", "{.}", "hxxp", "http://a", "( dot ", " " * 9 + "(.)"]
)
def test_no_piece_repeated_takes_long(piece: str) -> None:
    began = time.process_time()
    pasted_urls(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 2
