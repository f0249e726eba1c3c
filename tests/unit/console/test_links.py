"""Addresses in whatever was pasted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.console.links import links_in


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
        ("javascript:alert(1) file:///etc/passwd", []),
        ("", []),
    ],
)
def test_addresses_are_found(text: str, urls: list[str]) -> None:
    assert [one.url for one in links_in(text)] == urls


@given(st.text())
def test_any_text_has_addresses_or_none(text: str) -> None:
    for one in links_in(text):
        assert one.url.lower().startswith(("http://", "https://"))
        assert "." in one.site


@given(st.lists(st.from_regex(r"https://[a-z]{1,8}\.example/[a-z0-9]{1,12}", fullmatch=True), max_size=20))
def test_each_address_of_a_list_is_found_once(urls: list[str]) -> None:
    assert [one.url for one in links_in("\n".join(urls))] == list(dict.fromkeys(urls))


def test_brackets_without_end_are_read_at_once() -> None:
    """Each step of a quadratic reader would take a second here; the process would hear nobody for an hour."""
    text = "https://a.example/" + ")" * 1_000_000
    assert [one.url for one in links_in(text)] == ["https://a.example/"]
