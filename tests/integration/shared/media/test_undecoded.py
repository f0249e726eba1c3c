"""Media that a viewer may show and that we cannot decode: SVG, films, parts of films, playlists. Never "no picture"."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from shared.media.fingerprinter import Fingerprinter, Reason, Undecodable, UndecodedMedia
from shared.media.html_media import is_page
from tests.integration.shared.media.pictures import encoded, picture

CASES = Path(__file__).parents[3] / "data" / "pictures"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fingerprinter() -> AsyncIterator[Fingerprinter]:
    async with Fingerprinter(workers=1, quick_seconds=60) as one:
        yield one


pytestmark = pytest.mark.asyncio(loop_scope="module")
"""One child for all: starting it takes longer than most of these pictures."""


async def undecoded(fingerprinter: Fingerprinter, body: bytes) -> UndecodedMedia | None:
    """Which kind it is said to be; it is never said to be no media."""
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
    assert not caught.value.no_media
    return caught.value.media


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("embedded-comment-first.svg", UndecodedMedia.SVG),
        ("hls.m3u8", UndecodedMedia.PLAYLIST),
        ("segment-moof.m4s", UndecodedMedia.VIDEO),
        ("segment-styp.m4s", UndecodedMedia.VIDEO),
        ("old-quicktime-free.mov", UndecodedMedia.VIDEO),
    ],
)
async def test_what_has_no_decoder_is_media_all_the_same(
    fingerprinter: Fingerprinter, name: str, kind: UndecodedMedia
) -> None:
    assert await undecoded(fingerprinter, (CASES / name).read_bytes()) is kind


ROOT = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="data:image/png;base64,AA"/></svg>'
SVGS = {
    "plain": ROOT.encode(),
    "behind a comment": f"<!-- made by > x <svg> -->{ROOT}".encode(),
    "behind many comments": f"{'<!-- c -->' * 300}{ROOT}".encode(),
    "behind a comment of 3 MB": f"<!--{'x' * 3_000_000}-->{ROOT}".encode(),
    "behind a declaration": f"<?xml version='1.0'?>\n{ROOT}".encode(),
    "behind a style sheet": f"<?xml version='1.0'?><?xml-stylesheet href='a.css'?>{ROOT}".encode(),
    "behind a doctype": f'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">{ROOT}'.encode(),
    "behind a doctype with entities": f"<!DOCTYPE svg [<!ENTITY a ']>'><!-- ]> ' -->]>{ROOT}".encode(),
    "with a prefix": ROOT.replace("<svg xmlns", "<s:svg xmlns:s").replace("</svg", "</s:svg").encode(),
    "in UTF-16 with a mark": ROOT.encode("utf-16"),
    "in UTF-16, the other way": b"\xfe\xff" + ROOT.encode("utf-16-be"),
    "in UTF-16 without a mark": ROOT.encode("utf-16-le"),
    "in UTF-16, the other way, without a mark": f"<?xml version='1.0'?><!-- ä -->{ROOT}".encode("utf-16-be"),
    "with a byte order mark": b"\xef\xbb\xbf" + ROOT.encode(),
    "behind space": b" \r\n\t" * 1000 + ROOT.encode(),
    "in another case": ROOT.replace("svg", "SVG").encode(),
}


@pytest.mark.parametrize("what", SVGS)
async def test_svg_is_media(fingerprinter: Fingerprinter, what: str) -> None:
    assert await undecoded(fingerprinter, SVGS[what]) is UndecodedMedia.SVG
    assert not is_page(SVGS[what][:500_000] if len(SVGS[what]) < 1_000_000 else SVGS["plain"], "image/svg+xml")


def box(kind: bytes, data: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I", 8 + len(data) if size is None else size) + kind + data


def transport(size: int = 188, packets: int = 20) -> bytes:
    return (bytes(size - 188) + b"\x47\x40\x11\x10" + bytes(184)) * packets


FILMS = {
    "MP4": box(b"ftyp", b"isom\0\0\0\0isom") + box(b"moov", bytes(99)),
    "a fragment": box(b"styp", b"msdh\0\0\0\0msdh") + box(b"moof", bytes(99)),
    "a fragment without a head": box(b"moof", bytes(8)) + box(b"mdat", bytes(99)),
    "an index of segments": box(b"sidx", bytes(40)),
    "an event, then a fragment": box(b"emsg", bytes(40)) + box(b"moof", bytes(99)),
    "a producer's time": box(b"prft", bytes(20)) + box(b"moof", bytes(99)),
    "QuickTime that begins with free": box(b"free", bytes(8)) + box(b"mdat", bytes(99)),
    "QuickTime that begins with skip": box(b"skip") + box(b"moov", bytes(99)),
    "QuickTime that begins with wide": box(b"wide") + box(b"mdat", bytes(99)),
    "QuickTime that begins with a preview": box(b"pnot", bytes(12)) + box(b"mdat", bytes(99)),
    "media data of 64-bit length": box(b"mdat", struct.pack(">Q", 1 << 33) + bytes(99), size=1),
    "media data to the end": box(b"mdat", bytes(99), size=0),
    "a transport stream": transport(),
    "one packet of a transport stream": transport(packets=1),
    "a transport stream with times": transport(192),
    "a transport stream with checks": transport(204),
    "Matroska": b"\x1a\x45\xdf\xa3" + bytes(99),
    "AVI": b"RIFF\0\0\0\0AVI LIST" + bytes(99),
}
PLAYLISTS = {
    "HLS": b"#EXTM3U\n#EXT-X-VERSION:3\n#EXTINF:4,\nseg0.ts\n",
    "HLS with a byte order mark": b"\xef\xbb\xbf#EXTM3U\r\n#EXTINF:4,\r\nseg0.ts\r\n",
    "HLS behind empty lines": b"\n\n#EXTM3U\nseg0.ts",
    "a master playlist": b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8",
    "HLS in UTF-16": "#EXTM3U\nseg0.ts".encode("utf-16-le"),
    "DASH": b"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>",
    "DASH behind a comment": b"<!-- x --><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>",
    "Smooth Streaming": b"<SmoothStreamingMedia MajorVersion='2'/>",
}


@pytest.mark.parametrize("what", FILMS)
async def test_films_and_parts_of_them_are_media(fingerprinter: Fingerprinter, what: str) -> None:
    assert await undecoded(fingerprinter, FILMS[what]) is UndecodedMedia.VIDEO


@pytest.mark.parametrize("what", PLAYLISTS)
async def test_playlists_are_media(fingerprinter: Fingerprinter, what: str) -> None:
    assert await undecoded(fingerprinter, PLAYLISTS[what]) is UndecodedMedia.PLAYLIST


@pytest.mark.parametrize(
    "body",
    [
        b"<!doctype html><svg><path/></svg><p>gone",
        b"<html><body><svg/></body></html>",
        b"<!-- x --><p>svg</p>",
        b"<?xml version='1.0'?><feed xmlns='http://www.w3.org/2005/Atom'/>",
        b'{"error": "rate limited"}',
        b"GGGGGGGG" * 100,
        b"<!DOCTYPE svg [",
        b"<!-- never closed <svg>",
        b"\0\0\0\x02moof",
        b"freedom",
    ],
)
async def test_what_is_no_media_stays_none(fingerprinter: Fingerprinter, body: bytes) -> None:
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body)
    assert caught.value.no_media is (not body.startswith(b"<!doctype"))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
async def test_a_picture_that_does_not_decode_is_broken_never_none(fingerprinter: Fingerprinter, form: str) -> None:
    body = encoded(picture(64, 64), form)
    with pytest.raises(Undecodable) as caught:
        await fingerprinter.fingerprint(body[:24])
    assert not caught.value.no_media


async def test_a_page_that_begins_with_svg_is_a_page() -> None:
    assert is_page(b"<!doctype html><svg class=icons></svg><img src=a.jpg>", None)
    assert is_page(b"<!-- a --><svg class=icons></svg><img src=a.jpg>", "text/html; charset=utf-8")
    assert not is_page((CASES / "embedded-comment-first.svg").read_bytes(), "image/svg+xml")
