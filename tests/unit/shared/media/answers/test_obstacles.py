"""What stands in the way, told from an ordinary page."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.answers import obstacles
from shared.media.answers.obstacles import Obstacle
from shared.media.html.contents import PageSigns
from shared.media.html_media import read_page

LONG = "<p>" + "An ordinary sentence of an ordinary page. " * 60 + "</p>"


def signs(html: str) -> PageSigns:
    return read_page(html.encode(), "text/html", "http://site.test/x").signs


@pytest.mark.parametrize(
    ("html", "obstacle"),
    [
        ("<title>Log in</title>", Obstacle.LOGIN),
        ("<title>Sign in - Site</title>", Obstacle.LOGIN),
        ("<title>ログイン</title>", Obstacle.LOGIN),
        ("<form><input type=password></form>", Obstacle.LOGIN),
        ("You must be logged in to see this.", Obstacle.LOGIN),
        ("<title>Just a moment...</title>" + LONG, Obstacle.CHALLENGE),
        ("Verify you are human by completing the action below.", Obstacle.CHALLENGE),
        ("<script src=/_Incapsula_Resource?x></script>", Obstacle.CHALLENGE),
        ("<script src=//geo.captcha-delivery.test/c.js></script>", Obstacle.CHALLENGE),
        ("<div id=px-captcha></div>", Obstacle.CHALLENGE),
        ("I am over 18 <a>Enter</a>", Obstacle.AGE_GATE),
        ("Adults only (18+). <a>Enter</a> <a>Leave</a>", Obstacle.AGE_GATE),
        ("Bist du volljährig?", Obstacle.AGE_GATE),
        ("<form>18+<button>OK</button></form>", Obstacle.AGE_GATE),
        ("Dieses Video ist in deinem Land nicht verfügbar", Obstacle.GEOGRAPHY),
        ("Subscribe to continue reading", Obstacle.PAYWALL),
        ("Accept all cookies to continue", Obstacle.CONSENT_WALL),
        ("<div class=cookie-wall></div>", Obstacle.CONSENT_WALL),
        ("Error establishing a database connection", Obstacle.MAINTENANCE),
        ("429 Too Many Requests", Obstacle.RATE_LIMITED),
        ("<script>location='/login?next=x'</script>", Obstacle.LOGIN),
    ],
)
def test_walls(html: str, obstacle: Obstacle) -> None:
    assert obstacles.of_page(signs(html)) is obstacle


@pytest.mark.parametrize(
    "html",
    [
        LONG + "<a href=/login>Log in</a><form class=login><input type=password></form>",
        LONG + "<footer>All models are over 18. 18+ adults only. Enter</footer>",
        LONG + "<script src=/cdn-cgi/challenge-platform/scripts/jsd/main.js></script>",
        LONG + "Please wait. Try again later. Subscribe to continue",
        "<h1>A picture</h1><footer>18+</footer>",
        "Words",
        "",
        "<title>My garden</title><img src=x.jpg>",
    ],
)
def test_ordinary_pages(html: str) -> None:
    assert obstacles.of_page(signs(html)) is None


@pytest.mark.parametrize(
    "html",
    [
        "Not found. <a>Log in</a> <footer>You must be at least 18 to use this site.</footer>",
        "<title>404</title>Try again later <form><input type=password></form>",
        "Diese Seite wurde gelöscht. Bitte anmelden.",
    ],
)
def test_a_page_whose_status_and_words_say_missing_is_no_wall_for_its_frame(html: str) -> None:
    assert obstacles.of_page(signs(html), missing=True) is None
    assert obstacles.of_page(signs(html)) is not None, "with another status it may be one"


@pytest.mark.parametrize(
    ("status", "size", "obstacle"),
    [
        (200, 5, None),
        (404, 0, None),
        (410, 9, None),
        (202, 0, Obstacle.CHALLENGE),
        (202, 9, Obstacle.ACCEPTED),
        (401, 0, Obstacle.LOGIN),
        (403, 9, Obstacle.FORBIDDEN),
        (451, 0, Obstacle.LEGAL),
        (429, 0, Obstacle.RATE_LIMITED),
        (500, 0, Obstacle.SERVER_ERROR),
        (599, 0, Obstacle.SERVER_ERROR),
        (302, 0, Obstacle.STATUS),
        (416, 0, Obstacle.STATUS),
    ],
)
def test_statuses(status: int, size: int, obstacle: Obstacle | None) -> None:
    assert obstacles.of_status(status, size) is obstacle


@pytest.mark.parametrize(
    ("to", "obstacle"),
    [
        ("http://site.test/login", Obstacle.LOGIN),
        ("http://site.test/login-200.jpg", Obstacle.LOGIN),
        ("http://accounts.site.test/", Obstacle.LOGIN),
        ("http://site.test/wp-login.php?redirect_to=x", Obstacle.LOGIN),
        ("http://site.test/age-verification?x", Obstacle.AGE_GATE),
        ("http://site.test/over18", Obstacle.AGE_GATE),
        ("http://site.test/cdn-cgi/x", Obstacle.CHALLENGE),
        ("http://site.test/geo-blocked", Obstacle.GEOGRAPHY),
        ("http://site.test/page/2", None),
        ("http://site.test/image/x.jpg", None),
        ("http://cdn.site.test/blogin/x.jpg", None),
        ("http://site.test/author/x", None),
    ],
)
def test_where_a_redirect_leads(to: str, obstacle: Obstacle | None) -> None:
    assert obstacles.of_redirect("http://site.test/x.jpg", to) is obstacle


def test_a_place_that_was_asked_for_is_no_detour() -> None:
    assert obstacles.of_redirect("http://site.test/login/x.jpg", "http://site.test/login/y.jpg") is None


@pytest.mark.parametrize(
    ("text", "data", "obstacle"),
    [
        ('{"error":"rate limited"}', True, Obstacle.RATE_LIMITED),
        ('{"error":"x"}', True, Obstacle.ERROR_MESSAGE),
        ('{"message":"x","code":7}', True, Obstacle.ERROR_MESSAGE),
        ("quota exceeded", False, Obstacle.RATE_LIMITED),
        ("Access Denied", False, Obstacle.CHALLENGE),
        ('{"a":1}', True, None),
        ("a note", False, None),
    ],
)
def test_words_without_markup(text: str, data: bool, obstacle: Obstacle | None) -> None:
    assert obstacles.of_text(text, data=data) is obstacle
    if data:
        assert obstacles.of_text(text, data=data, missing=True) is None


@pytest.mark.parametrize(
    "headers", [{"cf-mitigated": "challenge"}, {"x-amzn-waf-action": "captcha"}, {"x-sucuri-block": "1"}]
)
def test_what_a_firewall_says_of_itself(headers: dict[str, str]) -> None:
    assert obstacles.of_headers(headers) is Obstacle.CHALLENGE
    assert obstacles.of_headers({"server": "cloudflare"}) is None


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_no_words_are_too_strange(title: str, text: str, url: str) -> None:
    page = PageSigns(title=title, text=text, text_characters=len(text))
    for missing in (False, True):
        obstacles.of_page(page, missing=missing)
        obstacles.of_text(text, data=missing, missing=missing)
    obstacles.of_redirect("http://site.test/", f"http://site.test/{url}".replace("[", "").replace("]", ""))
