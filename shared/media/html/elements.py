"""Reads the media that each element draws, links or declares."""

from __future__ import annotations

from collections.abc import Callable

from shared.media.html.attributes import ITEM_MEDIA
from shared.media.html.contents import MediaKind, MediaPlace
from shared.media.html.document import Document
from shared.media.html.names import MAX_VALUE_CHARACTERS, kind_of, names_a_file

Values = dict[str, str]
"""An element's attributes by name; of repeated ones the first."""

_META_PICTURES = frozenset(
    [
        "og:image",
        "og:image:url",
        "og:image:secure_url",
        "twitter:image",
        "twitter:image:src",
        "twitter:image0",
        "twitter:image1",
        "twitter:image2",
        "twitter:image3",
        "thumbnail",
        "thumbnailurl",
        "image",
        "parsely-image-url",
        "sailthru.image.full",
        "sailthru.image.thumb",
        "vk:image",
    ]
)
_META_FILMS = frozenset(("og:video", "og:video:url", "og:video:secure_url", "twitter:player:stream"))
_META_MEDIA = frozenset(("contenturl", "photo", "primaryimageofpage", "associatedmedia"))
_META_FRAMES = frozenset(("twitter:player", "embedurl"))
_EARLY_LOADS = frozenset(("preload", "prefetch", "video_src", "enclosure"))
_STATED = {"image": MediaKind.PICTURE, "video": MediaKind.VIDEO}


def _base(document: Document, values: Values) -> None:
    if "href" in values:
        scan = document.scan
        doubtful = bool(document.foreign or document.templates or document.depth)
        (scan.doubtful_bases if doubtful else scan.bases).append(values["href"])


def _meta(document: Document, values: Values) -> None:
    content = values.get("content", "").strip()
    if values.get("http-equiv", "").strip().lower() == "refresh":
        if document.visible and document.depth == 0:
            document.scan.refresh = document.scan.refresh or refresh_target(content)
        return
    for property_name in (values.get(name, "").strip().lower() for name in ("property", "name", "itemprop")):
        if property_name in _META_FILMS:
            return document.add(content, MediaKind.VIDEO, MediaPlace.DECLARED, film=_page_film(document))
        if property_name in _META_PICTURES:
            return document.add(content, MediaKind.PICTURE, MediaPlace.DECLARED, film=_page_film(document), poster=True)
        if property_name in _META_MEDIA:
            return document.add(content, MediaKind.UNKNOWN, MediaPlace.DECLARED)
        if property_name in _META_FRAMES:
            return document.add_frame(content)
    if " " not in content and "/" in content and names_a_file(content):
        document.add(content, kind_of(content), MediaPlace.DECLARED)
    return None


def _page_film(document: Document) -> int:
    """The film that the page is about, if it is about one: its declared picture is then that film's poster."""
    if document.page_film is None:
        document.page_film = -document.scan.next_film()
    return document.page_film


def _link(document: Document, values: Values) -> None:
    relations, href = set(values.get("rel", "").lower().split()), values.get("href", "")
    loaded_as = values.get("as", "").strip().lower()
    if "stylesheet" in relations or loaded_as == "style":
        document.add_stylesheet(href)
        return
    items = values.get("itemprop", "").lower().split()
    declared = "image_src" in relations or loaded_as in _STATED or not ITEM_MEDIA.isdisjoint(items)
    if declared or (names_a_file(href) and not relations.isdisjoint(_EARLY_LOADS)):
        document.add(href, _STATED.get(loaded_as, kind_of(href)), MediaPlace.DECLARED)
    document.add_srcset(values.get("imagesrcset", ""), MediaPlace.DECLARED)


def read_image(document: Document, values: Values) -> None:
    document.add_srcset(values.get("srcset", ""))
    for name in ("src", "href", "xlink:href", "lowsrc", "dynsrc"):
        document.add(values.get(name, ""), MediaKind.PICTURE, MediaPlace.SHOWN)


def _source(document: Document, values: Values) -> None:
    url = values.get("src", "")
    if document.audio and kind_of(url) is not MediaKind.VIDEO:
        return
    document.add_srcset(values.get("srcset", ""))
    kind = MediaKind.VIDEO if document.film is not None else kind_of(url)
    for name in ("src", "data-src"):
        document.add(values.get(name, ""), kind, MediaPlace.SHOWN, film=document.film)


def _video(document: Document, values: Values) -> None:
    document.film = film = document.scan.next_film()
    for name in ("poster", "data-poster"):
        document.add(values.get(name, ""), MediaKind.PICTURE, MediaPlace.SHOWN, film=film, poster=True)
    for name in ("src", "data-src", "data-lazy-src"):
        document.add(values.get(name, ""), MediaKind.VIDEO, MediaPlace.SHOWN, film=film)


def _audio(document: Document, values: Values) -> None:
    document.audio = True
    if kind_of(values.get("src", "")) is MediaKind.VIDEO:
        document.add(values["src"], MediaKind.VIDEO, MediaPlace.SHOWN)


def _embedded(document: Document, values: Values) -> None:
    """`object` and `embed`: a picture, a film, or a page. Without a type it may be any."""
    stated = values.get("type", "").strip().lower()
    for url in (values.get("data", ""), values.get("src", "")):
        kind = _STATED.get(stated.partition("/")[0])
        if kind is None and not names_a_file(url):
            document.add_frame(url)
        if not stated.startswith(("text/html", "application/xhtml")):
            document.add(url, kind or kind_of(url), MediaPlace.SHOWN)


def _iframe(document: Document, values: Values) -> None:
    document.within(values.get("srcdoc", ""), visible=document.visible)
    for name in ("src", "data-src", "data-lazy-src", "data-url"):
        document.add_frame(values.get(name, ""))


def _anchor(document: Document, values: Values) -> None:
    url = values.get("href", "").strip()
    enlarged = "data-fancybox" in values or "lightbox" in f"{values.get('class')} {values.get('rel')}".lower()
    if names_a_file(url) or url[:11].lower() == "data:image/":
        document.add(url, kind_of(url), MediaPlace.LINKED)
    elif enlarged or "data-lightbox" in values or names_a_file(values.get("download", "")):
        document.add("" if url.startswith("#") else url, kind_of(values.get("download", "")), MediaPlace.LINKED)


def _param(document: Document, values: Values) -> None:
    if values.get("name", "").strip().lower() in ("movie", "src", "url", "filename", "data"):
        document.add(values.get("value", ""), kind_of(values.get("value", "")), MediaPlace.SHOWN)


def _input(document: Document, values: Values) -> None:
    kind = values.get("type", "").strip().lower()
    if kind == "image":
        document.add(values.get("src", ""), MediaKind.PICTURE, MediaPlace.SHOWN)
    document.scan.password_inputs += kind == "password" and document.visible


def _form(document: Document, values: Values) -> None:
    document.scan.forms += document.visible
    document.keep(document.scan.form_actions, values.get("action"))


def _script(document: Document, values: Values) -> None:
    kind = values.get("type", "").partition(";")[0].strip().lower()
    document.scan.scripts += document.visible and (not kind or kind == "module" or "script" in kind)
    document.keep(document.scan.script_urls, values.get("src"))


def refresh_target(content: str) -> str | None:
    """The URL in a `meta` refresh (HTML, 4.2.5.3, "shared declarative refresh steps"); None: the page only loads itself again."""
    rest = content[:MAX_VALUE_CHARACTERS].lstrip().lstrip("0123456789.").lstrip()
    rest = rest[1:].lstrip() if rest[:1] in (";", ",") else rest
    if rest[:3].lower() == "url" and rest[3:].lstrip().startswith("="):
        rest = rest[3:].lstrip()[1:].lstrip()
    if rest[:1] in ("'", '"'):
        rest = rest[1:].partition(rest[0])[0]
    return rest.strip() or None


READERS: dict[str, Callable[[Document, Values], None]] = {
    "base": _base,
    "meta": _meta,
    "link": _link,
    "img": read_image,
    "image": read_image,
    "feimage": read_image,
    "source": _source,
    "video": _video,
    "amp-video": _video,
    "audio": _audio,
    "object": _embedded,
    "embed": _embedded,
    "iframe": _iframe,
    "frame": _iframe,
    "amp-iframe": _iframe,
    "a": _anchor,
    "area": _anchor,
    "param": _param,
    "input": _input,
    "form": _form,
    "script": _script,
}
