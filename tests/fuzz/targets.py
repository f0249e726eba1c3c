"""What is read that others wrote, each as a function of bytes that may refuse by name and raises nothing else, with seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from services.intake.sightings.ndjson import parse_line
from services.matcher.sightings.batch import SeenBatch
from services.notifier.directory.csv_import import BadDirectory, parse_csv
from shared.contracts.event import decode
from shared.contracts.registry import MODELS_BY_TOPIC
from shared.contracts.sightings import read_sightings
from shared.errors import Poison
from shared.http.json_bodies import fault_of
from shared.media.answers.expiry import expires_at
from shared.media.decoder_process import answer as look_at_picture
from shared.media.html_media import read_page
from shared.outbound.content_coding import decoder_of
from shared.outbound.guard import OutboundError
from shared.outbound.response_head import HeadReader, HeadTooLarge
from shared.pasted_urls import pasted_url
from shared.urls import BadUrl, address_key, canonical, parse_url, registrable_domain, url_keys
from tests.hostile_records import NOW, events, record_of

DATA = Path(__file__).parents[1] / "data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`read` raises one of `refusals`, or nothing; `seconds` of the processor are the most that it takes."""

    name: str
    read: Callable[[bytes], object]
    seeds: Callable[[], Sequence[bytes]]
    refusals: tuple[type[Exception], ...] = ()
    seconds: float = 1.0


def _files(*patterns: str) -> list[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(DATA.glob(pattern))]


@cache
def _pages() -> list[bytes]:
    table = [line.partition(b"\t")[2].partition(b"\t")[0] for line in _files("html/*.tsv")[0].splitlines()]
    bodies = [
        answer.partition(b"\r\n\r\n")[2] for answer in _files("cases/http/*page*.http", "cases/http/*login*.http")
    ]
    return [*table, *bodies, *_files("html/*.html")]


def _read_page(data: bytes) -> None:
    """The first line is the content type."""
    content_type, _, body = data.partition(b"\n")
    contents = read_page(body, content_type.decode("latin-1"), "https://site.test/a/b?c=d")
    for one in contents.media:
        canonical(one.url)


@cache
def _typed_pages() -> list[bytes]:
    labels = (
        b"text/html",
        b"text/html; charset=idna",
        b"text/html;charset=utf-16le",
        b"application/xhtml+xml; charset=x",
    )
    return [label + b"\n" + page for page in _pages() for label in labels[:2]] + [
        labels[2] + b"\n",
        labels[3] + b"\n<img src=a>",
    ]


def _read_url(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    key = canonical(text)
    assert canonical(key.url_key) == key
    assert key.url_key.isascii()
    assert url_keys(text)[0] == key
    assert address_key(parse_url(text).href) == address_key(text)
    registrable_domain(key.host)
    expires_at(text)


_URLS = (
    b"http://../x",
    b"http://256.256.256.256../",
    b"https://cdn.discordapp.com/attachments/1/2/a.jpg?ex=66&is=66&hm=0f&",
    b"https://b.s3.amazonaws.com/a?X-Amz-Algorithm=A&X-Amz-Credential=c%2F1&X-Amz-Date=20261130T000000Z&X-Amz-Expires=9",
    b"https://b\xc3\xbccher.example:8443/%7e/../%2e%2E/a%2fb?x=%zz&y=+#/route",
    b"http://[::ffff:10.0.0.1]:80/",
    b"hxxps://img[.]x/1.jpg",
    b"//a:99999999/",
    b"http://0x7f.1../%00",
)


def _redirect(data: bytes) -> None:
    text = data.decode("latin-1")
    target = parse_url(text, base="https://site.test/a/b?c")
    assert target.scheme in ("http", "https")
    assert 0 <= target.port <= 65535
    assert parse_url(target.href).href == target.href


def _reported(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert pasted_url(pasted_url(text)) == pasted_url(text)


def _answer(data: bytes) -> None:
    """A head in pieces as it may come, then its body by its coding."""
    reader, given = HeadReader(), b""
    for start in range(0, min(len(data), 4096), 97):
        given += reader.feed(data[start : start + 97])
    given += reader.feed(data[4096:] if len(data) > 4096 else b"")
    head, _, body = given.partition(b"\r\n\r\n")
    codings = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-encoding:")]
    decoder = decoder_of(b",".join(codings).decode("latin-1"))
    for start in range(0, len(body), 5000):
        assert len(decoder.decode(body[start : start + 5000], limit=100_000)) <= 100_000
    decoder.finish()


def _record(data: bytes) -> None:
    """The first line is `topic type`; the matcher's own reader reads sightings."""
    first, _, value = data.partition(b"\n")
    topic, _, event_type = first.decode("latin-1").partition(" ")
    headers = (("ce_specversion", b"1.0"), ("ce_id", b"x"), ("ce_type", event_type.encode("latin-1")))
    decode(MODELS_BY_TOPIC.get(topic, {}), value=value, headers=headers)
    if topic == "takedown.sightings" and event_type.startswith("takedown.sightings"):
        batch = SeenBatch(read_sightings(value), partition=0, offset=0, appended_at=NOW)
        assert len(list(batch)) == len(batch)


@cache
def _records() -> list[bytes]:
    return [
        f"{topic} {event.TYPE}\n".encode() + (record_of(topic, key, event).value or b"")
        for topic, key, event in events()
    ]


def _sighting_line(data: bytes) -> None:
    parse_line(data, organisation_id="o", now=NOW)
    fault_of(data)


_LINES = (
    b'{"source":"c","media_url":"https://x.test/a","seen_at":"2026-02-01T00:00:00Z","fingerprints":'
    b'[{"algorithm":"pdq","value":"' + b"f8" * 32 + b'","quality":100,"orientation":"mirror"}]}',
    b'{"a":1,"a":2}',
    b"[" * 5_000,
    b'{"fingerprints":' + b"[1,1,1]" * 50 + b"}",
)

_CSV = (
    b"organisation,domains,webhook_url,webhook_secrets,email,next_rung,rung,posture,bound_by,country\n"
    b"a,x.example y.example,https://x.example/h,whsec_" + b"A" * 32 + b",d@x.example,b,site_operator,normal,,GB\n"
    b'b,"b.example",,,,a,hosting_provider,hostile,,\n',
    b"\xef\xbb\xbforganisation,domains\r\na,com\r\n",
    b'organisation,domains\n"a,b.example\n',
)


def _picture(data: bytes) -> None:
    look_at_picture(data, max_pixels=4_000_000)


TARGETS = (
    Target(name="pages", read=_read_page, seeds=_typed_pages, refusals=(), seconds=2.0),
    Target(name="urls", read=_read_url, seeds=lambda: _URLS, refusals=(BadUrl,)),
    Target(name="redirects", read=_redirect, seeds=lambda: _URLS, refusals=(BadUrl,), seconds=0.2),
    Target(name="reported", read=_reported, seeds=lambda: _URLS, seconds=0.2),
    Target(
        name="answers",
        read=_answer,
        seeds=lambda: _files("cases/http/*.http"),
        refusals=(OutboundError, HeadTooLarge),
    ),
    Target(name="records", read=_record, seeds=_records, refusals=(Poison,)),
    Target(name="lines", read=_sighting_line, seeds=lambda: _LINES),
    Target(
        name="csv",
        read=lambda data: parse_csv(data.decode("utf-8")),
        seeds=lambda: _CSV,
        refusals=(BadDirectory, UnicodeDecodeError),
    ),
    Target(name="media", read=_picture, seeds=lambda: _files("pictures/*"), seconds=20.0),
)
