"""Names that stand twice in one object of JSON: readers differ on which counts (RFC 8259, 4), so such a body is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from shared.contracts.json_pointer import pointer_of


class _Repeated(Exception):
    pass


class _Members(list[tuple[str, Any]]):
    """An object as it was written: its members in order, with any repeated."""


def is_json(content_type: bytes) -> bool:
    """Whether a body of this media type is read as JSON: `application/json`, or any with the suffix `+json` (RFC 6838)."""
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type.startswith(b"application/") and media_type.endswith((b"/json", b"+json"))


def repeated_name(body: bytes) -> str | None:
    """The JSON Pointer to a name that stands twice in its object; None where there is none, or the body is not JSON at all."""
    try:
        json.loads(body, object_pairs_hook=_refuse_repeated)
    except _Repeated:
        return pointer_of(_place(json.loads(body, object_pairs_hook=_Members)))
    except (ValueError, RecursionError):  # the app says so
        return None
    return None


def _refuse_repeated(members: list[tuple[str, Any]]) -> None:
    if len({name for name, _ in members}) < len(members):
        raise _Repeated


def _place(document: Any) -> tuple[int | str, ...]:
    waiting: list[tuple[tuple[int | str, ...], Any]] = [((), document)]
    while waiting:
        place, value = waiting.pop()
        names = set()
        for name, inner in _parts(value):
            if name in names:
                return (*place, name)
            names.add(name)
            waiting.append(((*place, name), inner))
    return ()


def _parts(value: Any) -> Iterator[tuple[int | str, Any]]:
    if isinstance(value, _Members):
        yield from value
    elif isinstance(value, list):
        yield from enumerate(value)
