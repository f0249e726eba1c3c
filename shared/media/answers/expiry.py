"""Until when a signed URL is valid, as far as it says so. Pure.

An expired one is refused, by many hosts with 404, whatever it leads to: that is no sign that anything was removed.
Sources: Amazon S3 (`X-Amz-Date`, `X-Amz-Expires`; `Expires`), Google Cloud Storage (`X-Goog-…`), Azure (`se`), Akamai (`exp=`, `hdnts`),
CloudFront (`Expires`), Discord (`ex`) and Facebook (`oe`), the last two in hexadecimal.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

from shared.urls import split_url

_SECONDS = frozenset(
    (
        "expires",
        "expire",
        "expiry",
        "expiration",
        "exp",
        "e",
        "x-expires",
        "expires_at",
        "valid_until",
        "validto",
        "deadline",
        "ttl_until",
        "st_exp",
        "wstime",
    )
)
_HEXADECIMAL = frozenset(("ex", "oe", "x-expires-hex"))
_EARLIEST = datetime(2001, 9, 9, tzinfo=UTC)
"""The ten digits of a moment in seconds begin here; a smaller number is a span, or something else."""
_LATEST = datetime(2286, 11, 20, tzinfo=UTC)
_IN_TOKEN = re.compile(r"(?:^|[~&;,])(?:exp|expires|expiry)=(\d{10})(?:$|[~&;,])")


def expires_at(url: str) -> datetime | None:
    """The moment after which the URL is refused; None: it names none. Raises nothing."""
    query = {name.lower(): value for name, value in parse_qsl(split_url(url).query, keep_blank_values=True)}
    found = [
        *(_moment(query[name], 10) for name in _SECONDS & query.keys()),
        *(_moment(query[name], 16) for name in _HEXADECIMAL & query.keys()),
        *(_moment(inner[1], 10) for value in query.values() for inner in [_IN_TOKEN.search(value)] if inner),
        *(_signed_span(query, prefix) for prefix in ("x-amz", "x-goog", "x-oss")),
        _iso(query["se"]) if "se" in query and "sig" in query else None,
    ]
    return min((one for one in found if one is not None), default=None)


def has_expired(url: str, now: datetime) -> bool:
    """Whether the URL was good until a moment that has passed."""
    until = expires_at(url)
    return until is not None and until <= now


def _moment(text: str, base: int) -> datetime | None:
    """Seconds (or thousandths) since 1970."""
    if not re.fullmatch(r"[0-9a-fA-F]{7,13}", text):
        return None
    try:
        seconds = int(text, base)
        seconds = seconds // 1000 if seconds >= 10**11 else seconds
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _signed_span(query: dict[str, str], prefix: str) -> datetime | None:
    start, span = query.get(f"{prefix}-date", ""), query.get(f"{prefix}-expires", "")
    if not span.isascii() or not span.isdigit() or len(span) > 9:
        return None
    try:
        return datetime.strptime(start, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) + timedelta(seconds=int(span))
    except (ValueError, OverflowError):
        return None


def _iso(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
