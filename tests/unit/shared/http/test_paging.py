"""Cursors and pages of lists."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.http.paging import MAX_LIMIT, PageAsked, Place, cursor_after, page_asked, page_of
from shared.http.problems import Invalid

PLACES = st.tuples(st.datetimes(timezones=st.just(UTC)), st.uuids())


@given(PLACES, st.integers(1, MAX_LIMIT))
def test_a_cursor_leads_to_the_place_it_was_written_of(place: Place, limit: int) -> None:
    asked = page_asked(cursor_after(place), limit)
    assert asked == PageAsked(limit=limit, after=place)
    assert asked.parameters() == {"after_at": place[0], "after_id": place[1], "limit": limit + 1}


@given(st.text(max_size=200) | st.text(max_size=120).map(lambda text: base64.urlsafe_b64encode(text.encode()).decode()))
def test_any_other_cursor_is_refused_and_nothing_worse(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        page_asked(cursor, 50)
    assert refused.value.parameter == "cursor"


@pytest.mark.parametrize("moment", ["2026-01-01T00:00:00", "2026-01-01", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_no_list_gave_is_refused(moment: str) -> None:
    """Without a zone it would be read in the server's; and the year 0 is none that a row has."""
    forged = base64.urlsafe_b64encode(f"{moment} {UUID(int=1)}".encode()).decode()
    with pytest.raises(Invalid):
        page_asked(forged, 50)


@given(st.integers(0, 40), st.integers(1, 10))
def test_the_pages_of_a_list_hold_each_row_once(count: int, limit: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [(start + timedelta(seconds=number // 3), UUID(int=number)) for number in range(count)]
    shown: list[str] = []
    cursor: str | None = None
    for _ in range(count + 1):
        asked = page_asked(cursor, limit)
        later = [row for row in rows if asked.after is None or row > asked.after]
        found = later[: asked.parameters()["limit"]]
        items: list[dict[str, Any]] = [{"id": str(identifier)} for _, identifier in found]
        page = page_of(found, items, asked, lambda row: row)
        assert len(page["items"]) <= limit
        shown += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert shown == [str(identifier) for _, identifier in rows]
