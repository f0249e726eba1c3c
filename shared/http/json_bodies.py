"""What is wrong with a body of JSON before any model reads it.

A name that stands twice in one object: readers differ on which counts (RFC 8259, 4). And more of anything than a request of ours may
need: a model tells what is wrong with each of a hundred thousand values, which takes minutes in which nobody else is served.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.contracts.json_pointer import pointer_of

MAX_VALUES = 200_000
"""Values of a whole body, counted by its commas and brackets, those in texts with them."""
MAX_NAMES = 32
"""Fields of one object."""
MAX_ENTRIES = 256
"""Entries of a list within an object. How many sightings a request may have is its route's to say."""

_TOO_MANY_VALUES = f"This holds more than {MAX_VALUES:,} values. Send less at once."
_TOO_MANY_NAMES = f"This object has more than {MAX_NAMES} fields. Leave out what is not asked for."
_TOO_MANY_ENTRIES = f"This list has more than {MAX_ENTRIES} entries. Send less at once."
_TWICE = "This name stands twice in the same object. Send it once."


@dataclass(frozen=True, slots=True)
class BodyFault:
    """What is wrong with a body, as a sentence. `pointer`: a JSON Pointer (RFC 6901) to the place."""

    pointer: str
    text: str


class _Refused(Exception):
    """The body is refused for this fault."""

    pass


class _Members(list[tuple[str, Any]]):
    """An object as it was written: its members in order, with any repeated."""


def is_json(content_type: bytes) -> bool:
    """Whether a body of this media type is read as JSON: `application/json`, or any with the suffix `+json` (RFC 6838)."""
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type.startswith(b"application/") and media_type.endswith((b"/json", b"+json"))


def fault_of(body: bytes) -> BodyFault | None:
    """What is wrong with a body of JSON; None where nothing is, or it is not JSON at all."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        return BodyFault("#", _TOO_MANY_VALUES)
    try:
        try:
            json.loads(body, object_pairs_hook=_refuse, parse_int=_passed, parse_float=_passed)
        except _Refused:
            return _first_fault(json.loads(body, object_pairs_hook=_Members))
    except (ValueError, RecursionError):  # the app says so
        return None
    return None


def _passed(_: str) -> None:
    """Take a number for None: its value is not needed to know the shape, and one of a hundred thousand digits takes long to make."""


def _refuse(members: list[tuple[str, Any]]) -> None:
    """Check the members of an object, and take it for None, so that a list is walked over only once: where it ends."""
    if len(members) > MAX_NAMES or len(dict(members)) < len(members) or any(map(_is_long, _lists_of(members))):
        raise _Refused


def _lists_of(members: list[tuple[str, Any]]) -> Iterator[list[Any]]:
    waiting = [value for _, value in members if isinstance(value, list)]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += [inner for inner in one if isinstance(inner, list)]


def _is_long(entries: list[Any]) -> bool:
    return len(entries) > MAX_ENTRIES


def _first_fault(document: Any) -> BodyFault:
    waiting: list[tuple[tuple[int | str, ...], Any, bool]] = [((), document, False)]
    while waiting:
        place, value, within = waiting.pop()
        if isinstance(value, _Members):
            names: set[str] = set()
            for name, inner in value:
                if name in names:
                    return BodyFault(pointer_of((*place, name)), _TWICE)
                names.add(name)
                waiting.append(((*place, name), inner, True))
            if len(value) > MAX_NAMES:
                return BodyFault(pointer_of(place), _TOO_MANY_NAMES)
        elif isinstance(value, list):
            if within and _is_long(value):
                return BodyFault(pointer_of(place), _TOO_MANY_ENTRIES)
            waiting += [((*place, number), inner, within) for number, inner in enumerate(value)]
    return BodyFault("#", _TOO_MANY_VALUES)
