"""What is wrong with one field, in our own words: the one place that turns a validation error of pydantic into a sentence.

A sentence names the rule and never the value. It stands behind the name of its field: `#/seen_at This field is required.`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

MOST_ERRORS = 100
"""Errors of one document."""
FALLBACK = "This value cannot be used here."
"""For an error nobody foresaw. `tests/unit/shared/fields/test_field_sentences.py` shows that no model of ours comes to it."""

_OUR_OWN = frozenset({"value_error", "assertion_error"})
"""Raised by validators of ours: their text is the sentence."""
NOT_JSON = "This is not valid JSON. Check quotes, commas and brackets."
_WHOLE_NUMBER = "This must be a whole number."
_NUMBER = "This must be a number."
_TRUE_OR_FALSE = "This must be true or false."
_TEXT = "This must be text."
_LIST = "This must be a list."
_OBJECT = "This must be an object with named fields."
_UUID = "This must be a UUID, such as 123e4567-e89b-42d3-a456-426614174000."
_MOMENT = "This must be a date and time with its UTC offset, such as 2026-11-24T10:00:00Z."
_DATE = "This must be a date, such as 2026-11-24."
_DURATION = "This must be a length of time: ISO 8601, such as PT12H or P3D, or a number of seconds."

SENTENCES: Mapping[str, str] = {
    # The document
    "json_invalid": NOT_JSON,
    "json_type": NOT_JSON,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "missing": "This field is required.",
    "missing_keyword_only_argument": "This field is required.",
    "extra_forbidden": "There is no such field here. Check its spelling, or leave it out.",
    "unexpected_keyword_argument": "There is no such field here. Check its spelling, or leave it out.",
    "invalid_key": "The name of a field must be text.",
    "recursion_loop": "This holds itself.",
    # Lists
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "iteration_error": _LIST,
    "too_short": "This list must have at least {min_length} entries.",
    "too_short_empty": "This list must not be empty.",
    "too_long": "This list must have at most {max_length} entries.",
    # Text
    "string_type": _TEXT,
    "string_unicode": "This must be text in UTF-8.",
    "string_not_ascii": "This must be text of ASCII characters alone.",
    "string_too_short": "This text must be at least {min_length} characters long.",
    "string_too_short_empty": "This text must not be empty.",
    "string_too_long": "This text must be at most {max_length} characters long.",
    "string_pattern_mismatch": "This text must match the regular expression {pattern}",
    "bytes_type": _TEXT,
    "bytes_invalid_encoding": "This text is not encoded as it must be.",
    "literal_error": "This must be {expected}.",
    "enum": "This must be {expected}.",
    # Numbers and switches
    "bool_type": _TRUE_OR_FALSE,
    "bool_parsing": _TRUE_OR_FALSE,
    "int_type": _WHOLE_NUMBER,
    "int_parsing": _WHOLE_NUMBER,
    "int_parsing_size": "This number has too many digits.",
    "int_from_float": _WHOLE_NUMBER,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "This must be a finite number.",
    "greater_than": "This must be more than {gt}.",
    "greater_than_equal": "This must be {ge} or more.",
    "less_than": "This must be less than {lt}.",
    "less_than_equal": "This must be {le} or less.",
    "multiple_of": "This must be a multiple of {multiple_of}.",
    "none_required": "This must be left out, or null.",
    # Identifiers, moments, durations
    "uuid_type": _UUID,
    "uuid_parsing": _UUID,
    "uuid_version": _UUID,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "timezone_naive": _MOMENT,
    "timezone_aware": _MOMENT,
    "timezone_offset": _MOMENT,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": "This must be a date without a time, such as 2026-11-24.",
    "date_past": "This date must be in the past.",
    "date_future": "This date must be in the future.",
    "datetime_past": "This moment must be in the past.",
    "datetime_future": "This moment must be in the future.",
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "is_instance_of": "This is not the kind of value that belongs here.",
    "path_type": "This must be the path of a file or folder.",
}


def sentence_of(error: Mapping[str, Any]) -> str:
    """What is wrong with the field of this error (one of `ValidationError.errors()`, with its context)."""
    kind = error["type"]
    if kind in _OUR_OWN:
        return str(error["msg"]).partition(", ")[2]  # "Value error, …"
    context = error.get("ctx") or {}
    if context.get("min_length") == 1:
        kind += "_empty"
    return SENTENCES.get(kind, FALLBACK).format_map(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one field of a document: where it is, pydantic's name of the error, and our sentence; never the value."""

    location: tuple[int | str, ...]
    kind: str
    text: str


class _Validation(Protocol):
    def errors(self) -> Sequence[Any]: ...


def field_errors(error: _Validation) -> tuple[FieldError, ...]:
    """Of a pydantic ValidationError, or FastAPI's of a request. The first `MOST_ERRORS`: who has more wrong sends another form."""
    return tuple(
        FieldError(location=tuple(one["loc"]), kind=one["type"], text=sentence_of(one))
        for one in error.errors()[:MOST_ERRORS]
    )
