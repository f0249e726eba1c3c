"""What reading a page gives, and its form between processes."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter

from shared.urls import MAX_URL_CHARACTERS

MAX_MEDIA = 1_000
MAX_INLINE = 100
MAX_INLINE_BYTES = 6_000_000
"""Of all inline media of a page together."""
MAX_FRAMES = 50
MAX_STYLESHEETS = 50
MAX_TITLE_CHARACTERS = 300
MAX_TEXT_CHARACTERS = 4_000
MAX_FILMS_OF_A_POSTER = 5
MAX_SIGNS = 50
"""Of each kind of sign."""
MAX_SIGN_CHARACTERS = 500
MAX_URLS_CHARACTERS = 1_500_000
"""Of the URLs of all media of a page together."""


class MediaKind(StrEnum):
    """What the page, or the URL's extension, says that a medium is; its bytes decide."""

    PICTURE = "picture"
    VIDEO = "video"
    UNKNOWN = "unknown"


class MediaPlace(StrEnum):
    """Where a page names a medium, the most telling first."""

    DECLARED = "declared"
    """As what the page is about: Open Graph and its like, microdata, preloads."""
    SHOWN = "shown"
    """In an element or a style that draws it, also once a script has moved it there (`data-src`)."""
    LINKED = "linked"
    """Behind a link."""
    ALTERNATIVE = "alternative"
    """A further size of what is shown: in a `srcset`, or in an attribute beside it."""
    NAMED = "named"
    """In a script or its data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferencedMedia:
    """A medium by its absolute http(s) URL, without fragment.

    `poster_of`: None, or it is the still picture of a film, of which the page names these URLs (none where a script plays it).
    A poster that was replaced says nothing of its film.
    """

    url: str = field(repr=False)
    kind: MediaKind
    place: MediaPlace
    poster_of: tuple[str, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineMedia:
    """A medium that the page holds itself, in a `data:` URL. `content_type`: as written there; browsers look at the bytes."""

    body: bytes = field(repr=False)
    content_type: str
    kind: MediaKind
    poster_of: tuple[str, ...] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSigns:
    """Raw facts by which a page may be recognised as a login, an age gate, a challenge or a script's shell. They judge nothing.

    `text`: the beginning of what may be visible; `text_characters`: of all of it, white space not counted. `markers`: words of
    `html.markers` in identifiers, classes, names and script URLs. `script_redirect`: where a script sets `location`, as written.
    """

    title: str = ""
    text: str = ""
    text_characters: int = 0
    noscript_text: str = ""
    scripts: int = 0
    script_urls: tuple[str, ...] = ()
    forms: int = 0
    form_actions: tuple[str, ...] = ()
    password_inputs: int = 0
    markers: tuple[str, ...] = ()
    script_redirect: str | None = None

    @property
    def script_shell(self) -> bool:
        """Nothing to read, and scripts that may write anything."""
        return self.scripts > 0 and self.text_characters == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContents:
    """What a page shows of media, in document order, each URL once, and what else is to be read for the rest of it.

    `frames`: pages that it shows within itself; `refresh_url`: the page that replaces it; `stylesheets`: styles, which may name
    backgrounds. Each may itself be media. `whole` False: something was left out (too long, too many, unusable), so that nothing
    follows from what was not found.
    """

    media: tuple[ReferencedMedia, ...] = ()
    inline: tuple[InlineMedia, ...] = ()
    frames: tuple[str, ...] = ()
    refresh_url: str | None = None
    stylesheets: tuple[str, ...] = ()
    signs: PageSigns = PageSigns()
    encoding: str = "utf-8"
    whole: bool = True

    def most_telling(self, limit: int) -> tuple[ReferencedMedia, ...]:
        """The `limit` most telling media: by place, then in document order."""
        places = tuple(MediaPlace)
        return tuple(sorted(self.media, key=lambda one: places.index(one.place))[:limit])


_CONTENTS = TypeAdapter(PageContents)


def to_json(contents: PageContents) -> dict[str, Any]:
    """The contents as JSON has them, bytes in base64."""
    fields = asdict(contents)
    for one in fields["inline"]:
        one["body"] = b64encode(one["body"]).decode()
    return fields


def from_json(fields: Any) -> PageContents:
    """The contents that these are. Raises ValueError: a process that was taken over may answer anything."""
    try:
        for one in fields["inline"]:
            one["body"] = b64decode(one["body"], validate=True)
        contents = _CONTENTS.validate_python(fields)
    except (ValueError, TypeError, KeyError):
        raise ValueError("no page contents") from None
    if not _is_sound(contents):
        raise ValueError("no page contents")
    return contents


def _is_sound(contents: PageContents) -> bool:
    urls = [
        *(one.url for one in contents.media),
        *(url for one in contents.media for url in one.poster_of or ()),
        *(url for one in contents.inline for url in one.poster_of or ()),
        *contents.frames,
        *contents.stylesheets,
        *([contents.refresh_url] if contents.refresh_url is not None else []),
    ]
    return (
        len(contents.media) <= MAX_MEDIA
        and len(contents.inline) <= MAX_INLINE
        and len(contents.frames) <= MAX_FRAMES
        and len(contents.stylesheets) <= MAX_STYLESHEETS
        and all(url.startswith(("http://", "https://")) and len(url) <= MAX_URL_CHARACTERS for url in urls)
    )
