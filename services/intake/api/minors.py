"""No minors' images: anything but a plain `no` is refused before the rest is read, and nothing of it is kept or logged."""

from __future__ import annotations

import json

from fastapi import Request

from services.intake.domain.schemas import depicts_minor_said
from shared.http.problems import Refused

WHERE_TO_GO = (
    {"name": "Internet Watch Foundation (United Kingdom and worldwide)", "url": "https://report.iwf.org.uk/"},
    {"name": "Report Remove, for under 18s (Childline and IWF)", "url": "https://www.childline.org.uk/remove"},
    {"name": "NCMEC CyberTipline (United States)", "url": "https://report.cybertip.org/"},
    {"name": "NCMEC Take It Down, for images taken under 18", "url": "https://takeitdown.ncmec.org/"},
    {"name": "INHOPE, hotlines by country", "url": "https://www.inhope.org/"},
    {"name": "The police where you are; in an emergency at once", "url": ""},
)


async def refuse_minors(request: Request) -> None:
    """A dependency that runs before the body is validated: no other field's error hides where to go. Raises Refused."""
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        return  # no JSON, or deeper than any claim: the validation says so
    said = depicts_minor_said(body)
    if said is not None:
        raise Refused(
            "This register accepts nothing that shows, or may show, a person under 18. Nothing of this request was kept. "
            "Please turn to one of the organisations in where_to_go: they can act on it.",
            pointer=f"#{said}",
            where_to_go=[dict(place) for place in WHERE_TO_GO],
        )
