"""Heads as browsers read them: what a strict parser gets of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outbound.response_head import MAX_HEAD_BYTES, HeadReader, HeadTooLarge, lenient_head

SAME = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\nA: b\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length:3\nA:b\n\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: x\r\nA: b\r\nno colon\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\nX(y): z\r\nN: \0\r\nContent-Length: 3\r\nContent-Length: abc\r\n\r\n",
        b"HTTP/2.0  200  OK\r\nA:\r\n b\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_what_browsers_pass_over(head: bytes) -> None:
    assert lenient_head(head) == SAME


def test_a_chunked_body_has_no_length_and_an_old_server_no_chunks() -> None:
    both = b"HTTP/%s 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
    assert lenient_head(both % b"1.1") == b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert lenient_head(both % b"1.0") == b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"


def test_lengths_that_differ_stay() -> None:
    head = lenient_head(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n")
    assert head.count(b"Content-Length") == 2


@pytest.mark.parametrize(
    "head", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00\x01\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_answer_stays(head: bytes) -> None:
    assert lenient_head(head) == head


@given(st.binary(max_size=300))
def test_any_head_is_read_and_read_alike_again(text: bytes) -> None:
    once = lenient_head(b"HTTP/1.1 200 OK\r\n" + text.replace(b"\n", b"") + b"\r\n\r\n")
    assert lenient_head(once) == once


@given(st.lists(st.integers(1, 40), max_size=12), st.binary(max_size=30))
def test_pieces_make_the_same_as_the_whole(cuts: list[int], body: bytes) -> None:
    whole = b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\nA: b\nContent-Length: 3, 3\n\n" + body
    pieces, rest = [], whole
    for cut in cuts:
        pieces.append(rest[:cut])
        rest = rest[cut:]
    reader = HeadReader()
    given = b"".join(map(reader.feed, [*pieces, rest]))
    assert given == b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + SAME + body


def test_a_head_without_end_is_refused() -> None:
    reader = HeadReader()
    for _ in range(MAX_HEAD_BYTES // 1000):
        reader.feed(b"HTTP/1.1 200 OK\r\nX: ".ljust(1000, b"x"))
    with pytest.raises(HeadTooLarge):
        reader.feed(b"x" * 1000)
