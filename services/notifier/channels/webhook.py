"""Webhook: a signed POST (Standard Webhooks 1.0, symmetric `v1`: github.com/standard-webhooks/standard-webhooks, spec).

The signed content is `{webhook-id}.{webhook-timestamp}.{body}`, HMAC-SHA-256 with the bytes behind `whsec_`. While a host
rotates its secret both are active, and the header carries a signature for each.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID

from services.notifier.channels.result import Attempted, AttemptOutcome
from services.notifier.directory.webhook_secret import parse_secret
from shared.outbound.fetch import Fetcher, Posted
from shared.outbound.guard import AddressRefused, OutboundError
from shared.urls import BadUrl

RETRY_AFTER_MAX_SECONDS = 24 * 3600.0


def signature_of(secrets: Sequence[str], *, message_id: UUID, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: `v1,` and base64, one for each active secret, separated by spaces."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(
        "v1," + base64.b64encode(hmac.new(parse_secret(secret), signed, hashlib.sha256).digest()).decode()
        for secret in secrets
    )


async def post_signed(
    fetcher: Fetcher,
    *,
    url: str,
    secrets: Sequence[str],
    message_id: UUID,
    body: bytes,
    now: datetime,
    timeout_seconds: float,
    max_answer_bytes: int,
) -> Attempted:
    """Make one attempt: POST a signed message. The result says how it ended; nothing is raised for what the other side does."""
    stamp = int(now.timestamp())
    headers = {
        "content-type": "application/json",
        "webhook-id": str(message_id),
        "webhook-timestamp": str(stamp),
        "webhook-signature": signature_of(secrets, message_id=message_id, timestamp=stamp, body=body),
    }
    try:
        posted = await fetcher.post(
            url, body, headers, timeout_seconds=timeout_seconds, max_answer_bytes=max_answer_bytes
        )
    except (BadUrl, AddressRefused) as error:
        reason = error.code if isinstance(error, AddressRefused) else "bad_url"
        return Attempted(outcome=AttemptOutcome.PERMANENT, reason=reason)
    except OutboundError as error:
        return Attempted(outcome=AttemptOutcome.TRANSIENT, reason=error.code)
    return _answered(posted, now)


def _answered(posted: Posted, now: datetime) -> Attempted:
    """The result of an answer: 2xx is accepted; 410 is gone for good; anything else (a redirect too) may be temporary and is tried
    again."""
    if 200 <= posted.status < 300:
        outcome, reason = AttemptOutcome.ACCEPTED, "accepted"
    elif posted.status == 410:
        outcome, reason = AttemptOutcome.PERMANENT, "endpoint_gone"
    else:
        outcome, reason = AttemptOutcome.TRANSIENT, "redirect" if 300 <= posted.status < 400 else "status"
    return Attempted(
        outcome=outcome,
        reason=reason,
        status=posted.status,
        address=f"{posted.address.ip}:{posted.address.port}",
        retry_after_seconds=retry_after_seconds(posted.headers.get("retry-after"), now)
        if posted.status in (429, 503)
        else None,
        endpoint_gone=posted.status == 410,
        elapsed_seconds=posted.elapsed_seconds,
    )


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3: seconds, or a date) from `now`, capped at a day; None: none, or not understood."""
    if header is None:
        return None
    header = header.strip()
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), RETRY_AFTER_MAX_SECONDS)
    try:
        moment = parsedate_to_datetime(header)
    except (ValueError, OverflowError):  # numbers beyond any date
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), RETRY_AFTER_MAX_SECONDS)
