"""The candidates of a `srcset` (HTML, 4.8.4.2.2, "parsing a srcset attribute"), leniently and in linear time."""

from __future__ import annotations

import re

MAX_CANDIDATES = 200
_SPACE = " \t\n\f\r"
_URL = re.compile(rf"[{_SPACE},]*([^{_SPACE}]+)")
_DESCRIPTORS = re.compile(r"(?:[^,()]|\([^)]*\)?)*")
_DESCRIPTOR = re.compile(r"(\d+(?:\.\d+)?)([wx])")


def candidates(srcset: str) -> tuple[str, ...]:
    """The URLs, the one of greatest width or density first, at most `MAX_CANDIDATES`; without a descriptor it is 1x.

    A comma ends a candidate where white space, or the descriptors, precede it; else it belongs to the URL (`data:…,…`).
    What a browser would leave out for a wrong descriptor is kept.
    """
    found: list[tuple[float, str]] = []
    at = 0
    while len(found) < MAX_CANDIDATES and (match := _URL.match(srcset, at)):
        url, at = match[1], match.end()
        size = 1.0
        if url.endswith(","):
            url = url.rstrip(",")
        elif described := _DESCRIPTORS.match(srcset, at):
            at = described.end()
            numbers = [float(one[1]) for one in map(_DESCRIPTOR.fullmatch, described[0].split()) if one]
            size = numbers[0] if numbers else size
        if url:
            found += ((size, part) for part in _parts(url))
    return tuple(url for _, url in sorted(found, key=lambda one: -one[0]))


def _parts(url: str) -> list[str]:
    """Commas without a space join URLs only for a browser; that the next begins like one of its own shows what was meant."""
    if url[:5].lower() == "data:" or "," not in url:
        return [url]
    return [part for part in re.split(r",(?=https?:|//)", url) if part]
