"""The form of a jurisdiction: a country (ISO 3166-1) or a subdivision of one (ISO 3166-2, `GB-SCT`)."""

from __future__ import annotations

import re

from shared.countries import COUNTRIES

_FORM = re.compile(r"([A-Z]{2})(-[A-Z0-9]{1,3})?")


def parse_jurisdiction(text: str) -> str:
    """The code, in upper case. Raises ValueError unless it is a country, or a country and a subdivision."""
    code = text.strip().upper()
    match = _FORM.fullmatch(code)
    if match is None or match[1] not in COUNTRIES:
        raise ValueError("This must be an ISO 3166 code, such as GB or GB-SCT.")
    return code
