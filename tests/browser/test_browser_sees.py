"""A browser's look sees each picture as it is drawn, in every way a page can show one."""

from __future__ import annotations

import pytest

from shared.media.browser.look import BrowserOutcome, PictureKind
from shared.media.fingerprinter import Fingerprinter
from tests.browser.look_world import AGREES, SOUGHT, answer, drawn, nearest, open_internet
from tests.data.drawn_pages import BACKGROUNDS, CANVASES, DATA_URL, FRAMES, IMAGES, SCROLLED, SHADOWS, SVGS, put_parts
from tests.notifier_world import picture

KINDS = {
    "images": (IMAGES, ()),
    "backgrounds": (BACKGROUNDS, (PictureKind.BACKGROUND,)),
    "canvases": (CANVASES, (PictureKind.CANVAS,)),
    "svgs": (SVGS, ()),
    "frames": (FRAMES, ()),
    "shadows": (SHADOWS, ()),
    "scrolled": (SCROLLED, ()),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_picture_is_seen_as_it_is_drawn(kind: str) -> None:
    members, drawn_as = KINDS[kind]
    async with open_internet() as internet, Fingerprinter(workers=1) as fingerprinter:
        put_parts(internet)
        missed = []
        for place, (name, body) in enumerate(members.items()):
            look = await internet.browser.look(internet.page(f"/{place}", body))
            distance = await nearest(fingerprinter, drawn(look, *drawn_as))
            if look.outcome is not BrowserOutcome.DRAWN or distance > AGREES or not look.fully_drawn:
                missed.append((name, look.outcome, look.detail, distance, sorted(look.unfinished)))
        assert not missed, missed


FILMS = {
    "webm": "<video src=/film.webm></video>",
    "mp4": "<video src=/film.mp4 controls></video>",
    "source": "<video preload=none><source src=/film.webm type=video/webm></video>",
    "autoplay": "<video autoplay loop src=/film.mp4></video>",
    "poster": "<video preload=none poster=/other.png src=/film.webm></video>",
    "blob": "<video id=v></video><script>fetch('/film.webm').then(r=>r.blob()).then(b=>v.src=URL.createObjectURL(b))</script>",
    "letter box": "<video src=/film.mp4 style='width:900px;height:240px;background:#000'></video>",
    "in a frame": "<iframe src=/filmed width=600 height=500></iframe>",
}


@pytest.mark.timeout(180)
async def test_a_video_is_seen_at_several_times() -> None:
    async with open_internet() as internet, Fingerprinter(workers=1) as fingerprinter:
        internet.page("/filmed", "<video src=/film.webm></video>")
        missed = []
        for place, (name, body) in enumerate(FILMS.items()):
            look = await internet.browser.look(internet.page(f"/{place}", body))
            frames = [one.body for one in look.drawn if one.video_seconds is not None]
            distances = [
                await nearest(fingerprinter, frames, picture(seed, size=(320, 240))) for seed in (21, 22, 23, 24)
            ]
            if max(distances) > AGREES or not look.fully_drawn:
                missed.append((name, distances, look.detail, sorted(look.unfinished)))
        assert not missed, missed


async def test_the_bytes_of_media_answers_are_handed_on() -> None:
    async with open_internet() as internet:
        internet.put("/410.png", answer(SOUGHT, status="410 Gone"))
        look = await internet.browser.look(
            internet.page("/", "<img src=/sought.png><img src=/410.png><img src=/none.png>")
        )
        found = {one.url.rpartition("/")[2]: (one.status, one.body == SOUGHT) for one in look.answers}
        assert found["sought.png"] == (200, True)
        assert found["410.png"] == (410, True), "browsers show a picture whatever the status"
        assert look.missing_media == ("http://site.test/410.png", "http://site.test/none.png")
        assert look.fully_drawn, "a picture that is gone has answered"


INLINE = {
    "cut off by a frame": "<iframe src=/small></iframe>",
    "a background of a flat box": f'<div style="width:300px;height:40px;background:url({DATA_URL})"></div>',
    "in a drawing": f'<svg width=100 height=40><image href="{DATA_URL}"/></svg>',
    "a small object": f'<object data="{DATA_URL}" width=50></object>',
    "before a line": f"<style>p::before{{content:url({DATA_URL})}}</style><p>",
}


async def test_pictures_in_the_page_itself_are_handed_on() -> None:
    """What a small box shows of them is a part; no request brings the whole."""
    async with open_internet() as internet:
        internet.page("/small", f'<img src="{DATA_URL}">')
        for place, (name, body) in enumerate(INLINE.items()):
            look = await internet.browser.look(internet.page(f"/{place}", body))
            assert [one.body == SOUGHT for one in look.answers] == [True], name
        icon = await internet.browser.look(internet.page("/icon", f'<img src="{DATA_URL}" width=16 height=16>'))
        assert icon.answers == ()
