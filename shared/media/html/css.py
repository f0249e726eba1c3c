"""The URLs that a style sheet names (CSS Syntax 3, CSS Values 4, CSS Images 4), read by `tinycss2`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import tinycss2
from tinycss2.ast import Node

MAX_CSS_CHARACTERS = 1_000_000
"""Of one sheet. The parser is Python: about a second."""
MAX_BLOCKS = 60_000
"""Of one sheet: a megabyte has some 20,000; each costs some microseconds."""
_MAY_NAME = re.compile(r"url|src|@|image-set|\\", re.IGNORECASE)
_FONT = re.compile(r"\.(?:woff2?|ttf|otf|eot)(?:[?#]|$)", re.IGNORECASE)
_URL_FUNCTIONS = frozenset(("url", "src"))
_IMAGE_SETS = frozenset(("image-set", "-webkit-image-set", "image", "cross-fade"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CssUrls:
    """As they are written, in order. `imports`: further style sheets. `whole` False: the sheet is too long and was not read."""

    pictures: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    whole: bool = True


def css_urls(text: str) -> CssUrls | None:
    """The URLs of a style sheet or a style attribute; None: it names none. Raises nothing.

    Fonts and references within a document are left out.
    """
    if _MAY_NAME.search(text) is None:
        return None
    if len(text) > MAX_CSS_CHARACTERS or sum(map(text.count, "{([")) > MAX_BLOCKS:
        return CssUrls(whole=False)
    nodes = tinycss2.parse_component_value_list(text, skip_comments=True)
    pictures, imports = _walked(nodes)
    return CssUrls(
        pictures=tuple(url for url in pictures if url and not url.startswith("#") and not _FONT.search(url)),
        imports=tuple(imports),
    )


def _walked(nodes: Iterable[Node]) -> tuple[list[str], list[str]]:
    """The pictures and imports of a sheet, without recursion: deep nesting is no error."""
    pictures: list[str] = []
    imports: list[str] = []
    pending: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(nodes))]  # and: within an image set
    importing = False
    while pending:
        node, in_set = pending.pop()
        url = _url_of(node, in_set=in_set or importing)
        if url is not None:
            (imports if importing else pictures).append(url)
            importing = False
        elif node.type == "at-keyword":
            importing = node.lower_value == "import"
        elif node.type != "whitespace":
            importing = False
            within = _IMAGE_SETS.__contains__(node.lower_name) if node.type == "function" else in_set
            inner = node.arguments if node.type == "function" else getattr(node, "content", None)
            pending += ((one, within) for one in reversed(inner or ()))
    return pictures, imports


def _url_of(node: Node, *, in_set: bool) -> str | None:
    if node.type == "url" or (node.type == "string" and in_set):
        return str(node.value)
    if node.type == "function" and node.lower_name in _URL_FUNCTIONS:
        return next((str(one.value) for one in node.arguments if one.type == "string"), None)
    return None
