"""The API's description (docs/api/openapi.json, which another test compares with the code) tells a stranger what each route does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
DESCRIPTION: dict[str, Any] = json.loads((ROOT / "docs" / "api" / "openapi.json").read_text())
ROUTES = ("/v1/", "/host/v1/", "/.well-known/takedown.json")
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DESCRIPTION["paths"].items()
    for method, operation in operations.items()
    if path.startswith(ROUTES)
}


def resolved(reference: str) -> Any:
    found: Any = DESCRIPTION
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def schemas_within(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and all it is made of, each model once."""
    waiting, seen = [schema], set()
    while waiting:
        one = waiting.pop()
        if "$ref" in one:
            if one["$ref"] not in seen:
                seen.add(one["$ref"])
                waiting.append(resolved(one["$ref"]))
            continue
        yield one
        waiting += one.get("properties", {}).values()
        waiting += [part for name in ("anyOf", "oneOf", "allOf", "prefixItems") for part in one.get(name, ())]
        waiting += [one[name] for name in ("items", "additionalProperties") if isinstance(one.get(name), dict)]


def media_of(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Its body's and its good answers' media types."""
    yield from operation.get("requestBody", {}).get("content", {}).values()
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield from answer["content"].values()


def test_there_are_operations() -> None:
    assert len(OPERATIONS) >= 32


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_named_and_described(name: str) -> None:
    operation = OPERATIONS[name]
    made_of_the_function = operation["operationId"].partition("_v1_")[0].replace("_", " ").title()
    assert operation["summary"] != made_of_the_function
    assert len(operation["description"].split()) >= 5


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_has_an_example_of_what_it_takes_and_gives(name: str) -> None:
    media = list(media_of(OPERATIONS[name]))
    assert media
    assert [one for one in media if "example" not in one and "examples" not in one] == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_generated_client_sees_no_any(name: str) -> None:
    typed = {"type", "anyOf", "oneOf", "allOf", "enum", "const"}
    for media in media_of(OPERATIONS[name]):
        for schema in schemas_within(media["schema"]):
            assert typed & schema.keys(), schema
            assert schema.get("type") != "object" or "properties" in schema or "additionalProperties" in schema, schema
            assert schema.get("type") != "array" or "items" in schema, schema


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for one in part.values():
            yield from references(one)
    elif isinstance(part, list):
        for one in part:
            yield from references(one)


def test_every_reference_resolves() -> None:
    for reference in set(references(DESCRIPTION)):
        assert isinstance(resolved(reference), dict), reference
