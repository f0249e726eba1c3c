"""A name that stands twice in one object of JSON: readers differ on which of the two counts (RFC 8259, 4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.repeated_names import repeated_name

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a": 1, "a": 2}', "#/a"),
        (b'{"a": 1, "a": 1}', "#/a"),
        (b'{"a": {"b": null, "c": 0, "b": null}}', "#/a/b"),
        (b'[{"a": 1}, {"a": 1, "b": 2, "a": 3}]', "#/1/a"),
        (b'{"declaration": {"depicts_minor": "yes", "depicts_minor": "no"}}', "#/declaration/depicts_minor"),
        (b'{"a": 1, "\\u0061": 2}', "#/a"),
        (b'{"": 1, "": 2}', "#/"),
        (b'{"a/b": [[[{"c": 1, "c": 2}]]]}', "#/a~1b/0/0/0/c"),
    ],
)
def test_a_name_twice_in_one_object(body: bytes, pointer: str) -> None:
    assert repeated_name(body) == pointer


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[", b'{"a": 1, "a"', b"\xff\xfe", b"[" * 100_000, b'[{"a": 1}, {"a": 1}]', b'{"a": {"a": 1}}'],
)
def test_none_or_no_json(body: bytes) -> None:
    assert repeated_name(body) is None


@given(JSON)
def test_what_a_writer_of_json_writes_has_none(value: Any) -> None:
    assert repeated_name(json.dumps(value).encode()) is None


@given(st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4), st.data())
def test_any_name_is_found_when_it_is_written_twice(value: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    body = json.dumps(value)[:-1] + f", {json.dumps(name)}: 0}}"
    assert repeated_name(body.encode()) is not None
