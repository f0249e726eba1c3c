"""A check that may ask a browser: what only it sees is there, and what it does not show confirms only beside a sign."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from services.notifier.domain.model import Outcome
from shared.media.browser.process import BrowserProgram
from shared.policy import Policy
from tests.browser.look_world import needs_chromium
from tests.data.still_there import (
    BASE,
    FILLER,
    NOT_THERE,
    OK,
    OTHER,
    SCRIPT,
    SOFT,
    STILL_THERE,
    Shape,
    html,
    picture,
)
from tests.look_site import POLICY, open_look_site, outcome_of, told

PRESENT_TO_A_BROWSER = (
    "SVG with a prefix",
    "SVG with 404",
    "embedded-comment-first.svg with 200",
    "a page that draws it by a script",
    "a page of 404 that draws it by a script",
    "404, and its page runs scripts",
    "404, and its page has frames in frames",
    "404, and its frame runs scripts",
)
STILL_NOTHING = (
    "an age gate",
    "a login",
    "AWS WAF, its script alone",
    "a script's shell",
    "a page of another kind",
    "nearly the picture",
    "a soft answer to everything",
    "an empty 200",
    "404, and its page wants a login",
    "404, and its page has a picture that is busy",
    "404, and its page has a film whose still was replaced",
)
SOFT_BY_SCRIPT = html("<div id=a></div><script>a.textContent='This picture was not found.'</script>")
WELCOME = html("<p>Welcome to the first page.</p>" + FILLER)
STILL_CLEAR = (
    *(one for one in NOT_THERE if one.name in (
        "404", "404 with a page and its logo", "404 with another picture", "the site's own answer", "another picture",
        "another picture, and its page shows others", "404, and its page shows others",
    )),
    Shape(name="the site's own answer, made by a script", light="gone", media=SOFT_BY_SCRIPT, otherwise=SOFT_BY_SCRIPT,
          others={"/": WELCOME}),
    Shape(name="404, and its page runs scripts and shows another picture", light="gone", media=html("not found", status="404 No"),
          page=html(FILLER + SCRIPT), others={"/ok.jpg": picture(OTHER)}),
    Shape(name="404 with a page of its own that runs a script", light="gone", media=html(FILLER + "<script>1</script>", status="404 No"),
          otherwise=SOFT),
)  # fmt: skip


async def test_what_only_a_browser_sees() -> None:
    shapes = [one for one in STILL_THERE if one.name in PRESENT_TO_A_BROWSER]
    assert len(shapes) == len(PRESENT_TO_A_BROWSER)
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        seen = {one.name: await site.look(one) for one in shapes}
        assert {name: told(one) for name, one in seen.items() if outcome_of(one) is not Outcome.PRESENT} == {}
        assert all("drawn" in one.drawn for one in seen.values())


async def test_what_says_nothing_to_a_browser_either() -> None:
    shapes = [one for one in STILL_THERE if one.name in STILL_NOTHING]
    assert len(shapes) == len(STILL_NOTHING)
    shapes.append(
        Shape(name="exact hashes alone are known, and its page shows a picture", light="inconclusive", exact_only=True,
              media=html("not found", status="404 No"), page=html(FILLER + SCRIPT), others={"/ok.jpg": picture(OTHER)})
    )  # fmt: skip
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        seen = {one.name: await site.look(one) for one in shapes}
        silent = (Outcome.BLOCKED, Outcome.INCONCLUSIVE)
        assert {name: told(one) for name, one in seen.items() if outcome_of(one) not in silent} == {}


async def test_what_is_gone_is_gone_with_a_browser_too() -> None:
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        seen = {one.name: await site.look(one) for one in STILL_CLEAR}
        assert {one.name: told(seen[one.name]) for one in STILL_CLEAR if outcome_of(seen[one.name]) != one.light} == {}
        assert seen["404"].drawn == (), "there is nothing in it that a browser could draw"


async def test_a_site_that_sends_browsers_something_else_is_seen() -> None:
    """To who does not look like a browser it says 404, in HTML, or shows another picture."""
    as_browser = {
        "another picture": picture(OTHER),
        "a page of 404": html("Not found" + FILLER, status="404 Not Found"),
    }
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        for name, to_us in as_browser.items():
            shape = Shape(
                name=name,
                light="present",
                media=lambda one, to_us=to_us: picture() if "Chrome" in one.headers.get("user-agent", "") else to_us,  # type: ignore[misc]  # a default binds it
                otherwise=to_us,
            )
            assert outcome_of(await site.look(shape)) is Outcome.PRESENT, name


async def test_what_a_person_rejected_is_rejected_as_it_is_drawn() -> None:
    """A rejection names a value bit for bit, and a browser draws the file at another size."""
    drawn_small = html(FILLER + "<img src=/ok.jpg width=200>" + SCRIPT)
    missing = html("not found", status="404 No")
    on_page = Shape(name="on its page", light="inconclusive", media=missing, page=drawn_small, others=OK)
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        rejected = await site.refs_of(BASE)
        looked = await site.look(on_page, rejected=rejected)
        assert (outcome_of(looked), looked.drawn[-1:]) == (Outcome.GONE, ("drawn",)), told(looked)
        assert outcome_of(await site.look(on_page, rejected=await site.refs_of(OTHER))) is Outcome.PRESENT


async def test_it_is_asked_only_where_that_can_tell() -> None:
    async with open_look_site("127.0.1.94", browser=needs_chromium()) as site:
        for shape in (
            Shape(name="present", light="present", media=picture()),
            Shape(
                name="on a page",
                light="present",
                media=html("no", status="404 No"),
                page=html("<img src=/ok.jpg>"),
                others=OK,
            ),
            *(
                one
                for one in (*STILL_THERE, *NOT_THERE)
                if one.name in ("429", "451", "503", "404", "410", "404 as data", "no answer")
            ),
        ):
            looked = await site.look(shape)
            assert looked.drawn == () or shape.name == "no answer", (shape.name, told(looked))
        gone = next(one for one in NOT_THERE if one.name == "another picture")
        assert (await site.look(gone, may_draw=False)).drawn == ()
    policy = POLICY.model_copy(update={"browser_looks_per_hour": 0})
    assert isinstance(policy, Policy)
    async with open_look_site("127.0.1.94", browser=needs_chromium(), policy=policy) as site:
        looked = await site.look(gone)
        assert (looked.media.outcome, looked.media.reason) == (Outcome.INCONCLUSIVE, "browser_hour_spent")
        unsure = replace(gone, media=html(FILLER + SCRIPT))
        looked = await site.look(unsure)
        assert (outcome_of(looked), looked.drawn) == (Outcome.INCONCLUSIVE, ("hour_spent",)), (
            "that it was not asked is told"
        )
    async with open_look_site("127.0.1.94", browser=BrowserProgram(path=Path("/bin/false"))) as site:
        looked = await site.look(gone)
        assert (looked.media.outcome, looked.drawn) == (Outcome.MISMATCH, ()), "one that was never there is none"
