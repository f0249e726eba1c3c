"""Content codings, undone as browsers do and within a limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.content_coding import decoder_of
from shared.outbound.transport import MalformedResponse

BODY = bytes(range(256)) * 20
LIMIT = 10_000_000


def gzipped(data: bytes) -> bytes:
    """Without the time, so that the same data are the same bytes."""
    return gzip.compress(data, mtime=0)


def undone(codings: str, encoded: bytes, *, piece: int = 100) -> bytes:
    decoder = decoder_of(codings)
    body = b"".join(decoder.decode(encoded[at : at + piece], limit=LIMIT) for at in range(0, len(encoded), piece))
    decoder.finish()
    return body


def with_everything_in_its_head() -> bytes:
    """Checksum, extra field, name and comment (RFC 1952, 2.3)."""
    plain = gzipped(BODY)
    return plain[:3] + b"\x1e" + plain[4:10] + b"\x03\x00abc" + b"name\0" + b"comment\0" + b"\x12\x34" + plain[10:]


@pytest.mark.parametrize(
    ("codings", "encoded"),
    [
        ("none", BODY),
        ("UTF-8", BODY),
        ("aws-chunked", BODY),
        ("identity, none", BODY),
        ("", BODY),
        ("binary", BODY),
        ("gzip", gzipped(BODY)),
        ("gzip", gzipped(BODY)[:-8]),
        ("gzip", gzipped(BODY)[:-3]),
        ("gzip", gzipped(BODY) + b"trailing"),
        ("gzip", gzipped(BODY) + b"\0" * 600),
        ("gzip", gzipped(BODY)[:-8] + b"wrong sum"),
        ("gzip", gzipped(BODY[:99]) + gzipped(BODY[99:])),
        ("gzip", with_everything_in_its_head()),
        ("GZIP , aws-chunked", gzipped(BODY)),
        ("gzip, gzip", gzipped(BODY)),
        ("gzip, gzip", gzipped(gzipped(BODY))),
        ("deflate, gzip", gzipped(zlib.compress(BODY))),
        ("deflate", zlib.compress(BODY) + b"trailing"),
        ("x-gzip", gzipped(BODY)),
    ],
)
def test_the_body_is_there(codings: str, encoded: bytes) -> None:
    for piece in (1, 7, 1000, len(encoded)):
        assert undone(codings, encoded, piece=piece) == BODY


@pytest.mark.parametrize(
    ("codings", "encoded"),
    [
        ("br", BODY),
        ("gzip, zstd", gzipped(BODY)),
        ("gzip", BODY),
        ("gzip", gzipped(BODY)[:5]),
        ("gzip", gzipped(BODY)[:-40]),
        ("gzip", gzipped(BODY)[:60] + b"\xff" * 300),
        ("deflate", zlib.compress(BODY)[:-40]),
        ("gzip, gzip, gzip, gzip", gzipped(BODY)),
    ],
)
def test_what_a_browser_would_not_show_or_only_it_reads_is_malformed(codings: str, encoded: bytes) -> None:
    with pytest.raises(MalformedResponse):
        undone(codings, encoded)


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_no_bytes_are_too_strange(encoded: bytes, piece: int) -> None:
    for codings in ("gzip", "deflate", "gzip, gzip", "deflate, gzip"):
        for start in (b"", gzipped(BODY)[:10], gzipped(BODY)):
            try:
                undone(codings, start + encoded, piece=piece)
            except MalformedResponse:
                continue


def test_no_layer_gives_more_than_the_limit() -> None:
    bomb = gzipped(gzipped(bytes(50_000_000)))
    assert len(decoder_of("gzip, gzip").decode(bomb, limit=1_000)) <= 1_000
