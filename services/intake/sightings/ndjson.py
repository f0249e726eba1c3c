"""A stream of sightings, one JSON object a line (NDJSON), in constant memory: lines are cut, parsed, published and counted. Kept in memory
are the line being read, what one read of the connection brought, and the first refusals. The next read waits until the log has acknowledged
what the last one brought, so a crawler can go no faster than the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import islice

from pydantic_core import from_json

from services.intake.domain.sightings import SightingRefusal, parse_sighting
from shared.contracts.sightings import Sighting
from shared.http.json_bodies import fault_of
from shared.http.problems import has_nul
from shared.process.event_loop import in_turns

REFUSALS_KEPT = 1000
LINES_AT_ONCE = 250
"""Lines parsed and published together: bounds how long nobody else is served, and what is in flight."""
_POINTER_CHARACTERS = 100
"""A pointer may quote the name of a field that nobody knows."""

TOO_LONG = None
"""Stands for a line longer than is taken; its bytes are not kept."""

Line = bytes | None
Publish = Callable[[list[Sighting]], Awaitable[None]]
"""Returns when the log has acknowledged all."""


class LineCutter:
    """Cuts bytes into lines (LF, or CR LF) of at most `max_bytes`, its end not counted. Pure."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._begun = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """The lines that end in `data`, one after another. Take them all before more is fed."""
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._add(data, start, end)
            yield self._take()
            start = end + 1
        self._add(data, start, len(data))

    def end(self) -> Iterator[Line]:
        """A last line that no line end followed."""
        if self._begun or self._too_long:
            yield self._take()

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._too_long or len(self._begun) + end - start > self._max_bytes + 1:  # one for the CR
            self._too_long = True
            self._begun.clear()
        else:
            self._begun += memoryview(data)[start:end]

    def _take(self) -> Line:
        line = bytes(self._begun.removesuffix(b"\r"))
        too_long = self._too_long or len(line) > self._max_bytes
        self._begun.clear()
        self._too_long = False
        return TOO_LONG if too_long else line


@dataclass(slots=True, kw_only=True)
class Tally:
    """What became of the lines so far. `lines` counts blank ones too, which say nothing."""

    lines: int = 0
    accepted: int = 0
    refused: int = 0
    refusals: list[dict[str, str | int]] = field(default_factory=list)
    """The first 1,000: `line` (counted from 1), `pointer` within it, `detail`."""

    def refuse(self, line: int, refusal: SightingRefusal) -> None:
        self.refused += 1
        if len(self.refusals) < REFUSALS_KEPT:
            pointer, detail = refusal.errors[0]
            self.refusals.append({"line": line, "pointer": pointer[:_POINTER_CHARACTERS], "detail": detail})


def parse_line(
    line: Line, *, organisation_id: str, now: datetime, reported_by: str | None = None
) -> Sighting | SightingRefusal | None:
    """One line; None for a blank one."""
    if line is TOO_LONG:
        return _refusal("This line is too long. Send a shorter one, with fewer fingerprints.")
    if not line.strip():
        return None
    if has_nul(line):
        return _refusal("This contains a NUL character (U+0000). Remove it.")
    try:
        item = from_json(line, allow_inf_nan=False)
    except ValueError:
        return _refusal("This line is not valid JSON in UTF-8.")
    if (fault := fault_of(line)) is not None:
        return SightingRefusal(errors=((fault.pointer, fault.text),))
    return parse_sighting(item, organisation_id=organisation_id, now=now, reported_by=reported_by)


async def take_lines(
    chunks: AsyncIterator[bytes],
    tally: Tally,
    *,
    max_line_bytes: int,
    organisation_id: str,
    clock: Callable[[], datetime],
    publish: Publish,
    reported_by: str | None = None,
) -> None:
    """Take lines to the end of `chunks`. `tally` counts what is settled, also when an error ends it.

    Raises what `chunks` and `publish` raise. A line that was cut off by such an end is never taken.
    """
    cutter = LineCutter(max_line_bytes)

    async def settle(lines: Iterable[Line]) -> None:
        while some := list(islice(lines, LINES_AT_ONCE)):
            now = clock()
            parsed = await in_turns(
                partial(parse_line, line, organisation_id=organisation_id, now=now, reported_by=reported_by)
                for line in some
            )
            accepted = [one for one in parsed if isinstance(one, Sighting)]
            await publish(accepted)
            for number, one in enumerate(parsed, start=tally.lines + 1):
                if isinstance(one, SightingRefusal):
                    tally.refuse(number, one)
            tally.lines += len(some)
            tally.accepted += len(accepted)

    async for chunk in chunks:
        await settle(cutter.feed(chunk))
    await settle(cutter.end())


def _refusal(detail: str) -> SightingRefusal:
    return SightingRefusal(errors=(("#", detail),))
