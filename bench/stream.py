"""The matcher's stream through real Kafka: sightings per second on one core, where the time goes, and how soon confirmed content matches.

    make bench-stream                            registers of 100,000, 1,000,000 and 3,000,000 PDQ entries; writes docs/performance.md
    make bench-stream ARGS="--sizes 100000"      these sizes; nothing is written
    make bench-stream ARGS=--json                one JSON object a measurement; nothing is written
    make bench-stream ARGS="--sizes 100000 --results FILE --write"
                                                 a part at a time, where the machine is not to be had for longer

The whole matcher runs as a process of its own on core 0 (read, decode, remember, meet the register, publish the matches, commit both
offsets), Kafka and whoever loads it on core 1. Sightings wait in the topic, about 150 in a record as intake makes them; one in 200 is
near an entry of the register. Beside it, in the same run and on the same core: aiokafka reading the same records, and the same with their
pydantic model. `1 PDQ` and `2 PDQ` (with that of the true mirror) are a sighting's fingerprints.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.document import replace_section
from bench.figures import percentile
from bench.stream_confirmed import confirmed
from bench.stream_figures import AIM_PER_SECOND, Figures, section, table
from bench.stream_load import contents, ends, make_topics, publish_all, sightings_records, values_of
from bench.stream_measured import Measured, floor, measured
from shared.log.kafka.local import start_kafka

SIZES = (100_000, 1_000_000, 3_000_000)


def progress(text: str) -> None:
    print(f"bench-stream: {text}", file=sys.stderr, flush=True)


def run(
    size: int, pdq_values: Sequence[int], sightings: int, *, folder: Path, cpu: int | None, confirm_seconds: float
) -> Iterator[Figures]:
    """One broker and one register; a load for each of `pdq_values`, one after the other, in the same topic."""
    register = values_of(size, seed=1)
    with start_kafka(data_dir=folder / "kafka", on_progress=lambda line: None) as kafka:
        bootstrap = kafka.bootstrap_servers
        asyncio.run(make_topics(bootstrap))
        progress(f"{size:,} entries: loading the register")
        asyncio.run(publish_all(bootstrap, contents(register), transactional=True))
        for turn, values in enumerate(pdq_values):
            start = asyncio.run(ends(bootstrap))
            progress(f"loading {sightings:,} sightings of {values} PDQ")
            records = sightings_records(sightings, register, pdq_values=values, seed=2 + 10 * values)
            asyncio.run(publish_all(bootstrap, iter(records), transactional=False))
            progress("the floor")
            raw, validated = (
                floor(bootstrap, mode, cpu=cpu, folder=folder, start=start) for mode in ("raw", "pydantic")
            )
            progress("the matcher, from its snapshot" if turn else "the matcher, from the log")
            with measured(bootstrap, "matcher", cpu=cpu, folder=folder) as process:
                figures = throughput(process, size, values, sightings, raw, validated)
                if confirm_seconds and not turn:
                    progress(f"confirmed content beside {AIM_PER_SECOND:,} sightings/s")
                    times, rate = asyncio.run(confirmed(bootstrap, register, process, seconds=confirm_seconds))
                    figures = dataclasses.replace(
                        figures,
                        confirmed_p50_ms=round(percentile(times, 0.5), 1),
                        confirmed_p99_ms=round(percentile(times, 0.99), 1),
                        confirmed_beside_per_second=round(rate),
                    )
            progress("the matcher started again, with nothing to be read")
            with measured(bootstrap, "matcher", cpu=cpu, folder=folder) as process:
                while not (said := process.next())["ready"]:
                    pass
            yield dataclasses.replace(
                figures,
                start_again_seconds=round(said["at"] - process.started_at, 1),
                start_again_cpu_seconds=round(said["cpu"], 1),
            )


def throughput(
    process: Measured,
    size: int,
    pdq_values: int,
    sightings: int,
    raw: float,
    validated: float,
) -> Figures:
    """From the first tenth of the sightings to the last."""
    ready, first, stall, last = None, None, 0.0, process.next()
    while last["handled"] < sightings:
        last = process.next()
        if ready is None and last["ready"]:
            ready = last
        if last["handled"] >= sightings / 10:
            first = first or last
            stall = max(stall, last["longest_stall"])
    assert first is not None
    ready = ready or first
    seconds, cpu_seconds = last["at"] - first["at"], last["cpu"] - first["cpu"]
    samples = sum(last["profile"].values()) or 1
    return Figures(
        entries=size,
        pdq_values=pdq_values,
        sightings=sightings,
        per_second=round((last["handled"] - first["handled"]) / seconds),
        per_cpu_second=round((last["handled"] - first["handled"]) / cpu_seconds),
        raw_per_cpu_second=round(raw),
        pydantic_per_cpu_second=round(validated),
        start_seconds=round(ready["at"] - process.started_at, 1),
        start_cpu_seconds=round(ready["cpu"], 1),
        resident_mb=round(last["resident"] / 1e6),
        longest_stall_ms=round(1000 * stall),
        profile={stage: round(count / samples, 3) for stage, count in sorted(last["profile"].items())},
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="make bench-stream", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", help="entries of the register; nothing is written")
    parser.add_argument("--sightings", type=int, default=200_000, help="how many are measured (200,000)")
    parser.add_argument(
        "--confirm-seconds", type=float, default=15, help="how long content is confirmed; 0: not at all (15)"
    )
    parser.add_argument(
        "--pdq", type=int, nargs="+", choices=(1, 2), default=(1, 2), help="PDQ values of a sighting (1 and 2)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a measurement; nothing is written")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md also for other sizes")
    parser.add_argument("--results", type=Path, help="add them to those in this file, which the tables are then of")
    arguments = parser.parse_args()
    cpu = None
    if (os.cpu_count() or 1) > 1:
        cpu = min(os.sched_getaffinity(0))
        os.sched_setaffinity(0, os.sched_getaffinity(0) - {cpu})  # Kafka, started from here, too
    results = []
    for size in arguments.sizes or SIZES:
        with tempfile.TemporaryDirectory(prefix="takedown-bench-") as folder:
            for one in run(
                size,
                arguments.pdq,
                arguments.sightings,
                folder=Path(folder),
                cpu=cpu,
                confirm_seconds=arguments.confirm_seconds,
            ):
                results.append(one)
                if arguments.json:
                    print(json.dumps(dataclasses.asdict(one)), flush=True)
                else:
                    progress(f"{one.per_second:,.0f} sightings/s, {one.per_cpu_second:,.0f} a processor second")
    if arguments.results is not None:
        with arguments.results.open("a") as file:
            file.writelines(json.dumps(dataclasses.asdict(one)) + "\n" for one in results)
        results = [Figures(**json.loads(line)) for line in arguments.results.read_text().splitlines()]
        results.sort(key=lambda one: (one.entries, one.pdq_values))
    if not arguments.json:
        print(table(results))
        if not arguments.sizes or arguments.write:
            replace_section("stream", section(results))
            progress("docs/performance.md written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
