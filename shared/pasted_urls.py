"""URLs as people paste them, alone or within a text: "defanged" (`hxxps://img[.]x`), so that no program makes a link of them, or bare
(`img.x/1.jpg`). Pure."""

from __future__ import annotations

import re

from shared.urls import MAX_URL_CHARACTERS

# Only what stands in for `http` is a scheme in disguise; any other scheme is left for the parser to refuse.
_SCHEME = re.compile(r"h(?:tt|xx|\*\*)p(?P<secure>s?)(?:://|\[:\]//|\[://\])", re.IGNORECASE)
_PLAIN = re.compile(r"https?://", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/?#]*")
_DOT = re.compile(r"\s{0,8}(?:\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)|\{dot\})\s{0,8}", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"[^\s/?#@:\[\]]+\.[^\s/?#@:\[\].]+(?::\d+)?")
MOST_WRAPPINGS = 32
_AROUND = ("<>", '""', "''")

_DOT_IN_TEXT = rf"(?:\.|{_DOT.pattern})"
# Not the rest of a mail address, nor of a name that was passed over.
_NOT_WITHIN = r"(?<![@\w.-])(?<![\[({]\.[\])}])(?<!dot[\])}])(?<![\[({]\.[\])}]\s)"
_LABEL = r"[\w-]{1,63}"
_HOST = rf"{_LABEL}(?:{_DOT_IN_TEXT}{_LABEL}){{0,12}}?{_DOT_IN_TEXT}[a-z]{{2,24}}(?:\[?:\]?\d{{1,5}})?(?=[/?#\s.,;!)>\"']|$)"
_IN_TEXT = re.compile(
    rf"(?:{_SCHEME.pattern}|{_NOT_WITHIN}(?={_HOST}))(?:{_DOT.pattern}|[^\s<>\"'`|\\^{{}}])+", re.IGNORECASE
)
_TRAILING = ".,;:!?)]}>»\u201d\u2019"
_OPENS = {")": "(", "]": "["}


def pasted_urls(text: str) -> list[str]:
    """Each URL of a text (a mail, a chat, a list) once, in its order, as `pasted_url` reads it. Raises nothing.

    What begins with a scheme is one even where no parser takes it, so that whoever pasted it learns of the refusal. A mail
    address is none.
    """
    found: dict[str, None] = {}
    for match in _IN_TEXT.finditer(text):
        written = _without_trailing(match[0])
        scheme = _SCHEME.match(written)
        if scheme is not None and scheme.end() == len(written):
            continue
        url = pasted_url(written)
        if _PLAIN.match(url):
            found.setdefault(url)
    return list(found)


def pasted_url(pasted: str) -> str:
    """The URL that is meant, or the text as it is where it is none of these. Raises nothing: a parser judges what comes out.

    A bare address is taken as `https`, as browsers do. In a path or query `[.]` may belong to the URL: it is a dot there only
    where scheme or host were disguised too.
    """
    if len(pasted) > MAX_URL_CHARACTERS:
        return pasted
    text = _unwrapped(pasted)
    found = _SCHEME.match(text)
    if found is not None:
        plain = _PLAIN.match(text) is not None
        start = found[0] if plain else f"http{found['secure'].lower()}://"
        rest = text[found.end() :]
    else:
        plain, start, rest = True, "https://", text.removeprefix("//")
    given = _AUTHORITY.match(rest)
    authority = given[0] if given is not None else ""
    host = _with_dots(authority)
    if found is None and _HOST_AND_PORT.fullmatch(host) is None:
        return pasted
    tail = rest[len(authority) :]
    if not plain or host != authority:
        tail = tail.replace("[.]", ".")
    return start + host + tail


def _unwrapped(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and text[0] + text[-1] in _AROUND:
        text = text[1:-1].strip()
    return text


def _with_dots(authority: str) -> str:
    """A disguise within another is taken off too; one within a hundred is none."""
    host = authority
    for _ in range(MOST_WRAPPINGS):
        plainer = _DOT.sub(".", host).replace("[:]", ":")
        if plainer == host:
            return host
        host = plainer
    return authority


def _without_trailing(written: str) -> str:
    """The punctuation of the sentence around a URL is no part of it; a closing bracket that it opened itself is."""
    end = len(written)
    surplus = {closing: written.count(closing) - written.count(opening) for closing, opening in _OPENS.items()}
    while end and (last := written[end - 1]) in _TRAILING:
        if last in surplus:
            if surplus[last] <= 0:
                break
            surplus[last] -= 1
        end -= 1
    return written[:end]
