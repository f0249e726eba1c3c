"""What another browser shows and ours cannot: a page is not clear because Chromium, or one without a graphics card, shows nothing."""

from __future__ import annotations

from services.notifier.domain.model import Outcome
from tests.browser.look_world import needs_chromium
from tests.data.still_there import FILLER, GONE_MEDIA, OTHER, Shape, html, picture
from tests.look_site import LookSite, open_look_site, outcome_of, told
from tests.raw_host import Answer, answer

FALLBACK = "<picture><source srcset=/a type={kind}><img src=/other.jpg></picture>" + FILLER
PICTURES = {
    "JPEG XL": ("image/jxl", b"\xff\x0a" + bytes(300)),
    "JPEG XL in boxes": ("image/jxl", b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a" + bytes(300)),
    "HEIC": ("image/heic", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(300)),
    "JPEG XR": ("image/vnd.ms-photo", b"II\xbc\x01" + bytes(300)),
}
DRAWS = "document.body.append(c);g.clear(g.COLOR_BUFFER_BIT)"
GRAPHICS = {
    "WebGL": f"const c=document.createElement('canvas'),g=c.getContext('webgl');if(g){{{DRAWS}}}",
    "WebGL 2": f"const c=document.createElement('canvas'),g=c.getContext('webgl2');if(g){{{DRAWS}}}",
    "WebGL off the screen": "const g=new OffscreenCanvas(9,9).getContext('webgl');if(g){g.clear(1)}",
}
"""What a page asks for by which it could draw."""


def shape(name: str, body: str, **others: bytes) -> Shape:
    shown: dict[str, Answer] = {"/other.jpg": picture(OTHER), **{f"/{path}": one for path, one in others.items()}}
    return Shape(name=name, light="inconclusive", media=GONE_MEDIA, page=html(body), others=shown)


async def test_a_page_is_not_clear_by_what_ours_leaves_out() -> None:
    async with open_look_site("127.0.1.99", browser=needs_chromium()) as site:
        cleared: list[tuple[str, str]] = []
        for name, (kind, body) in PICTURES.items():
            await look(site, shape(name, FALLBACK.format(kind=kind), a=answer(body, content_type=kind)), cleared)
        for name, script in GRAPHICS.items():
            await look(site, shape(name, f"{FILLER}<script>{script}</script>"), cleared)
        assert not cleared, cleared
        plain = shape(
            "a canvas as many have",
            f"{FILLER}<canvas id=c></canvas><script>c.getContext('2d').fillRect(0,0,9,9)</script>",
        )
        looked = await site.look(plain)
        assert outcome_of(looked) is Outcome.GONE, told(looked)


async def look(site: LookSite, one: Shape, cleared: list[tuple[str, str]]) -> None:
    looked = await site.look(one)
    if outcome_of(looked) is not Outcome.INCONCLUSIVE:
        cleared.append((one.name, told(looked)))
