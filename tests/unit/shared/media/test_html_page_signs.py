"""What a page says of itself: its character set, the signs that it is more or less than a page, and whether it is one at all."""

from __future__ import annotations

import pytest

from shared.media.html_media import has_markup, is_page, read_page
from tests.unit.shared.media.html_page import DATA, PAGE, read


def find_media(body: bytes, content_type: str | None, base_url: str, limit: int = 50) -> tuple[str, ...]:
    return tuple(one.url for one in read_page(body, content_type, base_url).most_telling(limit))


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        ("<img src=ж>".encode(), "text/html; charset=idna", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=undefined", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=hex", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=rot13", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=unicode_escape", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=utf-7", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=iso-2022-kr", "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset='" + "x" * 5_000, "utf-8"),
        ("<img src=ж>".encode(), "text/html; charset=ütf", "utf-8"),
        ("<meta charset=idna><img src=ж>".encode(), "text/html", "utf-8"),
        ("<meta charset=utf-16><img src=ж>".encode(), "text/html", "utf-8"),
        ("<meta charset=utf-16be><img src=ж>".encode(), None, "utf-8"),
        ("<img src=ж>".encode("utf-16"), "text/html; charset=utf-8", "utf-16le"),
        ("\ufeff<img src=ж>".encode("utf-16-be"), "text/html", "utf-16be"),
        ("\ufeff<img src=ж>".encode(), "text/html; charset=windows-1251", "utf-8"),
        ("<img src=ж>".encode("utf-16-le"), "text/html; charset=utf-16", "utf-16le"),
        ("<img src=ж>".encode("koi8-r"), "text/html;charset = 'koi8-r'", "koi8-r"),
        ("<meta charset = windows-1251 ><img src=ж>".encode("cp1251"), "text/html", "windows-1251"),
        (
            "<meta http-equiv=content-type content='text/html;charset=x-cp1251'><img src=ж>".encode("cp1251"),
            None,
            "windows-1251",
        ),
        ("<!-- <meta charset=koi8-r> --><meta charset=cp1251><img src=ж>".encode("cp1251"), None, "windows-1251"),
    ],
)
def test_the_text_is_read_by_the_labels_of_the_standard(body: bytes, content_type: str | None, encoding: str) -> None:
    contents = read_page(body, content_type, PAGE)
    assert contents.encoding == encoding
    assert [one.url for one in contents.media] == ["https://site.test/gallery/%D0%B6"]


def test_a_page_that_says_within_ascii_that_it_is_utf_16_is_utf_8() -> None:
    found = find_media((DATA / "meta-utf16-on-ascii.html").read_bytes(), "text/html", PAGE)
    assert found == ("https://site.test/gallery/r.jpg",)


def test_the_signs_of_a_page_are_facts() -> None:
    login = read(
        "<title> Log\n in </title><form method=post action=/login><input name=user><input type=Password>"
    ).signs
    assert (login.title, login.forms, login.form_actions, login.password_inputs) == ("Log in", 1, ("/login",), 1)
    assert "login" in login.markers
    gate = read(
        "<title>Age check</title><body class=age-gate><h1>Are you over 18?</h1><form><button>Yes</button>"
    ).signs
    assert gate.text == "Are you over 18? Yes"
    assert gate.text_characters == 16
    assert gate.markers == ("age_gate",)
    firewall = read("<body><script src=https://x.token.awswaf.com/challenge.js></script>").signs
    assert firewall.script_shell
    assert firewall.markers == ("aws_waf",)
    assert firewall.script_urls == ("https://x.token.awswaf.com/challenge.js",)
    shell = read("<div id=root></div><noscript>Enable it.</noscript><script>location.href = '/login?x'</script>").signs
    assert (shell.script_shell, shell.noscript_text, shell.script_redirect) == (True, "Enable it.", "/login?x")
    plain = read(
        "<p>words</p><template>none</template><script>1</script><style>a{}</style><noscript><form></noscript>"
    ).signs
    assert (plain.script_shell, plain.text, plain.forms) == (False, "words", 0)


@pytest.mark.parametrize(
    ("start", "content_type", "page"),
    [
        (b"Warning: Undefined variable $x in /var/www/a.php on line 3\n<!doctype html><img src=/a>", "text/html", True),
        (b"\n\n<br />\n<b>Notice</b>: <!doctype html>", "text/html; charset=utf-8", True),
        (b"\xef\xbb\xbf\xef\xbb\xbf<html>", "TEXT/HTML", True),
        (b"hello", "text/html", True),
        (b"\x01\x02<html>", "text/html", True),
        (b"BMW cars <img src=a>", "text/html", True),
        (b"<p>a", None, True),
        (b"  <TABLE border=1>", "text/plain", True),
        (b"hello", None, False),
        (b"GIF89a\x01\x00", "text/html", False),
        (b"BM\x36\x00\x00\x00\x00\x00\x00\x00", "text/html", False),
        (b"\x00\x00\x00\x20ftypisom", "text/html", False),
        (b"#EXTM3U\n#EXTINF", "text/html", False),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "text/html", False),
        (b'{"error":"rate limited"}', "application/json", False),
        (b"<!-- drawn --><svg xmlns='http://www.w3.org/2000/svg'>", "image/svg+xml", False),
        (b"<?xml version='1.0'?><!-- a --><!DOCTYPE svg><svg:svg>", None, False),
        (b"<!-- a page --><html><svg>", None, True),
    ],
)
def test_a_page_is_told_from_a_medium(start: bytes, content_type: str | None, page: bool) -> None:
    assert is_page(start, content_type) is page


def test_a_picture_that_is_a_page_too_is_told() -> None:
    body = b"GIF89a/*" + bytes(50) + b"*/<html><img src=/real.jpg>"
    assert has_markup(body, "text/html")
    assert not has_markup(body, "image/gif")
    assert not has_markup(b"GIF89a" + bytes(50), "text/html")
    assert find_media(body, "text/html", PAGE) == ("https://site.test/real.jpg",)
