"""A long JSON array is read as `json.loads` reads it, and nobody waits long meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException

from shared.http.json_arrays import MAX_ELEMENT_CHARACTERS, MAX_ELEMENTS, read_array

AT_ONCE_SECONDS = 0.05
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def read(body: bytes) -> Any:
    return asyncio.run(read_array(body))


@given(st.lists(VALUES, max_size=8), st.sampled_from([None, 0, 3]), st.booleans())
def test_it_is_what_the_library_reads(document: list[Any], indent: int | None, ascii_alone: bool) -> None:
    body = json.dumps(document, indent=indent, ensure_ascii=ascii_alone).encode("utf-8", errors="surrogatepass")
    assert read(body) == document


@given(st.text(alphabet='[]{}",: 1a\\\n', max_size=30))
def test_what_is_no_json_for_the_library_is_none(text: str) -> None:
    try:
        wanted = json.loads(text)
    except ValueError:
        with pytest.raises(json.JSONDecodeError):
            read(text.encode())
    else:
        assert read(text.encode()) == wanted


@pytest.mark.parametrize(
    "body",
    [
        b'["' + b"x" * 2_000_000 + b'"]',
        b"[[" + b"1," * 900_000 + b"1]]",
        b"[" + b"1" * MAX_ELEMENT_CHARACTERS * 2 + b"]",
        b'[1, {"a": "' + b"x" * MAX_ELEMENT_CHARACTERS + b'"}]',
        b'{"a": [' + b"1," * 900_000 + b"1]}",
        b'["' + b"x" * 300_000,
    ],
    ids=["text", "list", "number", "behind another", "no array", "without end"],
)
def test_an_element_is_no_longer_than_a_line_may_be(body: bytes) -> None:
    began = time.monotonic()
    with pytest.raises((HTTPException, ValueError)):
        read(body)
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join(b'{"k%d":1}' % number for number in range(MAX_ELEMENTS)) + b"]",
        b"[" + b",".join([b"1.5e10"] * MAX_ELEMENTS) + b"]",
        b"[" + b",".join([b"9" * 4000] * 500) + b"]",
        b"[" + b",".join([b'"' + b"\\n" * 20_000 + b'"'] * 50) + b"]",
    ],
    ids=["objects", "numbers", "long numbers", "texts"],
)
async def test_everybody_else_has_a_turn(body: bytes) -> None:
    task = asyncio.create_task(read_array(body))
    longest = 0.0
    while not task.done():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - began)
    assert await task == json.loads(body)
    assert longest < AT_ONCE_SECONDS


async def test_more_than_any_route_takes_is_not_read_to_its_end() -> None:
    with pytest.raises(HTTPException):
        await read_array(b"[" + b"{}," * 500_000 + b"{}]")
