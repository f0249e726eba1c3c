"""What a look's end means, and what of a page's snapshot is a picture."""

from __future__ import annotations

import pytest

from shared.media.browser.drawing import Rectangle
from shared.media.browser.look import BrowserLook, BrowserOutcome, Unfinished
from shared.media.browser.outcomes import outcome_of
from shared.outbound.guard import AddressRefused, DnsFailure, OutboundError
from shared.outbound.proxy import BudgetSpent
from shared.outbound.transport import ConnectFailure, ConnectionLost


def net(name: str) -> Exception:
    return RuntimeError(f"Page.goto: net::{name} at http://site.test/")


@pytest.mark.parametrize(
    ("error", "failure", "status", "outcome"),
    [
        (net("ERR_EMPTY_RESPONSE"), AddressRefused(), None, BrowserOutcome.ADDRESS_REFUSED),
        (net("ERR_TUNNEL_CONNECTION_FAILED"), DnsFailure(no_such_domain=True), None, BrowserOutcome.NO_SUCH_DOMAIN),
        (net("ERR_EMPTY_RESPONSE"), DnsFailure(), None, BrowserOutcome.DNS_FAILURE),
        (net("ERR_TUNNEL_CONNECTION_FAILED"), ConnectFailure(), None, BrowserOutcome.CONNECT_FAILURE),
        (net("ERR_EMPTY_RESPONSE"), ConnectionLost(), None, BrowserOutcome.CONNECTION_LOST),
        (net("ERR_EMPTY_RESPONSE"), None, None, BrowserOutcome.CONNECTION_LOST),
        (net("ERR_CONNECTION_CLOSED"), BudgetSpent(), None, BrowserOutcome.BUDGET_SPENT),
        (net("ERR_TOO_MANY_REDIRECTS"), None, 302, BrowserOutcome.TOO_MANY_REDIRECTS),
        (net("ERR_UNSAFE_REDIRECT"), None, 302, BrowserOutcome.ADDRESS_REFUSED),
        (net("ERR_CERT_AUTHORITY_INVALID"), None, None, BrowserOutcome.TLS_FAILURE),
        (net("ERR_SSL_PROTOCOL_ERROR"), AddressRefused(), None, BrowserOutcome.TLS_FAILURE),
        (net("ERR_ABORTED"), None, 204, BrowserOutcome.NO_CONTENT),
        (net("ERR_ABORTED"), None, 200, BrowserOutcome.DOWNLOAD),
        (net("ERR_HTTP2_PROTOCOL_ERROR"), None, None, BrowserOutcome.CONNECTION_LOST),
        (RuntimeError("Page.goto: Download is starting"), None, None, BrowserOutcome.DOWNLOAD),
        (RuntimeError("Page.goto: Page crashed"), None, None, BrowserOutcome.CRASHED),
        (TimeoutError(), None, None, BrowserOutcome.TIMED_OUT),
        (TimeoutError(), ConnectFailure(), None, BrowserOutcome.CONNECT_FAILURE),
    ],
)
def test_the_outcome_of_a_page_that_did_not_come(
    error: Exception, failure: OutboundError | None, status: int | None, outcome: BrowserOutcome
) -> None:
    found, words = outcome_of(error, failure, status)
    assert found is outcome
    assert "site.test" not in words, "no URL leaves in words"


def test_fully_drawn_is_drawn_with_nothing_left() -> None:
    assert BrowserLook(outcome=BrowserOutcome.DRAWN).fully_drawn
    for why in Unfinished:
        assert not BrowserLook(outcome=BrowserOutcome.DRAWN, unfinished=frozenset((why,))).fully_drawn
    for outcome in set(BrowserOutcome) - {BrowserOutcome.DRAWN}:
        assert not BrowserLook(outcome=outcome).fully_drawn


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("contain", (0, 50, 200, 100)),
        ("scale-down", (50, 75, 100, 50)),
        ("fill", (0, 0, 200, 200)),
        ("cover", (0, 0, 200, 200)),
    ],
)
def test_the_bars_of_a_contained_picture_are_left_out(fit: str, expected: tuple[float, ...]) -> None:
    box = Rectangle(x=0, y=0, width=200, height=200).fitted(100, 50, fit)
    assert (box.x, box.y, box.width, box.height) == expected
    assert Rectangle(x=1, y=2, width=3, height=4).fitted(0, 0, "contain") == Rectangle(x=1, y=2, width=3, height=4)
