"""Cursor pagination of lists by (time, id). A cursor is opaque to its caller and holds nothing but these two of the last row shown."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import Field

from shared.http.answers import Answer
from shared.http.problems import Invalid
from shared.ids import timestamp

MAX_LIMIT = 200

Place = tuple[datetime, UUID]
"""Where a row stands in its list: its time and id."""

Listed = TypeVar("Listed")
Item = TypeVar("Item", bound=Answer)


class ListAnswer(Answer, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null on the last one.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """At most `limit` rows that come after `after` in the list's order; None: its first."""

    limit: int
    after: Place | None = None

    def parameters(self) -> dict[str, Any]:
        """Of the list's statement. It selects one row more than the page holds: that there is one says that there are more."""
        moment, identifier = self.after or (None, None)
        return {"after_at": moment, "after_id": identifier, "limit": self.limit + 1}


def page_asked(
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 50,
) -> PageAsked:
    """A dependency: the page of `?cursor=&limit=`. Raises Invalid for a cursor that is not ours."""
    return PageAsked(limit=limit, after=None if cursor is None else _place(cursor))


Page = Annotated[PageAsked, Depends(page_asked)]


def page_of(
    found: Sequence[Listed], items: Sequence[object], asked: PageAsked, place: Callable[[Listed], Place]
) -> dict[str, Any]:
    """The body of a list's answer, `{items, next}`. `found` is one longer than the page when there are more; `items` shows them."""
    more = len(found) > asked.limit
    return {
        "items": list(items[: asked.limit]),
        "next": cursor_after(place(found[asked.limit - 1])) if more else None,
    }


def cursor_after(place: Place) -> str:
    """The cursor of the page after the row at this place."""
    moment, identifier = place
    return base64.urlsafe_b64encode(f"{timestamp(moment)} {identifier}".encode()).decode()


def _place(cursor: str) -> Place:
    try:
        moment, _, identifier = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        place = datetime.fromisoformat(moment), UUID(identifier)
        if cursor_after(place) != cursor:  # also what PostgreSQL would read in another way, as a time without a zone
            raise ValueError
    except (ValueError, OverflowError, binascii.Error):
        raise Invalid(
            "This cursor does not belong to this list. Use the `next` of the page before, or start again without a cursor.",
            parameter="cursor",
        ) from None
    return place
