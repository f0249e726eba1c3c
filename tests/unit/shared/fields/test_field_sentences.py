"""Every error that pydantic can raise for a model people write to is said in our own words: HTTP, settings, events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from services.intake.domain.schemas import SightingRequest
from services.standalone import assembly
from shared.db.pool import Database
from shared.field_errors import FALLBACK, SENTENCES, field_errors, sentence_of
from shared.policy import Policy
from shared.process.settings import Settings, load

_SIZES = ("too_short", "too_long")
_COMPARED = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "multiple_of")
RAISED: Mapping[str, tuple[str, ...]] = {
    "any": (),
    "bool": ("bool_type", "bool_parsing"),
    "chain": (),
    "custom-error": (),
    "date": (
        *(
            "date_type",
            "date_parsing",
            "date_from_datetime_parsing",
            "date_from_datetime_inexact",
            "date_past",
            "date_future",
        ),
    ),
    "datetime": (
        *("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "datetime_object_invalid"),
        *("timezone_naive", "timezone_aware", "timezone_offset", "datetime_past", "datetime_future"),
    ),
    "default": (),
    "definitions": (),
    "definition-ref": ("recursion_loop",),
    "dict": ("dict_type", "mapping_type", *_SIZES),
    "enum": ("enum",),
    "float": ("float_type", "float_parsing", "finite_number", *_COMPARED),
    "function-after": ("value_error", "assertion_error"),
    "function-before": ("value_error", "assertion_error"),
    "function-plain": ("value_error", "assertion_error"),
    "function-wrap": ("value_error", "assertion_error"),
    "int": ("int_type", "int_parsing", "int_parsing_size", "int_from_float", *_COMPARED),
    "is-instance": ("is_instance_of",),
    "json-or-python": (),
    "lax-or-strict": (),
    "list": ("list_type", "iteration_error", *_SIZES),
    "literal": ("literal_error",),
    "model": ("model_type", "model_attributes_type"),
    "model-field": ("missing",),
    "model-fields": ("extra_forbidden", "invalid_key", "json_invalid", "json_type"),
    "none": ("none_required",),
    "nullable": (),
    "path": ("path_type",),
    "str": (
        *("string_type", "string_unicode", "string_not_ascii"),
        *("string_too_short", "string_too_long", "string_pattern_mismatch"),
    ),
    "timedelta": ("time_delta_type", "time_delta_parsing", *_COMPARED),
    "tuple": ("tuple_type", "iteration_error", *_SIZES),
    "union": (),
    "uuid": ("uuid_type", "uuid_parsing", "uuid_version"),
}
"""Which errors a kind of schema can raise. A kind that is not here fails the test: add it, with its errors."""
_OUR_OWN = {"value_error", "assertion_error"}
_CONTEXT: dict[str, Any] = {
    **{"min_length": 2, "max_length": 3, "pattern": "^a$", "expected": "'a' or 'b'"},
    **dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of"), 4),
}


def api_models() -> dict[str, TypeAdapter[Any]]:
    """Whatever the HTTP API reads, by its place in it: bodies, forms, and parameters of query, path and header."""
    runtime = assembly.with_outbound(
        assembly.build_runtime(
            load({}, root_key="00" * 32, log="postgres", data_dir="/nonexistent"), Database(""), create_root_key=False
        )
    )
    found: dict[str, TypeAdapter[Any]] = {}
    for route in (
        one for service in assembly.create_services(runtime) for router in service.routers() for one in router.routes
    ):
        if isinstance(route, APIRoute):
            for name, kind in _read_by(route.dependant):
                found[f"{sorted(route.methods or ())[0]} {route.path} {name}"] = TypeAdapter(kind)
    return found


def _read_by(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    for group in ("path_params", "query_params", "header_params", "cookie_params", "body_params"):
        for field in getattr(dependant, group):
            yield field.name, Annotated[field.field_info.annotation, field.field_info]
    for one in dependant.dependencies:
        yield from _read_by(one)


API = api_models()
MODELS: dict[str, TypeAdapter[Any]] = {
    **API,
    **{kind.__name__: TypeAdapter(kind) for kind in (Settings, Policy, SightingRequest)},
}


def kinds_in(schema: object) -> Iterator[str]:
    """The kinds of every schema within a core schema."""
    if isinstance(schema, list | tuple):
        for one in schema:
            yield from kinds_in(one)
    elif isinstance(schema, dict):
        if isinstance(schema.get("type"), str) and schema["type"] not in ("no-info", "with-info"):
            yield schema["type"]
        for name, one in schema.items():
            if name not in ("metadata", "serialization", "config", "expected", "members", "default"):
                yield from kinds_in(one)


def test_the_api_s_models_are_found() -> None:
    assert "POST /v1/claims asked" in API
    assert len(API) > 40


def test_every_error_our_models_can_raise_has_a_sentence_of_ours() -> None:
    kinds = {kind for adapter in MODELS.values() for kind in kinds_in(adapter.core_schema)}
    assert kinds <= RAISED.keys()
    for error in sorted({error for kind in kinds for error in RAISED[kind]} - _OUR_OWN):
        said = sentence_of({"type": error, "msg": "of pydantic", "ctx": _CONTEXT})
        assert said != FALLBACK, error
        assert said[0].isupper(), error
        assert said.endswith(".") or error == "string_pattern_mismatch", error
        assert "{" not in said, error


_TEXTS = st.sampled_from(
    ["", "x", "1", "-1", "no", "2026-13-01", "0001-01-01T00:00:00+14:00", "2026-01-01", "ü" * 5000]
)
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS | st.just(10**4000) | st.just("9" * 5000)
_JSON = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner), max_leaves=6)


def objects_for(adapter: TypeAdapter[Any]) -> st.SearchStrategy[Any]:
    """Objects with the model's own field names, some of them, and one nobody knows: what is beneath is reached."""
    names = sorted(_field_names(adapter))
    if not names:
        return _JSON
    nested = st.dictionaries(st.sampled_from([*names, "nobody_knows"]), _JSON | st.lists(_JSON, max_size=2))
    return _JSON | st.dictionaries(
        st.sampled_from([*names, "nobody_knows"]), _JSON | nested | st.lists(nested, max_size=2)
    )


def _field_names(adapter: TypeAdapter[Any]) -> set[str]:
    found: set[str] = set()

    def walk(schema: object) -> None:
        if isinstance(schema, list | tuple):
            for one in schema:
                walk(one)
        elif isinstance(schema, dict):
            if schema.get("type") == "model-fields":
                found.update(schema["fields"])
            for one in schema.values():
                walk(one)

    walk(adapter.core_schema)
    return found


@given(data=st.data())
@settings(max_examples=400, deadline=None)
def test_whatever_is_sent_no_word_of_pydantic_comes_back(data: st.DataObject) -> None:
    """Every model the API reads, given what it does not expect."""
    adapter = MODELS[data.draw(st.sampled_from(sorted(MODELS)))]
    try:
        adapter.validate_python(data.draw(objects_for(adapter)))
    except ValidationError as error:
        for found, raised in zip(field_errors(error), error.errors(include_url=False), strict=True):
            said = found.text
            assert said != FALLBACK, raised["type"]
            assert said not in raised["msg"] or raised["type"] in _OUR_OWN
            assert "Input" not in said
            assert said[0].isupper()


class _Asked(BaseModel, extra="forbid"):
    kind: Annotated[str, "x"]
    count: int = 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "This field is required."),
        ({"kind": "a", "knid": "a"}, "There is no such field here. Check its spelling, or leave it out."),
        ({"kind": "a", "count": "many"}, "This must be a whole number."),
    ],
)
def test_a_sentence_says_what_to_do(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Asked.model_validate_json(json.dumps(body))
    assert [one.text for one in field_errors(caught.value)] == [said]


def test_an_error_nobody_foresaw_is_still_a_sentence() -> None:
    assert sentence_of({"type": "of_the_future", "msg": "gobbledygook"}) == FALLBACK
    assert all(template for template in SENTENCES.values())
