"""`takedown.lifecycle`: everything that happened to a takedown, ids only, in order of `sequence`."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from pydantic import Field

from shared.contracts.event import Count, Event, Moment, Name, Number, Text


class TakedownHappened(Event):
    """One thing that happened. `sequence` counts from 1 within a takedown, without holes.

    `kind` is dotted (`check.present`, `demand.issued`, `demand.delivered`, `takedown.removed`, `takedown.reappeared`, …);
    `facts` holds ids, counts and words of the vocabulary: never a URL, a host name, a fingerprint or free text. An event of a
    demand (`demand.*`, `host.*`, `attempt.*`, `message.refused`: any with a `demand_id`) also says its `recipient` (the
    directory's opaque key), `regime`, `rung` and `country` (ISO 3166-1 alpha-2, or `unknown`).
    """

    TYPE: ClassVar[str] = "takedown.lifecycle.v1"

    takedown_id: UUID
    content_id: UUID
    sequence: Number
    kind: Name
    state: Name
    round: Number
    at: Moment
    facts: dict[Name, Text | Count | bool] = Field(default_factory=dict)


MODELS = {TakedownHappened.TYPE: TakedownHappened}
