"""What a browser draws is looked into as well: a picture in another guise that no reader of the page finds."""

from __future__ import annotations

import io

from PIL import Image, ImageOps

from services.notifier.domain.model import Outcome
from tests.browser.look_world import needs_chromium
from tests.data.still_there import BASE, FILLER, Shape, html, picture
from tests.look_site import open_look_site, outcome_of, told
from tests.raw_host import MISSING

SCRIPT = "<script>document.body.appendChild(new Image()).src = '/fra' + 'med.png'</script>"


def framed() -> bytes:
    buffer = io.BytesIO()
    ImageOps.expand(Image.open(io.BytesIO(BASE)).convert("RGB"), 60, "black").save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_picture_with_a_border_that_a_script_shows_is_still_there() -> None:
    shape = Shape(
        name="a script shows it with a border",
        light="inconclusive",
        media=MISSING,
        page=html(FILLER + SCRIPT),
        others={"/framed.png": picture(framed(), content_type="image/png")},
    )
    async with open_look_site("127.0.1.99", browser=needs_chromium()) as site:
        light = await site.look(shape, may_draw=False)
        assert outcome_of(light) is Outcome.INCONCLUSIVE, told(light)
        looked = await site.look(shape)
        assert outcome_of(looked) is Outcome.PRESENT, told(looked)
        assert looked.page is not None
        assert (looked.page.reason, looked.page.view is not None) == ("drawn_by_browser", True)
