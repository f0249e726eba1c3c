"""The same picture put back in another guise: what a check says of it over real HTTP, and of pictures that are none of it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageOps

from services.notifier.checks.seen import Seen
from services.notifier.domain.model import Outcome
from shared.media.fingerprints import hamming
from shared.media.pdq import pdq_hash
from shared.media.views.view import ViewName
from tests.data.still_there import BASE, OTHER, Shape, html, picture
from tests.integration.shared.media.pictures import picture as made
from tests.look_site import LookSite, open_look_site

CONTENT = Image.open(io.BytesIO(BASE)).convert("RGB")
WIDTH, HEIGHT = CONTENT.size
NEIGHBOURS = [made(WIDTH, HEIGHT, seed) for seed in (11, 12, 13)]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def bordered(image: Image.Image, *, colour: str = "black", places: int = 60) -> Image.Image:
    return ImageOps.expand(image, places, colour)


def captioned(image: Image.Image) -> Image.Image:
    page = Image.new("RGB", (image.width, image.height + 90), "white")
    page.paste(image, (0, 0))
    words = ImageDraw.Draw(page)
    for line in range(2):
        words.text((20, image.height + 8 + 40 * line), "What somebody writes below it", fill="black", font_size=30)
    return page


def collage(image: Image.Image, *, gap: int = 6) -> Image.Image:
    tiles = [NEIGHBOURS[0], NEIGHBOURS[1], image, NEIGHBOURS[2]]
    page = Image.new("RGB", (2 * WIDTH + gap, 2 * HEIGHT + gap), "white")
    for number, tile in enumerate(tiles):
        page.paste(tile, ((number % 2) * (WIDTH + gap), (number // 2) * (HEIGHT + gap)))
    return page


def screenshot(image: Image.Image) -> Image.Image:
    screen = Image.new("RGB", (720, 1280), (24, 26, 30))
    drawn = image.resize((720, 540))
    screen.paste(drawn, (0, 300))
    words = ImageDraw.Draw(screen)
    for line in range(6):
        words.text((24, 900 + 40 * line), "Words of a feed below the picture", fill="white", font_size=26)
    words.text((24, 10), "12:34", fill="white", font_size=26)
    return screen


def film_of_frames(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    frames = [NEIGHBOURS[0], bordered(image).resize((WIDTH, HEIGHT))]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=100)
    return buffer.getvalue()


def nearly_the_content() -> Image.Image:
    """So much cut off one side that it is some 40 bits away."""
    value, _ = pdq_hash(CONTENT)
    cut = (CONTENT.crop((places, 0, WIDTH, HEIGHT)) for places in range(4, WIDTH // 2, 2))
    return next(one for one in cut if 37 <= hamming(pdq_hash(one)[0], value) <= 45)


GUISES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "bordered": bordered,
    "bordered in white": lambda image: bordered(image, colour="white", places=25),
    "captioned": captioned,
    "collage": collage,
    "collage without gaps": lambda image: collage(image, gap=0),
    "screenshot": screenshot,
    "mirrored and bordered": lambda image: bordered(ImageOps.mirror(image)),
    "on its side and bordered": lambda image: bordered(image.rotate(90, expand=True)),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site() -> AsyncIterator[LookSite]:
    async with open_look_site("127.0.1.95") as one:
        yield one


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def looked_at(site: LookSite, name: str, body: bytes) -> Seen:
    return (await site.look(Shape(name=name, light="present", media=picture(body)))).media


async def test_a_picture_put_back_in_another_guise_is_still_there_and_another_picture_in_it_is_not(
    site: LookSite,
) -> None:
    for name, guise in GUISES.items():
        seen = await looked_at(site, name, jpeg(guise(CONTENT)))
        assert (seen.outcome, seen.view is not None) == (Outcome.PRESENT, True), name
        assert seen.agreement is not None, name
        assert seen.agreement.distance <= 31, name
        assert (seen.whole_distance or 0) > 50, name
        other = await looked_at(site, name, jpeg(guise(made(WIDTH, HEIGHT, 21))))
        assert (other.outcome, other.near) == (Outcome.MISMATCH, None), name
    whole = await looked_at(site, "whole", BASE)
    assert (whole.outcome, whole.view, whole.of_part) == (Outcome.PRESENT, None, ())
    moving = await looked_at(site, "moving", film_of_frames(CONTENT))
    assert (moving.outcome, moving.view is not None) == (Outcome.PRESENT, True)


async def test_what_is_nearly_the_content_in_a_part_is_a_persons_to_say(site: LookSite) -> None:
    for colour in ("black", "white"):
        seen = await looked_at(site, colour, jpeg(bordered(nearly_the_content(), colour=colour)))
        assert (seen.outcome, seen.reason) == (Outcome.INCONCLUSIVE, "probably_present"), colour
        assert seen.near is not None, colour
        assert 31 < seen.near.distance <= 50 < (seen.whole_distance or 0), colour
        assert seen.view is ViewName.TRIM


async def test_a_picture_in_a_picture_is_seen_on_a_page(site: LookSite) -> None:
    shape = Shape(
        name="page",
        light="present",
        media=picture(OTHER),
        page=html('<img src="/other-name.jpg">'),
        others={"/other-name.jpg": picture(jpeg(collage(CONTENT)))},
    )
    looked = await site.look(shape)
    assert looked.page is not None
    assert (looked.page.outcome, looked.page.view is not None) == (Outcome.PRESENT, True)
    assert looked.media.outcome is Outcome.MISMATCH


async def test_a_picture_that_a_person_rejected_does_not_agree_in_its_parts_either(site: LookSite) -> None:
    body = jpeg(collage(CONTENT))
    seen = await looked_at(site, "collage", body)
    assert seen.outcome is Outcome.PRESENT
    rejected = await site.refs_of(body)
    shape = Shape(name="rejected", light="mismatch", media=picture(body))
    looked = await site.look(shape, rejected=rejected)
    assert (looked.media.outcome, looked.media.near) == (Outcome.MISMATCH, None)


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
async def test_a_border_round_a_picture_of_any_format_hides_nothing(site: LookSite, form: str) -> None:
    buffer = io.BytesIO()
    bordered(CONTENT).save(buffer, form)
    seen = await looked_at(site, form, buffer.getvalue())
    assert (seen.outcome, seen.view is not None) == (Outcome.PRESENT, True)
