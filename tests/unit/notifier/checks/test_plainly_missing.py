"""Which answers of 404 hold nothing that a browser could draw, and what of XML says nothing without one."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from services.notifier.checks.judgement import PAGE_RUNS_SCRIPTS, Judge, is_plainly_missing
from services.notifier.checks.seen import Wanted
from services.notifier.domain.model import Outcome
from shared.media.fingerprinter import Reason
from shared.media.formats.drawn_markup import is_drawn_markup
from shared.media.looks.url_look import HttpAnswer, UndecodedBytes, UrlLook
from shared.outbound.guard import GuardedEndpoint
from shared.policy import Policy

URL = "http://site.test/x.jpg"
JUDGE = Judge(
    wanted=Wanted(takedown_id=uuid4(), target_kind="media", url=URL, url_key=URL, page_url=None, register=()),
    policy=Policy(),
    fingerprint_key=b"k" * 32,
)
XHTML = "http://www.w3.org/1999/xhtml"
PLAIN = (
    (b"", None),
    (b"not found", None),
    (b"not found", "image/jpeg"),
    (b"a < b, and <?xml-stylesheet?> as words", "text/plain; charset=utf-8"),
    (b'{"error": "<none>"}', "application/problem+json"),
    (b"<Error><Code>NoSuchKey</Code></Error>", "application/xml"),
    (b"<?xml version='1.0' encoding='UTF-8'?>\n<Error><Key>a&#39;b</Key></Error>", "application/xml"),
    (b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>BlobNotFound</Code></Error>", "application/xml"),
    (b"<Error><Code>NoSuchKey</Code></Error>", None),
    (b"<error xmlns:i='http://www.w3.org/2001/XMLSchema-instance'/>", "text/xml"),
)
DRAWN = (
    (b"<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='/t.xsl'?><a>hello</a>", "text/xml"),
    (b"<?xml-stylesheet type='text/css' href='/x.css'?><a>hello</a>", "application/xml; charset=utf-8"),
    (b"<?xml-stylesheet type='text/css' href='/x.css'?><a>hello</a>", "application/rss+xml"),
    (b"<?xml-stylesheet href='/x.css'?><a>hello</a>", None),
    (b" <a><?xml-stylesheet href='/x.css'?></a>", ""),
    (f"<a xmlns:h='{XHTML}'><h:script>1</h:script></a>".encode(), "text/xml"),
    (f"<a xmlns:h='{XHTML.replace('x', '&#120;')}'><h:img src='/r'/></a>".encode(), "text/xml"),
    (b"<!DOCTYPE a [<!ENTITY n 'http://www.w3.org/1999/'>]><a xmlns:h='&n;xhtml'/>", "text/xml"),
    (b"<a><b xmlns='http://www.w3.org/2000/svg'/></a>", "application/xml"),
    ("<?xml-stylesheet href='/x.css'?><a/>".encode("utf-16"), "text/xml"),
    (b"--b\r\nContent-Type: text/html\r\n\r\n<p>hello\r\n--b--", "multipart/x-mixed-replace; boundary=b"),
)


def look(body: bytes, content_type: str | None, status: int = 404) -> UrlLook:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return UrlLook(
        url=URL,
        answer=HttpAnswer(
            at=at,
            status=status,
            address=GuardedEndpoint(ip="203.0.113.9", port=80),
            final_url=URL,
            content_type=content_type,
            size_bytes=len(body),
        ),
        saw=UndecodedBytes(
            reason=Reason.NOT_A_PICTURE if body else Reason.EMPTY,
            text="" if b"\0" in body else body.decode("utf-8-sig"),
            drawn_markup=is_drawn_markup(body, content_type),
        ),
    )


@pytest.mark.parametrize(("body", "content_type"), PLAIN)
def test_words_data_and_plain_xml_are_plainly_missing(body: bytes, content_type: str | None) -> None:
    assert is_plainly_missing(look(body, content_type))
    assert JUDGE.medium(look(body, content_type)).outcome is Outcome.GONE


@pytest.mark.parametrize(("body", "content_type"), DRAWN)
def test_xml_that_is_drawn_says_nothing_without_a_browser(body: bytes, content_type: str | None) -> None:
    assert not is_plainly_missing(look(body, content_type))
    for status in (404, 200):
        seen = JUDGE.page(look(body, content_type, status))
        assert (seen.outcome, seen.reason) == (Outcome.INCONCLUSIVE, PAGE_RUNS_SCRIPTS)


def test_markup_of_no_type_that_does_not_begin_the_body_is_looked_at() -> None:
    assert not is_plainly_missing(look(b"not <img src=/x.jpg> found", None))
