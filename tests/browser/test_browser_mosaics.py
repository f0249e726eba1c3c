"""A picture in pieces, each of which is none: a look draws as one what looks like one."""

from __future__ import annotations

import io

from PIL import Image

from shared.media.browser.look import PictureKind
from shared.media.fingerprinter import Fingerprinter
from tests.browser.look_world import AGREES, SOUGHT, Internet, answer, drawn, nearest, open_internet

WORDS = "<p>" + "Words and words. " * 80 + "</p>"


def tiles(internet: Internet, name: str, columns: int, rows: int, element: str) -> str:
    """A page of them among words; `element` has places for a tile's URL, width and height."""
    picture = Image.open(io.BytesIO(SOUGHT))
    width, height = picture.width // columns, picture.height // rows
    lines = []
    for row in range(rows):
        for column in range(columns):
            part = picture.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))
            out = io.BytesIO()
            part.save(out, "PNG")
            path = f"/{name}-{row}-{column}.png"
            internet.put(path, answer(out.getvalue()))
            lines.append(element.format(url=path, width=width, height=height))
        lines.append("<br>")
    return internet.page(
        f"/{name}", f"{WORDS}<div style='line-height:0;white-space:nowrap'>{''.join(lines)}</div>{WORDS}"
    )


async def test_pieces_that_adjoin_are_drawn_as_one() -> None:
    image = "<img src={url}>"
    background = "<i style='display:inline-block;width:{width}px;height:{height}px;background:url({url})'></i>"
    async with open_internet() as internet, Fingerprinter(workers=1) as fingerprinter:
        for name, columns, rows, element in (
            ("large", 4, 3, image),
            ("small", 16, 12, background),
            ("strips", 1, 6, image),
        ):
            look = await internet.browser.look(tiles(internet, name, columns, rows, element))
            together = drawn(look, PictureKind.MOSAIC)
            assert await nearest(fingerprinter, together) <= AGREES, (name, len(together))
        page = WORDS + "<img src=/other.png style='margin:8px'>" * 4
        look = await internet.browser.look(internet.page("/apart", page))
        assert drawn(look, PictureKind.MOSAIC) == []
        assert look.fully_drawn
