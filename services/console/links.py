"""The addresses in whatever was pasted: a mail, a chat, a list. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

MAX_LINKS = 1000
"""Of one form."""
_DEFANGED = (("hxxps://", "https://"), ("hxxp://", "http://"), ("[.]", "."), ("(.)", "."), ("[dot]", "."), ("[:]", ":"))
_ADDRESS = re.compile(
    r"(?:https?://|(?<![@\w.-])(?=[\w-]+(?:\.[\w-]+)*\.[a-z]{2,24}(?:/|\s|$)))[^\s<>\"'`|\\^{}]+", re.IGNORECASE
)
_TRAILING = ".,;:!?)]}>»\u201d\u2019"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """`url`: with a scheme. `site`: its host name."""

    url: str
    site: str


def links_in(text: str) -> list[Link]:
    """Each address of a text once, in its order. Defanged ones (`hxxps://img[.]example`) are put right; a mail address is none."""
    for written, meant in _DEFANGED:
        text = re.sub(re.escape(written), meant, text, flags=re.IGNORECASE)
    found: dict[str, Link] = {}
    for match in _ADDRESS.finditer(text):
        written = _without_trailing(match.group())
        url = written if re.match(r"https?://", written, re.IGNORECASE) else f"https://{written}"
        site = site_of(url)
        if "." in site:
            found.setdefault(url, Link(url=url, site=site))
    return list(found.values())


def site_of(url: str) -> str:
    """The host name of an address, or nothing."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _without_trailing(written: str) -> str:
    """The punctuation of the sentence around an address is no part of it; a closing bracket that it opened itself is."""
    end = len(written)
    surplus = written.count(")") - written.count("(")
    while end and written[end - 1] in _TRAILING:
        if written[end - 1] == ")":
            if surplus <= 0:
                break
            surplus -= 1
        end -= 1
    return written[:end]
