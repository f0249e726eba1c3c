"""Answers of hosts that still have the picture (a browser shows it, to somebody), or that say nothing of it; and of hosts that have not.

Each is what one host answers, byte for byte: `/x.jpg` is the medium's URL unless it says another, `/page` the page it is known from
where there is one. `light` is what a look without a browser has to make of it, of medium and page together; of what is still there it is
never `gone`. Tests and the bench of looks read the same table.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from shared.media.fingerprints import hamming
from shared.media.pdq import luma_of, pdq_of_luma, to_rgb
from tests.raw_host import MISSING, Answer, RawRequest, answer, page

DATA = Path(__file__).parent
PICTURES = DATA / "pictures"
BASE = (PICTURES / "base.jpg").read_bytes()
"""The picture that is looked for."""
OTHER = (PICTURES / "other.jpg").read_bytes()
FILLER = "<p>" + "Words about gardens, weather, and the making of soup. " * 12 + "</p>"
"""More to read than a script's shell has."""

Found = Literal["present", "blocked", "inconclusive", "gone", "mismatch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One host. `media`: what the medium's URL answers. `page`: what the known page answers; None: none is known. `others`: by path.
    `browser`: a browser that loads medium or page shows the picture."""

    name: str
    light: Found
    media: Answer
    page: Answer | None = None
    others: dict[str, Answer] = field(default_factory=dict)
    otherwise: Answer = MISSING
    path: str = "/x.jpg"
    browser: bool = True
    exact_only: bool = False
    """The register knows exact hashes of the content alone."""


def picture(
    body: bytes = BASE, *headers: str, status: str = "200 OK", content_type: str | None = "image/jpeg"
) -> bytes:
    return answer(body, *headers, status=status, content_type=content_type)


def redirect(to: str) -> bytes:
    return answer(b"", f"Location: {to}", status="302 Found")


def html(body: str, *, head: str = "", status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    return page(f"<!doctype html><html><head>{head}</head><body>{body}</body></html>", *headers, status=status)


def encoded(kind: str, *, mirrored: bool = False, size: tuple[int, int] | None = None, **options: object) -> bytes:
    image = Image.open(io.BytesIO(BASE)).convert("RGB")
    image = ImageOps.mirror(image) if mirrored else image
    image = image.resize(size) if size else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def data_url(body: bytes = BASE, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(body).decode()}"


@functools.cache
def nearly() -> bytes:
    """The picture changed until it is 36 to 46 bits away: by another over it, more and more."""
    base = Image.open(io.BytesIO(BASE)).convert("RGB")
    other = Image.open(io.BytesIO(OTHER)).convert("RGB").resize(base.size)
    wanted, _ = pdq_of_luma(luma_of(np.asarray(to_rgb(base))))
    for share in range(5, 95):
        mixed = Image.blend(base, other, share / 100)
        value, _ = pdq_of_luma(luma_of(np.asarray(to_rgb(mixed))))
        if 36 <= hamming(value, wanted) <= 46:
            buffer = io.BytesIO()
            mixed.save(buffer, "PNG")
            return buffer.getvalue()
    raise AssertionError("no mixture is so far away")


def svg(*, before: str = "", prefix: str = "", encoding: str = "utf-8") -> bytes:
    name = f"{prefix}:" if prefix else ""
    space = f'xmlns:{prefix}="http://www.w3.org/2000/svg"' if prefix else 'xmlns="http://www.w3.org/2000/svg"'
    drawn = f'<{name}image width="640" height="480" xlink:href="{data_url()}"/>'
    text = f'{before}<{name}svg {space} xmlns:xlink="http://www.w3.org/1999/xlink" width="640" height="480">{drawn}</{name}svg>'
    return text.encode(encoding)


def if_referer(wanted: Callable[[RawRequest], bool]) -> Answer:
    """A placeholder for who comes from elsewhere."""
    return lambda request: picture() if wanted(request) else picture(OTHER)


IMG = '<img src="/ok.jpg">'
OK: dict[str, Answer] = {"/ok.jpg": picture()}
GONE_MEDIA = MISSING
DRAWS = "document.body.appendChild(new Image()).src='/o'+'k'+'.jp'+'g'"
SCRIPT = f"<script>{DRAWS}</script>"
STYLED_XML = answer(b"<?xml-stylesheet type='text/css' href='/x.css'?><a>hello</a>", content_type="text/xml")
X_CSS = answer(b"a{display:block;width:480px;height:360px;background:url(/ok.jpg)}", content_type="text/css")
WITHOUT_SCRIPT_ELEMENT = {
    "a handler that runs at once": f'<img src="data:," onerror="{DRAWS}">',
    "a handler of a click": f'<button onclick="{DRAWS}">Show</button>',
    "a link that is a script": f'<a href=" java&#9;Script:{DRAWS};void 0">Show</a>',
    "a frame that is a script": "<iframe width=500 height=400 src=\"javascript:'<img src=/o'+'k.j'+'pg>'\"></iframe>",
}

STATUSES = (
    "404 Not Found", "410 Gone", "403 Forbidden", "401 Unauthorized", "451 Unavailable", "500 Oops", "503 Busy", "202 Accepted", "429 Slow",
    "299 Odd", "418 Teapot",
)  # fmt: skip
WHATEVER_THE_STATUS = (
    *(Shape(name=f"the picture with {status}", light="present", media=picture(status=status)) for status in STATUSES),
    Shape(name="404, as text/html", light="present", media=picture(status="404 Not Found", content_type="text/html")),
    Shape(name="410, as png", light="present", media=picture(encoded("PNG"), status="410 Gone")),
    Shape(name="404, mirrored", light="present", media=picture(encoded("JPEG", mirrored=True), status="404 No")),
    Shape(name="404, small", light="present", media=picture(encoded("WEBP", size=(320, 240)), status="404 No")),
    Shape(name="404, compressed", light="present",
          media=picture(gzip.compress(BASE), "Content-Encoding: gzip", status="404 No")),
    Shape(name="a redirect without a place", light="present", media=picture(status="302 Found")),
    Shape(name="410 after a redirect", light="present", media=redirect("/ok.jpg"),
          others={"/ok.jpg": picture(status="410 Gone")}),
)  # fmt: skip

PAGES = {
    "img": IMG,
    "a style": '<div style="width:640px;height:480px;background:url(/ok.jpg)"></div>',
    "a style block": "<style>.a{width:640px;height:480px;background-image:url('/ok.jpg')}</style><div class=a></div>",
    "data:": f'<img src="{data_url()}">',
    "data: in a style": f"<div style=\"width:640px;height:480px;background:url('{data_url()}')\"></div>",
    "lazy srcset": '<img src="data:," srcset="data:," data-srcset="/ok.jpg 2x">',
    "data-src": '<img data-src="/ok.jpg">',
    "a frame": '<iframe src="/frame"></iframe>',
    "a frame of the picture": '<iframe src="/ok.jpg"></iframe>',
    "a frame's own document": "<iframe srcdoc=\"<img src='/ok.jpg'>\"></iframe>",
    "a frame with data:": '<iframe src="/frame-data"></iframe>',
    "object": '<object data="/ok.jpg" type="image/jpeg"></object>',
    "embed": '<embed src="/ok.jpg">',
    "picture": '<picture><source srcset="/ok.jpg"><img src="/logo.gif"></picture>',
    "svg image": '<svg><image href="/ok.jpg"/></svg>',
    "noscript": "<noscript><img src=/ok.jpg></noscript>",
    "background": "<table width=640 height=480 background=/ok.jpg><tr><td>x</td></tr></table>",
    "a link": '<a href="/ok.jpg">see</a>',
    "a poster": '<video poster="/ok.jpg"></video>',
    "a style sheet": '<link rel=stylesheet href="/a.css"><div class=a></div>',
    "an imported style sheet": '<link rel=stylesheet href="/b.css"><div class=a></div>',
    "og:image": '<meta property="og:image" content="/ok.jpg">',
    "data of a script": '<script type="application/json">{"image": "/ok.jpg"}</script>',
}
WITH_PARTS: dict[str, Answer] = OK | {
    "/frame": html(IMG),
    "/frame-data": html(f'<img src="{data_url()}">'),
    "/a.css": answer(b".a{width:640px;height:480px;background:url(ok.jpg)}", content_type="text/css"),
    "/b.css": answer(b"@import 'a.css';", content_type="text/css"),
    "/logo.gif": answer(b"", status="404 Not Found"),
}
SHOWN_ON_A_PAGE = (
    *(Shape(name=f"its URL answers with a page: {name}", light="present", media=html(body), others=WITH_PARTS)
      for name, body in PAGES.items()),
    *(Shape(name=f"404, and its page has {name}", light="present", media=GONE_MEDIA, page=html(body), others=WITH_PARTS)
      for name, body in PAGES.items()),
    Shape(name="a page with 404", light="present", media=html(IMG, status="404 Not Found"), others=OK),
    Shape(name="a page with 410", light="present", media=html(IMG, status="410 Gone"), others=OK),
    Shape(name="a page with 404 that runs a script", light="present",
          media=html(IMG + "<script>1</script>", status="404 Not Found"), others=OK),
    Shape(name="a warning before the page", light="present", media=page("\nWarning: $x in a.php on line 3\n" + IMG), others=OK),
    Shape(name="a page that is a picture too", light="present",
          media=answer(OTHER + b"<html><body>" + IMG.encode(), content_type="text/html"), others=OK),
    Shape(name="a page that goes on to another", light="present",
          media=html("", head='<meta http-equiv=refresh content="0;url=/frame">'), others=WITH_PARTS),
    Shape(name="a header that goes on to it", light="present", media=html("wait", headers=("Refresh: 0; url=/ok.jpg",)), others=OK),
    Shape(name="words that go on to it", light="present",
          media=answer(b"wait", "Refresh: 0;url=/frame", content_type="text/plain"), others=WITH_PARTS),
    Shape(name="a login page that shows it behind", light="present",
          media=html(IMG + "<form><input type=password></form>"), others=OK),
    Shape(name="only who comes from its page gets it", light="present",
          media=if_referer(lambda one: one.headers.get("referer", "").endswith("/page")), page=html("")),
    Shape(name="only who comes from its site gets it", light="present",
          media=if_referer(lambda one: "site.test" in one.headers.get("referer", ""))),
    Shape(name="only who comes from its site is let in", light="present",
          media=lambda one: picture() if "referer" in one.headers else answer(b"no", status="403 Forbidden")),
    Shape(name="its page's media want the page's referer", light="present", media=GONE_MEDIA, page=html(IMG),
          others={"/ok.jpg": if_referer(lambda one: one.headers.get("referer", "").endswith("/page"))}),
)  # fmt: skip

LOGIN = html(
    "<form method=post action=/login><input name=user><input type=password name=pw></form>",
    head="<title>Log in</title>",
)
AGE = html("<h1>Are you over 18?</h1><form><button name=yes>Yes</button></form>", head="<title>Age check</title>")
CHALLENGE = html('<script src="https://x.token.awswaf.com/challenge.js"></script>')
BLOCKED = (
    Shape(name="a redirect to a login", light="blocked", media=redirect("/login"), others={"/login": LOGIN}),
    Shape(name="a redirect to a login's picture", light="blocked", media=redirect("/login.png"), others={"/login.png": picture(OTHER)}),
    Shape(name="a redirect to another site's login", light="blocked", media=redirect("/sso/authorize?to=x"),
          others={"/sso/authorize": html("<div id=app></div><script>1</script>")}),
    Shape(name="a login", light="blocked", media=LOGIN),
    Shape(name="a login with 404", light="blocked", media=LOGIN.replace(b"200 OK", b"404 Not Found")),
    Shape(name="a login in German", light="blocked", media=html("Bitte anmelden", head="<title>Anmelden</title>")),
    Shape(name="members only", light="blocked", media=html("This picture is for members only. Please log in to view it.")),
    Shape(name="an age gate", light="blocked", media=AGE),
    Shape(name="an age gate with words", light="blocked", media=html("You must be at least 18 to enter. <a href=/yes>Enter</a>")),
    Shape(name="an age gate by its class", light="blocked", media=html("<div class=age-gate><button>OK</button></div>")),
    Shape(name="a redirect to an age gate", light="blocked",
          media=redirect("/age-verification"), others={"/age-verification": html("Hi")}),
    Shape(name="an age gate with 410", light="blocked", media=AGE.replace(b"200 OK", b"410 Gone")),
    Shape(name="AWS WAF, empty", light="blocked", media=answer(b"", "x-amzn-waf-action: challenge", status="202 Accepted")),
    Shape(name="AWS WAF, a page", light="blocked",
          media=CHALLENGE.replace(b"200 OK", b"202 Accepted").replace(b"\r\n", b"\r\nx-amzn-waf-action: challenge\r\n", 1)),
    Shape(name="AWS WAF, its script alone", light="blocked", media=CHALLENGE),
    Shape(name="an empty 202", light="blocked", media=answer(b"", status="202 Accepted")),
    Shape(name="Cloudflare's challenge", light="blocked",
          media=html("<div class=cf-turnstile></div><script>1</script>", head="<title>Just a moment...</title>",
                     headers=("cf-mitigated: challenge",), status="403 Forbidden")),
    Shape(name="a challenge with 200", light="blocked",
          media=html("Checking your browser before accessing x.", head="<title>DDoS-Guard</title>")),
    Shape(name="a captcha", light="blocked",
          media=html('<div class="g-recaptcha"></div><script src=//www.google.test/recaptcha.js></script>')),
    Shape(name="a firewall's words", light="blocked", media=html("Request blocked. Incident ID: 12")),
    Shape(name="a firewall's words with 404", light="blocked", media=html("Access denied. Ray ID: 12", status="404 Not Found")),
    Shape(name="a firewall's words as text", light="blocked", media=answer(b"Access denied by the web application firewall")),
    Shape(name="another country", light="blocked", media=html("This content is not available in your country.")),
    Shape(name="another country with 404", light="blocked", media=html("Not available in your region", status="404 No")),
    Shape(name="451", light="blocked", media=answer(b"", status="451 Unavailable For Legal Reasons")),
    Shape(name="403", light="blocked", media=answer(b"", status="403 Forbidden")),
    Shape(name="403 with another picture", light="blocked", media=picture(OTHER, status="403 Forbidden")),
    Shape(name="401", light="blocked", media=answer(b"", status="401 Unauthorized")),
    Shape(name="a paywall", light="blocked", media=html("Subscribe to continue reading")),
    Shape(name="404, and its page wants a login", light="blocked", media=GONE_MEDIA, page=LOGIN),
    Shape(name="404, and its page is an age gate", light="blocked", media=GONE_MEDIA, page=AGE),
    Shape(name="404, and its page is a firewall's", light="blocked", media=GONE_MEDIA, page=CHALLENGE),
    Shape(name="replaced, and its page is forbidden", light="blocked", media=picture(OTHER), page=answer(b"", status="403 Forbidden")),
)  # fmt: skip

SOFT = html("<h1>Sorry</h1><p>This file does not exist any more.</p>")
ERROR = json.dumps({"error": "rate limited"}).encode()
APP = html('<div id="root"></div><script src="/app.js"></script>', head="<title>Pictures</title>")
INCONCLUSIVE = (
    Shape(name="an error as data", light="inconclusive", media=answer(ERROR, content_type="application/json"), browser=False),
    Shape(name="an error as data, as a picture", light="inconclusive", media=answer(ERROR, content_type="image/jpeg"), browser=False),
    Shape(name="an error as a list", light="inconclusive", media=answer(b'[{"message":"no"}]'), otherwise=answer(b'[{"message":"no"}]'),
          browser=False),
    Shape(name="an empty 200", light="inconclusive", media=answer(b"", content_type="image/jpeg"), browser=False),
    Shape(name="an empty 200 as to everything", light="inconclusive", media=answer(b""), otherwise=answer(b""), browser=False),
    Shape(name="204", light="inconclusive", media=b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", browser=False),
    Shape(name="a 202 with words", light="inconclusive", media=answer(b"in a minute", status="202 Accepted"), browser=False),
    Shape(name="429", light="inconclusive", media=answer(b"", status="429 Too Many Requests"), browser=False),
    Shape(name="500", light="inconclusive", media=answer(b"oops", status="500 Oops"), browser=False),
    Shape(name="503", light="inconclusive", media=answer(b"", "Retry-After: 9", status="503 Busy"), browser=False),
    Shape(name="400", light="inconclusive", media=answer(b"", status="400 Bad Request"), browser=False),
    Shape(name="rate limited in words", light="inconclusive", media=answer(b"Too many requests, slow down"), browser=False),
    Shape(name="rate limited in words with 404", light="inconclusive",
          media=answer(b"Rate limit exceeded", status="404 No"), browser=False),
    Shape(name="maintenance", light="inconclusive",
          media=html("We will be back soon: maintenance"), otherwise=html("We will be back soon: maintenance"),
          browser=False),
    Shape(name="half of an answer", light="inconclusive", media=picture()[:9_000], browser=True),
    Shape(name="no answer", light="inconclusive", media=b"", browser=False),
    Shape(name="no HTTP", light="inconclusive", media=b"\x00\x01\x02\r\n\r\n", browser=False),
    Shape(name="brotli", light="inconclusive", media=picture(b"\x0b\x02\x80", "Content-Encoding: br"), browser=False),
    Shape(name="a redirect to itself", light="inconclusive", media=redirect("/x.jpg"), browser=False),
    Shape(name="a redirect to nowhere", light="inconclusive", media=redirect("http://"), browser=False),
    Shape(name="SVG", light="inconclusive", media=answer(svg(), content_type="image/svg+xml")),
    Shape(name="SVG behind a comment", light="inconclusive", media=answer(svg(before="<!-- x -->"), content_type="image/svg+xml")),
    Shape(name="SVG behind a document type", light="inconclusive",
          media=answer(svg(before='<?xml version="1.0"?><!DOCTYPE svg>'), content_type="image/svg+xml")),
    Shape(name="SVG with a prefix", light="inconclusive", media=answer(svg(prefix="s"), content_type="image/svg+xml")),
    Shape(name="SVG in UTF-16", light="inconclusive", media=answer(svg(encoding="utf-16"), content_type="image/svg+xml")),
    Shape(name="SVG with 404", light="inconclusive", media=answer(svg(), status="404 No", content_type="image/svg+xml")),
    *(Shape(name=f"{name} with {status[:3]}", light="inconclusive",
          media=answer((PICTURES / name).read_bytes(), status=status), browser=False)
      for name in ("hls.m3u8", "segment-moof.m4s", "segment-styp.m4s", "old-quicktime-free.mov", "embedded-comment-first.svg")
      for status in ("200 OK", "404 Not Found", "410 Gone")),
    Shape(name="a film", light="inconclusive", media=answer(b"\x00\x00\x00\x18ftypmp42" + bytes(500)), browser=False),
    Shape(name="a part of a film", light="inconclusive", media=answer((b"G\x40\x11\x10" + bytes(184)) * 9), browser=False),
    Shape(name="a broken picture", light="inconclusive", media=picture(BASE[:600]), browser=False),
    Shape(name="a broken picture with 404", light="inconclusive", media=picture(BASE[:600], status="404 No"), browser=False),
    Shape(name="nearly the picture", light="inconclusive", media=picture(nearly())),
    Shape(name="nearly the picture with 410", light="inconclusive", media=picture(nearly(), status="410 Gone")),
    Shape(name="404, and nearly the picture on its page", light="inconclusive",
          media=GONE_MEDIA, page=html(IMG), others={"/ok.jpg": picture(nearly())}),
    Shape(name="another file of a content known by exact hashes", light="inconclusive", media=picture(encoded("PNG")), exact_only=True),
    Shape(name="an expired signature, 404", light="inconclusive", media=MISSING, path="/x.jpg?Expires=1700000000&Signature=a"),
    Shape(name="an expired signature, 403", light="inconclusive",
          media=answer(b"", status="403 No"), path="/x.jpg?Expires=1700000000&Signature=a"),
    Shape(name="an expired address of Discord", light="inconclusive",
          media=answer(b"This content is no longer available.", status="404 Not Found"), path="/x.jpg?ex=66000000&is=65ff0000&hm=ab"),
    Shape(name="an expired address of Amazon", light="inconclusive", media=MISSING,
          path="/x.jpg?X-Amz-Date=20240101T000000Z&X-Amz-Expires=60&X-Amz-Signature=a"),
    Shape(name="an expired address of Azure", light="inconclusive",
          media=answer(b"", status="410 Gone"), path="/x.jpg?se=2024-01-01T00:00:00Z&sig=a"),
    Shape(name="an expired address of Akamai", light="inconclusive", media=MISSING, path="/x.jpg?hdnts=exp=1700000000~acl=/*~hmac=a"),
    Shape(name="a page that is the same for every address", light="inconclusive", media=APP, otherwise=APP),
    Shape(name="a script's shell", light="inconclusive", media=APP, otherwise=APP, others={"/": html(FILLER)}),
    Shape(name="a script's shell with 404", light="inconclusive", media=APP.replace(b"200 OK", b"404 Not Found")),
    Shape(name="a page that draws it by a script", light="inconclusive", media=html(FILLER + SCRIPT), otherwise=html(FILLER + SCRIPT),
          others=OK | {"/": html("another")}),
    Shape(name="a page of 404 that draws it by a script", light="inconclusive", media=html(FILLER + SCRIPT, status="404 No"),
          otherwise=html("nothing here", status="404 No"), others=OK),
    Shape(name="a page of another kind", light="inconclusive", media=html(FILLER), browser=False),
    Shape(name="a redirect to the first page", light="inconclusive",
          media=redirect("/"), others={"/": html(FILLER)}, otherwise=redirect("/"),
          browser=False),
    Shape(name="a soft answer to everything", light="inconclusive", media=SOFT, otherwise=SOFT, browser=False),
    Shape(name="a soft answer to this alone", light="inconclusive", media=SOFT, others={"/": html(FILLER)}, browser=False),
    Shape(name="404, and its page runs scripts", light="inconclusive", media=GONE_MEDIA, page=html(FILLER + SCRIPT), others=OK),
    *(Shape(name=f"404, and its page has {name}", light="inconclusive", media=GONE_MEDIA, page=html(FILLER + one), others=OK,
            browser="click" not in name and "link" not in name) for name, one in WITHOUT_SCRIPT_ELEMENT.items()),
    Shape(name="404 as styled XML", light="inconclusive", media=STYLED_XML.replace(b"200 OK", b"404 No"), others=OK | {"/x.css": X_CSS}),
    Shape(name="404, and its page is styled XML", light="inconclusive", media=GONE_MEDIA, page=STYLED_XML, others=OK | {"/x.css": X_CSS}),
    Shape(name="404, and its page is a script's shell", light="inconclusive", media=GONE_MEDIA, page=APP),
    Shape(name="410, and its page is busy", light="inconclusive",
          media=answer(b"", status="410 Gone"), page=answer(b"", status="503 Busy"),
          browser=False),
    Shape(name="404, and its page has a picture that is busy", light="inconclusive", media=GONE_MEDIA, page=html(IMG),
          others={"/ok.jpg": answer(b"", status="503 Busy")}, browser=False),
    Shape(name="404, and its page has a picture that comes as a challenge", light="inconclusive", media=GONE_MEDIA, page=html(IMG),
          others={"/ok.jpg": answer(b"", status="202 Accepted")}, browser=False),
    Shape(name="404, and its page has a picture that comes as a page", light="inconclusive", media=GONE_MEDIA, page=html(IMG),
          others={"/ok.jpg": CHALLENGE}, browser=False),
    Shape(name="404, and its page has an SVG", light="inconclusive", media=GONE_MEDIA, page=html('<img src="/a.svg">'),
          others={"/a.svg": answer(svg(), content_type="image/svg+xml")}),
    Shape(name="404, and its page has a film", light="inconclusive", media=GONE_MEDIA, page=html('<video src="/a.mp4"></video>'),
          others={"/a.mp4": answer(b"\x00\x00\x00\x18ftypmp42" + bytes(500))}, browser=False),
    Shape(name="404, and its page has a film whose still was replaced", light="inconclusive", media=GONE_MEDIA,
          page=html('<video poster="/still.jpg"></video>'), others={"/still.jpg": picture(OTHER)}, browser=False),
    Shape(name="404, and its page has frames in frames", light="inconclusive", media=GONE_MEDIA, page=html('<iframe src="/frame">'),
          others=OK | {"/frame": html('<iframe src="/inner">'), "/inner": html(IMG)}),
    Shape(name="404, and its frame runs scripts", light="inconclusive", media=GONE_MEDIA, page=html('<iframe src="/frame">'),
          others=OK | {"/frame": html(FILLER + SCRIPT)}),
    Shape(name="404, and its frame is forbidden", light="inconclusive", media=GONE_MEDIA, page=html('<iframe src="/frame">'),
          others={"/frame": answer(b"", status="403 No")}, browser=False),
    Shape(name="404, and its style sheet is busy", light="inconclusive",
          media=GONE_MEDIA, page=html('<link rel=stylesheet href="/a.css">'),
          others={"/a.css": answer(b"", status="503 Busy")}, browser=False),
    Shape(name="404, and more pictures on its page than we fetch", light="inconclusive", media=GONE_MEDIA,
          page=html("".join(f'<img src="/{number}.jpg">' for number in range(80)) + IMG), others=OK),
    Shape(name="404, and its page is half there", light="inconclusive", media=GONE_MEDIA, page=html(FILLER + IMG)[:-200], browser=False),
)  # fmt: skip
STILL_THERE = (*WHATEVER_THE_STATUS, *SHOWN_ON_A_PAGE, *BLOCKED, *INCONCLUSIVE)

NOT_FOUND = html("<h1>Not found</h1>" + FILLER + "<script>1</script>", status="404 Not Found")
MENU = html(
    "<nav><a onclick='menu()' href='javascript:void 0'>Menu</a></nav>Not found" + FILLER, status="404 Not Found"
)
FOOT = "<footer>All persons are over 18. <a href=/login>Log in</a> 18+</footer>"
NOT_THERE = (
    Shape(name="404", light="gone", media=MISSING),
    Shape(name="410", light="gone", media=answer(b"", status="410 Gone")),
    Shape(name="404 in words", light="gone", media=answer(b"The file was not found. Please log in or try again later.", status="404 No")),
    Shape(name="404 as data", light="gone", media=answer(b'{"error":"not found"}', status="404 No", content_type="application/json")),
    Shape(name="404 of S3", light="gone",
          media=answer(b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code><RequestId>1</RequestId></Error>", status="404 Not Found")),
    Shape(name="404 with another picture", light="gone", media=picture(OTHER, status="404 Not Found")),
    Shape(name="404 with a page", light="gone", media=html("Not found" + FOOT, status="404 Not Found")),
    Shape(name="404 with a page and its logo", light="gone", media=html("Not found<img src=/logo.jpg>", status="404 Not Found"),
          others={"/logo.jpg": picture(OTHER)}),
    Shape(name="404 with the page that runs scripts for all there is not", light="gone", media=NOT_FOUND, otherwise=NOT_FOUND),
    Shape(name="404 with the page whose menu runs scripts for all there is not", light="gone", media=MENU, otherwise=MENU),
    Shape(name="410 in German", light="gone", media=html("Die Datei wurde gelöscht.", status="410 Gone")),
    Shape(name="404 of a signature that is good for long", light="gone", media=MISSING, path="/x.jpg?Expires=4000000000&Signature=a"),
    Shape(name="the site's own answer", light="gone", media=SOFT, otherwise=SOFT, others={"/": html(FILLER)}),
    Shape(name="the site's own answer repeats the address", light="gone",
          media=lambda one: html(f"Nothing at {one.path} (request 8812)"), others={"/": html(FILLER)},
          otherwise=lambda one: html(f"Nothing at {one.path} (request 9913)")),
    Shape(name="the site's own answer with scripts says so", light="gone", media=html("Page not found" + FILLER + "<script>1</script>"),
          otherwise=html("Page not found" + FILLER + "<script>1</script>"), others={"/": html("Welcome")}),
    Shape(name="the site's own answer in words", light="gone", media=answer(b"no such file"), otherwise=answer(b"no such file"),
          others={"/": html(FILLER)}),
    Shape(name="the site's own answer, shown by its page", light="gone", media=SOFT, page=html("Other things"), otherwise=SOFT,
          others={"/": SOFT}),
    Shape(name="another picture", light="mismatch", media=picture(OTHER)),
    Shape(name="another picture, and its page shows others", light="mismatch", media=picture(OTHER), page=html("<img src=/a.jpg>"),
          others={"/a.jpg": picture(OTHER)}),
    Shape(name="404, and its page shows others", light="gone", media=MISSING, page=html("<img src=/a.jpg><img src=/b.jpg>"),
          others={"/a.jpg": picture(OTHER), "/b.jpg": MISSING}),
    Shape(name="404, and its page is gone", light="gone", media=MISSING, page=answer(b"", status="410 Gone")),
    Shape(name="404, and its page has a logo, a pixel and a frame", light="gone", media=MISSING,
          page=html('<img src=/logo.svg><img src="http://127.0.0.1/p.gif"><iframe src=/frame></iframe><link rel=stylesheet href=/a.css>'),
          others={"/logo.svg": answer(b"<svg xmlns='http://www.w3.org/2000/svg'><path d='M0 0h9'/></svg>", content_type="image/svg+xml"),
                  "/frame": html("words"), "/a.css": answer(b"b{}", content_type="text/css")}),
)  # fmt: skip
"""Of these a removal may be believed, when it is seen twice: the table's other half, so that caution is not all there is."""
