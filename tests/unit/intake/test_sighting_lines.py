"""Lines of a stream of sightings: cut, bounded, each refused by itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.sightings import SightingRefusal
from services.intake.sightings.ndjson import REFUSALS_KEPT, TOO_LONG, LineCutter, Tally, parse_line, take_lines
from shared.contracts.sightings import Sighting

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GOOD = {
    "media_url": "https://host.example/a.jpg",
    "seen_at": "2025-12-31T00:00:00Z",
    "source": "crawler",
    "fingerprints": [{"algorithm": "md5", "value": "ab" * 16}],
}


@given(
    st.binary(max_size=60).map(lambda text: text.replace(b"a", b"\n")), st.lists(st.integers(0, 60)), st.integers(1, 9)
)
def test_lines_are_the_same_however_the_bytes_come(text: bytes, cuts: list[int], longest: int) -> None:
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    cutter = LineCutter(longest)
    found = [line for start, end in itertools.pairwise(places) for line in cutter.feed(text[start:end])]
    found += cutter.end()
    lines = text.split(b"\n")
    whole = [line.removesuffix(b"\r") for line in (lines if lines[-1] else lines[:-1])]
    assert found == [TOO_LONG if len(line) > longest else line for line in whole]


async def taken(*chunks: bytes, tally: Tally | None = None, longest: int = 1000) -> tuple[Tally, list[Sighting]]:
    published: list[Sighting] = []

    async def publish(sightings: list[Sighting]) -> None:
        published.extend(sightings)

    async def come() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    tally = tally or Tally()
    await take_lines(come(), tally, max_line_bytes=longest, organisation_id="o", clock=lambda: NOW, publish=publish)
    return tally, published


def line(**changes: Any) -> bytes:
    return json.dumps({**GOOD, **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    ("bad", "pointer"),
    [
        (b"{", "#"),
        (b"[]", "#"),
        (b"\xff\xfe", "#"),
        (b"[" * 900, "#"),
        (line(media_url="ftp://host.example/"), "#/media_url"),
        (line(source="a\0b"), "#"),
        (line(seen_at="2027-01-01T00:00:00Z"), "#/seen_at"),
        (line(fingerprints=[{"algorithm": "pdq", "value": "00" * 32}]), "#/fingerprints/0"),
        (line(page_url="https://host.example/" + "x" * 1000), "#"),
    ],
)
async def test_a_bad_line_is_refused_by_itself(bad: bytes, pointer: str) -> None:
    tally, published = await taken(line(), bad.strip() + b"\n", b"\r\n", line().strip())
    assert (tally.lines, tally.accepted, tally.refused, len(published)) == (4, 2, 1, 2)
    ((refusal),) = tally.refusals
    assert (refusal["line"], refusal["pointer"]) == (2, pointer)


async def test_refusals_are_counted_beyond_those_that_are_told() -> None:
    tally, _ = await taken(b"{}\n" * (REFUSALS_KEPT + 5), line())
    assert (tally.refused, len(tally.refusals), tally.accepted) == (REFUSALS_KEPT + 5, REFUSALS_KEPT, 1)
    assert tally.refusals[-1]["line"] == REFUSALS_KEPT


async def test_a_refusal_is_short_whatever_the_line_says() -> None:
    tally, _ = await taken(line(**{"x" * 500: 1}))
    (refusal,) = tally.refusals
    assert len(str(refusal["pointer"])) <= 100


async def test_the_next_chunk_is_asked_for_when_the_last_is_settled() -> None:
    """So a log that is slow holds the crawler back."""
    events: list[str] = []

    async def publish(sightings: list[Sighting]) -> None:
        events.append(f"published {len(sightings)}")

    async def come() -> AsyncIterator[bytes]:
        for _ in range(2):
            events.append("read")
            yield line() * 300

    tally = Tally()
    await take_lines(come(), tally, max_line_bytes=1000, organisation_id="o", clock=lambda: NOW, publish=publish)
    once = ["read", "published 250", "published 50"]
    assert events == once * 2


async def test_what_is_counted_is_settled_when_the_log_fails() -> None:
    calls = 0

    async def publish(_: list[Sighting]) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionError

    async def come() -> AsyncIterator[bytes]:
        yield line() * 260

    tally = Tally()
    with pytest.raises(ConnectionError):
        await take_lines(come(), tally, max_line_bytes=1000, organisation_id="o", clock=lambda: NOW, publish=publish)
    assert (tally.lines, tally.accepted) == (250, 250)


def test_a_line_with_a_name_that_stands_twice_is_refused() -> None:
    for line, place in ((b'{"source": "a", "source": "b"}', "#/source"), (b'{"x": [{"y": 1, "y": 1}]}', "#/x/0/y")):
        refused = parse_line(line, organisation_id="o", now=datetime.now(UTC))
        assert isinstance(refused, SightingRefusal)
        assert [pointer for pointer, _ in refused.errors] == [place]
