"""Where in a JSON document something is (RFC 6901)."""

from __future__ import annotations

from urllib.parse import quote

_FRAGMENT_SAFE = "!$&'()*+,;=:@?"
"""What RFC 3986, 3.5 lets stand in a fragment, beside what `quote` never quotes."""


def pointer_of(location: tuple[int | str, ...] | list[int | str]) -> str:
    """The place of a validation error in its document, as a fragment (RFC 6901, section 6): `#` is the whole of it."""
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in location]
    return "#" + "".join(f"/{quote(part, safe=_FRAGMENT_SAFE)}" for part in parts)
