"""Until when a URL is good."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.media.answers.expiry import expires_at, has_expired

AT = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = int(AT.timestamp())


@pytest.mark.parametrize(
    "query",
    [
        f"Expires={SECONDS}&Signature=a",
        f"expires={SECONDS}",
        f"e={SECONDS}&token=x",
        f"exp={SECONDS}000",
        f"ex={SECONDS:x}&is=1&hm=2",
        f"oe={SECONDS:X}&oh=2",
        "X-Amz-Date=20231231T230000Z&X-Amz-Expires=3600&X-Amz-Signature=a",
        "X-Goog-Date=20231231T230000Z&X-Goog-Expires=3600",
        "se=2024-01-01T00%3A00%3A00Z&sig=a",
        f"hdnts=st=1~exp={SECONDS}~acl=/*~hmac=a",
        f"Expires={SECONDS}&exp={SECONDS + 99}",
    ],
)
def test_what_says_when(query: str) -> None:
    url = f"https://site.test/x.jpg?{query}"
    assert expires_at(url) == AT
    assert has_expired(url, AT)
    assert not has_expired(url, datetime(2023, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize(
    "query",
    ["", "e=7", "expires=never", "Expires=3600", "ex=zz", "se=2024-01-01", "X-Amz-Expires=60", "page=1704067200"],
)
def test_what_does_not(query: str) -> None:
    assert expires_at(f"https://site.test/x.jpg?{query}") is None


@given(st.text(max_size=60), st.sampled_from(("Expires", "ex", "se=1&sig", "X-Amz-Date=1&X-Amz-Expires", "hdnts")))
def test_no_query_is_too_strange(value: str, name: str) -> None:
    expires_at(f"https://site.test/x.jpg?sig=1&{name}={value}")
