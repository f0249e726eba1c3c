"""Small inputs that once went wrong, as answers of one host, and what a check has to make of each without a browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tests.data.still_there import BASE, PICTURES, picture
from tests.integration.shared.test_media_hostile import gif
from tests.raw_host import Answer, answer, page

DATA = Path(__file__).parents[1] / "data"
HTTP = DATA / "cases" / "http"
HTML = DATA / "html"

PRESENT, BLOCKED, UNSURE = frozenset({"present"}), frozenset({"blocked"}), frozenset({"inconclusive"})
NOT_CLEAR = PRESENT | BLOCKED | UNSURE
ANY = NOT_CLEAR | {"gone", "mismatch"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One medium: what its URL answers, and which outcomes are right."""

    name: str
    answer: Answer
    right: frozenset[str]


_OF_HTTP: Mapping[str, frozenset[str]] = {
    "charset-": ANY,
    "status-": PRESENT,
    "404-page-with-image": PRESENT,
    "aws-waf-202": BLOCKED,
    "login-": BLOCKED,
    "age-gate": BLOCKED,
    "empty-200": UNSURE,
    "css-page": PRESENT,
    "data-uri-page": PRESENT,
    "lazy-page": PRESENT,
    "phpwarn-page": PRESENT,
    "big-header": PRESENT,
    "ce-": PRESENT,
    "dup-length": PRESENT,
    "te-and-cl": PRESENT,
    "header-": PRESENT,
    "many-headers": PRESENT,
}
_OF_PICTURES = {
    "png-text-crc.png": PRESENT,
    "png-ztxt-2mb.png": PRESENT,
    "png-iccp-bomb.png": PRESENT,
    "picture.ico": PRESENT,
    "jpg-appended-sos202.jpg": PRESENT,
    "cut20-base.webp": PRESENT | UNSURE,
    "embedded-comment-first.svg": UNSURE,
    "hls.m3u8": UNSURE,
    "segment-moof.m4s": UNSURE,
    "segment-styp.m4s": UNSURE,
    "old-quicktime-free.mov": UNSURE,
    "base.jpg": PRESENT,
    "other.jpg": frozenset({"mismatch"}),
}
"""A film, or media that we cannot decode, at a URL of the page: looked at with nothing that agrees, and so unsure."""
_FILMS = frozenset({"video src", "video source src", "a href mp4", "og:video:secure_url", "twitter:player:stream"})
_HOSTILE: Mapping[str, Answer] = {
    "image at no host": page('<img src="http://../x"><img src="http://256.256.256.256../"><img src="//a:99999999/">'),
    "frames at no host": page('<iframe src="http://../x"></iframe><meta http-equiv=refresh content="0;url=http://[">'),
    "redirect to no address": answer(b"", "Location: http://256.256.256.256../", status="302 Found"),
    "redirect to no host": answer(b"", "Location: http://../x", status="302 Found"),
    "redirect to half a URL": answer(b"", "Location: http://[", status="302 Found"),
    "redirect to itself": lambda request: answer(b"", f"Location: {request.path}", status="302 Found"),
    "redirect inward": answer(b"", "Location: http://169.254.169.254/latest", status="302 Found"),
    "36 kB of tags": page(b"<a " * 12_000),
    "60 kB of attributes": page(b"<a" + b" a" * 30_000),
    "60 kB of comments": page(b"<!--" * 15_000),
    "100 kB of brackets": page(b"<" * 100_000),
    "90 kB deep": page(b"<div>" * 18_000),
    "charset=punycode": answer(b"<img src=/ok.jpg>", content_type="text/html; charset=punycode"),
    "charset=unicode_escape": answer(b"<img src=/ok.jpg>", content_type="text/html; charset=unicode_escape"),
    "charset=zlib_codec": answer(b"<img src=/ok.jpg>", content_type="text/html; charset=zlib_codec"),
    "a charset of 5 kB": answer(b"<img src=/ok.jpg>", content_type="text/html; charset=" + "x" * 5_000),
    "half an answer": b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 99999\r\n\r\n" + BASE[:2_000],
    "no answer": b"",
    "no HTTP": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "a status of 999": b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
    "a length beyond counting": b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n",
    "chunks of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
}


def telephone_photo() -> bytes:
    """The picture as a 48-megapixel JPEG, as current telephones make them."""
    out = io.BytesIO()
    Image.open(io.BytesIO(BASE)).convert("RGB").resize((8064, 6048), Image.Resampling.BICUBIC).save(
        out, "JPEG", quality=60
    )
    return out.getvalue()


def _heavy() -> list[Input]:
    """What is slow to decode. The animation is 300 kB that make thousands of frames of 36 megapixels."""
    sent = {
        "a photograph of 48 megapixels": (telephone_photo(), "image/jpeg", PRESENT),
        "an animation of 13,000 frames": (gif(6000, 6000, 13_000), "image/gif", UNSURE | {"mismatch"}),
    }
    return [
        Input(name=name, answer=answer(body, content_type=kind), right=right)
        for name, (body, kind, right) in sent.items()
    ]


def _rows() -> list[Input]:
    with (HTML / "pictures-not-found.tsv").open(newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[1:]
    # Where it stands on another host or in a URL of its own, all that is asked is that nothing ends.
    return [
        Input(
            name=name,
            answer=page(html.strip("'")),
            right=PRESENT if '"/real' in html and name not in _FILMS else ANY,
        )
        for name, html, _ in rows
    ]


def inputs() -> list[Input]:
    """Every file, and each row of the table of pages, then what nobody may be stopped by."""
    found = [
        Input(name=path.stem, answer=path.read_bytes(), right=right)
        for path in sorted(HTTP.glob("*.http"))
        for right in [next(right for start, right in _OF_HTTP.items() if path.stem.startswith(start))]
    ]
    kinds = {".svg": "image/svg+xml", ".webp": "image/webp", ".png": "image/png", ".ico": "image/x-icon"}
    for path in sorted(PICTURES.iterdir()):
        kind = kinds.get(path.suffix, "image/jpeg" if path.suffix == ".jpg" else "application/octet-stream")
        found.append(
            Input(name=path.name, answer=answer(path.read_bytes(), content_type=kind), right=_OF_PICTURES[path.name])
        )
    found += [
        Input(name=path.stem, answer=page(path.read_bytes()), right=ANY) for path in HTML.glob("quadratic-*.html")
    ]
    found.append(
        Input(name="meta-utf16-on-ascii", answer=page((HTML / "meta-utf16-on-ascii.html").read_bytes()), right=PRESENT)
    )
    return [*found, *_heavy(), *_rows(), *(Input(name=name, answer=sent, right=ANY) for name, sent in _HOSTILE.items())]


PARTS: Mapping[str, Answer] = {
    **{f"/{name}": picture() for name in ("ok.jpg", "r.jpg", "real.jpg", "real.webp", "real", "p.jpg")},
    "/input/r.jpg": picture(),
    **{f"/real-{size}.jpg": picture() for size in ("1600", "400", "1024")},
    "/real.html": page('<img src="/ok.jpg">'),
    "/login-200.jpg": (HTTP / "login-200.http").read_bytes(),
}
"""What the pages show."""
