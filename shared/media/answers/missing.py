"""The site's own "missing" answer: whether it answers an address as it answers one that cannot exist. Pure.

Such an answer tells something only where the site tells addresses apart at all: one that is known to exist must be answered
differently in the same look.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlunsplit

from shared.urls import split_url

ALIKE = 0.95
"""The share of words that two texts must have in common to be alike."""
LENGTHS_ALIKE = 0.1
_PROGRAMS = re.compile(r"\.(?:php\d?|aspx?|jsp|cgi|pl|do|action|cfm|html?)$", re.IGNORECASE)
_CHANGING = re.compile(r"\b(?=\w*\d)[\w-]{4,}\b|\d+")
"""What changes from request to request: numbers, times, identifiers."""
_MIN_NAME_CHARACTERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerShape:
    """An answer, as far as it is compared with another. `kind`: `page`, `text`, `media`, `bytes` or `empty`; `digest` of its bytes, where
    it is no page; `text` without the names it was asked by."""

    status: int
    kind: str
    place: str
    title: str = ""
    text: str = ""
    text_characters: int = 0
    digest: str = ""


def answer_shape(
    *,
    asked_url: str,
    final_url: str,
    status: int,
    kind: str,
    title: str = "",
    text: str = "",
    text_characters: int = 0,
    digest: str = "",
) -> AnswerShape:
    """The shape of an answer to `asked_url`. What repeats the address, and what changes from request to request, is left out."""
    names = _names_in(asked_url)
    place = unquote("" if final_url == asked_url else urlunsplit(split_url(final_url)._replace(query="", fragment="")))
    return AnswerShape(
        status=status,
        kind=kind,
        place=_without(place, names),
        title=_plain(title, names),
        text=_plain(text, names),
        text_characters=text_characters,
        digest=digest,
    )


def alike(one: AnswerShape, other: AnswerShape) -> bool:
    """Whether two answers are the same but for what each request changes."""
    return one.place == other.place and _show_alike(one, other)


def _show_alike(one: AnswerShape, other: AnswerShape) -> bool:
    if (one.status, one.kind, one.title) != (other.status, other.kind, other.title):
        return False
    if one.kind not in ("page", "text"):
        return one.digest == other.digest
    longer = max(one.text_characters, other.text_characters)
    if abs(one.text_characters - other.text_characters) > LENGTHS_ALIKE * longer + 40:
        return False
    return _share_in_common(one.text.split(), other.text.split()) >= ALIKE


def is_missing_answer(target: AnswerShape, impossible: AnswerShape, control: AnswerShape) -> bool:
    """Whether the target is answered like what cannot exist, while what does exist is not: a redirect of anything else to the site's first
    page is no answer."""
    return alike(target, impossible) and not _show_alike(control, impossible)


def impossible_url(url: str, nonce: str) -> str:
    """An address of the same kind at the same site that nothing can have. `nonce`: long and random, of letters and digits.

    A file is named differently in its folder; where a program is asked, what it is asked for differs.
    """
    split = split_url(url)
    folder, _, name = split.path.rpartition("/")
    query = parse_qsl(split.query, keep_blank_values=True)
    if query and (not name or _PROGRAMS.search(name) or "." not in name):
        return urlunsplit(split._replace(query=urlencode([(key, nonce) for key, _ in query]), fragment=""))
    stem, dot, extension = name.rpartition(".")
    changed = f"{nonce}{dot}{extension}" if dot and stem else nonce
    return urlunsplit(split._replace(path=f"{folder}/{quote(changed)}", query="", fragment=""))


def root_url(url: str) -> str:
    """The site's first page."""
    return urlunsplit(split_url(url)._replace(path="/", query="", fragment=""))


def _names_in(url: str) -> list[str]:
    """What an answer may repeat of the address, the longest first."""
    split = split_url(url)
    name = split.path.rpartition("/")[2]
    found = {
        url,
        split.path,
        name,
        name.rpartition(".")[0],
        split.query,
        *(value for _, value in parse_qsl(split.query)),
    }
    found |= {unquote(one) for one in found} | {quote(one) for one in found}
    return sorted((one.lower() for one in found if len(one) >= _MIN_NAME_CHARACTERS), key=len, reverse=True)


def _without(text: str, names: list[str]) -> str:
    text = text.lower()
    for name in names:
        text = text.replace(name, "#")
    return text


def _plain(text: str, names: list[str]) -> str:
    return " ".join(_CHANGING.sub("#", _without(text, names)).split())


def _share_in_common(one: list[str], other: list[str]) -> float:
    counts, others = Counter(one), Counter(other)
    total = sum((counts | others).values())
    return 1.0 if total == 0 else sum((counts & others).values()) / total
