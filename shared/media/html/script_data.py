"""Media in the scripts of a page: JSON-LD, data for its program (`__NEXT_DATA__` and its like), and names in the program itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from shared.media.html.contents import MediaKind
from shared.media.html.names import MAX_RUN_CHARACTERS, files_named_in, kind_of, names_a_file

MAX_SCRIPT_CHARACTERS = 3_000_000
"""Of one script; of what comes after nothing is known."""
_MEDIA_KEYS = frozenset(
    [
        "image",
        "images",
        "imageurl",
        "image_url",
        "img",
        "photo",
        "photos",
        "picture",
        "pictures",
        "poster",
        "thumbnail",
        "thumbnails",
        "thumbnailurl",
        "thumbnail_url",
        "contenturl",
        "content_url",
        "video",
        "videos",
        "videourl",
        "video_url",
        "videosrc",
        "associatedmedia",
        "primaryimageofpage",
        "display_url",
        "media",
        "media_url",
        "mediaurl",
        "src",
        "srcset",
        "original",
        "full",
        "large",
    ]
)
_INHERITING_KEYS = frozenset(("url", "@id", "uri", "href", "src", "contenturl", "content_url", "@list", "@value"))
_FRAME_KEYS = frozenset(("embedurl", "embed_url"))
_FILM_KEYS = frozenset(("contenturl", "content_url"))
_POSTER_KEYS = frozenset(("thumbnailurl", "thumbnail_url", "thumbnail"))
_LOCATION = re.compile(r"\blocation(?:\.href)?\s{0,5}(?:=|\.(?:replace|assign)\()\s{0,5}[\"']([^\"'\s\\]{1,2000})[\"']")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMedia:
    """A URL as written. `poster_of`: of a still picture of a film, the film's URLs as written. `frame`: it is a page to embed."""

    url: str = field(repr=False)
    kind: MediaKind = MediaKind.UNKNOWN
    poster_of: tuple[str, ...] | None = field(default=None, repr=False)
    frame: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptContents:
    """`markup`: strings that hold HTML. `whole` False: the script was too long to be read to its end."""

    media: tuple[NamedMedia, ...] = ()
    markup: tuple[str, ...] = field(default=(), repr=False)
    redirect: str | None = field(default=None, repr=False)
    whole: bool = True


def read_script(text: str, *, data: bool, limit: int) -> ScriptContents:
    """What a script names, at most `limit` media. `data`: it is JSON, not a program. Raises nothing."""
    whole = len(text) <= MAX_SCRIPT_CHARACTERS
    text = text[:MAX_SCRIPT_CHARACTERS]
    media: list[NamedMedia] = []
    markup: list[str] = []
    if data and (value := _parsed(text)) is not None:
        for one in _named(value):
            if isinstance(one, str):
                markup.append(one)
            else:
                media.append(one)
            if len(media) + len(markup) >= limit:
                whole = False
                break
        return ScriptContents(media=tuple(media), markup=tuple(markup), whole=whole)
    for url in files_named_in(text):
        media.append(NamedMedia(url=url, kind=kind_of(url)))
        if len(media) >= limit:
            whole = False
            break
    found = None if data else _LOCATION.search(text)
    return ScriptContents(media=tuple(media), redirect=found[1] if found else None, whole=whole)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text.strip().removeprefix("<!--").removesuffix("-->"))
    except (ValueError, RecursionError):
        return None


def _named(value: Any) -> Iterator[NamedMedia | str]:
    """Media and, as plain strings, markup; in document order, without recursion."""
    pending: list[tuple[str, Any, dict[str, Any]]] = [("", value, {})]
    while pending:
        key, value, siblings = pending.pop()
        if isinstance(value, dict):
            pending += (
                (key if name.lower() in _INHERITING_KEYS and key in _MEDIA_KEYS else name.lower(), inner, value)
                for name, inner in reversed(value.items())
            )
        elif isinstance(value, list):
            pending += ((key, inner, siblings) for inner in reversed(value))
        elif isinstance(value, str) and len(value) >= 3:
            yield from _of_string(key, value, siblings)


def _of_string(key: str, value: str, siblings: dict[str, Any]) -> Iterator[NamedMedia | str]:
    if "<" in value and ">" in value:
        yield value
    elif key in _FRAME_KEYS and _is_url(value):
        yield NamedMedia(url=value, frame=True)
    elif value[:11].lower() == "data:image/" or (key in _MEDIA_KEYS and _is_url(value)):
        yield NamedMedia(url=value, kind=kind_of(value), poster_of=_films(key, siblings))
    elif names_a_file(value) and not any(space in value.strip() for space in ' \n\t"'):
        if "/" in value or key in _MEDIA_KEYS:
            yield NamedMedia(url=value, kind=kind_of(value), poster_of=_films(key, siblings))
    else:
        for url in files_named_in(value):
            yield NamedMedia(url=url, kind=kind_of(url))


def _films(key: str, siblings: dict[str, Any]) -> tuple[str, ...] | None:
    """A thumbnail beside a film's URL in one object is the film's."""
    if key not in _POSTER_KEYS or "video" not in str(siblings.get("@type", ""))[:200].lower():
        return None
    named = (value for name, value in siblings.items() if name.lower() in _FILM_KEYS)
    return tuple(url for url in named if isinstance(url, str))


def _is_url(value: str) -> bool:
    return (
        len(value) <= MAX_RUN_CHARACTERS
        and value.startswith(("http://", "https://", "/", "./", "../"))
        and " " not in value.strip()
    )
