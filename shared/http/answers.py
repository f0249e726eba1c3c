"""The base of every answer's model, so that a generated client knows the type of each field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from shared.ids import timestamp

Moment = Annotated[
    datetime,
    PlainSerializer(timestamp, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in an answer: RFC 3339 in UTC, with microseconds and `Z`. Raises ValueError for a naive one when it is written."""


class Answer(BaseModel):
    """The body of an answer, or a part of it. Every field is always there; null where there is nothing to say."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


def example(shown: Mapping[str, Any]) -> ConfigDict:
    """The `model_config` of a model whose example this is, as JSON."""
    return ConfigDict(json_schema_extra={"examples": [dict(shown)]})
