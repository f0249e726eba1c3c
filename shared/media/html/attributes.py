"""Reads what any element may have: styles, backgrounds, microdata, and attributes whose URL a script moves to where it is drawn."""

from __future__ import annotations

from shared.media.html.contents import MediaKind, MediaPlace
from shared.media.html.data_urls import is_data_url
from shared.media.html.document import Document
from shared.media.html.markers import markers_in
from shared.media.html.names import MAX_VALUE_CHARACTERS, files_named_in, kind_of, names_a_file

ITEM_MEDIA = frozenset(
    ("image", "thumbnailurl", "thumbnail", "contenturl", "photo", "primaryimageofpage", "associatedmedia")
)
"""`itemprop` of schema.org whose value is a medium's URL."""
READ_BY_TAG = frozenset(
    ("src", "srcset", "href", "xlink:href", "content", "poster", "srcdoc", "imagesrcset", "lowsrc", "dynsrc")
)
"""Attributes that an element's own reader has read."""
_DRAWING = frozenset(("img", "image", "source", "video", "picture", "feimage", "object", "embed", "audio", "iframe"))
_LAZY_WORDS = frozenset(
    [
        "src",
        "srcset",
        "original",
        "lazy",
        "image",
        "img",
        "images",
        "bg",
        "background",
        "poster",
        "full",
        "large",
        "thumb",
        "thumbnail",
        "photo",
        "echo",
        "url",
        "orig",
        "hires",
        "zoom",
        "file",
        "media",
        "video",
        "mp4",
        "webm",
        "source",
        "href",
        "retina",
        "hd",
        "big",
        "picture",
        "high",
        "highres",
    ]
)
_TEXTS = frozenset(
    [
        "alt",
        "title",
        "placeholder",
        "type",
        "rel",
        "lang",
        "dir",
        "role",
        "download",
        "width",
        "height",
        "sizes",
        "media",
        "charset",
        "method",
        "target",
        "property",
        "http-equiv",
        "as",
        "is",
        "slot",
        "integrity",
        "nonce",
        "crossorigin",
        "loading",
        "decoding",
        "async",
        "defer",
        "border",
        "align",
        "valign",
        "itemprop",
        "itemtype",
    ]
)
"""Attributes that hold no URL of a medium."""
_MARKED = frozenset(("id", "class", "name", "src", "action"))


def read_attributes(document: Document, tag: str, values: dict[str, str], *, has_reader: bool) -> None:
    """Gather from the attributes of any element. `has_reader`: the element's own reader reads `READ_BY_TAG`."""
    items = values.get("itemprop", "").lower().split()
    if items and tag not in ("meta", "link") and not ITEM_MEDIA.isdisjoint(items):
        for name in ("src", "href", "content", "data"):
            document.add(values.get(name, ""), MediaKind.UNKNOWN, MediaPlace.DECLARED)
    drawing = tag in _DRAWING or "-" in tag
    for name, value in values.items():
        if name in _MARKED and document.visible and len(value) <= MAX_VALUE_CHARACTERS and not is_data_url(value):
            document.scan.markers.update(dict.fromkeys(markers_in(value)))
        if len(value) < 2 or name in _TEXTS or name in ("id", "class", "name", "action") or name.startswith("aria-"):
            continue
        if name == "style":
            document.add_css(value)
        elif name == "background":
            document.add(value, MediaKind.PICTURE, MediaPlace.SHOWN)
        elif not (has_reader and name in READ_BY_TAG) and not (
            tag in ("object", "param") and name in ("data", "value")
        ):
            _read_other(document, name, value, drawing=drawing)


def _read_other(document: Document, name: str, value: str, *, drawing: bool) -> None:
    """`data-src`, `data-lazy-srcset`, `data-settings` (JSON), `v-bind:src`, `file`, `onclick`, whatever names a medium."""
    own = name.startswith("data-")
    place = MediaPlace.SHOWN if drawing or own else MediaPlace.LINKED
    hinted = not _LAZY_WORDS.isdisjoint(name.replace("_", "-").replace(":", "-").strip("-[]@.").split("-"))
    url = value.strip()
    if is_data_url(url):
        if hinted:
            document.add(url, MediaKind.UNKNOWN, place)
    elif "srcset" in name or "bgset" in name:
        document.add_srcset(url, place)
    elif "url(" in value:
        document.add_css(value)
    elif len(value) > MAX_VALUE_CHARACTERS or name.startswith("on") or any(mark in value for mark in "\"'{[<"):
        for named in files_named_in(value):
            document.add(named, kind_of(named), place)
        if "<" in value and "=" in value:
            document.within(value, visible=False)
    elif names_a_file(url) and (own or hinted or "/" in url):
        document.add(url, kind_of(url), place)
    elif own and drawing and hinted and _may_be_url(url):
        document.add(url, MediaKind.UNKNOWN, place)
    elif " " in url or "," in url:
        for named in files_named_in(value):
            document.add(named, kind_of(named), place)


def _may_be_url(value: str) -> bool:
    return " " not in value and ("/" in value or "." in value or "?" in value)
