"""What `POST /v1/sightings` answers: to an array item by item, to a stream of lines with counts."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from shared.http.answers import Answer, example
from shared.http.problems import Invalid

_REFUSED = {
    "index": 1,
    "problem": {
        "type": Invalid.kind,
        "title": Invalid("").title,
        "status": Invalid.status,
        "errors": [{"pointer": "#/seen_at", "detail": "This time is in the future. Check the clock of the crawler."}],
    },
}


class AcceptedSighting(Answer):
    """The log has acknowledged this sighting."""

    index: Annotated[int, Field(description="Its place in the request, from 0.")]
    sighting_id: UUID


class SightingFieldError(Answer):
    """What is wrong with one field of a sighting."""

    pointer: Annotated[str, Field(description="JSON Pointer within the sighting.")]
    detail: str


class SightingProblem(Answer):
    """Why a sighting is refused: Problem Details (RFC 9457)."""

    type: str = Invalid.kind
    title: str
    status: int = Invalid.status
    errors: list[SightingFieldError]


class RefusedSighting(Answer):
    """This sighting is refused; the others are not."""

    index: Annotated[int, Field(description="Its place in the request, from 0.")]
    problem: SightingProblem


class SightingsAnswer(Answer):
    """What became of each sighting, in the order of the request."""

    model_config = example({"items": [{"index": 0, "sighting_id": "1e0a2c54-6c0b-5a86-9d0d-3f1b2a4c5d6e"}, _REFUSED]})

    items: list[AcceptedSighting | RefusedSighting]


class LineRefusal(Answer):
    """A line that is refused."""

    line: Annotated[int, Field(description="From 1.")]
    pointer: Annotated[str, Field(description="JSON Pointer within the line.")]
    detail: str


class LinesAnswer(Answer):
    """What became of a stream of lines."""

    model_config = example({"lines": 120000, "accepted": 120000, "refused": 0, "refusals": []})

    lines: Annotated[int, Field(description="All lines, blank ones too.")]
    accepted: int
    refused: int
    refusals: Annotated[list[LineRefusal], Field(description="The first 1,000.")]
