"""`data:` URLs (RFC 2397; Fetch, "data: URL processor")."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUrl:
    """`essence`: the media type without parameters, lower-case; `text/plain` where it gives none."""

    essence: str
    content_type: str
    body: bytes = field(repr=False)


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def parse_data_url(url: str) -> DataUrl | None:
    """The data of a `data:` URL; None where it has none. What is wrong in base64 is passed over."""
    head, comma, rest = url[5:].partition(",")
    if not comma or not rest:
        return None
    parameters = head.split(";")
    body = unquote_to_bytes(rest.partition("#")[0])
    if len(parameters) > 1 and parameters[-1].strip().lower() == "base64":
        body = _from_base64(body)
        parameters.pop()
    content_type = ";".join(parameters).strip()[:200] or "text/plain"
    essence = content_type.partition(";")[0].strip().lower()
    return DataUrl(essence=essence, content_type=content_type, body=body) if body else None


def _from_base64(text: bytes) -> bytes:
    text = text.translate(None, b" \t\r\n\f=")
    if len(text) % 4 == 1:
        text = text[:-1]
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        return b""
