"""Reads a document's tokens, by the WHATWG tokenizer (`turbohtml`).

Tokens, not a tree: the standard's tree takes more than linear time for some pages, in each library that builds one (400 kB of
`<div>`: over 8 s in `selectolax`, here 0.01 s), and little of it matters. What does is kept count of in `Document`.
"""

from __future__ import annotations

from collections.abc import Iterable

from turbohtml import TokenType, tokenize

from shared.media.html.attributes import read_attributes
from shared.media.html.contents import MAX_TEXT_CHARACTERS, MAX_TITLE_CHARACTERS, MediaPlace
from shared.media.html.document import MAX_REFERENCES, Document
from shared.media.html.elements import READERS, Values, read_image
from shared.media.html.inline_scripts import inline_scripts
from shared.media.html.names import files_named_in, kind_of
from shared.media.html.script_data import read_script

MAX_TOKENS = 2_000_000
_RAW = frozenset(
    ("script", "style", "title", "textarea", "noscript", "iframe", "noembed", "noframes", "xmp", "plaintext")
)
"""Elements whose content is text for the tokenizer."""
_SECTION = "<![CDATA["


def read_document(text: str, document: Document) -> None:
    """Read the document, and gather what is in it into its scan."""
    reader = _Reader(document)
    reader.read(text)
    if reader.was_foreign and _SECTION in text:
        # Within SVG these sections are text, elsewhere comments that end sooner: what follows may be markup after all.
        first, *sections = text.split(_SECTION)
        parts = (after if end else part for part in sections for _, end, after in [part.partition("]]>")])
        document.within(first + "".join(parts), visible=False)


class _Reader:
    """Reads the tokens of one document."""

    def __init__(self, document: Document) -> None:
        self.was_foreign = False
        self._document = document
        self._raw: tuple[str, Values] | None = None
        self._raw_text: list[str] = []

    def read(self, text: str) -> None:
        scan = self._document.scan
        for token in tokenize(text):
            scan.tokens += 1
            if scan.tokens > MAX_TOKENS or scan.full:
                scan.whole = False
                break
            kind = token.type
            if kind is TokenType.TEXT:
                if self._raw is None:
                    self._document.see_text(token.data or "")
                else:
                    self._raw_text.append(token.data or "")
            elif kind is TokenType.START_TAG:
                self._start(token.tag or "", token.attrs or ())
            elif kind is TokenType.END_TAG:
                self._end(token.tag or "")
        self._end_raw()

    def _start(self, tag: str, attributes: Iterable[tuple[str, str | None]]) -> None:
        self._end_raw()
        document = self._document
        values: Values = {}
        for name, value in attributes:
            values.setdefault(name, value or "")
        if tag in _RAW:
            self._raw = (tag, values)
        elif tag in ("svg", "math"):
            document.foreign += 1
            self.was_foreign = True
        elif tag == "template":
            document.templates += 1
        reader = READERS.get(tag)
        if reader is None and "-" in tag:  # an element of the page's own: what it draws is not known
            reader = read_image
        if values:  # first: where a script has yet to move a URL, the element's own is a placeholder
            read_attributes(document, tag, values, has_reader=reader is not None)
            document.scan.scripts += inline_scripts(values) if document.visible else 0
        if reader is not None:
            reader(document, values)

    def _end(self, tag: str) -> None:
        self._end_raw()
        document = self._document
        match tag:
            case "svg" | "math":
                document.foreign = max(0, document.foreign - 1)
            case "template":
                document.templates = max(0, document.templates - 1)
            case "video" | "amp-video":
                document.film = None
            case "audio":
                document.audio = False

    def _end_raw(self) -> None:
        if self._raw is None:
            return
        (tag, values), text = self._raw, "".join(self._raw_text)
        self._raw = None
        self._raw_text.clear()
        if text:
            self._read_raw(tag, values, text)

    def _read_raw(self, tag: str, values: Values, text: str) -> None:
        document = self._document
        scan = document.scan
        match tag:
            case "script":
                self._read_script(values, text)
            case "style":
                document.add_css(text)
            case "title" if scan.title is None and document.visible and not document.foreign:
                scan.title = " ".join(text[: 10 * MAX_TITLE_CHARACTERS].split())[:MAX_TITLE_CHARACTERS]
            case "noscript":
                if document.visible and not scan.noscript_text:
                    scan.noscript_text = " ".join(text[:MAX_TEXT_CHARACTERS].split())
                document.within(text, visible=False)
            case "textarea":
                for url in files_named_in(text):
                    document.add(url, kind_of(url), MediaPlace.LINKED)
            case "xmp" | "plaintext":
                document.see_text(text)
        if document.foreign and tag != "noscript":  # there these hold markup like any other element
            document.within(text, visible=document.visible)

    def _read_script(self, values: Values, text: str) -> None:
        document = self._document
        kind = values.get("type", "").strip().lower()
        if "html" in kind or "template" in kind:
            document.within(text, visible=False)
            return
        found = read_script(text, data="json" in kind or values.get("id", "").startswith("__"), limit=MAX_REFERENCES)
        scan = document.scan
        scan.whole &= found.whole
        if document.visible:
            scan.script_redirect = scan.script_redirect or found.redirect
        place = MediaPlace.DECLARED if "ld+json" in kind else MediaPlace.NAMED
        for one in found.media:
            if one.frame:
                document.add_frame(one.url)
            else:
                poster = one.poster_of is not None
                document.add(one.url, one.kind, place, poster=poster, poster_of=one.poster_of or ())
        for markup in found.markup:
            document.within(markup, visible=False)
