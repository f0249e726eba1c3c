"""`takedown.targets`: the URLs of a takedown, compacted; tombstoned when erased."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.contracts.event import Event, Moment, Number, UrlText
from shared.contracts.matches import TargetKind
from shared.ids import FIRST_KEY_VERSION


class TargetChanged(Event):
    """Where a takedown's content was found."""

    TYPE: ClassVar[str] = "takedown.target.v1"

    takedown_id: UUID
    content_id: UUID
    target_kind: TargetKind
    url: UrlText
    url_key: UrlText
    key_version: Number = FIRST_KEY_VERSION
    page_url: UrlText | None = None
    changed_at: Moment


MODELS = {TargetChanged.TYPE: TargetChanged}
