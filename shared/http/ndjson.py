"""Routes that take a stream of lines: `application/x-ndjson`, beside JSON on the same path."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import Match
from starlette.types import Scope

NDJSON = "application/x-ndjson"


class LinesRoute(APIRoute):
    """A route for bodies of this media type alone; it reads them as they come."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and not is_lines(scope):
            return Match.NONE, {}
        return super().matches(scope)


def is_lines(scope: Scope) -> bool:
    """Whether the request's media type is `application/x-ndjson`, with any parameters."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type: bytes = value.partition(b";")[0].strip().lower()
            return media_type == NDJSON.encode()
    return False


def body_of_lines(line: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of an operation that takes such a stream beside its JSON, whose schema names the line's model too."""
    return {"requestBody": {"content": {NDJSON: {"schema": {"$ref": f"#/components/schemas/{line.__name__}"}}}}}
