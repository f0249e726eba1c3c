"""What `docs/hosts.md` tells a host to do with a signature works on a message of ours."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.channels.webhook import signature_of
from services.notifier.directory.webhook_secret import parse_secret

DOCUMENT = (Path(__file__).parents[4] / "docs" / "hosts.md").read_text()


def snippet() -> str:
    after = DOCUMENT[DOCUMENT.index("Without a library:") :]
    found = re.search(r"```python\n(.*?)```", after, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("changed", ["", "body", "id", "secret"])
def test_a_message_of_ours_is_genuine_and_a_changed_one_is_not(changed: str) -> None:
    secret, other = ("whsec_" + base64.b64encode(bytes([byte]) * 32).decode() for byte in (7, 8))
    parse_secret(secret)
    message_id, body = uuid4(), b'{"type": "demand.issued"}'
    signed = signature_of([secret, other], message_id=message_id, timestamp=1_700_000_000, body=body)
    known: dict[str, Any] = {
        "secret": "whsec_" + base64.b64encode(b"9" * 32).decode() if changed == "secret" else other,
        "body": body + b" " if changed == "body" else body,
        "headers": {
            "webhook-id": str(uuid4() if changed == "id" else message_id),
            "webhook-timestamp": "1700000000",
            "webhook-signature": signed,
        },
    }
    exec(snippet(), known)
    assert known["genuine"] is (changed == "")
