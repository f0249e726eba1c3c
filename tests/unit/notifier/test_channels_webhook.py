"""Signatures against the reference library, secrets, and what an answer's `Retry-After` means."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.notifier.channels.webhook import retry_after_seconds, signature_of
from services.notifier.directory.webhook_secret import BadSecret, parse_secret

secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())


@given(key=secrets, other=secrets, body=st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5))
def test_the_reference_library_accepts_our_signature_and_no_other(key: str, other: str, body: dict[str, str]) -> None:
    import json

    data = json.dumps(body).encode()
    message_id = uuid4()
    stamp = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": str(message_id),
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature_of([key], message_id=message_id, timestamp=stamp, body=data),
    }
    assert Webhook(key).verify(data, headers) == body
    if other != key:
        with pytest.raises(WebhookVerificationError):
            Webhook(other).verify(data, headers)
    both = headers | {
        "webhook-signature": signature_of([key, other], message_id=message_id, timestamp=stamp, body=data)
    }
    assert Webhook(key).verify(data, both) == Webhook(other).verify(data, both) == body


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", "whsec_short", "sk_" + base64.b64encode(b"x" * 32).decode(), "whsec_" + "!" * 44]
    + ["whsec_" + base64.b64encode(b"x" * size).decode() for size in (0, 23, 65)],
)
def test_a_bad_secret_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(BadSecret) as refused:
        parse_secret(secret)
    assert len(secret) < 10 or secret not in str(refused.value)


NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", None),
        ("soon", None),
        ("1e9", None),
        ("99999999999999", 86400.0),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300.0),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86400.0),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, NOW) == seconds


_DATE_WORDS = [
    "Mon,",
    "01",
    "Jan",
    "2020",
    "00:00:00",
    "GMT",
    "9" * 20,
    "-",
    "+",
    ":",
    "1:2:3:4",
    "+" + "9" * 20,
    ",",
    "(",
    "\x00",
]


@given(st.lists(st.sampled_from(_DATE_WORDS), max_size=7).map(" ".join) | st.text(max_size=30))
@example("Mon, 99999999999999999999 Jan 2020 00:00:00 GMT")
@example("Mon, 01 Jan 2020 00:00:00 +99999999999999999999")
@example("-5")
def test_a_retry_after_without_sense_is_none_or_within_a_day(header: str) -> None:
    seconds = retry_after_seconds(header, datetime(2026, 11, 26, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 86_400
