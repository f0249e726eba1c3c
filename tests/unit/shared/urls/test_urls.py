"""URL keys: equal for one thing, different for two, and stable."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from shared.urls import (
    MAX_URL_CHARACTERS,
    BadUrl,
    CredentialsInUrl,
    MalformedUrl,
    UnsupportedScheme,
    UrlTooLong,
    address_key,
    canonical,
    defanged,
    parse_url,
    registrable_domain,
)

url_texts = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["http", "https", "HTTP", "hTTps"]),
    st.sampled_from(
        ["a.example", "A.Example.", "bücher.example", "1.2.3.4", "0x7f.1", "[::1]", "a.example:80", "x:8443"]
    ),
    st.text(alphabet="/.%aZ0~2eE5fé ?&=+;|^[]{}\\", max_size=30).map(lambda tail: "/" + tail),
    st.sampled_from(["", "#part", "?", "?a=%7e%2F&b=+", "?q=%"]),
)


@settings(max_examples=200)
@given(url_texts)
@example("http://a.example/%%32%65")
@example("http://a.example/.%2E/x")
@example("http://a.example/%25%32%65")
@example("http://a.example/x/%2e%2E/%2e")
def test_a_key_of_a_key_is_itself(url: str) -> None:
    try:
        once = canonical(url)
    except BadUrl:
        assume(False)
        raise
    assert canonical(once.url_key) == once
    assert "#" not in once.url_key
    assert once.url_key.isascii()
    assert once.key_version == 1


hosts = st.lists(
    st.sampled_from(
        [
            "a",
            "0",
            "1",
            "08",
            "0x",
            "0x7f",
            "256",
            "4294967296",
            "999999999999",
            ".",
            "..",
            "...",
            "-",
            "_",
            "xn--",
            "xn--a",
            "xn--bcher-kva",
            "%",
            "%2e",
            "%2E",
            "%00",
            "[",
            "]",
            "[::1]",
            ":",
            ":80",
            "@",
            "é",
            "。",
            "\uff0e",
            "\xad",
            "\u200d",
            "ß",
            "ﷺ",
            "💩",
            "/",
            "\\",
            "?",
            "#",
            ";",
            "~",
            "{",
        ]
    ),
    max_size=8,
).map("".join)


@settings(max_examples=400)
@given(hosts, st.sampled_from(["/", "/x", "", "?", "#", "/%", "/..", "/%2e%2E/"]))
@example("256.256.256.256..", "/")
@example("..", "/x")
def test_any_host_has_a_key_or_is_refused(host: str, tail: str) -> None:
    for url in (f"http://{host}{tail}", f"https:{host}{tail}", f"http:\\\\{host}{tail}"):
        try:
            key = canonical(url)
        except BadUrl:
            continue
        assert canonical(key.url_key) == key
        assert address_key(parse_url(url).href) == address_key(url)  # what is fetched has no fragment


@settings(max_examples=200)
@given(st.text(max_size=40) | url_texts)
def test_any_text_is_read_or_refused_by_name(text: str) -> None:
    for read in (canonical, parse_url, lambda t: parse_url(t, base="http://a.example/b/")):
        refusal = ""
        try:
            read(text)
        except BadUrl as error:
            refusal = str(error)
        assert text not in refusal or "://" not in text  # the words a refusal is made of may be generated too


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("HTTP://ExAmple.COM:80/a/../b%7e%2f?x=%41+b#f", "http://example.com/b~%2F?x=A+b"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com.:8443/x", "https://example.com:8443/x"),
        ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
        ("http://example.com/%C3%bc", "http://example.com/%C3%BC"),
        ("  http://exa\tmple.com/a\nb ", "http://example.com/ab"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("http://0x7f.1/", "http://127.0.0.1/"),
        ("http://0x7f.1../", "http://127.0.0.1/"),
        ("http://2130706433/", "http://127.0.0.1/"),
        ("http://[0:0::1]/", "http://[::1]/"),
        ("http://example.com/100%", "http://example.com/100%25"),
        ("http://example.com/?b=2&a=1&b=1", "http://example.com/?b=2&a=1&b=1"),
        ("http://ｅｘａｍｐｌｅ.com/", "http://example.com/"),  # noqa: RUF001 - full-width letters, on purpose
    ],
)
def test_spellings_of_one_url_share_a_key(url: str, key: str) -> None:
    assert canonical(url).url_key == key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("http://a.example/", "https://a.example/"),
        ("http://a.example/", "http://www.a.example/"),
        ("http://a.example/a", "http://a.example/A"),
        ("http://a.example/a", "http://a.example/a/"),
        ("http://a.example/?a=1", "http://a.example/?a=2"),
        ("http://a.example/?a=1&b=2", "http://a.example/?b=2&a=1"),
        ("http://a.example/a%2Fb", "http://a.example/a/b"),
        ("http://a.example/a+b", "http://a.example/a%20b"),
        ("http://a.example:8080/", "http://a.example/"),
        ("http://a.example/%252e", "http://a.example/%2e"),
    ],
)
def test_two_things_have_two_keys(one: str, other: str) -> None:
    assert canonical(one).url_key != canonical(other).url_key


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("", MalformedUrl),
        ("example.com/a.jpg", MalformedUrl),
        ("/a.jpg", MalformedUrl),
        ("http://", MalformedUrl),
        ("http://./", MalformedUrl),
        ("http://../x", MalformedUrl),
        ("http://256.256.256.256../", MalformedUrl),
        ("https://1.2.3.4.5./x", MalformedUrl),
        ("http://0x100000000../", MalformedUrl),
        ("http://09../", MalformedUrl),
        ("http://a.1.../", MalformedUrl),
        ("http://a b/", MalformedUrl),
        ("http://a.example:99999/", MalformedUrl),
        ("http://a.example/\ud800", MalformedUrl),
        ("http://a.example/a\0b", MalformedUrl),
        ("\0http://a.example/", MalformedUrl),
        ("ftp://a.example/", UnsupportedScheme),
        ("javascript:alert(1)", UnsupportedScheme),
        ("data:image/png;base64,AA", UnsupportedScheme),
        ("file:///etc/passwd", UnsupportedScheme),
        ("http://user@a.example/", CredentialsInUrl),
        ("http://:pw@a.example/", CredentialsInUrl),
        ("http://a.example/" + "x" * MAX_URL_CHARACTERS, UrlTooLong),
        ("http://a.example/" + "é" * (MAX_URL_CHARACTERS // 4), UrlTooLong),
    ],
)
def test_what_is_no_fetchable_url_is_refused_by_name(url: str, error: type[BadUrl]) -> None:
    with pytest.raises(error):
        canonical(url)


def test_a_parsed_url_is_what_goes_on_the_wire() -> None:
    url = parse_url("HTTPS://Example.com/a%7e%2f?s=%41#x")
    assert (url.href, url.scheme, url.host, url.port) == (
        "https://example.com/a%7e%2f?s=%41",
        "https",
        "example.com",
        443,
    )
    assert not url.host_is_address
    six = parse_url("http://[::FFFF:1.2.3.4]:8080/")
    assert (six.host, six.port, six.host_is_address) == ("::ffff:102:304", 8080, True)
    assert parse_url("../c.png", base="http://a.example/x/y/z").href == "http://a.example/x/c.png"
    assert parse_url("//b.example/c", base="https://a.example/").href == "https://b.example/c"


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("cdn.images.example.co.uk", "example.co.uk"),
        ("Example.COM.", "example.com"),
        ("user.blogspot.com", "blogspot.com"),
        ("user.github.io", "github.io"),
        ("liar.test", "liar.test"),
        ("cdn.liar.test", "liar.test"),
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("127.0.1.4", "127.0.1.4"),
        ("[::1]", "::1"),
        ("localhost", "localhost"),
        ("co.uk", "co.uk"),
    ],
)
def test_the_domain_an_organisation_registers(host: str, domain: str) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize(
    ("url", "safe"),
    [("https://a.example/http", "hxxps://a.example/http"), ("HTTP://a/", "hxxp://a/"), ("mailto:a", "mailto:a")],
)
def test_defanged_urls_are_no_links(url: str, safe: str) -> None:
    assert defanged(url) == safe
