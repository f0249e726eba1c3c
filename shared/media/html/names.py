"""Recognises URLs of media by their extension, and their kind."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.media.html.contents import MediaKind

_PICTURES = [
    "jpg",
    "jpeg",
    "jpe",
    "jfif",
    "pjpeg",
    "pjp",
    "png",
    "apng",
    "webp",
    "gif",
    "bmp",
    "dib",
    "tif",
    "tiff",
    "avif",
    "avifs",
    "heic",
    "heif",
    "ico",
    "cur",
    "svg",
    "svgz",
    "jxl",
    "jp2",
    "jxr",
]
_FILMS = [
    "mp4",
    "m4v",
    "webm",
    "mov",
    "mkv",
    "avi",
    "ogv",
    "mpg",
    "mpeg",
    "3gp",
    "3g2",
    "flv",
    "f4v",
    "wmv",
    "m3u8",
    "mpd",
    "m4s",
    "gifv",
]
_KINDS = dict.fromkeys(_PICTURES, MediaKind.PICTURE) | dict.fromkeys(_FILMS, MediaKind.VIDEO)
_EXTENSION = re.compile(rf"\.({'|'.join(sorted(_KINDS, key=len, reverse=True))})(?![a-z0-9])", re.IGNORECASE)
_AT_THE_END = re.compile(
    rf"[^/.?*]\.({'|'.join(sorted(_KINDS, key=len, reverse=True))})(?:[:!@;,~$][^/]{{0,200}})?$", re.IGNORECASE
)
"""Image servers put a size behind the name: `x.jpg:large`, `x.jpg!w640`, `x.jpg@webp`."""
_PARAMETERS = re.compile(r"[&=;]")
_RUN = re.compile(r"([\"'`]?)([^\s\"'`<>(){}\[\]|\\^]{3,})")
MAX_RUN_CHARACTERS = 4_096
MAX_VALUE_CHARACTERS = 20_000


def kind_of(url: str) -> MediaKind:
    """What the extension of a URL's path, or of a file named in its query, says."""
    path, query = _path_and_query(url)
    match = _AT_THE_END.search(path)
    if match is None:
        match = next((found for part in _PARAMETERS.split(query)[:40] if (found := _AT_THE_END.search(part))), None)
    return _KINDS[match[1].lower()] if match else MediaKind.UNKNOWN


def names_a_file(url: str) -> bool:
    """Whether `kind_of` knows the kind."""
    return len(url) <= MAX_RUN_CHARACTERS and kind_of(url) is not MediaKind.UNKNOWN


def files_named_in(text: str) -> Iterator[str]:
    """The URLs of media files in any text: a script, JSON, an attribute of one's own making. In order, repeated ones too.

    A run of characters that may be in a URL counts when it ends as a media file's name does and is quoted, or holds a slash.
    """
    if _EXTENSION.search(text) is None:
        return
    if "\\" in text:  # in quotes of a script: `https:\/\/…`, `\u0026`
        text = _unescaped(text)
    for match in _RUN.finditer(text):
        quote, run = match.groups()
        run = run.rstrip(",;:.")
        if len(run) <= MAX_RUN_CHARACTERS and (quote or "/" in run) and names_a_file(run):
            yield run.partition("=")[2] if "=" in run and not _is_url(run) else run


def _is_url(run: str) -> bool:
    return run.startswith(("http:", "https:", "/", ".")) or "?" in run


def _path_and_query(url: str) -> tuple[str, str]:
    path, _, query = url.partition("#")[0].partition("?")
    return path[-300:], query[:600].replace("%2E", ".").replace("%2e", ".")


def _unescaped(text: str) -> str:
    for written, meant in (
        ("\\/", "/"),
        ("\\u002F", "/"),
        ("\\u002f", "/"),
        ("\\u0026", "&"),
        ("\\x2F", "/"),
        ("\\x2f", "/"),
    ):
        text = text.replace(written, meant)
    return text.replace('\\"', '"').replace("\\'", "'")
