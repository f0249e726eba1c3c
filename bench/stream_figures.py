"""The figures of `bench.stream`, as a table and as the section of docs/performance.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

AIM_PER_SECOND = 20_000
AIM_CONFIRMED_MS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One measurement. Rates are sightings a second: by the clock, which others on the machine slow down, and of processor time.

    `raw_*`, `pydantic_*`: the floor. `start_*`: until ready, from the process's first instruction. `resident_mb`: at the end, the
    history of these sightings in it. `confirmed_*`: from publishing content to reading its match with a sighting of before, while
    sightings flow.
    """

    entries: int
    pdq_values: int
    sightings: int
    per_second: float
    per_cpu_second: float
    raw_per_cpu_second: float
    pydantic_per_cpu_second: float
    start_seconds: float
    start_cpu_seconds: float
    resident_mb: float
    longest_stall_ms: float
    profile: dict[str, float]
    start_again_seconds: float | None = None
    start_again_cpu_seconds: float | None = None
    confirmed_p50_ms: float | None = None
    confirmed_p99_ms: float | None = None
    confirmed_beside_per_second: float | None = None


def table(results: Sequence[Figures]) -> str:
    lines = [
        "| register | sightings with | sightings/s by the clock | per processor second | of aiokafka raw | of raw + pydantic |"
        " longest stall, ms | resident, MB | start, s | again, s | again, processor s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines.extend(
        f"| {one.entries:,} | {one.pdq_values} PDQ | {one.per_second:,.0f} | {one.per_cpu_second:,.0f} |"
        f" 1/{one.raw_per_cpu_second / one.per_cpu_second:.1f} | 1/{one.pydantic_per_cpu_second / one.per_cpu_second:.1f} |"
        f" {one.longest_stall_ms:.0f} | {one.resident_mb:,.0f} | {one.start_seconds} |"
        f" {one.start_again_seconds or '-'} | {one.start_again_cpu_seconds or '-'} |"
        for one in results
    )
    stages = sorted({stage for one in results for stage in one.profile})
    lines += ["", "Where the time goes, in hundredths:", ""]
    heads = [f"{one.entries:,}, {one.pdq_values} PDQ" for one in results]
    lines += [f"| | {' | '.join(heads)} |", "|---" * (len(results) + 1) + "|"]
    lines.extend(
        f"| {stage} | " + " | ".join(f"{100 * one.profile.get(stage, 0):.0f}" for one in results) + " |"
        for stage in stages
    )
    lines.append("")
    lines.extend(
        f"Confirmed content to its match with a sighting of before, {one.entries:,} entries, beside"
        f" {one.confirmed_beside_per_second:,.0f} sightings/s: p50 {one.confirmed_p50_ms} ms, p99 {one.confirmed_p99_ms} ms"
        f" (aim p99 {AIM_CONFIRMED_MS} ms)."
        for one in results
        if one.confirmed_p99_ms is not None
    )
    return "\n".join(lines)


def section(results: Sequence[Figures]) -> str:
    return f"""## The matcher's stream

Made by `make bench-stream` on {datetime.now(UTC):%Y-%m-%d}; do not edit. {platform.machine()}, {os.cpu_count()} cores,
Python {platform.python_version()}. The whole matcher is one process on a core
of its own, Kafka and the load on the other. Where other work shares the machine the clock says less than processor time. The floor, in
the same run on the same core, in processor time: aiokafka reading the same records, and with their pydantic model. The aim is
{AIM_PER_SECOND:,} sightings/s with one PDQ value each at 1,000,000 entries. Start: from the process's first instruction until it is
ready, Python's own start in it; for sightings with 1 PDQ from the log without any file, for those with 2 PDQ from files, beside the
backlog. Again: from the files of an orderly stop, with nothing to be read (aim 5 s at 1,000,000).
Resident: with the register and the history of the sightings measured, pages of mapped files among it. Stall: the longest the event
loop was kept waiting.

{table(results)}
"""
