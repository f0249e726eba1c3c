"""The API's description (OpenAPI 3.1) with what FastAPI cannot know: errors are problems (RFC 9457), and what opens which path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from shared.http.problems import MEDIA_TYPE

_TEXT = {"type": "string"}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Problem Details (RFC 9457). Values are never echoed.",
    "examples": [
        {
            "type": "urn:takedown:problem:conflict",
            "title": "This is not possible as things stand.",
            "status": 409,
            "detail": "The claim is withdrawn.",
        }
    ],
    "required": ["type", "title", "status"],
    "properties": {
        "type": {**_TEXT, "description": "`urn:takedown:problem:…`, or `about:blank`."},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {**_TEXT, "description": "JSON Pointer into the body, as a fragment; `#` is all of it."},
                    "parameter": {**_TEXT, "description": "The name of a parameter of query, path or header."},
                    "detail": _TEXT,
                },
            },
        },
    },
}
_ANSWER = {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "A person's or a program's key (`tdk_…`)."},
    "demand": {"type": "http", "scheme": "bearer", "description": "The token of the demand."},
}
_OPENED_BY = {"/v1/": "key", "/host/v1/": "demand"}


class App(FastAPI):
    """FastAPI with a description (OpenAPI) that is true of our errors and keys."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = described(super().openapi())
        return self.openapi_schema


def described(description: dict[str, Any]) -> dict[str, Any]:
    """The description with what FastAPI does not know, completed in place."""
    components = description.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = _SCHEMES
    for path, operations in description["paths"].items():
        opened_by = next((scheme for start, scheme in _OPENED_BY.items() if path.startswith(start)), None)
        for operation in operations.values():
            responses = operation["responses"]
            if "422" in responses:
                responses["422"] = {"description": "A field is not acceptable, or the request is refused.", **_ANSWER}
            responses["default"] = {"description": "Any other error.", **_ANSWER}
            _show_examples(operation, schemas)
            if opened_by is not None:
                operation["security"] = [{opened_by: []}]
    return description


def _show_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Beside each schema of the operation the first example of its model: many tools show no example of a model they refer to."""
    answers = (answer for status, answer in operation["responses"].items() if status.startswith("2"))
    for part in (operation.get("requestBody", {}), *answers):
        for shown in part.get("content", {}).values():
            found = _example_of(shown.get("schema", {}), schemas)
            if found is not None and "examples" not in shown:
                shown.setdefault("example", found)


def _example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """The example of the schema, of the first of several that it may be (null aside), or of a list's items; None: there is none."""
    if "$ref" in schema:
        return _example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for one in schema.get("anyOf", ()):
        found = _example_of(one, schemas)
        if found is not None:
            return found
    item = _example_of(schema["items"], schemas) if schema.get("type") == "array" else None
    return None if item is None else [item]
