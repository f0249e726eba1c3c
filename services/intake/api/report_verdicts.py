"""What `POST /v1/reports` answers to many reports: a verdict on each."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from shared.http.answers import Answer, example

_QUEUED = {"index": 0, "verdict": "queued", "report_id": "d2c6f6a0-1f5f-4f6e-9d57-0f4f6c6a7b30", "errors": []}
_REFUSED = {
    "index": 1,
    "verdict": "refused",
    "report_id": None,
    "errors": [{"pointer": "#/url", "detail": "This URL cannot be read."}],
}


class ReportFault(Answer):
    """What is wrong with a report. The URL itself is never echoed."""

    pointer: Annotated[str, Field(description="JSON Pointer within the report.")]
    detail: str


class ReportVerdict(Answer):
    """What became of one report. `known`: the same one is not done with yet, and is not made again; `report_id` is that one's."""

    model_config = example(_QUEUED)

    index: Annotated[int, Field(description="Its place in the request, from 0.")]
    verdict: Literal["queued", "known", "refused"]
    report_id: UUID | None = None
    errors: list[ReportFault] = Field(default_factory=list)


class ReportVerdicts(Answer):
    """What became of each report, in the order of the request."""

    model_config = example({"items": [_QUEUED, _REFUSED]})

    items: list[ReportVerdict]
