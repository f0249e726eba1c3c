"""The outcome of a look, by how its visit ended: pure."""

from __future__ import annotations

import re

from shared.media.browser.look import BrowserOutcome
from shared.outbound.guard import AddressRefused, DnsFailure, OutboundError
from shared.outbound.proxy import BudgetSpent
from shared.outbound.transport import ConnectFailure

_OF_NET_ERROR = (
    # Chromium's net/base/net_error_list.h
    ("ERR_TOO_MANY_REDIRECTS", BrowserOutcome.TOO_MANY_REDIRECTS),
    ("ERR_UNSAFE_PORT", BrowserOutcome.ADDRESS_REFUSED),
    ("ERR_UNSAFE_REDIRECT", BrowserOutcome.ADDRESS_REFUSED),
    ("ERR_UNKNOWN_URL_SCHEME", BrowserOutcome.ADDRESS_REFUSED),
    ("ERR_DISALLOWED_URL_SCHEME", BrowserOutcome.ADDRESS_REFUSED),
    ("ERR_BLOCKED_BY_CLIENT", BrowserOutcome.BUDGET_SPENT),
    ("ERR_CERT", BrowserOutcome.TLS_FAILURE),
    ("ERR_SSL", BrowserOutcome.TLS_FAILURE),
    ("ERR_BAD_SSL", BrowserOutcome.TLS_FAILURE),
    ("ERR_TIMED_OUT", BrowserOutcome.TIMED_OUT),
    ("ERR_CONNECTION_TIMED_OUT", BrowserOutcome.TIMED_OUT),
    ("ERR_INVALID_HTTP_RESPONSE", BrowserOutcome.NO_CONTENT),
)
_OF_PROXY = ("ERR_EMPTY_RESPONSE", "ERR_TUNNEL_CONNECTION_FAILED", "ERR_CONNECTION_CLOSED", "ERR_CONNECTION_RESET")
"""What Chromium makes of a connection that our proxy closed; the proxy knows why."""


def outcome_of(error: Exception, failure: OutboundError | None, last_status: int | None) -> tuple[BrowserOutcome, str]:
    """The outcome of a navigation that gave no page, and a few words.

    `failure`: why the proxy's last connection to that host failed; `last_status`: of the last answer there was.
    """
    if isinstance(error, TimeoutError) or type(error).__name__ == "TimeoutError":
        return (_of_failure(failure), failure.title) if failure else (BrowserOutcome.TIMED_OUT, "")
    text = str(error)
    found = re.search(r"net::(ERR_\w+)", text)
    name = found[1] if found else ""
    if "Download is starting" in text:
        return BrowserOutcome.DOWNLOAD, name
    if name == "ERR_ABORTED":
        return (BrowserOutcome.NO_CONTENT if last_status in (204, 205) else BrowserOutcome.DOWNLOAD), name
    if failure is not None and name in _OF_PROXY:
        return _of_failure(failure), failure.title
    for start, outcome in _OF_NET_ERROR:
        if name.startswith(start):
            return outcome, name
    if name:
        return BrowserOutcome.CONNECTION_LOST, name
    return BrowserOutcome.CRASHED, getattr(error, "detail", "") or type(error).__name__


def _of_failure(failure: OutboundError) -> BrowserOutcome:
    match failure:
        case AddressRefused():
            return BrowserOutcome.ADDRESS_REFUSED
        case DnsFailure():
            return BrowserOutcome.NO_SUCH_DOMAIN if failure.no_such_domain else BrowserOutcome.DNS_FAILURE
        case ConnectFailure():
            return BrowserOutcome.CONNECT_FAILURE
        case BudgetSpent():
            return BrowserOutcome.BUDGET_SPENT
        case _:
            return BrowserOutcome.CONNECTION_LOST
