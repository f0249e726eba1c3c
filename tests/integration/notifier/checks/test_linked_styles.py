"""A style sheet that a `Link` header names: Firefox draws its pictures, on a page, on plain text, and on an answer of no bytes."""

from __future__ import annotations

from services.notifier.domain.model import Outcome
from tests.data.still_there import GONE_MEDIA, OK, Shape
from tests.look_site import open_look_site, outcome_of, told
from tests.raw_host import answer

SHEET = answer(b"html::after{content:url(/ok.jpg)}", content_type="text/css")
OTHERS = OK | {"/x.css": SHEET, "/y.css": answer(b"@import '/x.css';", content_type="text/css")}
LINK = "Link: </x.css>; rel=stylesheet"
BEHIND_OTHERS = 'Link: </a.js>; rel="preload"; as=script, </y.css>; title="a, <b>"; REL="alternate StyleSheet"'


def medium(name: str, body: bytes, *headers: str, content_type: str = "text/html") -> Shape:
    gone = answer(body, *headers, content_type=content_type, status="404 No")
    return Shape(name=name, light="present", media=gone, others=OTHERS)


def page(name: str, body: bytes) -> Shape:
    shown = answer(body, LINK, content_type="text/html")
    return Shape(name=name, light="present", media=GONE_MEDIA, page=shown, others=OTHERS)


SHAPES = (
    medium("404 of no bytes", b"", LINK),
    medium("404 as text", b"gone", LINK, content_type="text/plain"),
    medium("a page with 404", b"<p>gone", LINK),
    medium("quoted, behind others", b"", BEHIND_OTHERS),
    medium("a header twice", b"", "Link: </a>; rel=next", LINK),
    page("its page", b"<p>gone"),
    page("its page, of no bytes", b""),
)


async def test_its_pictures_are_seen() -> None:
    async with open_look_site("127.0.1.87") as site:
        seen = {shape.name: await site.look(shape) for shape in SHAPES}
        missed = [(name, told(looked)) for name, looked in seen.items() if outcome_of(looked) is not Outcome.PRESENT]
        assert not missed, missed
        long = f'Link: </a.js>; rel=preload; title="{"x" * 9000}", </x.css>; rel=stylesheet'
        media = answer(b"<p>gone", long, content_type="text/html", status="404 No")
        cut = Shape(name="cut", light="inconclusive", media=media, others=OTHERS)
        assert outcome_of(await site.look(cut)) is Outcome.INCONCLUSIVE
        other = Shape(
            name="no style",
            light="gone",
            media=answer(b"", "Link: </x.css>; rel=preload", status="404 No"),
            others=OTHERS,
        )
        assert outcome_of(await site.look(other)) is Outcome.GONE
