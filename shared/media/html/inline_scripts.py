"""Scripts that stand in an element's attributes: event handlers, and URLs whose scheme is `javascript:`."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HANDLER = re.compile(r"on[a-z]{3}")
"""The shortest is `oncut`."""
_SCRIPT_URL = re.compile(r"[\0-\x20]*javascript:", re.IGNORECASE)
_REMOVED = re.compile(r"[\t\n\r]+")
"""The URL parser drops these wherever they stand, and what `_SCRIPT_URL` passes over at the beginning (WHATWG URL, 4.4)."""
_URLS = frozenset(("href", "xlink:href", "src", "action", "formaction", "data", "code", "codebase", "movie", "poster"))
_ANIMATED = frozenset(("to", "from", "by", "values"))
"""Of SVG's animations: what they set may be a link's URL."""


def inline_scripts(values: Mapping[str, str]) -> int:
    """How many attributes of an element hold a script that a browser runs, at once or when somebody acts. Names in lower case."""
    return sum(_has_script(name, value) for name, value in values.items())


def _has_script(name: str, value: str) -> bool:
    if _HANDLER.match(name):
        return bool(value.strip())
    if name in _URLS:
        return _SCRIPT_URL.match(_REMOVED.sub("", value)) is not None
    if name in _ANIMATED:
        return any(_SCRIPT_URL.match(one) is not None for one in _REMOVED.sub("", value).split(";"))
    return False
