"""The shared secret that signs a webhook (Standard Webhooks 1.0: `whsec_` and base64)."""

from __future__ import annotations

import base64
import binascii

from shared.errors import Permanent

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of the scheme, not a secret
SECRET_BYTES = range(24, 65)
"""Sizes the specification allows."""
ACTIVE_SECRETS = 2


class BadSecret(Permanent, ValueError):
    """A webhook secret is whsec_ followed by 24 to 64 bytes in base64."""


def parse_secret(secret: str) -> bytes:
    """The key in a `whsec_…` secret. Raises BadSecret; its text never holds the secret."""
    if not secret.startswith(SECRET_PREFIX):
        raise BadSecret("This one does not begin with whsec_.")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret("What follows whsec_ is not valid base64.") from None
    if len(key) not in SECRET_BYTES:
        raise BadSecret(f"This one has {len(key)} bytes.")
    return key
