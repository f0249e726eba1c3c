"""URLs: a `url` as it was seen (fetched, quoted) and its canonical `url_key` (compared, keyed).

Parsed by the WHATWG URL standard (`ada-url`), the rules browsers and therefore uploaders' links keep, never by
`urllib.parse`: two parsers that disagree on a host are how an address check is walked around.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from ada_url import URL, HostType

from shared.errors import Permanent
from shared.ids import FIRST_KEY_VERSION
from shared.signed_urls import without_signature

if TYPE_CHECKING:
    from tldextract import TLDExtract

MAX_URL_CHARACTERS = 4096
"""Of the URL as given and of its canonical form. Servers and browsers hardly use more than 2,000."""

FILE_KEY_VERSION = 2
"""The version of a key that differs from version 1, or may: see `canonical`."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class BadUrl(Permanent, ValueError):
    """The URL cannot be used.

    A ValueError too, so that a pydantic validator reports it at its field. The text never holds the URL.
    """


class MalformedUrl(BadUrl):
    """This is not a complete URL. Write it as https://host.example/path."""


class UrlTooLong(BadUrl):
    """The URL is too long."""


class UnsupportedScheme(BadUrl):
    """Only URLs that begin with http:// or https:// are accepted."""


class CredentialsInUrl(BadUrl):
    """The URL contains a user name or a password. Remove them: they are never used, kept or passed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebUrl:
    """A parsed http(s) URL. `href` is the WHATWG serialisation with the fragment left out: what goes on the wire.

    `host` is lower-case ASCII (punycode), an IPv4 address in dotted form, or an IPv6 address without brackets. `port` is
    the one to dial, default or not.
    """

    href: str
    scheme: str
    host: str
    port: int
    host_is_address: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlKey:
    """What URLs of one thing have in common. `url_key` is compared and keyed, never fetched."""

    url_key: str
    key_version: int
    host: str


def parse_url(url: str, *, base: str | None = None) -> WebUrl:
    """The URL in this text, against `base` where it is relative.

    Raises MalformedUrl, UrlTooLong, UnsupportedScheme, CredentialsInUrl.
    """
    parsed = _parse(url, base)
    scheme = parsed.protocol.removesuffix(":")
    hostname = parsed.hostname
    del parsed.hash
    return WebUrl(
        href=_limited(parsed.href),
        scheme=scheme,
        host=hostname.removeprefix("[").removesuffix("]"),
        port=int(parsed.port) if parsed.port else _DEFAULT_PORTS[scheme],
        host_is_address=parsed.host_type is not HostType.DEFAULT,
    )


def href_with_fragment(url: str) -> str:
    """The WHATWG serialisation with its fragment: what a browser is sent to. A page's script may read the fragment, no server does.

    Raises as `parse_url`.
    """
    return _limited(_parse(url, None).href)


def split_url(url: str) -> SplitResult:
    """The parts of a URL as the standard reads it, for what `urllib.parse` puts together again; without its fragment.

    `urllib.parse` itself reads `https://a.example\\x]/` otherwise, or raises. A text that is no URL has no parts. Raises nothing.
    """
    try:
        return urlsplit(parse_url(url).href)
    except ValueError:  # BadUrl is one
        return urlsplit("")


def canonical(url: str) -> UrlKey:
    """The key of what a URL leads to. Idempotent: the key of a `url_key` is itself.

    Version 1 is that of `address_key`. Version 2 is of URLs for which that is not the thing: on a host whose links are signed
    (`shared/signed_urls.py`) one file under ever new signatures is one, so the signature is left out; and a fragment that is a
    route (`#/x`, `#!x`) names another page, so it is kept. Every other URL has version 1 still, with the ids that it always had.

    Raises as `parse_url`.
    """
    key, fragment = _address_key(url)
    route = _percent_normalised(fragment) if fragment.startswith(("#/", "#!")) else ""
    unsigned = without_signature(key.url_key, key.host)
    if unsigned is None and not route:
        return key
    thing = key.url_key if unsigned is None else unsigned
    return UrlKey(url_key=_limited(thing + route), key_version=FILE_KEY_VERSION, host=key.host)


def address_key(url: str) -> UrlKey:
    """The key of the address itself, signature and all, in version 1: equal for what is fetched alike.

    It is the WHATWG serialisation (lower-case punycode host, default port and dot segments left out), then: no
    fragment, no dot at the host's end, percent-encoding as RFC 3986, 6.2.2 (upper-case digits, unreserved characters
    decoded), a stray `%` encoded. The query is kept, its order too: it often names the media. Scheme and host are never
    guessed together (`http` and `https`, `www.` and none, are two keys).

    Raises as `parse_url`.
    """
    return _address_key(url)[0]


def url_keys(url: str) -> tuple[UrlKey, ...]:
    """Every key that the URL has in any version, today's first. Raises as `parse_url`."""
    return tuple(dict.fromkeys((canonical(url), address_key(url))))


def registrable_domain(host: str) -> str:
    """The domain an organisation registers (`cdn.example.co.uk` -> `example.co.uk`); an IP address is its own.

    By the Public Suffix List bundled with `tldextract`, never fetched; ICANN's section alone, so that a platform's
    customers count as the platform. A name under no listed suffix counts as registered in its last label.
    """
    host = host.lower().rstrip(".").removeprefix("[").removesuffix("]")
    if _is_address(host):
        return host
    parts = _suffixes()(host)
    if parts.suffix and parts.domain:
        return f"{parts.domain}.{parts.suffix}"
    return ".".join(host.split(".")[-2:])


def is_public_suffix(host: str) -> bool:
    """Whether anybody may register under this name (`com`, `co.uk`), so that it is nobody's own. By the same list."""
    host = host.lower().rstrip(".")
    if _is_address(host):
        return False
    parts = _suffixes()(host)
    return bool(parts.suffix) and not parts.domain


def defanged(url: str) -> str:
    """The URL for a mail or a page where it must not become a link: `hxxps://…`. A text without http(s) stays as it is."""
    return re.sub(r"^http", "hxxp", url, count=1, flags=re.IGNORECASE)


def _address_key(url: str) -> tuple[UrlKey, str]:
    """The key in version 1, and the fragment that it leaves out."""
    parsed = _parse(url, None)
    href, hostname, fragment = parsed.href, parsed.hostname, ""
    if "#" in href:
        fragment = parsed.hash
        del parsed.hash
        href = parsed.href
    if hostname.endswith(".") and parsed.host_type is HostType.DEFAULT:
        bare = hostname.rstrip(".")
        if not bare:
            raise MalformedUrl()
        try:
            parsed.hostname = bare
        except ValueError:  # no host without its dots: `256.256.256.256..` is no address
            raise MalformedUrl() from None
        href, hostname = parsed.href, parsed.hostname  # what is left may be an address (`0x7f.1..`)
    normalised = _percent_normalised(href) if "%" in href else href
    if normalised != href:
        # Decoding may make a dot segment (`/a/.%2E`); parsing again removes it.
        again = _parse(normalised, None)
        href, hostname = again.href, again.hostname
    host = hostname.removeprefix("[").removesuffix("]")
    return UrlKey(url_key=_limited(href), key_version=FIRST_KEY_VERSION, host=host), fragment


def _parse(url: str, base: str | None) -> URL:
    if len(url) > MAX_URL_CHARACTERS:
        raise UrlTooLong(f"{len(url)} characters, at most {MAX_URL_CHARACTERS}.")
    if "\0" in url:  # the standard would encode or strip it; no link has one, and no text column takes it
        raise MalformedUrl()
    try:
        parsed = URL(url, base)
    except ValueError:  # invalid by the standard, or a lone surrogate
        raise MalformedUrl() from None
    href = parsed.href  # each attribute is a call into the parser: most URLs need no other
    if not href.startswith(("http://", "https://")):
        raise UnsupportedScheme()
    if "@" in href and (parsed.username or parsed.password):
        raise CredentialsInUrl()
    return parsed


def _limited(href: str) -> str:
    if len(href) > MAX_URL_CHARACTERS:
        raise UrlTooLong(f"{len(href)} characters when encoded, at most {MAX_URL_CHARACTERS}.")
    return href


def _percent_normalised(href: str) -> str:
    def one(match: re.Match[str]) -> str:
        digits = match.group(1)
        if digits is None:
            return "%25"
        octet = int(digits, 16)
        return chr(octet) if octet in _UNRESERVED else f"%{octet:02X}"

    return _PERCENT.sub(one, href)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1)
def _suffixes() -> TLDExtract:
    """Reads the list from the package at first use: no network, no cache file."""
    from tldextract import TLDExtract  # brings the whole of requests, which most processes never need

    return TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=False)
