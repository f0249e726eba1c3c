"""What a page does to show the picture to visitors and not to us: a browser's check sees it, or says that it did not see all."""

from __future__ import annotations

import pytest

from services.notifier.domain.model import Outcome
from tests.browser.look_world import needs_chromium
from tests.data.still_there import FILLER, STILL_THERE, WITHOUT_SCRIPT_ELEMENT, Shape, html
from tests.look_site import LookSite, open_look_site, outcome_of, told

SHOWN = tuple(
    one
    for one in STILL_THERE
    if "styled XML" in one.name
    or (one.browser and one.name.removeprefix("404, and its page has ") in WITHOUT_SCRIPT_ELEMENT)
)


@pytest.mark.timeout(180)
async def test_what_shows_it_without_a_script_element_is_seen() -> None:
    assert len(SHOWN) == 4
    async with open_look_site("127.0.1.89", browser=needs_chromium()) as site:
        seen = {one.name: await site.look(one) for one in SHOWN}
        assert {name: told(one) for name, one in seen.items() if outcome_of(one) is not Outcome.PRESENT} == {}
        await a_fragment_is_given_to_the_page_alone(site)


ALBUM = "<script>if(location.hash==='#/album/3%20x')document.body.append('Here it is.'+document.referrer)</script>"


async def a_fragment_is_given_to_the_page_alone(site: LookSite) -> None:
    site.show(Shape(name="an album", light="inconclusive", media=html(FILLER + ALBUM + "<img src=/ok.jpg>")))
    url = site.host.url("/x.jpg")
    look = await site.browser.look(f"{url}#/album/3 x", referer=site.host.url("/page"))
    assert "Here it is." in look.text
    assert look.final_url == url
    assert [one.url for one in look.hops] == [url]
    assert not [one for one in site.host.requests if "album" in repr(one)]
    assert "Here it is." not in (await site.browser.look(url)).text
