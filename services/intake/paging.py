"""Cursor pagination: newest first, by (created_at, id). A cursor is opaque to its caller and holds nothing but these two."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query

from shared.db.pool import Row
from shared.ids import timestamp
from shared.web.problems import Invalid

MAX_LIMIT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """Rows older than (`before`, `before_id`), at most `limit`."""

    limit: int
    before: datetime | None = None
    before_id: UUID | None = None


def page_asked(
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> PageAsked:
    """A dependency: the page of `?cursor=&limit=`. Raises Invalid for a cursor that is not ours."""
    if cursor is None:
        return PageAsked(limit=limit)
    try:
        moment, _, identifier = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        return PageAsked(limit=limit, before=datetime.fromisoformat(moment), before_id=UUID(identifier))
    except (ValueError, binascii.Error):
        raise Invalid("the cursor is not one this list gave", parameter="cursor") from None


Page = Annotated[PageAsked, Depends(page_asked)]


def cursor_after(row: Row, id_column: str) -> str:
    """The cursor of the page after `row`."""
    return base64.urlsafe_b64encode(f"{timestamp(row['created_at'])} {row[id_column]}".encode()).decode()


def page_of(rows: list[Row], items: list[dict[str, Any]], asked: PageAsked, id_column: str) -> dict[str, Any]:
    """The body of a list's answer. `rows` is one longer than the page when there are more."""
    more = len(rows) > asked.limit
    return {
        "items": items[: asked.limit],
        "next": cursor_after(rows[asked.limit - 1], id_column) if more else None,
    }
