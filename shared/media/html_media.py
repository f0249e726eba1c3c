"""The media that a page shows, links and names: what a browser would show of it, as far as that can be read without running scripts."""

from __future__ import annotations

import json
from collections.abc import Iterable

from shared.media.html.contents import (
    MAX_FILMS_OF_A_POSTER,
    MAX_FRAMES,
    MAX_INLINE,
    MAX_INLINE_BYTES,
    MAX_MEDIA,
    MAX_STYLESHEETS,
    MAX_TEXT_CHARACTERS,
    MAX_URLS_CHARACTERS,
    InlineMedia,
    MediaKind,
    MediaPlace,
    PageContents,
    PageSigns,
    ReferencedMedia,
)
from shared.media.html.data_urls import is_data_url, parse_data_url
from shared.media.html.document import Document, PageScan, Reference
from shared.media.html.encoding import decoded_text
from shared.media.html.names import kind_of
from shared.media.html.sniffing import has_markup, is_page
from shared.media.html.tokens import read_document
from shared.urls import BadUrl, UrlTooLong, parse_url

__all__ = ["has_markup", "is_page", "packed_page", "read_packed_page", "read_page"]

MAX_PAGE_CHARACTERS = 10_000_000
MAX_BASES = 3
_PLACES = tuple(MediaPlace)
_CONTROLS = "".join(map(chr, range(0x21)))


def read_page(body: bytes, content_type: str | None, base_url: str) -> PageContents:
    """What the page (or style sheet, sent as `text/css`) shows. In linear time; raises nothing but MemoryError."""
    decoded = decoded_text(body, content_type)
    text = decoded.text[:MAX_PAGE_CHARACTERS]
    scan = PageScan(whole=len(text) == len(decoded.text))
    document = Document(scan=scan, read_within=read_document)
    if (content_type or "").partition(";")[0].strip().lower() == "text/css":
        document.add_css(text)
    else:
        read_document(text, document)
    return _Resolver(scan, base_url).contents(decoded.encoding)


def packed_page(body: bytes, content_type: str | None, base_url: str) -> bytes:
    """A page with its type and URL, as one piece of bytes: for `read_packed_page` in another process."""
    head = json.dumps({"content_type": content_type, "base_url": base_url}).encode()
    return b"".join((head, b"\n", body))


def read_packed_page(packed: bytes) -> PageContents:
    """What a page shows, read from one piece of bytes, as `read_page` does."""
    head, _, body = packed.partition(b"\n")
    return read_page(body, **json.loads(head))


class _Resolver:
    """Makes URLs of what was written, each once."""

    def __init__(self, scan: PageScan, base_url: str) -> None:
        self._scan = scan
        self._bases = _bases(scan, base_url)
        self._whole = scan.whole
        self._inline: dict[bytes, InlineMedia] = {}
        self._inline_bytes = 0
        self._characters = 0
        self._films: dict[int, tuple[str, ...]] = {}

    def contents(self, encoding: str) -> PageContents:
        scan = self._scan
        self._read_inline_documents()
        self._films = self._resolved_films()
        found: dict[str, ReferencedMedia] = {}
        for reference in scan.references:
            poster_of = self._poster_of(reference)
            if is_data_url(_cleaned(reference.url)):
                self._keep_inline(reference, poster_of)
                continue
            for url in self._resolved(reference.url):
                one = ReferencedMedia(url=url, kind=_kind(reference), place=reference.place, poster_of=poster_of)
                if url in found:
                    found[url] = _joined(found[url], one)
                elif len(found) < MAX_MEDIA and self._characters < MAX_URLS_CHARACTERS:
                    self._characters += len(url) + sum(map(len, poster_of or ()))
                    found[url] = one
                else:
                    self._whole = False
        return PageContents(
            media=tuple(found.values()),
            inline=tuple(self._inline.values()),
            frames=self._each(scan.frames, MAX_FRAMES),
            refresh_url=next(iter(self._resolved(scan.refresh or "")), None),
            stylesheets=self._each(scan.stylesheets, MAX_STYLESHEETS),
            signs=_signs(scan),
            encoding=encoding,
            whole=self._whole and scan.whole,
        )

    def _read_inline_documents(self) -> None:
        """An SVG in a `data:` URL may hold pictures."""
        document = Document(scan=self._scan, read_within=read_document)
        for reference in tuple(self._scan.references):
            url = _cleaned(reference.url)
            if is_data_url(url) and "xml" in url[:60].lower() and (data := parse_data_url(url)) is not None:
                document.within(data.body.decode("utf-8", "replace"), visible=False)

    def _resolved(self, reference: str) -> list[str]:
        """Its URL by each base that may count; none where nobody can fetch it."""
        text = _cleaned(reference)
        found: dict[str, None] = {}
        for base in self._bases if text else ():
            try:
                found.setdefault(parse_url(text, base=base).href)
            except UrlTooLong:
                self._whole = False  # a browser fetches it
            except BadUrl:
                continue
        return list(found)

    def _each(self, references: Iterable[str], limit: int) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for reference in references:
            for url in self._resolved(reference):
                if len(found) < limit:
                    found.setdefault(url)
                elif url not in found:
                    self._whole = False
        return tuple(found)

    def _resolved_films(self) -> dict[int, tuple[str, ...]]:
        films: dict[int, dict[str, None]] = {}
        for one in self._scan.references:
            if one.film is not None and not one.poster and not is_data_url(_cleaned(one.url)):
                films.setdefault(one.film, {}).update(dict.fromkeys(self._resolved(one.url)))
        return {film: tuple(urls)[:MAX_FILMS_OF_A_POSTER] for film, urls in films.items()}

    def _poster_of(self, reference: Reference) -> tuple[str, ...] | None:
        if not reference.poster:
            return None
        if reference.film is None:
            return tuple(url for written in reference.poster_of for url in self._resolved(written))[
                :MAX_FILMS_OF_A_POSTER
            ]
        films = self._films.get(reference.film)
        # What is declared is the poster of a film only where a film is declared; a `video` is one in any case.
        return films or (() if reference.film > 0 else None)

    def _keep_inline(self, reference: Reference, poster_of: tuple[str, ...] | None) -> None:
        data = parse_data_url(_cleaned(reference.url))
        if data is None or data.body in self._inline or data.essence in ("text/html", "text/css", "text/javascript"):
            return
        if len(self._inline) >= MAX_INLINE or self._inline_bytes + len(data.body) > MAX_INLINE_BYTES:
            self._whole = False
            return
        self._inline_bytes += len(data.body)
        kind = {"image": MediaKind.PICTURE, "video": MediaKind.VIDEO}.get(
            data.essence.partition("/")[0], reference.kind
        )
        self._inline[data.body] = InlineMedia(
            body=data.body, content_type=data.content_type, kind=kind, poster_of=poster_of
        )


def _bases(scan: PageScan, base_url: str) -> tuple[str, ...]:
    """The page's base (HTML, 2.4.3) first; then what a browser might take for it where our count of templates errs."""
    bases: dict[str, None] = {}
    for written in (*scan.bases[:1], *scan.doubtful_bases[: MAX_BASES - 1]):
        try:
            bases.setdefault(parse_url(_cleaned(written), base=base_url).href)
        except BadUrl:
            bases.setdefault(base_url)
    if not scan.bases:
        bases = {base_url: None} | bases
    return tuple(bases)[:MAX_BASES]


def _joined(one: ReferencedMedia, other: ReferencedMedia) -> ReferencedMedia:
    """One reference made of two to the same URL."""
    return ReferencedMedia(
        url=one.url,
        kind=other.kind if one.kind is MediaKind.UNKNOWN else one.kind,
        place=min(one.place, other.place, key=_PLACES.index),
        poster_of=other.poster_of if not one.poster_of and other.poster_of is not None else one.poster_of,
    )


def _kind(reference: Reference) -> MediaKind:
    return kind_of(reference.url) if reference.kind is MediaKind.UNKNOWN else reference.kind


def _cleaned(reference: str) -> str:
    """The URL as the URL standard reads it: without tabs and line ends, nor control characters around."""
    return reference.strip(_CONTROLS).translate({0x09: None, 0x0A: None, 0x0D: None})


def _signs(scan: PageScan) -> PageSigns:
    return PageSigns(
        title=scan.title or "",
        text=" ".join(scan.text)[:MAX_TEXT_CHARACTERS],
        text_characters=scan.text_characters,
        noscript_text=scan.noscript_text,
        scripts=scan.scripts,
        script_urls=tuple(scan.script_urls),
        forms=scan.forms,
        form_actions=tuple(scan.form_actions),
        password_inputs=scan.password_inputs,
        markers=tuple(sorted(scan.markers)),
        script_redirect=scan.script_redirect,
    )
