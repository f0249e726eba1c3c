"""A document while it is read, and what is gathered from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.media.html.contents import MAX_SIGN_CHARACTERS, MAX_SIGNS, MAX_TEXT_CHARACTERS, MediaKind, MediaPlace
from shared.media.html.css import css_urls
from shared.media.html.data_urls import is_data_url, parse_data_url
from shared.media.html.names import kind_of, names_a_file
from shared.media.html.srcset import candidates

MAX_REFERENCES = 10_000
MAX_DEPTH = 4
"""Of documents within attributes and strings of documents."""
MAX_CSS_CHARACTERS = 2_000_000
"""Of all styles of a page together."""
_DOCUMENT_TYPES = frozenset(("text/html", "application/xhtml+xml", "image/svg+xml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A medium's URL as written. `film`: number of the film it is of, or whose poster it is; `poster_of`: that film's URLs as written."""

    url: str
    kind: MediaKind
    place: MediaPlace
    film: int | None = None
    poster: bool = False
    poster_of: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class PageScan:
    """What is gathered from a page and the documents within it, as written there."""

    references: list[Reference] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    stylesheets: list[str] = field(default_factory=list)
    bases: list[str] = field(default_factory=list)
    doubtful_bases: list[str] = field(default_factory=list)
    """In templates, foreign content, documents within: a browser heeds few of these."""
    refresh: str | None = None
    title: str | None = None
    text: list[str] = field(default_factory=list)
    text_characters: int = 0
    sampled_characters: int = 0
    noscript_text: str = ""
    scripts: int = 0
    script_urls: list[str] = field(default_factory=list)
    script_redirect: str | None = None
    forms: int = 0
    form_actions: list[str] = field(default_factory=list)
    password_inputs: int = 0
    markers: dict[str, None] = field(default_factory=dict)
    films: int = 0
    tokens: int = 0
    css_characters: int = 0
    whole: bool = True

    @property
    def full(self) -> bool:
        return len(self.references) >= MAX_REFERENCES

    def next_film(self) -> int:
        self.films += 1
        return self.films


@dataclass(slots=True, kw_only=True)
class Document:
    """The reader's state in one document. `visible` False: what is in it is shown only if a script brings it there, so that it gives media
    and no signs. `read_within` reads a document in this one."""

    scan: PageScan
    read_within: Callable[[str, Document], None]
    depth: int = 0
    visible: bool = True
    templates: int = 0
    foreign: int = 0
    film: int | None = None
    audio: bool = False
    page_film: int | None = None

    def add(
        self,
        url: str,
        kind: MediaKind,
        place: MediaPlace,
        *,
        film: int | None = None,
        poster: bool = False,
        poster_of: tuple[str, ...] = (),
    ) -> None:
        if not url or url.isspace():
            return
        if self.scan.full:
            self.scan.whole = False
            return
        self.scan.references.append(
            Reference(url=url, kind=kind, place=place, film=film, poster=poster, poster_of=poster_of)
        )

    def add_srcset(self, value: str, place: MediaPlace = MediaPlace.SHOWN) -> None:
        for number, url in enumerate(candidates(value)):
            self.add(url, MediaKind.PICTURE, place if number == 0 else MediaPlace.ALTERNATIVE)

    def add_css(self, text: str) -> None:
        scan = self.scan
        if scan.css_characters + len(text) > MAX_CSS_CHARACTERS:
            scan.whole = False
            return
        found = css_urls(text)
        if found is None:
            return
        scan.css_characters += len(text)
        scan.whole &= found.whole
        for url in found.imports:
            self.add_stylesheet(url)
        for url in found.pictures:
            self.add(url, MediaKind.PICTURE, MediaPlace.SHOWN)

    def add_stylesheet(self, url: str) -> None:
        if is_data_url(url):
            data = parse_data_url(url)
            self.add_css(data.body.decode("utf-8", "replace") if data else "")
        elif url and len(self.scan.stylesheets) < MAX_REFERENCES:
            self.scan.stylesheets.append(url)

    def add_frame(self, url: str) -> None:
        """A page shown in this one; a medium too where its name or its type says so."""
        url = url.strip()
        if is_data_url(url):
            data = parse_data_url(url)
            if data is not None and data.essence in _DOCUMENT_TYPES:
                self.within(data.body.decode("utf-8", "replace"), visible=self.visible)
            elif data is not None:
                self.add(url, MediaKind.UNKNOWN, MediaPlace.SHOWN)
        elif url and len(self.scan.frames) < MAX_REFERENCES:
            self.scan.frames.append(url)
            if names_a_file(url):
                self.add(url, kind_of(url), MediaPlace.SHOWN)

    def within(self, text: str, *, visible: bool) -> None:
        """Read a document within this one."""
        if "<" not in text:
            return
        if self.depth >= MAX_DEPTH:
            self.scan.whole = False
            return
        self.read_within(
            text, Document(scan=self.scan, read_within=self.read_within, depth=self.depth + 1, visible=visible)
        )

    def see_text(self, text: str) -> None:
        """Text that a reader of the page may see."""
        words = text.split()
        if not words or not self.visible or self.templates:
            return
        scan = self.scan
        scan.text_characters += sum(map(len, words))
        if scan.sampled_characters < MAX_TEXT_CHARACTERS:
            sample = " ".join(words)[:MAX_TEXT_CHARACTERS]
            scan.text.append(sample)
            scan.sampled_characters += len(sample) + 1

    def keep(self, signs: list[str], value: str | None) -> None:
        if value and self.visible and len(signs) < MAX_SIGNS:
            signs.append(value.strip()[:MAX_SIGN_CHARACTERS])
