"""URLs as people paste them into a report: made harmless for a mail or a chat, or without their scheme."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.intake.domain.schemas import ReportRequest
from shared.pasted_urls import pasted_url
from shared.urls import BadUrl, parse_url


@pytest.mark.parametrize(
    ("pasted", "meant"),
    [
        ("hxxps://img[.]x/1.jpg", "https://img.x/1.jpg"),
        ("hxxp://img[.]x", "http://img.x"),
        ("hXXps://IMG[.]example[.]org/a?b=c#d", "https://IMG.example.org/a?b=c#d"),
        ("h**ps://img.x/1.jpg", "https://img.x/1.jpg"),
        ("https[:]//img.x/1.jpg", "https://img.x/1.jpg"),
        ("https[://]img.x/1.jpg", "https://img.x/1.jpg"),
        ("https://img(.)x/1.jpg", "https://img.x/1.jpg"),
        ("https://img{.}x/1.jpg", "https://img.x/1.jpg"),
        ("https://img[dot]x/1.jpg", "https://img.x/1.jpg"),
        ("https://img (dot) x/1.jpg", "https://img.x/1.jpg"),
        ("hxxps://img[.]x/a[.]jpg", "https://img.x/a.jpg"),
        ("hxxps://img[.]x[:]8443/1.jpg", "https://img.x:8443/1.jpg"),
        ("img.x/1.jpg", "https://img.x/1.jpg"),
        ("img[.]x/1.jpg", "https://img.x/1.jpg"),
        ("img.x:8080/1.jpg", "https://img.x:8080/1.jpg"),
        ("www.img.x", "https://www.img.x"),
        ("//img.x/1.jpg", "https://img.x/1.jpg"),
        ("203.0.113.5/1.jpg", "https://203.0.113.5/1.jpg"),
        ("bücher.example/ü.jpg", "https://bücher.example/ü.jpg"),
        (" <https://img.x/1.jpg> ", "https://img.x/1.jpg"),
        ('"https://img.x/1.jpg"', "https://img.x/1.jpg"),
    ],
)
def test_what_is_pasted_is_understood(pasted: str, meant: str) -> None:
    assert pasted_url(pasted) == meant


@pytest.mark.parametrize(
    "url",
    [
        "https://img.x/1.jpg",
        "HTTPS://img.x/1.jpg",
        "https://img.x/a[.]jpg",
        "https://img.x/?q=hxxps://other[.]x",
        "https://img.x/(dot)/x",
        "http://[2001:db8::1]/1.jpg",
        "http://[2001:db8::1]:8080/1.jpg",
        "https://user@img.x/1.jpg",
        "ftp://img.x/1.jpg",
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "mailto:ann@img.x",
        "localhost/1.jpg",
        "",
        "..",
    ],
)
def test_anything_else_stays_as_it_is(url: str) -> None:
    assert pasted_url(url) == url


@pytest.mark.parametrize("pasted", ["hxxps://img[.]x/1.jpg", "img.x/1.jpg"])
def test_a_report_takes_it(pasted: str) -> None:
    assert ReportRequest(url=pasted).url == "https://img.x/1.jpg"


@pytest.mark.parametrize("pasted", ["ann@img.x", "ftp://img.x/1.jpg", "hxxps://", "img", "two words.x/1.jpg"])
def test_a_report_refuses_what_is_no_url(pasted: str) -> None:
    with pytest.raises(ValidationError):
        ReportRequest(url=pasted)


@given(st.text(max_size=60))
def test_it_is_the_same_a_second_time_and_never_touches_a_good_url(text: str) -> None:
    once = pasted_url(text)
    assert pasted_url(once) == once
    try:
        parse_url(f"https://host.example/{text}")
    except BadUrl:
        return
    url = f"https://host.example/x{text.strip()}"
    assert pasted_url(url) == url


@pytest.mark.parametrize(
    "text",
    [
        "http:" + " " * 2_000_000,
        "http:" + " " * 4_000,
        "h" * 4_000 + " " * 90,
        "<" * 1_000_000 + ">" * 1_000_000,
        "<" * 2_000 + ">" * 2_000,
        "[" * 2_000 + "." + "]" * 2_000,
        "img" + " [.] " * 800,
        "img" + "[:]" * 1_300,
        "a[.]" * 500_000,
    ],
    ids=[
        "2 MB of spaces",
        "spaces",
        "letters",
        "2 MB of brackets",
        "brackets",
        "nested",
        "dots",
        "colons",
        "2 MB of dots",
    ],
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    pasted_url(text)
    assert time.process_time() - began < 0.1
