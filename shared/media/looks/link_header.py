"""The style sheets that a `Link` header names (RFC 8288): Firefox heeds them, also for an answer of no bytes at all. Pure."""

from __future__ import annotations

import re

from shared.urls import BadUrl, parse_url

LINK = "link"
_REL = re.compile(r'\s*rel\s*=\s*"?([^"]*)', re.IGNORECASE)


def linked_stylesheets(header: str, base_url: str) -> tuple[str, ...]:
    """Their absolute URLs, in order, each once. What is no link is passed over."""
    found: dict[str, None] = {}
    for target, parameters in _links(header):
        rel = next((match[1] for one in parameters if (match := _REL.match(one)) is not None), "")
        if "stylesheet" not in rel.lower().split():
            continue
        try:
            found[parse_url(target, base=base_url).href] = None
        except BadUrl:
            continue
    return tuple(found)


def _links(header: str) -> list[tuple[str, list[str]]]:
    """Each link's target and its parameters, as they are written; in linear time."""
    links = []
    at = 0
    while (start := header.find("<", at)) != -1:
        end = header.find(">", start)
        if end == -1:
            break
        parameters, at = _parameters(header, end + 1)
        links.append((header[start + 1 : end].strip(), parameters))
    return links


def _parameters(header: str, start: int) -> tuple[list[str], int]:
    """What stands between semicolons up to the next comma, neither of them in quotes; and where that is."""
    found, at, quoted = [], start, False
    while at < len(header):
        mark = header[at]
        if quoted and mark == "\\":
            at += 1
        elif mark == '"':
            quoted = not quoted
        elif mark in ",;" and not quoted:
            found.append(header[start:at])
            start = at + 1
            if mark == ",":
                return found, at
        at += 1
    return [*found, header[start:]], at
