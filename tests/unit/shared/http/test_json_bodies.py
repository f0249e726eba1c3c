"""What is wrong with a body of JSON before a model reads it: names twice in one object, and more of anything than is ever needed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.json_bodies import MAX_ENTRIES, MAX_NAMES, MAX_VALUES, BodyFault, fault_of

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
    assert fault_of(body) == BodyFault(pointer, "This name stands twice in the same object. Send it once.")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[",
        b'{"a": 1, "a"',
        b'[{"a": 1, "a": 2}',
        b'{"a": 1, "a": 2} x',
        b"\xff\xfe",
        b"[" * 100_000,
        b'[{"a": 1}, {"a": 1}]',
        b'{"a": {"a": 1}}',
    ],
)
def test_none_or_no_json(body: bytes) -> None:
    assert fault_of(body) is None


@given(JSON)
def test_what_a_writer_of_json_writes_has_none(value: Any) -> None:
    assert fault_of(json.dumps(value).encode()) is None


@given(st.dictionaries(st.text(max_size=3), JSON, min_size=1, max_size=4), st.data())
def test_any_name_is_found_when_it_is_written_twice(value: dict[str, Any], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(value)))
    body = json.dumps(value)[:-1] + f", {json.dumps(name)}: 0}}"
    assert fault_of(body.encode()) is not None


def names(count: int) -> dict[str, int]:
    return {f"n{number}": 0 for number in range(count)}


@pytest.mark.parametrize(
    ("document", "pointer", "says"),
    [
        (names(MAX_NAMES + 1), "#", "fields"),
        ([{}, {"a": names(MAX_NAMES + 1)}], "#/1/a", "fields"),
        ({"a": [0] * (MAX_ENTRIES + 1)}, "#/a", "entries"),
        ({"a": [{}] * (MAX_ENTRIES + 1)}, "#/a", "entries"),
        ({"a": [[[0] * (MAX_ENTRIES + 1)]]}, "#/a/0/0", "entries"),
        ([[{"a": {"b": [None] * (MAX_ENTRIES + 1)}}]], "#/0/0/a/b", "entries"),
        ([0] * (MAX_VALUES + 1), "#", "values"),
        ([[]] * MAX_VALUES, "#", "values"),
        ([{}] * (MAX_VALUES // 2 + 1), "#", "values"),
    ],
    ids=["names", "names within", "numbers", "objects", "lists", "deep", "values", "empty lists", "empty objects"],
)
def test_more_than_is_ever_needed(document: Any, pointer: str, says: str) -> None:
    fault = fault_of(json.dumps(document).encode())
    assert fault is not None
    assert fault.pointer == pointer
    assert says in fault.text


@pytest.mark.parametrize(
    "document",
    [names(MAX_NAMES), {"a": [names(9)] * MAX_ENTRIES}, [{"fingerprints": [names(4)] * 20}] * 1000, [0] * MAX_VALUES],
    ids=["names", "entries", "sightings", "values"],
)
def test_what_may_be_needed(document: Any) -> None:
    assert fault_of(json.dumps(document).encode()) is None
